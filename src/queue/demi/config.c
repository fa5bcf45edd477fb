/* SPDX-License-Identifier: MIT */
/*
 * Demikernel's configuration: environment and YAML file. Values that are wrong are errors of
 * demi_init(), never an abort. Sections that are for hardware we do not drive (inetstack_config,
 * dpdk, raw_socket) are keys we do not know.
 */
#define _GNU_SOURCE
#include "queue/demi/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#define CAPACITY_MAX (UINT64_C(1) << 30)
#define FILE_MAX     (16u << 20)
#define DEPTH_MAX    100u

struct text {
    unsigned char *bytes;
    size_t len;
};

static const yaml_node_t *lookup(yaml_document_t *doc, const yaml_node_t *map, const char *key)
{
    if (map == NULL || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start;
         pair < map->data.mapping.pairs.top; pair++) {
        const yaml_node_t *k = yaml_document_get_node(doc, pair->key);

        if (k != NULL && k->type == YAML_SCALAR_NODE &&
            strcmp((const char *)k->data.scalar.value, key) == 0)
            return yaml_document_get_node(doc, pair->value);
    }
    return NULL;
}

/* A section: NULL when it is missing or empty, -EINVAL when it is no mapping. */
static int section(yaml_document_t *doc, const yaml_node_t *map, const char *key,
                   const yaml_node_t **out)
{
    const yaml_node_t *node = lookup(doc, map, key);

    if (node != NULL && node->type == YAML_SCALAR_NODE &&
        node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        const char *text = (const char *)node->data.scalar.value;

        if (text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0)
            node = NULL;
    }
    if (node != NULL && node->type != YAML_MAPPING_NODE)
        return -EINVAL;
    *out = node;
    return 0;
}

/* Plain bytes, or with K, M, G. */
static int read_size(const yaml_node_t *node, uint64_t *out)
{
    static const char units[] = "KMG";
    const char *text = node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
    char *end = NULL;
    const char *unit = NULL;

    if (text[0] < '0' || text[0] > '9')
        return -EINVAL;
    uint64_t n = strtoull(text, &end, 10);

    if (*end != '\0') {
        unit = strchr(units, *end);
        if (unit == NULL || end[1] != '\0')
            return -EINVAL;
    }
    int shift = unit == NULL ? 0 : 10 * (int)(unit - units + 1);

    if (n == 0 || n > CAPACITY_MAX >> shift)
        return -EINVAL;
    *out = n << shift;
    return 0;
}

/* ---- sockets ---- */

static const char *text_of(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
}

static int parse_number(const char *text, uint32_t max, uint32_t *out)
{
    char *end = NULL;

    if (text[0] < '0' || text[0] > '9')
        return -EINVAL;
    unsigned long long n = strtoull(text, &end, 10);

    if (*end != '\0' || n > max)
        return -EINVAL;
    *out = (uint32_t)n;
    return 0;
}

static int parse_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "on", "1"};
    static const char *const no[] = {"false", "False", "FALSE", "no", "off", "0"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return -EINVAL;
}

/* An address that a machine can have. */
static int parse_address(const char *text, struct in_addr *out)
{
    struct in_addr a;

    if (inet_pton(AF_INET, text, &a) != 1 || a.s_addr == htonl(INADDR_ANY) ||
        a.s_addr == htonl(INADDR_BROADCAST))
        return -EINVAL;
    *out = a;
    return 0;
}

/* Section `name`, which may be missing: key `enabled`, and up to two numbers. */
static int read_switch(yaml_document_t *doc, const yaml_node_t *tcp, const char *name,
                       unsigned flag, const char *const keys[2], uint32_t *const values[2],
                       unsigned *flags)
{
    const yaml_node_t *map = NULL;
    int r = section(doc, tcp, name, &map);

    if (r < 0)
        return r;
    const yaml_node_t *node = lookup(doc, map, "enabled");
    bool on = false;

    if (node != NULL)
        r = parse_bool(text_of(node), &on);
    for (int i = 0; i < 2 && r == 0 && keys[i] != NULL; i++) {
        node = lookup(doc, map, keys[i]);
        if (node != NULL)
            r = parse_number(text_of(node), INT32_MAX, values[i]);
    }
    if (r == 0 && on)
        *flags |= flag;
    return r;
}

/* What a variable says is not looked for in the file. */
static int read_tcp(yaml_document_t *doc, const yaml_node_t *tcp, struct mbr_libos_options *o)
{
    static const char *const linger_keys[2] = {"time_seconds", NULL};
    static const char *const keepalive_keys[2] = {"time_millis", "interval"};
    uint32_t *const linger_values[2] = {&o->linger_s, NULL};
    uint32_t *const keepalive_values[2] = {&o->keepalive_ms, &o->keepalive_interval_ms};
    const yaml_node_t *node = getenv("NODELAY") == NULL ? lookup(doc, tcp, "nodelay") : NULL;
    bool nodelay = true;
    int r = node == NULL ? 0 : parse_bool(text_of(node), &nodelay);

    if (!nodelay)
        o->sockets |= MBR_SOCKETS_DELAY;
    if (r == 0 && getenv("LINGER") == NULL)
        r = read_switch(doc, tcp, "linger", MBR_SOCKETS_LINGER, linger_keys, linger_values,
                        &o->sockets);
    if (r == 0)
        r = read_switch(doc, tcp, "keepalive", MBR_SOCKETS_KEEPALIVE, keepalive_keys,
                        keepalive_values, &o->sockets);
    return r;
}

