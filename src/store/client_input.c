/* SPDX-License-Identifier: MIT */
/*
 * What the daemon says: messages out of the stream of bytes, answers to their questions, events to
 * their watches, and lists put together from their parts. The daemon is not trusted: whatever does
 * not fit ends the connection (-EPROTO) and nothing else.
 *
 * Answers come in the order of the questions from every daemon there is, so the oldest pending
 * request is looked at first; the protocol allows any order, so the others are, too.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/client.h"

/* ---- finishing ---- */

void mbr__client_finish(struct mbr_store *s, struct mbr__client_msg *m, int error)
{
    mbr__client_msg_unqueue(s, m);
    m->error = error;
    m->done = true;
    switch (m->owner) {
    case MBR__CLIENT_ASYNC:
        mbr__list_push_back(&s->ready, &m->ready.node);
        break;
    case MBR__CLIENT_OF_WATCH:
        mbr__client_watch_answered(s, m);
        break;
    case MBR__CLIENT_NOBODY:
        mbr__client_msg_free(m);
        break;
    case MBR__CLIENT_CALLER:
        break;
    }
}

/* Keeps the payload as the result, with a NUL behind it. */
static int keep(struct mbr__client_msg *m, const char *payload, size_t length)
{
    if (length == 0)
        return 0;
    m->data = malloc(length + 1);
    if (m->data == NULL)
        return -ENOMEM;
    memcpy(m->data, payload, length);
    m->data[length] = '\0';
    m->length = length;
    return 0;
}

/* ---- lists in parts ---- */

/* Asks for the part that follows what there is already; the request keeps its place in memory. */
static int ask_part(struct mbr_store *s, struct mbr__client_msg *m)
{
    char offset[24];
    int length = snprintf(offset, sizeof(offset), "%zu", m->names.length);

    mbr__client_msg_unqueue(s, m);
    m->type = MBR__XS_DIRECTORY_PART;
    m->size = MBR__STORE_HEADER_SIZE + m->path_length;
    if (length < 0 || m->path_length + (size_t)length + 1 > MBR_STORE_PAYLOAD_MAX) {
        mbr__client_finish(s, m, -E2BIG);
        return 0;
    }
    mbr__client_msg_add(m, offset, (size_t)length + 1);
    mbr__client_msg_queue(s, m);
    return 0;
}

static int list_begins(struct mbr_store *s, struct mbr__client_msg *m)
{
    if (!m->parts)
        mbr__strbuf_init(&m->names, MBR__CLIENT_LIST_MAX);
    m->parts = true;
    m->generation[0] = '\0';
    return ask_part(s, m);
}

void mbr__client_list_anew(struct mbr__client_msg *m)
{
    /* Another daemon's generations say nothing about this one's parts. */
    m->type = MBR__XS_DIRECTORY;
    m->size = MBR__STORE_HEADER_SIZE + m->path_length;
    mbr__strbuf_reset(&m->names);
}

static int list_ends(struct mbr_store *s, struct mbr__client_msg *m)
{
    int rc = mbr__strbuf_error(&m->names);

    if (rc == 0 && m->names.length > 0)
        rc = mbr__strbuf_take(&m->names, &m->data, &m->length);
    mbr__client_finish(s, m, rc);
    return 0;
}

/* A part: the generation of the list, then names; behind the last one a NUL more. */
static int list_part(struct mbr_store *s, struct mbr__client_msg *m, const char *payload,
                     size_t length)
{
    size_t head = strnlen(payload, length) + 1;
    const char *names = payload + head;
    bool last;

    if (head > length || head > sizeof(m->generation))
        return -EPROTO;
    length -= head;
    if (m->names.length > 0 && strcmp(m->generation, payload) != 0) {
        if (++m->restarts > MBR__CLIENT_RESTARTS) {
            mbr__client_finish(s, m, -EAGAIN);
            return 0;
        }
        mbr__strbuf_reset(&m->names);
        return ask_part(s, m);
    }
    memcpy(m->generation, payload, head);
    if (length == 0 || names[length - 1] != '\0')
        return -EPROTO;
    last = length == 1 || names[length - 2] == '\0';
    mbr__strbuf_append(&m->names, names, last ? length - 1 : length);
    if (last || mbr__strbuf_error(&m->names) != 0)
        return list_ends(s, m);
    return ask_part(s, m);
}

/* ---- answers ---- */

