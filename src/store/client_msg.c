/* SPDX-License-Identifier: MIT */
/*
 * Requests of a client: how they are made, queued and waited for. What becomes of their answers is
 * in client_input.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "store/client.h"

#define NUMBER_ROOM 24 /* bytes of a decimal number with its NUL, and to spare */

struct mbr__client_msg *mbr__client_msg_new(uint32_t type, enum mbr__client_owner owner,
                                            size_t room)
{
    struct mbr__client_msg *m = malloc(sizeof(*m) + MBR__STORE_HEADER_SIZE + room);

    if (m == NULL)
        return NULL;
    *m = (struct mbr__client_msg){
        .type = type,
        .owner = owner,
        .fd = -1,
        .size = MBR__STORE_HEADER_SIZE,
        .room = MBR__STORE_HEADER_SIZE + room,
    };
    mbr__list_init(&m->ready.node);
    return m;
}

void mbr__client_msg_free(struct mbr__client_msg *m)
{
    if (m == NULL)
        return;
    if (m->parts)
        mbr__strbuf_fini(&m->names);
    if (m->fd >= 0)
        (void)close(m->fd);
    free(m->data);
    free(m);
}

void mbr__client_msg_add(struct mbr__client_msg *m, const void *bytes, size_t length)
{
    MBR_ASSERT(length <= m->room - m->size);
    if (length > 0)
        memcpy(m->wire + m->size, bytes, length);
    m->size += length;
}

void mbr__client_msg_queue(struct mbr_store *s, struct mbr__client_msg *m)
{
    m->id = ++s->last_id;
    m->queued = true;
    mbr__list_push_back(&s->pending, &m->ready.node);
    s->pending_count++;
    s->fds_wanted += m->wants_fd;
    if (s->unsent == &s->pending)
        s->unsent = &m->ready.node;
}

void mbr__client_msg_unqueue(struct mbr_store *s, struct mbr__client_msg *m)
{
    if (!m->queued)
        return;
    if (s->unsent == &m->ready.node) {
        s->unsent = m->ready.node.next;
        s->sent = 0;
    }
    mbr__list_del(&m->ready.node);
    m->queued = false;
    s->pending_count--;
    s->fds_wanted -= m->wants_fd;
}

/* ---- from a request of the header's to a message ---- */

static void add_text(struct mbr__client_msg *m, const char *text)
{
    mbr__client_msg_add(m, text, strlen(text) + 1);
}

static void add_number(struct mbr__client_msg *m, uint64_t number)
{
    char text[NUMBER_ROOM];

    (void)snprintf(text, sizeof(text), "%" PRIu64, number);
    add_text(m, text);
}

/* What an op's payload consists of, and whether asking twice is asking once. */
enum {
    HAS_PATH = 1,
    HAS_VALUE = 2,
    HAS_PERMS = 4,
    HAS_WORDS = 8,
    HAS_DOMID = 16,
    HAS_NUMBER = 32,
    HAS_SECOND = 64,
    HAS_NAME = 128,
    HAS_LETTER = 256, /* of the end of a transaction */
    HAS_NOTHING = 512,
    REPEATABLE = 1024,
    MAY_BE_EMPTY = 2048, /* path or name may be absent */
};

static const uint16_t shapes[] = {
    [MBR_STORE_OP_CONTROL] = HAS_WORDS,
    [MBR_STORE_OP_LIST] = HAS_PATH | REPEATABLE,
    [MBR_STORE_OP_READ] = HAS_PATH | REPEATABLE,
    [MBR_STORE_OP_GET_PERMS] = HAS_PATH | REPEATABLE,
    [MBR_STORE_OP_BEGIN] = HAS_NOTHING | REPEATABLE,
    [MBR_STORE_OP_COMMIT] = HAS_LETTER,
    [MBR_STORE_OP_INTRODUCE] = HAS_DOMID | HAS_NUMBER | HAS_SECOND,
    [MBR_STORE_OP_RELEASE] = HAS_DOMID,
    [MBR_STORE_OP_DOMAIN_PATH] = HAS_DOMID | REPEATABLE,
    [MBR_STORE_OP_WRITE] = HAS_PATH | HAS_VALUE,
    [MBR_STORE_OP_MKDIR] = HAS_PATH,
    [MBR_STORE_OP_RM] = HAS_PATH,
    [MBR_STORE_OP_SET_PERMS] = HAS_PATH | HAS_PERMS,
    [MBR_STORE_OP_IS_INTRODUCED] = HAS_DOMID | REPEATABLE,
    [MBR_STORE_OP_RESUME] = HAS_DOMID,
    [MBR_STORE_OP_SET_TARGET] = HAS_DOMID | HAS_SECOND,
    [MBR_STORE_OP_GET_FEATURES] = HAS_DOMID | REPEATABLE,
    [MBR_STORE_OP_SET_FEATURES] = HAS_DOMID | HAS_NUMBER,
    [MBR_STORE_OP_GET_QUOTA] = HAS_DOMID | HAS_NAME | REPEATABLE | MAY_BE_EMPTY,
    [MBR_STORE_OP_SET_QUOTA] = HAS_DOMID | HAS_NAME | HAS_NUMBER,
};

