/* SPDX-License-Identifier: MIT */
/*
 * membraned's socket as a stream: messages in pieces, without payload, in long rows; too long; cut
 * off. Slow readers, flooding clients, descriptors and connections used up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stored.h"

static struct stored daemon_;

static size_t pack(unsigned char *out, uint32_t type, uint32_t req, const char *payload,
                   size_t length)
{
    struct mbr__store_header header = {.type = type, .req_id = req, .len = (uint32_t)length};

    mbr__store_header_pack(out, &header);
    if (length != 0)
        memcpy(out + MBR__STORE_HEADER_SIZE, payload, length);
    return MBR__STORE_HEADER_SIZE + length;
}

static void bytes_one_by_one(void **state)
{
    unsigned char message[64];
    size_t length = pack(message, MBR__XS_READ, 7, "/pieces", 8);
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;

    CHECK_INT(stored_write(fd, 0, "/pieces", "whole"), 0);
    for (size_t i = 0; i < length; i++)
        CHECK_INT(send(fd, message + i, 1, MSG_NOSIGNAL), 1);
    stored_reply(fd, &reply);
    CHECK_INT(reply.header.req_id, 7);
    CHECK(strcmp(reply.payload, "whole") == 0);
    (void)close(fd);
}

/* Every way to cut two messages in two. */
static void cut_anywhere(void **state)
{
    unsigned char message[128];
    size_t length = pack(message, MBR__XS_READ, 1, "/pieces", 8);
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;

    CHECK_INT(stored_write(fd, 0, "/pieces", "whole"), 0);
    length += pack(message + length, MBR__XS_READ, 2, "/pieces", 8);
    for (size_t cut = 1; cut < length; cut++) {
        CHECK_INT(send(fd, message, cut, MSG_NOSIGNAL), cut);
        CHECK_INT(send(fd, message + cut, length - cut, MSG_NOSIGNAL), length - cut);
        for (uint32_t req = 1; req <= 2; req++) {
            stored_reply(fd, &reply);
            CHECK_INT(reply.header.req_id, req);
            CHECK(strcmp(reply.payload, "whole") == 0);
        }
    }
    (void)close(fd);
}

/* A request without payload is answered at once, not with the next one. */
static void without_payload(void **state)
{
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;

    stored_send(fd, MBR__XS_GET_FEATURE, 3, 0, NULL, 0);
    stored_reply(fd, &reply);
    CHECK_INT(reply.header.req_id, 3);
    CHECK_INT(reply.header.type, MBR__XS_GET_FEATURE);
    stored_send(fd, MBR__XS_READ, 4, 0, NULL, 0);
    stored_reply(fd, &reply);
    CHECK_INT(reply.header.type, MBR__XS_ERROR);
    (void)close(fd);
}

#define ROW 20000u

/* A row of requests of which nothing is read until all are sent: the daemon may stop reading, but
 * must lose nothing and keep the order. */
static void a_long_row(void **state)
{
    int fd = stored_connect(daemon_.path);
    pid_t writer;
    struct stored_reply reply;

    CHECK_INT(stored_write(fd, 0, "/row", "x"), 0);
    writer = fork();
    CHECK(writer >= 0);
    if (writer == 0) {
        for (uint32_t i = 0; i < ROW; i++)
            stored_send(fd, MBR__XS_READ, i, 0, "/row", 5);
        _exit(0);
    }
    for (uint32_t i = 0; i < ROW; i++) {
        stored_reply(fd, &reply);
        CHECK_INT(reply.header.req_id, i);
        CHECK(strcmp(reply.payload, "x") == 0);
    }
    (void)close(fd);
}

/* Who sends everything and shuts down his side still gets all answers, and then the end. */
static void half_closed(void **state)
{
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;

    for (uint32_t i = 0; i < 500; i++)
        stored_send(fd, MBR__XS_DIRECTORY, i, 0, "/", 2);
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    for (uint32_t i = 0; i < 500; i++) {
        stored_reply(fd, &reply);
        CHECK_INT(reply.header.req_id, i);
    }
    CHECK(!stored_next(fd, &reply));
    (void)close(fd);
}

/* A message that is longer than allowed ends its connection, with one line in the log, and no
 * other. */
static void too_long(void **state)
{
    struct mbr__store_header header = {.type = MBR__XS_WRITE, .len = 4097};
    unsigned char head[MBR__STORE_HEADER_SIZE];
    int other = stored_connect(daemon_.path);
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;

    mbr__store_header_pack(head, &header);
    CHECK_INT(send(fd, head, sizeof(head), MSG_NOSIGNAL), sizeof(head));
    CHECK(!stored_next(fd, &reply));
    CHECK(stored_said(&daemon_, "client misbehaves"));
    CHECK_INT(stored_write(other, 0, "/still", "here"), 0);
    (void)close(fd);
    (void)close(other);
}

