/* SPDX-License-Identifier: MIT */
/*
 * Demikernel's configuration: environment and YAML file. Values that are wrong are errors of
 * demi_init(), never an abort. Not here: what network libOSes read from it.
 */
#define _GNU_SOURCE
#include "queue/demi/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define CAPACITY_MAX (UINT64_C(1) << 30)

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

static int read_document(yaml_document_t *doc, struct demi_config *out)
{
    const yaml_node_t *root = yaml_document_get_root_node(doc);

    if (root == NULL)
        return -EINVAL;
    const yaml_node_t *capacity = lookup(doc, lookup(doc, root, "catmem"), "capacity");

    return capacity == NULL ? 0 : read_size(capacity, &out->capacity);
}

/* A stream must hold one document and no more. */
static int read_stream(yaml_parser_t *parser, struct demi_config *out)
{
    yaml_document_t doc;

    if (!yaml_parser_load(parser, &doc))
        return parser->error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
    int r = read_document(&doc, out);

    yaml_document_delete(&doc);
    if (r < 0)
        return r;
    if (!yaml_parser_load(parser, &doc))
        return parser->error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
    if (yaml_document_get_root_node(&doc) != NULL)
        r = -EINVAL;
    yaml_document_delete(&doc);
    return r;
}

static int read_file(const char *path, struct demi_config *out)
{
    yaml_parser_t parser;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return -errno;
    int r = yaml_parser_initialize(&parser) ? 0 : -ENOMEM;

    if (r == 0) {
        yaml_parser_set_input_file(&parser, file);
        r = read_stream(&parser, out);
        yaml_parser_delete(&parser);
    }
    (void)fclose(file);
    return r;
}

int demi_config_read(struct demi_config *out)
{
    struct demi_config config = {.libos = getenv("LIBOS")};
    const char *path = getenv("CONFIG_PATH");

    if (config.libos == NULL || config.libos[0] == '\0' || path == NULL || path[0] == '\0')
        return -EINVAL;
    int r = read_file(path, &config);

    if (r == 0)
        *out = config;
    return r;
}