static unsigned shape_of(uint32_t op)
{
    if (op == MBR_STORE_OP_DROP)
        return HAS_LETTER;
    return op < sizeof(shapes) / sizeof(shapes[0]) ? shapes[op] : 0;
}

/* Adds a text with its NUL to the size; false if no message could hold it. */
static bool measure_text(size_t *size, const char *text)
{
    size_t length = strnlen(text, MBR_STORE_PAYLOAD_MAX);

    *size += length + 1;
    return length < MBR_STORE_PAYLOAD_MAX;
}

/* -EINVAL unless everything the op needs is there. */
static int check(const struct mbr_store_request *r, unsigned shape)
{
    if ((shape & HAS_PATH) != 0 && r->path == NULL)
        return -EINVAL;
    if ((shape & HAS_NAME) != 0 && r->name == NULL && (shape & MAY_BE_EMPTY) == 0)
        return -EINVAL;
    if ((shape & HAS_VALUE) != 0 && r->value == NULL && r->length > 0)
        return -EINVAL;
    if ((shape & HAS_PERMS) != 0 && (r->count == 0 || r->perms == NULL))
        return -EINVAL;
    if ((shape & HAS_WORDS) != 0 && (r->count == 0 || r->words == NULL))
        return -EINVAL;
    return 0;
}

/* Bytes of the payload at most, into *size. -E2BIG: more than any message may have. */
static int measure(const struct mbr_store_request *r, unsigned shape, size_t *size)
{
    bool fits = true;

    *size = (size_t)4 * NUMBER_ROOM; /* numbers, a letter, the offset of a list's part */
    if ((shape & HAS_PATH) != 0)
        fits = measure_text(size, r->path);
    if ((shape & HAS_NAME) != 0 && r->name != NULL)
        fits &= measure_text(size, r->name);
    if ((shape & (HAS_PERMS | HAS_WORDS)) != 0)
        fits &= r->count <= MBR_STORE_PAYLOAD_MAX;
    if ((shape & HAS_VALUE) != 0)
        fits &= r->length <= MBR_STORE_PAYLOAD_MAX;
    if (!fits)
        return -E2BIG;
    if ((shape & HAS_VALUE) != 0)
        *size += r->length;
    if ((shape & HAS_PERMS) != 0)
        *size += r->count * MBR_STORE_PERM_TEXT;
    for (size_t i = 0; (shape & HAS_WORDS) != 0 && i < r->count; i++) {
        if (r->words[i] == NULL)
            return -EINVAL;
        if (!measure_text(size, r->words[i]) || *size > (size_t)2 * MBR_STORE_PAYLOAD_MAX)
            return -E2BIG;
    }
    return 0;
}

static int add_perms(struct mbr__client_msg *m, const struct mbr_store_request *r)
{
    for (size_t i = 0; i < r->count; i++) {
        char text[MBR_STORE_PERM_TEXT];
        int rc = mbr_store_perm_text(&r->perms[i], text, sizeof(text));

        if (rc < 0)
            return rc;
        add_text(m, text);
    }
    return 0;
}

