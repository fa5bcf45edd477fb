/* SPDX-License-Identifier: MIT */
/*
 * The daemon's framing (daemon/conn.c, as it is) between a real socket and an engine: whatever a
 * guest's stream of bytes holds and however it is cut, the answers are those that a second engine
 * gives to the same messages one by one; a message that is too long ends the connection, and the
 * end of the stream comes after all answers. Answers that are not read, the engine's limits and
 * the daemon's stop and resume reading on the way.
 *
 * The input: a byte for the limits, then steps; see step(). Events are left out of the comparison:
 * equal ones that wait are one, so they depend on who was faster.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../daemon/accept.h"
#include "../daemon/conn.h"
#include "../daemon/control.h"
#include "../daemon/ring.h"
#include "../daemon/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STREAM_MAX 65536u /* bytes from the client */

struct bytes {
    unsigned char *at;
    size_t length, room;
};

static struct {
    const uint8_t *at, *end;
    struct server server;
    struct conn *conn; /* NULL: the daemon has closed it */
    int client;
    bool shut;
    uint64_t now;
    struct bytes said;     /* by the client */
    struct bytes answered; /* as it came */
} w;

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

/* ---- what belongs to a daemon, and is not looked at here; also daemon_alone.c -------------------
 */

void user_join(struct user *user)
{
    (void)user;
}

void user_leave(struct user *user)
{
    (void)user;
}

void guest_check(struct server *server, const struct conn *conn)
{
    (void)server;
    (void)conn;
}

void control_drop(struct conn *conn)
{
    check(conn->call == NULL, "a control call of a guest");
}

void ring_free(struct ring *ring)
{
    check(ring == NULL, "a ring");
}

void ring_attach(struct ring *ring, struct conn *conn)
{
    (void)ring;
    (void)conn;
    check(false, "a ring");
}

void ring_fail(struct ring *ring, uint32_t error)
{
    (void)ring;
    (void)error;
    check(false, "a ring");
}

void ring_look(struct ring *ring)
{
    (void)ring;
    check(false, "a ring");
}

ssize_t ring_receive(struct ring *ring, void *into, size_t size)
{
    (void)ring;
    (void)into;
    (void)size;
    check(false, "a ring");
    return -EAGAIN;
}

ssize_t ring_send(struct ring *ring, const struct iovec *iov, int count)
{
    (void)ring;
    (void)iov;
    (void)count;
    check(false, "a ring");
    return -EAGAIN;
}

/* ---- engines -----------------------------------------------------------------------------------
 */

static void on_output(void *user, struct mbr__store_conn *store_conn)
{
    struct conn *conn = mbr__store_conn_user(store_conn);

    if (user != NULL && conn != NULL && !conn->dead && mbr__list_empty(&conn->dirty))
        mbr__list_push_back(&w.server.dirty, &conn->dirty);
}

static void on_resume(void *user, struct mbr__store_conn *store_conn)
{
    struct conn *conn = mbr__store_conn_user(store_conn);

    if (user != NULL && conn != NULL && !conn->dead && mbr__list_empty(&conn->resumable))
        mbr__list_push_back(&w.server.resumable, &conn->resumable);
}

static uint64_t on_now(void *user)
{
    (void)user;
    return w.now;
}

static void on_log(void *user, enum mbr_log_level level, const char *text)
{
    (void)user;
    (void)level;
    (void)text;
}

/* With domain 1, whose home is its own. USER: NULL for the engine that is asked one by one. */
static struct mbr__store *new_store(void *user, uint8_t limits)
{
    static const char home[] = "/local/domain/1\0n1";
    const struct mbr__store_options options = {
        .user = user,
        .output = on_output,
        .resume = on_resume,
        .now = on_now,
        .log = on_log,
        .quota = {[MBR__STORE_QUOTA_OUTSTANDING] = 1 + limits % 16,
                  [MBR__STORE_QUOTA_MEMORY] = INT32_MAX},
    };
    struct mbr__store_header header = {.type = MBR__XS_WRITE, .len = 16};
    struct mbr__store_conn *conn = NULL;
    struct mbr__store *store = NULL;

    check(mbr__store_new(&options, &store) == 0 && mbr__store_introduce(store, 1) == 0 &&
              mbr__store_conn_new(store, 99, 0, MBR__STORE_PRIVILEGED, NULL, &conn) == 0,
          "no memory");
    check(mbr__store_request(conn, &header, home) == 0, "no home");
    header = (struct mbr__store_header){.type = MBR__XS_SET_PERMS, .len = sizeof(home)};
    check(mbr__store_request(conn, &header, home) == 0, "no home");
    mbr__store_conn_free(conn);
    return store;
}

