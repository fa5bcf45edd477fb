/* SPDX-License-Identifier: MIT */
/*
 * More of what a client must bear: talk without end, answers to those who have given up, lists
 * begun by one daemon and ended by another, sockets that were made non-blocking, descriptors that
 * nobody asked for.
 *
 * Not here: lies in single messages, silence, memory (hostile_test.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
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

#include "fake_server.h"

#define MS   UINT64_C(1000000)
#define LONG (60000 * MS)

static struct mbr_store *connect_to(const struct fake_server *f, uint64_t timeout_ns,
                                    unsigned flags)
{
    const struct mbr_store_options options = {
        .size = sizeof(options), .timeout_ns = timeout_ns, .flags = flags};
    struct mbr_store *s = NULL;

    assert_int_equal(mbr_store_open(f->path, &options, &s), 0);
    return s;
}

/* ---- talk without end ------------------------------------------------------------------------ */

static bool be_silent(struct fake_server *f, int fd, int number)
{
    struct fake_message m;

    while (fake_take(fd, &m))
        continue;
    return false;
}

/*
 * With `endless`, what is received is events of a watch that nobody has, and there are always
 * more: a daemon in a thread would now and then be slower than the client that is to be kept.
 */
static _Thread_local bool endless; /* the daemon in the other thread receives, too */
static _Thread_local unsigned receives;

ssize_t __real_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
    static const char payload[] = "/x\0ffffffffffffffff";
    static const struct mbr__store_header head = {MBR__XS_WATCH_EVENT, 0, 0, sizeof(payload)};
    static size_t said;
    unsigned char message[MBR__STORE_HEADER_SIZE + sizeof(payload)];

    receives++;
    if (!endless)
        return __real_recv(fd, bytes, size, flags);
    if (receives > 20000)
        fail_msg("a call goes on for ever");
    mbr__store_header_pack(message, &head);
    memcpy(message + MBR__STORE_HEADER_SIZE, payload, sizeof(payload));
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)bytes)[i] = message[said++ % sizeof(message)];
    return (ssize_t)size;
}

static void nothing(struct mbr_store *s, const struct mbr_store_event *e)
{
    fail_msg("an event of %s", e->path);
}

static void talk_does_not_keep_a_call(void **state)
{
    struct fake_server f;
    struct mbr_store_watcher *w = NULL;
    struct mbr_store_event e;
    struct mbr_store *s;

    fake_server_start(&f, be_silent, NULL);
    s = connect_to(&f, 5 * MS, 0);
    endless = true;
    for (int i = 0; i < 5; i++) {
        receives = 0;
        assert_int_equal(mbr_store_exists(s, 0, "/x"), -ETIMEDOUT);
        assert_int_equal(mbr_store_wait(s, 5 * MS), -ETIMEDOUT);
        assert_int_equal(mbr_store_wait(s, 0), -ETIMEDOUT);
        assert_int_equal(mbr_store_next_event(s, 5 * MS, &e), -ETIMEDOUT);
        assert_int_equal(mbr_store_next_event(s, 0, &e), -ETIMEDOUT);
        assert_int_equal(mbr_store_watch(s, "/x", 0, nothing, NULL, &w), -ETIMEDOUT);
        assert_int_equal(mbr_store_process(s), 0);
    }
    endless = false;
    mbr_store_close(s);
    fake_server_stop(&f);
}

/* ---- too late -------------------------------------------------------------------------------- */

/* Answers BEGIN only when something else is asked; counts what ends that transaction. */
static bool begin_late(struct fake_server *f, int fd, int number)
{
    int *ended = f->arg;
    struct fake_message begin;
    struct fake_message m;

    if (!fake_take(fd, &begin) || !fake_take(fd, &m) ||
        !fake_send(fd, begin.head.type, begin.head.req_id, "7", 2) || !fake_answer(fd, &m))
        return false;
    while (fake_take(fd, &m)) {
        if (m.head.type == MBR__XS_TRANSACTION_END && m.head.tx_id == 7 && m.head.len == 2 &&
            strcmp(m.payload, "F") == 0)
            ++*ended;
        if (!fake_answer(fd, &m))
            break;
    }
    return false;
}