/* Clients that vanish in the middle of anything do not disturb others. */
static void cut_off(void **state)
{
    unsigned char message[64];
    size_t length = pack(message, MBR__XS_WRITE, 1, "/cut\0value", 10);
    int other = stored_connect(daemon_.path);

    for (size_t i = 0; i <= length; i++) {
        int fd = stored_connect(daemon_.path);

        if (i > 0)
            CHECK_INT(send(fd, message, i, MSG_NOSIGNAL), i);
        (void)close(fd);
        stored_expect(other, "/still", "here");
    }
    (void)close(other);
}

/* What the daemon counts, by CONTROL stats. */
static unsigned long count_of(int fd, const char *name)
{
    struct stored_reply reply;
    const char *line;

    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "stats", NULL), 0);
    line = strstr(reply.payload, name);
    CHECK(line != NULL);
    return strtoul(line + strlen(name), NULL, 10);
}

static void busy_client(struct stage_actor *parent, void *argument)
{
    struct stored_reply reply;
    char path[64];
    int fd = stored_connect(daemon_.path);

    stage_say(parent, 1);
    for (unsigned i = 0;; i++) {
        uint32_t tx = stored_begin(fd);

        (void)snprintf(path, sizeof(path), "/busy/%d", (int)getpid());
        CHECK_INT(stored_write(fd, tx, path, "x"), 0);
        (void)snprintf(path, sizeof(path), "/busy/%u", i);
        CHECK_INT(stored_ask(fd, MBR__XS_WATCH, 0, &reply, path, "t", NULL), 0);
        if (i % 3 == 0)
            (void)stored_end(fd, tx, i % 2 == 0);
    }
}

/* Clients killed at any point leave neither connection nor transaction nor watch behind. */
static void killed_clients(void **state)
{
    int fd = stored_connect(daemon_.path);
    uint64_t random = stage_seed();

    for (int i = 0; i < 60; i++) {
        struct stage_actor client;
        uint64_t looks = stage_below(&random, 60);

        stage_spawn(&client, busy_client, NULL);
        CHECK_INT(stage_hear(&client), 1);
        for (uint64_t j = 0; j < looks; j++)
            stored_expect(fd, "/still", "here");
        stage_kill(&client);
    }
    while (count_of(fd, "connections ") != 1)
        continue; /* the last one's end has not been seen yet */
    CHECK_INT(count_of(fd, "transactions "), 0);
    CHECK_INT(count_of(fd, "watches "), 0);
    (void)close(fd);
}

/* ---- pressure ---- */