static int read_network(yaml_document_t *doc, const yaml_node_t *root, struct demi_config *out)
{
    const yaml_node_t *demikernel = NULL;
    const yaml_node_t *tcp = NULL;
    int r = section(doc, root, "demikernel", &demikernel);

    if (r == 0)
        r = section(doc, root, "tcp_socket_options", &tcp);
    if (r == 0 && getenv("LOCAL_IPV4_ADDR") == NULL) {
        const yaml_node_t *address = lookup(doc, demikernel, "local_ipv4_addr");

        if (address != NULL)
            r = parse_address(text_of(address), &out->options.local_addr);
    }
    return r < 0 ? r : read_tcp(doc, tcp, &out->options);
}

/* What the environment says goes before what the file says. */
static int read_environment(struct mbr_libos_options *o)
{
    const char *address = getenv("LOCAL_IPV4_ADDR");
    const char *linger = getenv("LINGER");
    const char *nodelay = getenv("NODELAY");
    bool on = true;
    int r = address == NULL ? 0 : parse_address(address, &o->local_addr);

    if (r == 0 && linger != NULL) {
        r = parse_number(linger, INT32_MAX, &o->linger_s);
        o->sockets |= MBR_SOCKETS_LINGER;
    }
    if (r == 0 && nodelay != NULL) {
        r = parse_bool(nodelay, &on);
        o->sockets =
            on ? o->sockets & ~(unsigned)MBR_SOCKETS_DELAY : o->sockets | MBR_SOCKETS_DELAY;
    }
    if (r == 0 && o->local_addr.s_addr == 0)
        r = -EINVAL; /* a network without an address */
    return r;
}

/* ---- the file ---- */

static int read_document(yaml_document_t *doc, struct demi_config *out)
{
    const yaml_node_t *root = yaml_document_get_root_node(doc);

    if (root == NULL)
        return -EINVAL;
    const yaml_node_t *catmem = NULL;
    int r = section(doc, root, "catmem", &catmem);
    const yaml_node_t *capacity = r < 0 ? NULL : lookup(doc, catmem, "capacity");

    if (capacity != NULL)
        r = read_size(capacity, &out->options.capacity);
    return r == 0 && out->network ? read_network(doc, root, out) : r;
}

static int parser_error(const yaml_parser_t *parser)
{
    return parser->error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

/* A stream must hold one document and no more. */
static int read_stream(yaml_parser_t *parser, struct demi_config *out)
{
    yaml_document_t doc;

    if (!yaml_parser_load(parser, &doc))
        return parser_error(parser);
    int r = read_document(&doc, out);

    yaml_document_delete(&doc);
    if (r < 0)
        return r;
    if (!yaml_parser_load(parser, &doc))
        return parser_error(parser);
    if (yaml_document_get_root_node(&doc) != NULL)
        r = -EINVAL;
    yaml_document_delete(&doc);
    return r;
}

/* The parser's time grows with the square of the depth: some kilobytes of brackets would keep it
 * for minutes. */
static int check_events(yaml_parser_t *parser)
{
    yaml_event_type_t type = YAML_NO_EVENT;
    unsigned depth = 0;

    while (type != YAML_STREAM_END_EVENT) {
        yaml_event_t event;

        if (!yaml_parser_parse(parser, &event))
            return parser_error(parser);
        type = event.type;
        yaml_event_delete(&event);
        if (type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT)
            depth++;
        else if (type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT)
            depth--;
        if (depth > DEPTH_MAX)
            return -EINVAL;
    }
    return 0;
}

static int with_parser(const struct text *t, struct demi_config *out)
{
    yaml_parser_t parser;

    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&parser, t->bytes, t->len);
    int r = out == NULL ? check_events(&parser) : read_stream(&parser, out);

    yaml_parser_delete(&parser);
    return r;
}

/* All of it, up to FILE_MAX bytes. */
static int read_text(FILE *file, struct text *t)
{
    for (size_t room = 4096;; room *= 2) {
        unsigned char *grown = realloc(t->bytes, room);

        if (grown == NULL)
            return -ENOMEM;
        t->bytes = grown;
        t->len += fread(t->bytes + t->len, 1, room - t->len, file);
        if (t->len < room)
            return ferror(file) ? -EINVAL : 0;
        if (room >= FILE_MAX)
            return -EINVAL;
    }
}

/* A regular file only: a FIFO or a terminal could keep its reader waiting for ever. */
static int open_file(const char *path, FILE **out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    int r = 0;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        r = -EINVAL;
    *out = r < 0 ? NULL : fdopen(fd, "r");
    if (r == 0 && *out == NULL)
        r = -ENOMEM;
    if (r < 0)
        close(fd);
    return r;
}

static int read_file(const char *path, struct demi_config *out)
{
    struct text t = {0};
    FILE *file = NULL;
    int r = open_file(path, &file);

    if (r < 0)
        return r;
    r = read_text(file, &t);
    (void)fclose(file);
    if (r == 0)
        r = with_parser(&t, NULL);
    if (r == 0)
        r = with_parser(&t, out);
    free(t.bytes);
    return r;
}

int demi_config_read(struct demi_config *out)
{
    struct demi_config config = {.libos = getenv("LIBOS")};
    const char *path = getenv("CONFIG_PATH");

    if (config.libos == NULL || config.libos[0] == '\0' || path == NULL || path[0] == '\0')
        return -EINVAL;
    config.network =
        strcasecmp(config.libos, "catnap") == 0 || strcasecmp(config.libos, "catloop") == 0;
    int r = read_file(path, &config);

    if (r == 0 && config.network)
        r = read_environment(&config.options);
    if (r == 0)
        *out = config;
    return r;
}
