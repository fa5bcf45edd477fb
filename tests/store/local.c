/* SPDX-License-Identifier: MIT */
/*
 * A store in the test's own process.
 */
#include "local.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/lifecycle.h"

static void on_output(void *user, struct mbr__store_conn *conn)
{
    struct local *local = user;

    (void)conn;
    local->outputs++;
}

static void on_resume(void *user, struct mbr__store_conn *conn)
{
    struct local *local = user;

    (void)conn;
    local->resumes++;
}

static void on_broken(void *user, struct mbr__store_conn *conn, int error)
{
    struct local *local = user;

    (void)conn;
    local->broken = error;
}

static uint64_t on_now(void *user)
{
    return ((struct local *)user)->now;
}

static void on_log(void *user, enum mbr_log_level level, const char *text)
{
    (void)user;
    (void)level;
    (void)text;
}

int local_init(struct local *local, const struct mbr__store_options *options)
{
    struct mbr__store_options own = options ? *options : (struct mbr__store_options){0};
    int error;

    memset(local, 0, sizeof(*local));
    local->now = 1000000000;
    own.user = local;
    own.output = on_output;
    own.resume = on_resume;
    own.broken = on_broken;
    own.now = on_now;
    if (!own.log)
        own.log = on_log;
    local->options = own;
    error = mbr__store_new(&own, &local->store);
    for (uint32_t domid = 1; domid <= 2 && !error; domid++)
        error = mbr__store_introduce(local->store, domid);
    return error;
}

void local_fini(struct local *local)
{
    mbr__store_free(local->store);
    memset(local, 0, sizeof(*local));
}

struct mbr__store_conn *local_conn(struct local *local, char who)
{
    unsigned domid = store_case_domid(who);

    if (!local->conn[(unsigned char)who] &&
        mbr__store_conn_new(local->store, (uint64_t)who, domid,
                            domid == 0 ? MBR__STORE_PRIVILEGED : 0, NULL,
                            &local->conn[(unsigned char)who]))
        return NULL;
    return local->conn[(unsigned char)who];
}

static int port_send(void *user, char who, const struct mbr__store_header *header,
                     const void *payload)
{
    struct mbr__store_conn *conn = local_conn(user, who);

    return conn ? mbr__store_request(conn, header, payload) : -ENOENT;
}

/* The bytes of one message, as a transport would have sent them. */
static int take(struct mbr__store_conn *conn, unsigned char *out, size_t size)
{
    struct iovec iov[2];
    size_t done = 0;

    while (done < size) {
        int pieces = mbr__store_conn_peek(conn, iov);
        size_t n = pieces > 0 ? iov[0].iov_len : 0;

        if (pieces == 0)
            return -EAGAIN;
        if (n > size - done)
            n = size - done;
        memcpy(out + done, iov[0].iov_base, n);
        mbr__store_conn_consume(conn, n);
        done += n;
    }
    return 0;
}

static int port_receive(void *user, char who, struct mbr__store_header *header, char *payload)
{
    unsigned char head[MBR__STORE_HEADER_SIZE];
    struct mbr__store_conn *conn = local_conn(user, who);

    if (!conn || take(conn, head, sizeof(head)))
        return -EAGAIN;
    mbr__store_header_parse(header, head);
    assert_true(header->len <= MBR__STORE_PAYLOAD_MAX);
    return take(conn, (unsigned char *)payload, header->len);
}

struct store_port local_port(struct local *local)
{
    return (struct store_port){local, port_send, port_receive};
}

int local_send(struct local *local, char who, uint32_t type, uint32_t tx_id, const char *text)
{
    static char payload[MBR__STORE_PAYLOAD_MAX + 16];
    struct mbr__store_header header = {type, 77, tx_id, (uint32_t)strlen(text)};

    assert_true(header.len < sizeof(payload));
    memcpy(payload, text, header.len);
    for (uint32_t i = 0; i < header.len; i++)
        if (payload[i] == '|')
            payload[i] = '\0';
    return port_send(local, who, &header, payload);
}

const char *local_next(struct local *local, char who)
{
    static char text[MBR__STORE_PAYLOAD_MAX + 2];
    struct mbr__store_header header;
    char payload[MBR__STORE_PAYLOAD_MAX];
    size_t at = 0;

    if (port_receive(local, who, &header, payload))
        return "";
    if (header.type == MBR__XS_ERROR)
        text[at++] = '!';
    else if (header.type == MBR__XS_WATCH_EVENT)
        text[at++] = '@';
    for (uint32_t i = 0; i < header.len; i++)
        text[at++] = payload[i] ? payload[i] : '|';
    if (header.type == MBR__XS_ERROR)
        at--; /* without its NUL */
    if (at == 0)
        text[at++] = '=';
    text[at] = '\0';
    return text;
}

const char *local_ask(struct local *local, char who, uint32_t type, uint32_t tx_id,
                      const char *text)
{
    int error = local_send(local, who, type, tx_id, text);
    static char code[16];

    if (!error)
        return local_next(local, who);
    snprintf(code, sizeof(code), "%d", error);
    return code;
}

void local_drain(struct local *local, char who)
{
    struct iovec iov[2];

    while (mbr__store_conn_peek(local_conn(local, who), iov) > 0)
        mbr__store_conn_consume(local_conn(local, who), iov[0].iov_len);
}

void local_close(struct local *local, char who)
{
    mbr__store_conn_free(local->conn[(unsigned char)who]);
    local->conn[(unsigned char)who] = NULL;
}

struct stream {
    char *bytes;
    size_t len, at;
};

static int stream_write(void *user, const void *data, size_t length)
{
    struct stream *s = user;
    char *grown = realloc(s->bytes, s->len + length);

    if (!grown)
        return -ENOMEM;
    s->bytes = grown;
    memcpy(s->bytes + s->len, data, length);
    s->len += length;
    return 0;
}

static int stream_read(void *user, void *data, size_t length)
{
    struct stream *s = user;

    if (length > s->len - s->at)
        return -EBADMSG;
    memcpy(data, s->bytes + s->at, length);
    s->at += length;
    return 0;
}

int local_update(struct local *local)
{
    struct stream stream = {0};
    struct mbr__store *store = NULL;
    int error = mbr__store_new(&local->options, &store);

    if (!error)
        error = mbr__store_dump(local->store, stream_write, &stream);
    if (!error)
        error = mbr__store_restore(store, stream_read, &stream);
    if (!error && stream.at != stream.len)
        error = -EBADMSG;
    free(stream.bytes);
    if (error) {
        mbr__store_free(store);
        return error;
    }
    mbr__store_free(local->store);
    local->store = store;
    for (unsigned who = 0; who < 128; who++)
        if (local->conn[who])
            local->conn[who] = mbr__store_conn_find(store, who);
    return 0;
}

void local_check(struct local *local)
{
    char text[256];
    const char *bad = mbr__st_check(local->store, text, sizeof(text));

    if (bad)
        fail_msg("%s", bad);
}