static void late_transactions_are_dropped(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    int ended = 0;
    uint64_t tx = 77;

    fake_server_start(&f, begin_late, &ended);
    s = connect_to(&f, 5 * MS, 0);
    assert_int_equal(mbr_store_begin(s, &tx), -ETIMEDOUT);
    assert_int_equal(tx, 77);
    assert_int_equal(mbr_store_set_timeout(s, LONG), 0);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), 1);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), 1);
    mbr_store_close(s);
    fake_server_stop(&f);
    assert_int_equal(ended, 1);
}

/* Answers BEGIN, and then nothing; posts when the end of that transaction comes. */
static bool begin_only(struct fake_server *f, int fd, int number)
{
    struct fake_message m;

    if (!fake_take(fd, &m) || !fake_answer(fd, &m))
        return false;
    while (fake_take(fd, &m))
        if (m.head.type == MBR__XS_TRANSACTION_END)
            (void)sem_post(f->arg);
    return false;
}

static int give_up(struct mbr_store *s, uint64_t tx, void *arg)
{
    char *value = NULL;

    assert_int_equal(mbr_store_set_timeout(s, 5 * MS), 0);
    assert_int_equal(mbr_store_read(s, tx, "/x", &value, NULL), -ETIMEDOUT);
    assert_int_equal(mbr_store_set_timeout(s, MBR_FOREVER), 0);
    return -ETIMEDOUT;
}

/* What has taken too long does not wait for the end of its transaction, too. */
static void silent_daemons_are_left(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    sem_t ended;

    assert_int_equal(sem_init(&ended, 0, 0), 0);
    fake_server_start(&f, begin_only, &ended);
    s = connect_to(&f, LONG, 0);
    assert_int_equal(mbr_store_transact(s, give_up, NULL, MBR_FOREVER), -ETIMEDOUT);
    assert_int_equal(sem_wait(&ended), 0);
    mbr_store_close(s);
    fake_server_stop(&f);
    assert_int_equal(sem_destroy(&ended), 0);
}

/* ---- two daemons ----------------------------------------------------------------------------- */

/* The first one gives half of a list and goes; the second has another list of that generation. */
static bool half_a_list(struct fake_server *f, int fd, int number)
{
    struct fake_message m;

    while (fake_take(fd, &m)) {
        const char *offset = m.payload + strlen(m.payload) + 1;
        bool ok;

        if (m.head.type == MBR__XS_DIRECTORY)
            ok = fake_send(fd, MBR__XS_ERROR, m.head.req_id, "E2BIG", 6);
        else if (number == 0 && strcmp(offset, "0") == 0)
            ok = fake_send(fd, m.head.type, m.head.req_id, "7\0a\0b", 6);
        else if (number == 0)
            return true;
        else if (strcmp(offset, "0") == 0)
            ok = fake_send(fd, m.head.type, m.head.req_id, "7\0x\0y", 6);
        else
            ok = fake_send(fd, m.head.type, m.head.req_id, "7\0z\0", 5);
        if (!ok)
            break;
    }
    return false;
}

static void lists_are_of_one_daemon(void **state)
{
    struct fake_server f;
    struct mbr_store *s;
    char **names = NULL;
    size_t count = 0;

    fake_server_start(&f, half_a_list, NULL);
    s = connect_to(&f, LONG, 0);
    assert_int_equal(mbr_store_list(s, 0, "/wide", &names, &count), 0);
    assert_int_equal(count, 3);
    assert_string_equal(names[0], "x");
    assert_string_equal(names[1], "y");
    assert_string_equal(names[2], "z");
    free(names);
    mbr_store_close(s);
    fake_server_stop(&f);
}

struct leaving {
    sem_t left;
    int commits;
    int attempts;
};

/* Hangs up after the first WRITE is answered, before any commit can have been sent. */
static bool leave_before_commit(struct fake_server *f, int fd, int number)
{
    struct leaving *l = f->arg;
    struct fake_message m;

    while (fake_take(fd, &m)) {
        l->commits += m.head.type == MBR__XS_TRANSACTION_END;
        if (!fake_answer(fd, &m))
            break;
        if (number == 0 && m.head.type == MBR__XS_WRITE) {
            (void)shutdown(fd, SHUT_RDWR);
            (void)sem_post(&l->left);
            return true;
        }
    }
    return false;
}