/* The parts of a payload stand in this order in every request. */
static int fill(struct mbr__client_msg *m, const struct mbr_store_request *r, unsigned shape)
{
    int rc = 0;

    for (size_t i = 0; (shape & HAS_WORDS) != 0 && i < r->count; i++)
        add_text(m, r->words[i]);
    if ((shape & HAS_PATH) != 0)
        add_text(m, r->path);
    m->path_length = m->size - MBR__STORE_HEADER_SIZE;
    if ((shape & HAS_DOMID) != 0 && r->domid != MBR_STORE_DEFAULT)
        add_number(m, r->domid);
    if ((shape & HAS_NAME) != 0 && r->name != NULL)
        add_text(m, r->name);
    if ((shape & HAS_NUMBER) != 0)
        add_number(m, r->number);
    if ((shape & HAS_SECOND) != 0)
        add_number(m, r->second);
    if ((shape & HAS_VALUE) != 0)
        mbr__client_msg_add(m, r->value, r->length);
    if ((shape & HAS_PERMS) != 0)
        rc = add_perms(m, r);
    if ((shape & HAS_LETTER) != 0)
        add_text(m, r->op == MBR_STORE_OP_COMMIT ? "T" : "F");
    if ((shape & HAS_NOTHING) != 0)
        add_text(m, "");
    return rc == 0 && m->size - MBR__STORE_HEADER_SIZE > MBR_STORE_PAYLOAD_MAX ? -E2BIG : rc;
}

/* The transaction as the daemon knows it. */
static int wire_tx(const struct mbr_store *s, uint64_t tx, uint32_t *out)
{
    if (tx != 0 && (tx >> 32 != s->era || (uint32_t)tx == 0))
        return -ECONNRESET; /* the daemon takes its 0 for none */
    *out = (uint32_t)tx;
    return 0;
}

int mbr__client_msg_of(struct mbr_store *s, const struct mbr_store_request *r,
                       enum mbr__client_owner owner, struct mbr__client_msg **out)
{
    unsigned shape = shape_of(r->op);
    uint32_t type = r->op == MBR_STORE_OP_DROP ? MBR__XS_TRANSACTION_END : (uint32_t)r->op;
    struct mbr__client_msg *m;
    uint32_t tx = 0;
    size_t room;
    int rc = shape != 0 ? check(r, shape) : -EINVAL;

    if (rc == 0)
        rc = measure(r, shape, &room);
    if (rc < 0)
        return rc;
    if ((shape & (HAS_PATH | HAS_LETTER)) != 0) {
        rc = wire_tx(s, r->tx, &tx);
        if (rc < 0)
            return rc;
    }
    if (s->pending_count >= MBR_STORE_PENDING_MAX)
        return -ENOBUFS;
    m = mbr__client_msg_new(type, owner, room);
    if (m == NULL)
        return -ENOMEM;
    m->wire_tx = tx;
    m->repeat = (shape & REPEATABLE) != 0 && tx == 0;
    m->wants_fd = (shape & HAS_WORDS) != 0 && strcmp(r->words[0], "connect") == 0;
    rc = fill(m, r, shape);
    if (rc < 0) {
        mbr__client_msg_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

/* ---- waiting ---- */

/* Gives up on a request: one that was not begun to be sent never will be. */
static void abandon(struct mbr_store *s, struct mbr__client_msg *m)
{
    struct mbr__list *node = s->unsent;

    m->owner = MBR__CLIENT_NOBODY;
    if (node == &m->ready.node && s->sent > 0)
        return;
    for (; node != &s->pending; node = node->next) {
        if (node == &m->ready.node) {
            mbr__client_msg_unqueue(s, m);
            mbr__client_msg_free(m);
            return;
        }
    }
}

int mbr__client_await(struct mbr_store *s, struct mbr__client_msg **m_is)
{
    struct mbr__client_msg *m = *m_is;
    uint64_t deadline = mbr__deadline_ns(s->timeout_ns);
    int rc = 0;

    while (!m->done && rc == 0) {
        rc = mbr__client_revive(s, deadline);
        if (rc == 0 && !m->done)
            rc = mbr__client_receive(s, deadline);
    }
    if (m->done)
        return m->error;
    abandon(s, m);
    *m_is = NULL;
    return rc;
}

int mbr__client_call(struct mbr_store *s, const struct mbr_store_request *r,
                     struct mbr__client_msg **out)
{
    struct mbr__client_msg *m = NULL;
    int rc = mbr__client_enter(s);

    if (rc < 0)
        return rc;
    rc = mbr__client_msg_of(s, r, MBR__CLIENT_CALLER, &m);
    if (rc < 0)
        return rc;
    mbr__client_msg_queue(s, m);
    rc = mbr__client_await(s, &m);
    mbr__client_leave(s);
    if (rc == 0 && out != NULL)
        *out = m;
    else
        mbr__client_msg_free(m);
    return rc;
}
