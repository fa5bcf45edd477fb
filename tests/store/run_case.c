/* SPDX-License-Identifier: MIT */
/*
 * Carries out the scripts of cases.h.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

#define PROBE_ID 0x7ffffff0u

struct run {
    const struct store_port *port;
    uint32_t req_id; /* of the request sent last */
    uint32_t type, tx_id;
    char *error;
    size_t size;
};

unsigned store_case_domid(char who)
{
    switch (who) {
    case 'a':
    case 'x':
        return 1;
    case 'b':
        return 2;
    case 'c':
        return 3;
    default:
        return 0;
    }
}

/* Expands '|', '~' and {x*n} in TEXT; the length, or -1. */
static int expand(const char *text, size_t len, char *out)
{
    size_t at = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '{') {
            char *end;
            size_t n = strtoul(text + i + 3, &end, 10);

            while (n-- > 0 && at < MBR__STORE_PAYLOAD_MAX)
                out[at++] = text[i + 1];
            i = (size_t)(end - text);
        } else if (at < MBR__STORE_PAYLOAD_MAX) {
            out[at++] = text[i] == '|' ? '\0' : text[i] == '~' ? '\n' : text[i];
        }
    }
    return (int)at;
}

static bool wrong(struct run *r, const char *line, size_t len, const char *what,
                  const struct mbr__store_header *header, const char *payload)
{
    int n = snprintf(r->error, r->size, "\"%.*s\": %s", (int)len, line, what);

    if (header && n > 0 && (size_t)n < r->size) {
        n += snprintf(r->error + n, r->size - (size_t)n, ": %s ",
                      mbr__store_type_name(header->type));
        for (uint32_t i = 0; i < header->len && i < 60 && (size_t)n + 2 < r->size; i++)
            r->error[n++] = isprint((unsigned char)payload[i]) ? payload[i] : '|';
        r->error[n] = '\0';
    }
    return false;
}

static int type_number(const char *name, size_t len)
{
    if (len > 1 && name[0] == '#')
        return atoi(name + 1);
    for (int i = 0; i < MBR__XS_TYPES; i++)
        if (strlen(mbr__store_type_name((uint32_t)i)) == len &&
            memcmp(mbr__store_type_name((uint32_t)i), name, len) == 0)
            return i;
    return -1;
}

/* One message must come, and be this. */
static bool expect(struct run *r, char who, const char *line, size_t len, const char *what,
                   size_t what_len)
{
    struct mbr__store_header header;
    char payload[MBR__STORE_PAYLOAD_MAX + 1];
    char want[MBR__STORE_PAYLOAD_MAX];
    const char *body = what + (what_len > 1 ? 2 : 1);
    int want_len = expand(body, what_len > 1 ? what_len - 2 : 0, want);
    bool same;

    if (what[0] == '-') {
        header = (struct mbr__store_header){MBR__XS_GET_DOMAIN_PATH, PROBE_ID, 0, 2};
        if (r->port->send(r->port->user, who, &header, "7"))
            return wrong(r, line, len, "cannot ask", NULL, NULL);
    }
    if (r->port->receive(r->port->user, who, &header, payload))
        return wrong(r, line, len, "nothing came", NULL, NULL);
    if (what[0] == '-')
        return header.req_id == PROBE_ID || wrong(r, line, len, "came", &header, payload);
    if (what[0] == '@')
        same = header.type == MBR__XS_WATCH_EVENT && header.req_id == 0 && header.tx_id == 0;
    else
        same = header.req_id == r->req_id && header.tx_id == r->tx_id &&
               header.type == (what[0] == '!' ? (uint32_t)MBR__XS_ERROR : r->type);
    if (same && what[0] == '!')
        want[want_len++] = '\0';
    if (same && what[0] != '?')
        same = header.len == (uint32_t)want_len && memcmp(payload, want, header.len) == 0;
    return same || wrong(r, line, len, "came", &header, payload);
}

/* The expectation in the same line as a request, or NULL. */
static const char *find_answer(const char *line, size_t len)
{
    for (size_t i = 1; i < len; i++)
        if (line[i - 1] == ' ' && (line[i] == '=' || line[i] == '!' || line[i] == '?') &&
            (i + 1 == len || line[i + 1] == ' '))
            return line + i;
    return NULL;
}

static bool run_line(struct run *r, const char *line, size_t len)
{
    char payload[MBR__STORE_PAYLOAD_MAX];
    char who = line[0];
    const char *at = line + 1;
    const char *end = line + len;
    const char *answer;
    struct mbr__store_header header = {0, ++r->req_id, 0, 0};
    const char *type;
    int number;

    if (at < end && *at == '.')
        header.tx_id = (uint32_t)strtoul(at + 1, (char **)&at, 10);
    at++;
    if (*at == '<') {
        r->req_id--;
        return expect(r, who, line, len, at + 2, (size_t)(end - at) - 2);
    }
    answer = find_answer(line, len);
    type = at;
    while (at < end && *at != ' ')
        at++;
    number = type_number(type, (size_t)(at - type));
    if (number < 0)
        return wrong(r, line, len, "no such type", NULL, NULL);
    header.type = (uint32_t)number;
    if (at < end)
        at++;
    if (!answer || at < answer)
        header.len = (uint32_t)expand(at, (size_t)((answer ? answer - 1 : end) - at), payload);
    r->type = header.type;
    r->tx_id = header.tx_id;
    if (r->port->send(r->port->user, who, &header, payload))
        return wrong(r, line, len, "cannot be sent", NULL, NULL);
    return !answer || expect(r, who, line, len, answer, (size_t)(end - answer));
}

bool store_case_run(const struct store_port *port, const struct store_case *c, char *error,
                    size_t size)
{
    struct run r = {.port = port, .error = error, .size = size};

    for (const char *line = c->script; *line;) {
        size_t len = strcspn(line, "\n");

        if (len > 0 && !run_line(&r, line, len))
            return false;
        line += len + (line[len] == '\n');
    }
    return true;
}