static int write_and_see_it_go(struct mbr_store *s, uint64_t tx, void *arg)
{
    struct leaving *l = arg;
    int rc = mbr_store_write(s, tx, "/x", "v", 1);

    if (++l->attempts == 1)
        while (sem_wait(&l->left) < 0)
            continue;
    return rc;
}

/* What was never sent cannot have taken effect: it is tried again, not given up. */
static void unsent_commits_are_tried_again(void **state)
{
    struct leaving l = {.attempts = 0};
    struct fake_server f;
    struct mbr_store *s;

    assert_int_equal(sem_init(&l.left, 0, 0), 0);
    fake_server_start(&f, leave_before_commit, &l);
    s = connect_to(&f, LONG, 0);
    assert_int_equal(mbr_store_transact(s, write_and_see_it_go, &l, LONG), 0);
    mbr_store_close(s);
    fake_server_stop(&f);
    assert_int_equal(l.attempts, 2);
    assert_int_equal(l.commits, 1);
    assert_int_equal(sem_destroy(&l.left), 0);
}

/* Keeps the tokens of watches, by connection. */
static bool keep_tokens(struct fake_server *f, int fd, int number)
{
    char(*tokens)[4][20] = f->arg;
    struct fake_message m;
    int n = 0;

    while (fake_take(fd, &m)) {
        if (m.head.type == MBR__XS_WATCH && n < 4 && number < 2)
            (void)snprintf(tokens[number][n++], 20, "%s", m.payload + strlen(m.payload) + 1);
        if (m.head.type == MBR__XS_RM)
            return true;
        if (!fake_answer(fd, &m))
            break;
    }
    return false;
}

static void watches_keep_their_order(void **state)
{
    char tokens[2][4][20] = {0};
    struct mbr_store_watcher *w[4];
    struct fake_server f;
    struct mbr_store *s;

    fake_server_start(&f, keep_tokens, tokens);
    s = connect_to(&f, LONG, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(mbr_store_watch(s, "/x", MBR_STORE_ALL_DEPTHS, NULL, NULL, &w[i]), 0);
    assert_int_equal(mbr_store_rm(s, 0, "/x"), -ECONNRESET);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), 1);
    mbr_store_close(s);
    fake_server_stop(&f);
    for (int i = 0; i < 4; i++) {
        assert_string_not_equal(tokens[0][i], "");
        assert_string_equal(tokens[0][i], tokens[1][i]);
    }
}

static bool leave(struct fake_server *f, int fd, int number)
{
    return false;
}

/* A watch that could never begin is refused at once. */
static void closed_ones_watch_nothing(void **state)
{
    struct mbr_store_watcher *w = NULL;
    struct fake_server f;
    struct mbr_store *s;

    fake_server_start(&f, leave, NULL);
    s = connect_to(&f, LONG, MBR_STORE_STAY_CLOSED);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), -ECONNRESET);
    assert_int_equal(mbr_store_watch_start(s, "/x", 0, nothing, NULL, &w), -ENOTCONN);
    assert_int_equal(mbr_store_watch(s, "/x", 0, nothing, NULL, &w), -ENOTCONN);
    assert_null(w);
    mbr_store_close(s);
    fake_server_stop(&f);
}

/* ---- sockets that were given ----------------------------------------------------------------- */

