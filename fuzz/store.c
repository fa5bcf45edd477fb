/* SPDX-License-Identifier: MIT */
/*
 * Several connections of several domains drive one engine with requests made from the input: most
 * of them nearly right, so that they get far. After each step of some, everything is recounted and
 * the structure of tree and watches is looked at (mbr__st_check).
 *
 * The input is a list of steps: a byte for who and what, then what that needs; see step().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/engine.h"
#include "store/lifecycle.h"

#define CONNS 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    const uint8_t *at;
    const uint8_t *end;
    struct mbr__store *store;
    struct mbr__store_conn *conn[CONNS];
    uint64_t now;
    uint64_t seq;
    uint8_t *dump;
    size_t dump_len, dump_at;
};

static uint8_t next(struct world *w)
{
    return w->at < w->end ? *w->at++ : 0;
}

static const char *const paths[] = {
    "/a",
    "/a/b",
    "/a/b/c",
    "/a/d",
    "/",
    "k",
    "k/l",
    "/local/domain/1",
    "/local/domain/1/k",
    "/local/domain/2/k",
    "/local/domain/1/k/l",
    "/none/x",
    "/tool",
    "@releaseDomain",
    "@introduceDomain",
    "/a//b",
};
static const char *const perms[] = {"n0", "n1", "r2", "b1", "w2", "b0", "r3", "n2", "r32757", "x1"};

static uint64_t now_of(void *user)
{
    return ((struct world *)user)->now;
}

static void journal(void *user, const struct mbr__store_batch *batch)
{
    ((struct world *)user)->seq = batch->seq;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->changes[i].kind == MBR__STORE_PUT && batch->changes[i].perm_count == 0)
            abort();
}

static void quiet(void *user, enum mbr_log_level level, const char *text)
{
    (void)user;
    (void)level;
    (void)text;
}

static const uint32_t domain_of[CONNS] = {0, 0, 1, 1, 2, 3};

static void connect_all(struct world *w)
{
    for (unsigned i = 0; i < CONNS; i++) {
        if (w->conn[i] && mbr__store_domain_known(w->store, domain_of[i]))
            continue;
        mbr__store_conn_free(w->conn[i]);
        w->conn[i] = NULL;
        (void)mbr__store_conn_new(w->store, i + 1, domain_of[i],
                                  domain_of[i] == 0 ? MBR__STORE_PRIVILEGED : 0, NULL, &w->conn[i]);
    }
}

static void add(char *payload, uint32_t *len, const char *text)
{
    size_t n = strlen(text) + 1;

    if (*len + n <= MBR__STORE_PAYLOAD_MAX) {
        memcpy(payload + *len, text, n);
        *len += (uint32_t)n;
    }
}

static void add_bytes(struct world *w, char *payload, uint32_t *len, uint8_t count)
{
    for (; count > 0 && *len < MBR__STORE_PAYLOAD_MAX; count--)
        payload[(*len)++] = (char)next(w);
}

/* The arguments of TYPE. */
static uint32_t fill(struct world *w, uint32_t type, char *payload)
{
    const char *path = paths[next(w) % (sizeof(paths) / sizeof(paths[0]))];
    uint8_t extra = next(w);
    char number[8];
    uint32_t len = 0;

    snprintf(number, sizeof(number), "%u", extra % 5);
    switch (type) {
    case MBR__XS_TRANSACTION_END:
        add(payload, &len, extra % 4 ? "T" : "F");
        return len;
    case MBR__XS_INTRODUCE:
    case MBR__XS_SET_TARGET:
        add(payload, &len, number);
        add(payload, &len, extra & 1 ? "1" : "2");
        if (type == MBR__XS_INTRODUCE)
            add(payload, &len, "1");
        return len;
    case MBR__XS_RELEASE:
    case MBR__XS_RESUME:
    case MBR__XS_GET_DOMAIN_PATH:
        add(payload, &len, number);
        return len;
    case MBR__XS_CONTROL:
        add(payload, &len, extra & 1 ? "quota" : "check");
        return len;
    case MBR__XS_SET_QUOTA:
        add(payload, &len, extra & 1 ? "nodes" : extra & 2 ? "memory" : "watches");
        snprintf(number, sizeof(number), "%u", extra * 10u);
        add(payload, &len, number);
        return len;
    default:
        add(payload, &len, path);
    }
    if (type == MBR__XS_SET_PERMS)
        for (unsigned i = 0; i <= extra % 3u; i++)
            add(payload, &len, perms[next(w) % 10]);
    else if (type == MBR__XS_WATCH || type == MBR__XS_UNWATCH)
        add(payload, &len, extra & 1 ? "t" : "u");
    else if (type == MBR__XS_DIRECTORY_PART)
        add(payload, &len, number);
    else if (type == MBR__XS_WRITE)
        add_bytes(w, payload, &len, extra % 64);
    return len;
}

