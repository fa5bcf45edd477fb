/* SPDX-License-Identifier: MIT */
/*
 * A client whose daemon lies, floods it, falls silent or goes away: it must neither crash, nor hang
 * beyond its deadline, nor believe anything. And one that runs out of memory.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <membrane/store.h>

#include "../unit/failalloc.h"
#include "base/clock.h"
#include "fake_server.h"

#define MS UINT64_C(1000000)

static struct mbr_store *connect_to(const struct fake_server *f, uint64_t timeout_ns,
                                    unsigned flags)
{
    const struct mbr_store_options options = {
        .size = sizeof(options), .timeout_ns = timeout_ns, .flags = flags};
    struct mbr_store *s = NULL;

    assert_int_equal(mbr_store_open(f->path, &options, &s), 0);
    return s;
}

/* ---- lies ------------------------------------------------------------------------------------ */

/* What is said in answer to the first request, whose id is 1. */
struct lie {
    const char *name;
    enum mbr_store_op op;
    uint32_t type, id;
    uint32_t length; /* as the header says */
    const char *payload;
    size_t size; /* of the payload that follows */
};

static const struct lie lies[] = {
    {"longer than a message", MBR_STORE_OP_READ, MBR__XS_READ, 1, 4097, "", 0},
    {"as long as can be", MBR_STORE_OP_READ, MBR__XS_READ, 1, UINT32_MAX, "", 0},
    {"to another question", MBR_STORE_OP_READ, MBR__XS_READ, 2, 1, "x", 1},
    {"to no question", MBR_STORE_OP_READ, MBR__XS_READ, 0, 1, "x", 1},
    {"of another type", MBR_STORE_OP_READ, MBR__XS_WRITE, 1, 3, "OK", 3},
    {"of no type", MBR_STORE_OP_READ, 12345, 1, 3, "OK", 3},
    {"an error without name", MBR_STORE_OP_READ, MBR__XS_ERROR, 1, 0, "", 0},
    {"an error without end", MBR_STORE_OP_READ, MBR__XS_ERROR, 1, 6, "ENOENT", 6},
    {"an event without token", MBR_STORE_OP_READ, MBR__XS_WATCH_EVENT, 0, 3, "/a", 3},
    {"an event without end", MBR_STORE_OP_READ, MBR__XS_WATCH_EVENT, 0, 5, "/a\0to", 5},
    {"an event without path", MBR_STORE_OP_READ, MBR__XS_WATCH_EVENT, 0, 3, "\0t", 3},
    {"an empty event", MBR_STORE_OP_READ, MBR__XS_WATCH_EVENT, 0, 0, "", 0},
    {"no transaction", MBR_STORE_OP_BEGIN, MBR__XS_TRANSACTION_START, 1, 0, "", 0},
    {"transaction 0", MBR_STORE_OP_BEGIN, MBR__XS_TRANSACTION_START, 1, 2, "0", 2},
    {"transaction -1", MBR_STORE_OP_BEGIN, MBR__XS_TRANSACTION_START, 1, 3, "-1", 3},
    {"transaction 2^32", MBR_STORE_OP_BEGIN, MBR__XS_TRANSACTION_START, 1, 11, "4294967296", 11},
    {"transaction 1x", MBR_STORE_OP_BEGIN, MBR__XS_TRANSACTION_START, 1, 3, "1x", 3},
};

static bool tell_lie(struct fake_server *f, int fd, int number)
{
    const struct lie *lie = f->arg;
    unsigned char head[MBR__STORE_HEADER_SIZE];
    const struct mbr__store_header h = {lie->type, lie->id, 0, lie->length};
    struct fake_message m;

    if (!fake_take(fd, &m))
        return true;
    mbr__store_header_pack(head, &h);
    if (fake_say(fd, head, sizeof(head)) && fake_say(fd, lie->payload, lie->size))
        (void)fake_take(fd, &m); /* until the client has closed */
    return false;
}