static int answer_error(struct mbr_store *s, struct mbr__client_msg *m, const char *payload,
                        size_t length)
{
    int error;

    if (length == 0 || payload[length - 1] != '\0')
        return -EPROTO;
    error = mbr__store_error_number(payload, length - 1);
    if (m->type == MBR__XS_DIRECTORY && error == -E2BIG)
        return list_begins(s, m);
    if (m->type == MBR__XS_DIRECTORY_PART && error == -ENOSYS)
        error = -E2BIG;
    mbr__client_finish(s, m, error);
    return 0;
}

static int answer_begin(struct mbr_store *s, struct mbr__client_msg *m, const char *payload,
                        size_t length)
{
    uint64_t number;

    if (mbr__client_number(payload, length, UINT32_MAX, &number) < 0 || number == 0)
        return -EPROTO;
    if (m->owner == MBR__CLIENT_NOBODY) {
        /* Who began it has given up: nobody else can end it, and a domain has few. */
        mbr__client_msg_unqueue(s, m);
        m->type = MBR__XS_TRANSACTION_END;
        m->wire_tx = (uint32_t)number;
        m->repeat = false;
        m->size = MBR__STORE_HEADER_SIZE;
        mbr__client_msg_add(m, "F", 2);
        mbr__client_msg_queue(s, m);
        return 0;
    }
    m->tx = (uint64_t)s->era << 32 | number;
    mbr__client_finish(s, m, 0);
    return 0;
}

static struct mbr__client_msg *find(struct mbr_store *s, uint32_t id)
{
    struct mbr__list *node;

    for (node = s->pending.next; node != s->unsent; node = node->next) {
        struct mbr__client_msg *m = mbr__container_of(node, struct mbr__client_msg, ready.node);

        if (m->id == id)
            return m;
    }
    return NULL;
}

/* The descriptor that has come with this answer. */
static int take_passed(struct mbr_store *s, struct mbr__client_msg *m)
{
    bool lost = s->passed_lost;

    m->fd = s->passed;
    s->passed = -1;
    s->passed_lost = false;
    if (m->fd >= 0)
        return 0;
    return lost ? -EMFILE : -EPROTO;
}

static int answer(struct mbr_store *s, const struct mbr__store_header *h, const char *payload)
{
    struct mbr__client_msg *m = find(s, h->req_id);
    int rc;

    if (m == NULL)
        return -EPROTO;
    s->retry_pause = 0;
    if (h->type == MBR__XS_ERROR)
        return answer_error(s, m, payload, h->len);
    if (h->type != m->type)
        return -EPROTO;
    if (h->type == MBR__XS_DIRECTORY_PART)
        return list_part(s, m, payload, h->len);
    if (h->type == MBR__XS_TRANSACTION_START)
        return answer_begin(s, m, payload, h->len);
    rc = keep(m, payload, h->len);
    if (rc == 0 && m->wants_fd)
        rc = take_passed(s, m);
    mbr__client_finish(s, m, rc);
    return 0;
}

/* ---- events ---- */

static int event(struct mbr_store *s, const char *payload, size_t length)
{
    size_t path = strnlen(payload, length) + 1;

    if (path > length || path == 1 || payload[length - 1] != '\0' || path == length)
        return -EPROTO;
    mbr__client_event_came(s, payload, payload + path);
    return 0;
}

/* ---- messages ---- */

/* One message at `data`: its bytes, 0 if it is not whole yet, or -EPROTO. */
static ssize_t message(struct mbr_store *s, const unsigned char *data, size_t length)
{
    struct mbr__store_header h;
    const char *payload = (const char *)data + MBR__STORE_HEADER_SIZE;
    int rc;

    if (length < MBR__STORE_HEADER_SIZE)
        return 0;
    mbr__store_header_parse(&h, data);
    if (h.len > MBR_STORE_PAYLOAD_MAX)
        return -EPROTO;
    if (length < MBR__STORE_HEADER_SIZE + h.len)
        return 0;
    rc = h.type == MBR__XS_WATCH_EVENT ? event(s, payload, h.len) : answer(s, &h, payload);
    return rc < 0 ? rc : (ssize_t)(MBR__STORE_HEADER_SIZE + h.len);
}

int mbr__client_parse(struct mbr_store *s)
{
    size_t done = 0;
    ssize_t n;

    while ((n = message(s, s->input + done, s->input_length - done)) > 0)
        done += (size_t)n;
    s->input_length -= done;
    if (done > 0 && s->input_length > 0)
        memmove(s->input, s->input + done, s->input_length);
    return (int)n;
}