static void request(struct world *w, struct mbr__store_conn *conn)
{
    static char payload[MBR__STORE_PAYLOAD_MAX];
    struct mbr__store_header header = {.req_id = 1};
    uint8_t what = next(w);

    header.type = what % 28;
    header.tx_id = what / 28 % 4;
    if (what >= 28 * 8)
        add_bytes(w, payload, &header.len, next(w)); /* anything at all */
    else
        header.len = fill(w, header.type, payload);
    (void)mbr__store_request(conn, &header, payload);
}

static void drain(struct mbr__store_conn *conn, size_t most)
{
    struct iovec iov[2];

    while (most > 0 && mbr__store_conn_peek(conn, iov) > 0) {
        size_t n = iov[0].iov_len < most ? iov[0].iov_len : most;

        mbr__store_conn_consume(conn, n);
        most -= n;
    }
}

static int write_dump(void *user, const void *bytes, size_t len)
{
    struct world *w = user;
    uint8_t *grown = realloc(w->dump, w->dump_len + len);

    if (!grown)
        return -1;
    w->dump = grown;
    memcpy(w->dump + w->dump_len, bytes, len);
    w->dump_len += len;
    return 0;
}

static int read_dump(void *user, void *bytes, size_t len)
{
    struct world *w = user;

    if (len > w->dump_len - w->dump_at)
        return -1;
    memcpy(bytes, w->dump + w->dump_at, len);
    w->dump_at += len;
    return 0;
}

static struct mbr__store *new_store(struct world *w)
{
    struct mbr__store_options options = {
        .user = w,
        .now = now_of,
        .journal = journal,
        .log = quiet,
        .out_limit = 1 << 16,
        .quota = {[MBR__STORE_QUOTA_NODES] = 20,
                  [MBR__STORE_QUOTA_MEMORY] = 20000,
                  [MBR__STORE_QUOTA_WATCHES] = 5,
                  [MBR__STORE_QUOTA_TRANSACTION_NODES] = 12,
                  [MBR__STORE_QUOTA_TRANSACTIONS] = 3},
    };
    struct mbr__store *store;

    return mbr__store_new(&options, &store) ? NULL : store;
}

/* A live update; with DAMAGE, of a stream that was spoilt. */
static void live_update(struct world *w, uint8_t damage)
{
    struct mbr__store *other = new_store(w);
    int error;

    w->dump_len = w->dump_at = 0;
    if (!other || mbr__store_dump(w->store, write_dump, w))
        abort();
    if (damage)
        w->dump[((size_t)next(w) * 256 + next(w)) % w->dump_len] ^= damage;
    error = mbr__store_restore(other, read_dump, w);
    if (damage) {
        if (!error)
            (void)mbr__store_work(other, 1000);
        mbr__store_free(other);
        return;
    }
    if (error)
        abort();
    mbr__store_free(w->store);
    w->store = other;
    for (unsigned i = 0; i < CONNS; i++)
        w->conn[i] = mbr__store_conn_find(other, i + 1);
    connect_all(w);
}

static void check(struct world *w)
{
    char text[256];
    const char *bad = mbr__st_check(w->store, text, sizeof(text));

    if (bad) {
        fprintf(stderr, "%s\n", bad);
        abort();
    }
}

static void step(struct world *w)
{
    uint8_t who = next(w);
    struct mbr__store_conn *conn = w->conn[who % CONNS];

    w->now += 1000000;
    switch (who / CONNS) {
    case 30:
        (void)mbr__store_work(w->store, next(w));
        break;
    case 31:
        mbr__store_durable(w->store, w->seq);
        break;
    case 32:
        if (conn)
            mbr__store_conn_reset(conn);
        break;
    case 33:
        mbr__store_conn_free(conn);
        w->conn[who % CONNS] = NULL;
        connect_all(w);
        break;
    case 34:
        live_update(w, 0);
        break;
    case 35:
        w->now += UINT64_C(10000000000);
        break;
    case 36:
        if (conn)
            drain(conn, next(w));
        break;
    case 37:
        live_update(w, (uint8_t)(next(w) | 1));
        break;
    default:
        if (conn)
            request(w, conn);
        if (conn && who < 100)
            drain(conn, SIZE_MAX);
    }
    connect_all(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.at = data, .end = data ? data + size : NULL, .now = 1000000000};

    w.store = new_store(&w);
    if (!w.store)
        return 0;
    for (uint32_t domid = 1; domid <= 3; domid++)
        (void)mbr__store_introduce(w.store, domid);
    connect_all(&w);
    for (unsigned i = 0; w.at < w.end && i < 2000; i++) {
        step(&w);
        if (i % 8 == 0)
            check(&w);
    }
    check(&w);
    mbr__store_free(w.store);
    free(w.dump);
    return 0;
}