static void add(struct bytes *b, const void *data, size_t length)
{
    if (length > b->room - b->length) {
        b->room = 2 * (b->length + length);
        b->at = realloc(b->at, b->room);
        check(b->at != NULL, "no memory");
    }
    if (length > 0)
        memcpy(b->at + b->length, data, length);
    b->length += length;
}

/* ---- the daemon's turn -------------------------------------------------------------------------
 */

static void settle(void)
{
    struct mbr__list *node;

    while ((node = mbr__list_pop_front(&w.server.dirty)) != NULL)
        conn_flush(mbr__container_of(node, struct conn, dirty));
}

static void turn(void)
{
    struct epoll_event event;

    w.now += 10000000;
    if (w.conn == NULL)
        return;
    if (epoll_wait(w.server.epoll, &event, 1, 0) == 1)
        w.conn->source.ready(&w.conn->source, event.events);
    settle();
    if (mbr__list_pop_front(&w.server.resumable) != NULL) {
        conn_resume(w.conn);
        settle();
    }
    (void)mbr__store_work(w.server.store, 100);
    settle();
    check(mbr__list_empty(&w.server.starved), "no memory");
    check(w.conn->pending_length < SERVER_INPUT, "it keeps more than it may");
    if (!mbr__list_empty(&w.server.closing)) {
        conn_free(w.conn);
        w.conn = NULL;
    }
}

/* ---- the client --------------------------------------------------------------------------------
 */

/* Reads at most MOST bytes; false: there was nothing. */
static bool listen_for(size_t most)
{
    unsigned char buffer[4096];
    ssize_t n = recv(w.client, buffer, most < sizeof(buffer) ? most : sizeof(buffer), MSG_DONTWAIT);

    if (n > 0)
        add(&w.answered, buffer, (size_t)n);
    return n > 0;
}