static void lies_end_the_connection(void **state)
{
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct fake_server f;
        struct mbr_store *s;
        uint64_t tx = 77;
        char *value = NULL;
        int rc;

        fake_server_start(&f, tell_lie, (void *)(uintptr_t)&lies[i]);
        s = connect_to(&f, 20000 * MS, MBR_STORE_STAY_CLOSED);
        if (lies[i].op == MBR_STORE_OP_BEGIN)
            rc = mbr_store_begin(s, &tx);
        else
            rc = mbr_store_read(s, 0, "/x", &value, NULL);
        if (rc != -EPROTO)
            fail_msg("%s: %d", lies[i].name, rc);
        assert_int_equal(mbr_store_exists(s, 0, "/x"), -ENOTCONN);
        assert_int_equal(tx, 77);
        assert_null(value);
        mbr_store_close(s);
        fake_server_stop(&f);
    }
}

/* Answers of the right form whose content makes no sense: the call fails, nothing else does. */
static bool answer_nonsense(struct fake_server *f, int fd, int number)
{
    struct fake_message m;

    while (fake_take(fd, &m)) {
        const char *payload = m.head.type == MBR__XS_GET_PERMS ? "x0" : "a\0\0b";
        size_t length = m.head.type == MBR__XS_GET_PERMS ? 3 : 5;

        if (m.head.type == MBR__XS_READ
                ? !fake_answer(fd, &m)
                : !fake_send(fd, m.head.type, m.head.req_id, payload, length))
            break;
    }
    return false;
}

static void nonsense_fails_the_call(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    struct mbr_store_perm *perms = NULL;
    char **names = NULL;
    size_t count = 0;
    uint32_t bits = 0;

    fake_server_start(&f, answer_nonsense, NULL);
    s = connect_to(&f, 20000 * MS, MBR_STORE_STAY_CLOSED);
    assert_int_equal(mbr_store_list(s, 0, "/x", &names, &count), -EPROTO);
    assert_int_equal(mbr_store_get_perms(s, 0, "/x", &perms, &count), -EPROTO);
    assert_int_equal(mbr_store_domain_introduced(s, 3), -EPROTO);
    assert_int_equal(mbr_store_get_features(s, 3, &bits), -EPROTO);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), 1);
    mbr_store_close(s);
    fake_server_stop(&f);
}

/* ---- lists ----------------------------------------------------------------------------------- */

enum list_trick { NEVER_ENDS, NO_PROGRESS, CHANGES_ALWAYS, NO_GENERATION, NO_NUL };

static bool trick_list(struct fake_server *f, int fd, int number)
{
    enum list_trick trick = *(enum list_trick *)f->arg;
    struct fake_message m;
    char names[MBR__STORE_PAYLOAD_MAX];
    int turn = 0;

    memset(names, 'n', sizeof(names));
    names[sizeof(names) - 1] = '\0';
    while (fake_take(fd, &m)) {
        char text[64];
        int length = 0;
        bool sent;

        if (m.head.type == MBR__XS_DIRECTORY) {
            sent = fake_send(fd, MBR__XS_ERROR, m.head.req_id, "E2BIG", 6);
        } else if (trick == NEVER_ENDS) {
            memcpy(names, "1\0", 2);
            sent = fake_send(fd, m.head.type, m.head.req_id, names, sizeof(names));
        } else {
            if (trick == NO_PROGRESS)
                length = snprintf(text, sizeof(text), "1%c", '\0');
            else if (trick == CHANGES_ALWAYS)
                length = snprintf(text, sizeof(text), "%d%cname%c", turn++, '\0', '\0');
            else if (trick == NO_GENERATION)
                length = snprintf(text, sizeof(text), "1234567890123456789012345678%c", '\0');
            else
                length = snprintf(text, sizeof(text), "1%cname", '\0');
            sent = fake_send(fd, m.head.type, m.head.req_id, text, (size_t)length);
        }
        if (!sent)
            break;
    }
    return false;
}

static void lists_must_make_sense(void **state)
{
    static const struct {
        enum list_trick trick;
        int error;
    } cases[] = {
        {NEVER_ENDS, -E2BIG},     {NO_PROGRESS, -EPROTO}, {CHANGES_ALWAYS, -EAGAIN},
        {NO_GENERATION, -EPROTO}, {NO_NUL, -EPROTO},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum list_trick trick = cases[i].trick;
        struct fake_server f;
        struct mbr_store *s;
        char **names = NULL;
        size_t count = 0;
        int rc;

        fake_server_start(&f, trick_list, &trick);
        s = connect_to(&f, 60000 * MS, MBR_STORE_STAY_CLOSED);
        rc = mbr_store_list(s, 0, "/x", &names, &count);
        if (rc != cases[i].error)
            fail_msg("trick %zu: %d", i, rc);
        mbr_store_close(s);
        fake_server_stop(&f);
    }
}