static void sockets_are_looked_at(void **state)
{
    struct mbr_store *s = NULL;
    int pair[2];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(mbr_store_open_fd(-1, NULL, &s), -EBADF);
    assert_int_equal(mbr_store_open_fd(fd, NULL, &s), -ENOTCONN);
    assert_int_equal(mbr_store_open_fd(fd, NULL, NULL), -EINVAL);
    assert_int_equal(close(fd), 0);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    assert_int_equal(mbr_store_open_fd(pair[0], NULL, &s), -ENOTSOCK);
    assert_int_equal(close(pair[0]), 0);
    assert_int_equal(close(pair[1]), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(mbr_store_open_fd(pair[0], NULL, &s), -ENOTSOCK);
    assert_int_equal(close(pair[0]), 0);
    assert_int_equal(close(pair[1]), 0);
    assert_null(s);
}

/* Waiting is waiting, whatever the socket's flags say. */
static void non_blocking_sockets_are_waited_for(void **state)
{
    const struct mbr_store_options options = {.size = sizeof(options), .timeout_ns = 20 * MS};
    struct mbr_store *s = NULL;
    struct fake_message m;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(mbr_store_open_fd(pair[0], &options, &s), 0);
    receives = 0;
    assert_int_equal(mbr_store_exists(s, 0, "/x"), -ETIMEDOUT);
    assert_in_range(receives, 1, 8);
    assert_true(fake_take(pair[1], &m));
    assert_true(fake_answer(pair[1], &m));
    assert_int_equal(mbr_store_wait(s, 0), -ETIMEDOUT); /* that answer is nobody's */
    assert_int_equal(close(pair[1]), 0);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), -ECONNRESET);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), -ENOTCONN);
    mbr_store_close(s);
}

/* Sends a message with `count` descriptors. */
static bool pass(int fd, const struct fake_message *m, int count)
{
    unsigned char all[MBR__STORE_HEADER_SIZE + 3];
    const struct mbr__store_header head = {m->head.type, m->head.req_id, 0, 3};
    struct iovec iov = {all, sizeof(all)};
    union {
        char bytes[CMSG_SPACE(8 * sizeof(int))];
        struct cmsghdr align;
    } control = {.align = {.cmsg_len = CMSG_LEN((size_t)count * sizeof(int)),
                           .cmsg_level = SOL_SOCKET,
                           .cmsg_type = SCM_RIGHTS}};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = count > 0 ? control.bytes : NULL,
                         .msg_controllen = count > 0 ? CMSG_SPACE((size_t)count * sizeof(int)) : 0};

    mbr__store_header_pack(all, &head);
    memcpy(all + MBR__STORE_HEADER_SIZE, "OK", 3);
    for (int i = 0; i < count; i++)
        memcpy(CMSG_DATA(&control.align) + (size_t)i * sizeof(int), &fd, sizeof(int));
    return sendmsg(fd, &msg, MSG_NOSIGNAL) == (ssize_t)sizeof(all);
}

static bool pass_many(struct fake_server *f, int fd, int number)
{
    const int *counts = f->arg;
    struct fake_message m;

    for (int i = 0; fake_take(fd, &m); i++)
        if (!pass(fd, &m, counts[i]))
            break;
    return false;
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* One that was asked for is taken, no other, and none is believed to have come that has not. */
static void descriptors_come_when_asked_for(void **state)
{
    int counts[] = {8, 1, 0, 8, 1, 8};
    unsigned before;
    struct fake_server f;
    struct mbr_store *s;
    int fd = -1;

    fake_server_start(&f, pass_many, counts);
    s = connect_to(&f, LONG, 0);
    before = open_descriptors() + 1; /* and the server's end, which may not be there yet */
    assert_int_equal(mbr_store_mkdir(s, 0, "/x"), 0);
    assert_in_range(open_descriptors(), before - 1, before);
    before = open_descriptors();
    assert_int_equal(mbr_store_domain_connect(s, 1, &fd), 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(close(fd), 0);
    fd = -1;
    assert_int_equal(mbr_store_domain_connect(s, 1, &fd), -EPROTO);
    assert_int_equal(fd, -1);
    assert_int_equal(mbr_store_domain_connect(s, 1, &fd), 0); /* the first of them */
    assert_int_equal(close(fd), 0);
    assert_int_equal(mbr_store_mkdir(s, 0, "/x"), 0);
    assert_int_equal(open_descriptors(), before);
    mbr_store_close(s);
    fake_server_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(talk_does_not_keep_a_call),
        cmocka_unit_test(late_transactions_are_dropped),
        cmocka_unit_test(silent_daemons_are_left),
        cmocka_unit_test(lists_are_of_one_daemon),
        cmocka_unit_test(unsent_commits_are_tried_again),
        cmocka_unit_test(watches_keep_their_order),
        cmocka_unit_test(closed_ones_watch_nothing),
        cmocka_unit_test(sockets_are_looked_at),
        cmocka_unit_test(non_blocking_sockets_are_waited_for),
        cmocka_unit_test(descriptors_come_when_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