static void say(const void *data, size_t length)
{
    size_t done = 0;

    if (w.shut || length > STREAM_MAX - w.said.length)
        return;
    while (done < length && w.conn != NULL) {
        ssize_t n =
            send(w.client, (const char *)data + done, length - done, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            done += (size_t)n;
        turn();
        if (n <= 0)
            (void)listen_for(SIZE_MAX);
    }
    add(&w.said, data, done);
}

static uint8_t next(void)
{
    return w.at < w.end ? *w.at++ : 0;
}

/* A request that is well formed, and shorter or longer by up to 3 bytes in its header only. */
static void say_request(uint8_t which)
{
    static const struct {
        uint32_t type;
        uint32_t len;
        const char *payload;
    } requests[] = {
        {MBR__XS_READ, 2, "k"},
        {MBR__XS_WRITE, 7, "k\0value"},
        {MBR__XS_DIRECTORY, 16, "/local/domain/1"},
        {MBR__XS_GET_FEATURE, 0, ""},
        {MBR__XS_TRANSACTION_START, 1, ""},
        {MBR__XS_TRANSACTION_END, 2, "T"},
        {MBR__XS_WATCH, 4, "k\0t"},
        {MBR__XS_RM, 2, "k"},
        {MBR__XS_WRITE, 2, "e"},
        {MBR__XS_READ, 0, ""},
        {MBR__XS_INVALID, 3, "?!"},
        {MBR__XS_CONTROL, 6, "check"},
        {MBR__XS_WRITE, 4096, "long"},
        {MBR__XS_WRITE, 4097, "long"},
        {MBR__XS_READ, UINT32_MAX, "long"},
        {MBR__XS_READ, 5, "long"},
    };
    unsigned char message[MBR__STORE_HEADER_SIZE + MBR__STORE_PAYLOAD_MAX] = {0};
    struct mbr__store_header header = {.type = requests[which % 16].type, .req_id = next()};
    uint32_t length = requests[which % 16].len;
    uint8_t cut = next();
    size_t all;

    header.len = length;
    header.tx_id = cut % 8 == 7 ? 1 : 0;
    if (length > MBR__STORE_PAYLOAD_MAX)
        length = 4;
    mbr__store_header_pack(message, &header);
    memcpy(message + MBR__STORE_HEADER_SIZE, requests[which % 16].payload,
           length < 32 ? length : 5);
    all = MBR__STORE_HEADER_SIZE + length;
    say(message, cut % all);
    say(message + cut % all, all - cut % all);
}

/*
 * A step begins with a byte: below 64, so many bytes and one of the input as they are; below 128, a
 * request (say_request); below 192, reading some bytes; below 255, turns of the daemon; 255: the
 * client says no more.
 */
static void step(void)
{
    uint8_t what = next();
    unsigned char raw[64];

    if (what < 64) {
        for (unsigned i = 0; i <= what; i++)
            raw[i] = next();
        say(raw, what + 1u);
    } else if (what < 128) {
        say_request(what);
    } else if (what < 192) {
        (void)listen_for((what - 127u) * 8u);
    } else if (what < 255) {
        for (unsigned i = 0; i < what % 8u; i++)
            turn();
    } else if (!w.shut) {
        (void)shutdown(w.client, SHUT_WR);
        w.shut = true;
    }
}

/* ---- the comparison ----------------------------------------------------------------------------
 */

/* Appends the answers in a stream of messages to OUT; false: the stream ends within one. */
static bool answers_of(const struct bytes *all, struct bytes *out)
{
    size_t at = 0;

    while (all->length - at >= MBR__STORE_HEADER_SIZE) {
        struct mbr__store_header header;

        mbr__store_header_parse(&header, all->at + at);
        check(header.len <= MBR__STORE_PAYLOAD_MAX, "an answer is too long");
        if (header.len > all->length - at - MBR__STORE_HEADER_SIZE)
            return false;
        if (header.type != MBR__XS_WATCH_EVENT)
            add(out, all->at + at, MBR__STORE_HEADER_SIZE + header.len);
        at += MBR__STORE_HEADER_SIZE + header.len;
    }
    return at == all->length;
}

/* Asks CONN for one message at a time, and takes each answer at once; false: one was too long. */
static bool ask_each(struct mbr__store_conn *conn, struct bytes *out)
{
    struct bytes all = {0};
    size_t at = 0;
    bool ok = true;

    while (ok && w.said.length - at >= MBR__STORE_HEADER_SIZE) {
        struct mbr__store_header header;
        struct iovec iov[2];

        mbr__store_header_parse(&header, w.said.at + at);
        ok = header.len <= MBR__STORE_PAYLOAD_MAX;
        if (!ok || header.len > w.said.length - at - MBR__STORE_HEADER_SIZE)
            break;
        while (mbr__store_request(conn, &header, w.said.at + at + MBR__STORE_HEADER_SIZE) == -EBUSY)
            w.now += 100000000; /* it writes too often */
        while (mbr__store_conn_peek(conn, iov) > 0) {
            add(&all, iov[0].iov_base, iov[0].iov_len);
            mbr__store_conn_consume(conn, iov[0].iov_len);
        }
        at += MBR__STORE_HEADER_SIZE + header.len;
    }
    check(answers_of(&all, out), "half an answer");
    free(all.at);
    return ok;
}

static void compare(uint8_t limits)
{
    struct mbr__store *store = new_store(NULL, limits);
    struct mbr__store_conn *conn = NULL;
    struct bytes want = {0};
    struct bytes is = {0};
    bool whole;

    check(mbr__store_conn_new(store, 1, 1, 0, NULL, &conn) == 0, "no memory");
    if (ask_each(conn, &want)) {
        whole = answers_of(&w.answered, &is);
        check(whole, "the daemon has cut an answer");
        check(is.length == want.length, "more or fewer answers");
        check(w.shut == (w.conn == NULL), "it should have closed, or should not");
    } else {
        (void)answers_of(&w.answered, &is);
        check(is.length <= want.length, "more answers than questions");
        check(w.conn == NULL, "it goes on behind a message that is too long");
    }
    check(is.length == 0 || memcmp(is.at, want.at, is.length) == 0, "another answer");
    mbr__store_free(store);
    free(want.at);
    free(is.at);
}

/* Lets everything come to its end. */
static void finish(void)
{
    unsigned idle = 0;

    while (idle < 8) {
        turn();
        idle = listen_for(SIZE_MAX) ? 0 : idle + 1;
    }
}

static void open_all(uint8_t limits)
{
    int pair[2];
    int small = 4096;

    w.server = (struct server){.epoll = epoll_create1(EPOLL_CLOEXEC),
                               .next_conn = 1,
                               .unread_limit = limits & 128 ? 64 : 16384};
    mbr__list_init(&w.server.conns);
    mbr__list_init(&w.server.dirty);
    mbr__list_init(&w.server.resumable);
    mbr__list_init(&w.server.starved);
    mbr__list_init(&w.server.closing);
    w.server.store = new_store(&w, limits);
    check(w.server.epoll >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0,
          "no descriptors");
    if (limits & 64)
        (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    w.client = pair[1];
    check(conn_open(&w.server, pair[0], 1, false, NULL, &w.conn) == 0, "no connection");
}

static void close_all(void)
{
    if (w.conn != NULL) {
        conn_close(w.conn);
        conn_free(w.conn);
    }
    mbr__store_free(w.server.store);
    (void)close(w.client);
    (void)close(w.server.epoll);
    free(w.said.at);
    free(w.answered.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t limits;

    memset(&w, 0, sizeof(w));
    w.at = data;
    w.end = data != NULL ? data + size : NULL;
    w.now = 1000000000;
    limits = next();
    open_all(limits);
    while (w.at < w.end)
        step();
    finish();
    compare(limits);
    close_all();
    return 0;
}