/* ---- floods ---------------------------------------------------------------------------------- */

static bool flood(struct fake_server *f, int fd, int number)
{
    struct fake_message watch = {0};
    struct fake_message m;
    int n = 0;

    while (fake_take(fd, &m)) {
        if (m.head.type == MBR__XS_WATCH)
            watch = m;
        for (int i = 0; m.head.type == MBR__XS_READ && i < 100000; i++) {
            char path[64];

            (void)snprintf(path, sizeof(path), "/x/%d", n++);
            if (!fake_event(fd, i % 2 == 0 ? &watch : &m, path))
                return false;
        }
        if (!fake_answer(fd, &m))
            break;
    }
    return false;
}

static void floods_are_bounded(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    struct mbr_store_watcher *w = NULL;
    struct mbr_store_event e;
    size_t count = 0;

    fake_server_start(&f, flood, NULL);
    s = connect_to(&f, 60000 * MS, MBR_STORE_STAY_CLOSED);
    assert_int_equal(mbr_store_watch(s, "/x", MBR_STORE_ALL_DEPTHS, NULL, NULL, &w), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mbr_store_exists(s, 0, "/a"), 1);
    while (mbr_store_next_event(s, 0, &e) == 0)
        count++;
    assert_in_range(count, 1, 4097);
    mbr_store_close(s);
    fake_server_stop(&f);
}

/* ---- silence --------------------------------------------------------------------------------- */

/* Keeps the first answer until the second question has come. */
static bool answer_late(struct fake_server *f, int fd, int number)
{
    struct fake_message first;
    struct fake_message second;

    if (fake_take(fd, &first) && fake_take(fd, &second) &&
        fake_send(fd, first.head.type, first.head.req_id, "late", 4))
        (void)fake_answer(fd, &second);
    (void)fake_take(fd, &first);
    return false;
}

static void late_answers_are_nobodys(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    char *value = NULL;
    uint64_t begin;

    fake_server_start(&f, answer_late, NULL);
    s = connect_to(&f, 30 * MS, 0);
    begin = mbr__now_ns();
    assert_int_equal(mbr_store_read(s, 0, "/x", &value, NULL), -ETIMEDOUT);
    assert_true(mbr__now_ns() - begin >= 29 * MS);
    assert_int_equal(mbr_store_set_timeout(s, 20000 * MS), 0);
    assert_int_equal(mbr_store_read(s, 0, "/x", &value, NULL), 0);
    assert_string_equal(value, "value");
    free(value);
    mbr_store_close(s);
    fake_server_stop(&f);
}

/* A byte now and then: that is no answer, however long it goes on. */
static bool trickle(struct fake_server *f, int fd, int number)
{
    struct fake_message m;
    unsigned char head[MBR__STORE_HEADER_SIZE];
    struct mbr__store_header h;

    if (!fake_take(fd, &m))
        return false;
    h = (struct mbr__store_header){m.head.type, m.head.req_id, 0, 4096};
    mbr__store_header_pack(head, &h);
    (void)fake_say(fd, head, sizeof(head));
    for (;;) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN | POLLRDHUP};

        if (poll(&pfd, 1, 5) != 0 || !fake_say(fd, "x", 1))
            return false;
    }
}

static void trickles_end_in_time(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    uint64_t begin;

    fake_server_start(&f, trickle, NULL);
    s = connect_to(&f, 60 * MS, 0);
    begin = mbr__now_ns();
    assert_int_equal(mbr_store_exists(s, 0, "/x"), -ETIMEDOUT);
    /* Twice the time and a busy machine: what must not be is that each byte begins it anew. */
    assert_true(mbr__now_ns() - begin < 4096 * 5 * MS);
    mbr_store_close(s);
    fake_server_stop(&f);
}

static bool take_nothing(struct fake_server *f, int fd, int number)
{
    struct pollfd pfd = {.fd = fd, .events = POLLRDHUP};

    (void)poll(&pfd, 1, -1);
    return false;
}