/* Sends until nothing more goes; the number of whole requests. */
static uint32_t fill_up(int fd, const char *path)
{
    unsigned char message[64];
    size_t length = pack(message, MBR__XS_READ, 0, path, strlen(path) + 1);
    uint32_t sent = 0;
    size_t done = 0;

    for (;;) {
        ssize_t n = send(fd, message + done, length - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        struct pollfd room = {.fd = fd, .events = POLLOUT};

        if (n < 0) {
            CHECK_INT(errno, EAGAIN);
            /* As long as the daemon reads, room comes back. */
            if (poll(&room, 1, 300) == 0)
                break;
            continue;
        }
        done += (size_t)n;
        if (done == length) {
            sent++;
            done = 0;
            CHECK(sent < 10000000);
        }
    }
    return sent; /* what is not whole is answered by nobody */
}

/* Who does not read is not read: what the daemon holds for him is bounded, others are served, and
 * nothing is lost when he reads after all. */
static void slow_reader(void **state)
{
    static char value[4001];
    int fd = stored_connect(daemon_.path);
    int other = stored_connect(daemon_.path);
    struct stored_reply reply;
    uint32_t sent;

    memset(value, 'v', sizeof(value) - 1);
    CHECK_INT(stored_write(other, 0, "/large", value), 0);
    sent = fill_up(fd, "/large");
    CHECK(sent > 10);
    /* 1 MiB of replies and two socket buffers of requests and replies, in round numbers. */
    CHECK(sent < 100000);
    for (int i = 0; i < 100; i++)
        stored_expect(other, "/still", "here");
    for (uint32_t i = 0; i < sent; i++) {
        CHECK(stored_next(fd, &reply));
        CHECK_INT(reply.header.len, sizeof(value) - 1);
    }
    (void)close(fd);
    (void)close(other);
}

static void flood(struct stage_actor *parent, void *argument)
{
    int fd = stored_connect(daemon_.path);
    unsigned char messages[34 * 200];
    size_t length = 0;

    for (int i = 0; i < 200; i++)
        length += pack(messages + length, MBR__XS_READ, 0, "/still", 7);
    stage_say(parent, 1);
    for (;;) {
        unsigned char replies[65536];

        (void)send(fd, messages, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)recv(fd, replies, sizeof(replies), MSG_DONTWAIT);
    }
}

/* Four clients that send all the time, and one that asks for one thing after the other: all of his
 * are answered. (That his share is fair follows from the budget; it is not timed here.) */
static void floods(void **state)
{
    struct stage_actor flooders[4];
    int fd = stored_connect(daemon_.path);

    for (size_t i = 0; i < 4; i++) {
        stage_spawn(&flooders[i], flood, NULL);
        CHECK_INT(stage_hear(&flooders[i]), 1);
    }
    for (int i = 0; i < 1000; i++)
        stored_expect(fd, "/still", "here");
    for (size_t i = 0; i < 4; i++)
        stage_kill(&flooders[i]);
    (void)close(fd);
}

/* ---- shortages ---- */

static void descriptors_used_up(void **state)
{
    static const char *const arguments[] = {NULL};
    struct rlimit limit;
    struct rlimit few = {40, 40};
    struct stored daemon;
    char path[600];
    int fds[64];
    int open_ones = 0;

    (void)snprintf(path, sizeof(path), "%s/few", stage_dir());
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    stored_start(&daemon, path, arguments);
    CHECK_INT(prlimit(daemon.pid, RLIMIT_NOFILE, &few, NULL), 0);
    while (open_ones < 64 && (fds[open_ones] = stored_try_connect(path)) >= 0)
        open_ones++;
    CHECK(open_ones > 10 && open_ones < 40);
    /* The next ones are refused at once, the old ones served. */
    for (int i = 0; i < 5; i++)
        CHECK_INT(stored_try_connect(path), -1);
    for (int i = 0; i < open_ones; i++)
        CHECK_INT(stored_write(fds[i], 0, "/served", "yes"), 0);
    CHECK(stored_said(&daemon, "refusing new connections"));
    /* One goes, one comes. */
    (void)close(fds[0]);
    do
        fds[0] = stored_try_connect(path);
    while (fds[0] < 0);
    stored_expect(fds[0], "/served", "yes");
    stored_stop(&daemon);
    for (int i = 0; i < open_ones; i++)
        (void)close(fds[i]);
}

static void memory_used_up(void **state)
{
    static const char *const arguments[] = {NULL};
    static char value[4001];
    struct rlimit none = {1, 1};
    struct stored daemon;
    struct stored_reply reply;
    char path[600];
    unsigned char message[64];
    size_t length = pack(message, MBR__XS_READ, 7, "/before", 8);
    char got[5000];
    int refused = 0;
    int other;
    int half;
    int fd;
    int rc;

    if (stage_sanitized())
        return; /* its allocator reserves what it wants */
    (void)snprintf(path, sizeof(path), "%s/little", stage_dir());
    stored_start(&daemon, path, arguments);
    fd = stored_connect(path);
    other = stored_connect(path);
    half = stored_connect(path);
    CHECK_INT(stored_write(fd, 0, "/before", "kept"), 0);
    stored_expect(other, "/before", "kept");
    stored_expect(half, "/before", "kept");
    CHECK_INT(prlimit(daemon.pid, RLIMIT_AS, &none, NULL), 0);
    memset(value, 'v', sizeof(value) - 1);
    for (int i = 0; i < 20000 && refused < 10; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "/fill/%d", i);
        rc = stored_write(fd, 0, name, value);
        CHECK(rc == 0 || rc == -ENOMEM);
        refused += rc != 0;
    }
    CHECK(refused > 0);
    stored_expect(fd, "/before", "kept");
    /* A long answer may be refused, a message may come in pieces: nobody is sent away for it. */
    rc = stored_read(other, 0, "/fill/0", got, sizeof(got));
    CHECK(rc == 0 || rc == -ENOMEM);
    stored_expect(other, "/before", "kept");
    CHECK_INT(send(half, message, 20, MSG_NOSIGNAL), 20);
    CHECK_INT(stored_ask(other, MBR__XS_RM, 0, &reply, "/fill", NULL), 0);
    CHECK_INT(send(half, message + 20, length - 20, MSG_NOSIGNAL), length - 20);
    stored_reply(half, &reply);
    CHECK(strcmp(reply.payload, "kept") == 0);
    CHECK_INT(stored_write(fd, 0, "/after", "again"), 0);
    stored_expect(fd, "/after", "again");
    stored_stop(&daemon);
    (void)close(fd);
    (void)close(other);
    (void)close(half);
}

/* The daemon ends cleanly with clients connected, and cleans up. */
static void stops_clean(void **state)
{
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;

    stored_stop(&daemon_);
    CHECK(!stored_next(fd, &reply));
    CHECK(access(daemon_.path, F_OK) != 0);
    CHECK(stored_said(&daemon_, "started") && stored_said(&daemon_, "stopped"));
    (void)close(fd);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_one_by_one),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(without_payload),
        cmocka_unit_test(a_long_row),
        cmocka_unit_test(half_closed),
        cmocka_unit_test(too_long),
        cmocka_unit_test(cut_off),
        cmocka_unit_test(killed_clients),
        cmocka_unit_test(slow_reader),
        cmocka_unit_test(floods),
        cmocka_unit_test(descriptors_used_up),
        cmocka_unit_test(memory_used_up),
        cmocka_unit_test(stops_clean),
    };

    stored_need();
    stored_start(&daemon_, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