static void full_sockets_end_in_time(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    char value[4000] = {0};
    struct mbr_store_request r = {
        .size = sizeof(r), .op = MBR_STORE_OP_WRITE, .path = "/x", .value = value, .length = 4000};
    int n = 0;

    fake_server_start(&f, take_nothing, NULL);
    s = connect_to(&f, 30 * MS, 0);
    while (n < 10000 && mbr_store_submit(s, &r, NULL, NULL) == 0)
        n++;
    assert_int_equal(mbr_store_exists(s, 0, "/x"), -ETIMEDOUT);
    while (mbr_store_submit(s, &r, NULL, NULL) == 0)
        n++;
    assert_in_range(n, MBR_STORE_PENDING_MAX - 2, MBR_STORE_PENDING_MAX);
    assert_int_equal(mbr_store_submit(s, &r, NULL, NULL), -ENOBUFS);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), -ENOBUFS);
    mbr_store_close(s);
    fake_server_stop(&f);
}

/* ---- coming and going ------------------------------------------------------------------------ */

/* Answers byte by byte, so that the client sees every part of a message. */
static bool answer_in_pieces(struct fake_server *f, int fd, int number)
{
    struct fake_message m;

    while (fake_take(fd, &m)) {
        unsigned char all[MBR__STORE_HEADER_SIZE + 5];
        const struct mbr__store_header h = {m.head.type, m.head.req_id, 0, 5};

        mbr__store_header_pack(all, &h);
        memcpy(all + MBR__STORE_HEADER_SIZE, "value", 5);
        for (size_t i = 0; i < sizeof(all); i++) {
            if (!fake_say(fd, all + i, 1))
                return false;
        }
    }
    return false;
}

static void pieces_make_a_message(void **state)
{
    struct fake_server f;
    struct mbr_store *s;

    fake_server_start(&f, answer_in_pieces, NULL);
    s = connect_to(&f, 60000 * MS, 0);
    for (int i = 0; i < 20; i++) {
        char *value = NULL;

        assert_int_equal(mbr_store_read(s, 0, "/x", &value, NULL), 0);
        assert_string_equal(value, "value");
        free(value);
    }
    mbr_store_close(s);
    fake_server_stop(&f);
}

/* The first connections end with the request taken and not answered. */
static bool go_away(struct fake_server *f, int fd, int number)
{
    int *seen = f->arg; /* requests, by type */
    struct fake_message m;

    while (fake_take(fd, &m)) {
        seen[m.head.type < 32 ? m.head.type : 31]++;
        if (number < 3 && m.head.type != MBR__XS_WATCH)
            return true;
        if (!fake_answer(fd, &m))
            break;
    }
    return true;
}

static void reads_are_repeated_writes_are_not(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    int seen[32] = {0};
    char *value = NULL;

    fake_server_start(&f, go_away, seen);
    s = connect_to(&f, 60000 * MS, 0);
    assert_int_equal(mbr_store_read(s, 0, "/x", &value, NULL), 0);
    free(value);
    assert_int_equal(seen[MBR__XS_READ], 4);
    mbr_store_close(s);
    fake_server_stop(&f);

    memset(seen, 0, sizeof(seen));
    fake_server_start(&f, go_away, seen);
    s = connect_to(&f, 60000 * MS, 0);
    assert_int_equal(mbr_store_write(s, 0, "/x", "v", 1), -ECONNRESET);
    assert_int_equal(mbr_store_mkdir(s, 0, "/x"), -ECONNRESET);
    assert_int_equal(mbr_store_rm(s, 0, "/x"), -ECONNRESET);
    assert_int_equal(mbr_store_rm(s, 0, "/x"), 0);
    assert_int_equal(seen[MBR__XS_WRITE], 1);
    assert_int_equal(seen[MBR__XS_RM], 2);
    mbr_store_close(s);
    fake_server_stop(&f);
}

static void watches_begin_again(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    struct mbr_store_watcher *w[3];
    struct mbr_store_event e;
    int seen[32] = {0};

    fake_server_start(&f, go_away, seen);
    s = connect_to(&f, 60000 * MS, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mbr_store_watch(s, "/x", MBR_STORE_ALL_DEPTHS, NULL, NULL, &w[i]), 0);
        assert_int_equal(mbr_store_next_event(s, 60000 * MS, &e), 0);
    }
    assert_int_equal(mbr_store_exists(s, 0, "/x"), 1); /* over the fourth connection */
    assert_int_equal(seen[MBR__XS_WATCH], 12);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mbr_store_next_event(s, 60000 * MS, &e), 0);
    assert_int_equal(mbr_store_next_event(s, 0, &e), -ETIMEDOUT);
    mbr_store_unwatch(w[1]);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), 1);
    assert_int_equal(seen[MBR__XS_UNWATCH], 1);
    mbr_store_close(s);
    fake_server_stop(&f);
}

static int add_to_it(struct mbr_store *s, uint64_t tx, void *arg)
{
    char *value = NULL;
    int rc = mbr_store_read(s, tx, "/x", &value, NULL);

    free(value);
    ++*(int *)arg;
    return rc < 0 ? rc : mbr_store_write(s, tx, "/x", "v", 1);
}

static void transactions_begin_again(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    int seen[32] = {0};
    int attempts = 0;

    fake_server_start(&f, go_away, seen);
    s = connect_to(&f, 60000 * MS, 0);
    /* BEGIN itself is repeated over three lost connections; then all goes well. */
    assert_int_equal(mbr_store_transact(s, add_to_it, &attempts, 60000 * MS), 0);
    assert_int_equal(attempts, 1);
    assert_int_equal(seen[MBR__XS_TRANSACTION_START], 4);
    mbr_store_close(s);
    fake_server_stop(&f);
}

/* Closes each connection at the third request: after BEGIN and READ, before WRITE is answered. */
static bool cut_transactions(struct fake_server *f, int fd, int number)
{
    int *cuts = f->arg; /* at which request each connection is cut; 0: not */
    struct fake_message m;

    for (int i = 1; fake_take(fd, &m); i++) {
        if (i == cuts[number < 3 ? number : 3] || !fake_answer(fd, &m))
            return true;
    }
    return true;
}

static void lost_commits_are_told(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    int cuts[4] = {3, 2, 4, 0}; /* WRITE, READ, then the commit */
    int attempts = 0;

    fake_server_start(&f, cut_transactions, cuts);
    s = connect_to(&f, 60000 * MS, 0);
    assert_int_equal(mbr_store_transact(s, add_to_it, &attempts, 60000 * MS), -ECONNRESET);
    assert_int_equal(attempts, 3);
    assert_int_equal(mbr_store_transact(s, add_to_it, &attempts, 60000 * MS), 0);
    mbr_store_close(s);
    fake_server_stop(&f);
}

static void stays_closed_if_told(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    int seen[32] = {0};
    const struct mbr_store_request r = {.size = sizeof(r), .op = MBR_STORE_OP_READ, .path = "/"};

    fake_server_start(&f, go_away, seen);
    s = connect_to(&f, 60000 * MS, MBR_STORE_STAY_CLOSED);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), -ECONNRESET);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), -ENOTCONN);
    assert_int_equal(mbr_store_submit(s, &r, NULL, NULL), -ENOTCONN);
    assert_int_equal(mbr_store_process(s), -ENOTCONN);
    mbr_store_close(s);
    fake_server_stop(&f);
}

static bool leave(struct fake_server *f, int fd, int number)
{
    return false;
}

/* Without a daemon calls fail in time, with the reason. */
static void waits_for_a_daemon_in_vain(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    struct mbr_store_event e;

    fake_server_start(&f, leave, NULL);
    s = connect_to(&f, 50 * MS, 0);
    fake_server_stop(&f);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), -ENOENT);
    assert_int_equal(mbr_store_write(s, 0, "/x", "v", 1), -ENOENT);
    assert_int_equal(mbr_store_next_event(s, 20 * MS, &e), -ENOENT);
    mbr_store_close(s);
}

/* ---- no memory ------------------------------------------------------------------------------- */

static bool answer_honestly(struct fake_server *f, int fd, int number)
{
    struct fake_message m;

    while (fake_take(fd, &m) && fake_answer(fd, &m))
        continue;
    return true;
}

static void ignore(struct mbr_store *s, void *arg, const struct mbr_store_result *r)
{
    ++*(int *)arg;
}

/* Some of everything. Returns the first error; what it got is freed. */
static int work(struct mbr_store *s)
{
    const struct mbr_store_request r = {.size = sizeof(r), .op = MBR_STORE_OP_READ, .path = "/a"};
    struct mbr_store_watcher *w = NULL;
    struct mbr_store_perm *perms = NULL;
    struct mbr_store_event e;
    char *value = NULL;
    char **names = NULL;
    size_t count = 0;
    int attempts = 0;
    int calls = 0;
    int rc = mbr_store_fd(s) < 0 ? -ENOMEM : 0;

    if (rc == 0)
        rc = mbr_store_read(s, 0, "/a", &value, NULL);
    free(value);
    if (rc == 0)
        rc = mbr_store_list(s, 0, "/wide", &names, &count);
    free(names);
    if (rc == 0)
        rc = mbr_store_get_perms(s, 0, "/a", &perms, &count);
    free(perms);
    if (rc == 0)
        rc = mbr_store_transact(s, add_to_it, &attempts, 0);
    if (rc == 0)
        rc = mbr_store_watch(s, "/a", 2, NULL, NULL, &w);
    if (rc == 0)
        rc = mbr_store_next_event(s, 60000 * MS, &e);
    mbr_store_unwatch(w);
    if (rc == 0)
        rc = mbr_store_submit(s, &r, ignore, &calls);
    while (rc == 0 && calls == 0)
        rc = mbr_store_wait(s, 60000 * MS) < 0 ? -EIO : 0;
    return rc;
}

static void every_allocation_fails_once(void **state)
{
    struct fake_server f;
    bool hit = true;
    int rounds = 0;

    fake_server_start(&f, answer_honestly, NULL);
    for (unsigned n = 0; hit; n++) {
        const struct mbr_store_options options = {.size = sizeof(options)};
        struct mbr_store *s = NULL;
        int rc;

        failalloc_arm(n);
        rc = mbr_store_open(f.path, &options, &s);
        if (rc == 0)
            rc = work(s);
        hit = failalloc_disarm();
        /* What had no memory says so, or was done without: events are. */
        if (rc != 0 && !(hit && rc == -ENOMEM))
            fail_msg("allocation %u: %d", n, rc);
        if (s != NULL)
            assert_int_equal(work(s), 0); /* and everything works again */
        mbr_store_close(s);
        rounds++;
    }
    assert_true(rounds > 20);
    fake_server_stop(&f);
}

/* The same without a daemon; the store in this process fails its own allocations, too. */
static void every_allocation_fails_once_embedded(void **state)
{
    bool hit = true;
    int rounds = 0;

    for (unsigned n = 0; hit; n++) {
        struct mbr_store *s = NULL;
        int rc;

        failalloc_arm(n);
        rc = mbr_store_open_embedded(NULL, &s);
        if (rc == 0)
            rc = mbr_store_write(s, 0, "/a", "v", 1);
        if (rc == 0)
            rc = mbr_store_write(s, 0, "/x", "v", 1);
        if (rc == 0)
            rc = mbr_store_mkdir(s, 0, "/wide");
        if (rc == 0)
            rc = work(s);
        hit = failalloc_disarm();
        if (rc != 0 && !(hit && (rc == -ENOMEM || rc == -ENOSPC || rc == -ECONNRESET)))
            fail_msg("allocation %u: %d", n, rc);
        mbr_store_close(s);
        rounds++;
    }
    assert_true(rounds > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_end_the_connection),
        cmocka_unit_test(nonsense_fails_the_call),
        cmocka_unit_test(lists_must_make_sense),
        cmocka_unit_test(floods_are_bounded),
        cmocka_unit_test(late_answers_are_nobodys),
        cmocka_unit_test(trickles_end_in_time),
        cmocka_unit_test(full_sockets_end_in_time),
        cmocka_unit_test(pieces_make_a_message),
        cmocka_unit_test(reads_are_repeated_writes_are_not),
        cmocka_unit_test(watches_begin_again),
        cmocka_unit_test(transactions_begin_again),
        cmocka_unit_test(lost_commits_are_told),
        cmocka_unit_test(stays_closed_if_told),
        cmocka_unit_test(waits_for_a_daemon_in_vain),
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(every_allocation_fails_once_embedded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
