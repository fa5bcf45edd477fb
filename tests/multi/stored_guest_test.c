/* SPDX-License-Identifier: MIT */
/*
 * Connections that domain 0 asks for in the name of a domain: over a socket, and over a shared
 * page. Of the page: the same answers, messages larger than the ring, reconnection, the error
 * field, hostile indices, wake-ups, guests that know nothing of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "stored.h"

static struct stored daemon_;
static int control;

/* A home for the domain, as a toolstack makes it. */
static void make_home(unsigned domid)
{
    struct stored_reply reply;
    char path[64];
    char perm[16];

    (void)snprintf(path, sizeof(path), "/local/domain/%u", domid);
    (void)snprintf(perm, sizeof(perm), "n%u", domid);
    CHECK_INT(stored_ask(control, MBR__XS_MKDIR, 0, &reply, path, NULL), 0);
    CHECK_INT(stored_ask(control, MBR__XS_SET_PERMS, 0, &reply, path, perm, NULL), 0);
}

static void expect_introduced(const char *domid, const char *wanted)
{
    struct stored_reply reply;

    CHECK_INT(stored_ask(control, MBR__XS_IS_DOMAIN_INTRODUCED, 0, &reply, domid, NULL), 0);
    CHECK(strcmp(reply.payload, wanted) == 0);
}

/* With its last connection the domain goes. The daemon sees the end of one connection in its own
 * time, so look until it has. */
static void await_release(const char *domid)
{
    struct stored_reply reply;

    do
        CHECK_INT(stored_ask(control, MBR__XS_IS_DOMAIN_INTRODUCED, 0, &reply, domid, NULL), 0);
    while (strcmp(reply.payload, "T") == 0);
}

static void test_socket(void **state)
{
    struct stored_reply reply;
    int fd;
    int second;

    expect_introduced("7", "F");
    CHECK_INT(stored_control_fds(control, "connect", 7, &fd, 1), 0);
    expect_introduced("7", "T");
    make_home(7);
    CHECK_INT(stored_write(fd, 0, "mine", "yes"), 0);
    stored_expect(control, "/local/domain/7/mine", "yes");
    CHECK_INT(stored_write(fd, 0, "/mine", "no"), -EACCES);
    CHECK_INT(stored_control_fds(control, "connect", 7, &second, 1), 0);
    (void)close(fd);
    stored_expect(second, "mine", "yes");
    (void)close(second);
    await_release("7"); /* and what it owned */
    CHECK_INT(stored_ask(control, MBR__XS_READ, 0, &reply, "/local/domain/7/mine", NULL), -ENOENT);
}

/* A domain that INTRODUCE has made known stays until RELEASE. */
static void test_introduced_before(void **state)
{
    struct stored_reply reply;
    int fd;

    CHECK_INT(stored_ask(control, MBR__XS_INTRODUCE, 0, &reply, "8", "1", "2", NULL), 0);
    CHECK_INT(stored_control_fds(control, "connect", 8, &fd, 1), 0);
    (void)close(fd);
    CHECK_INT(stored_control_fds(control, "connect", 8, &fd, 1), 0);
    expect_introduced("8", "T");
    CHECK_INT(stored_ask(control, MBR__XS_RELEASE, 0, &reply, "8", NULL), 0);
    expect_introduced("8", "F");
    CHECK(!stored_next(fd, &reply)); /* its connection is closed */
    (void)close(fd);
}

/* What domain 0 has switched off for a domain is told by its page, and does not keep it alive. */
static void test_features(void **state)
{
    struct stored_ring ring;
    struct stored_reply reply;
    int fd;

    CHECK_INT(stored_ask(control, MBR__XS_SET_FEATURE, 0, &reply, "11", "2", NULL), 0);
    CHECK_INT(stored_control_fds(control, "connect", 11, &fd, 1), 0);
    expect_introduced("11", "T");
    stored_ring_open(control, 11, &ring);
    CHECK_INT(mbr_load_relaxed(&ring.page.shm->features), MBR__XS_FEATURE_ERROR);
    stored_ring_close(&ring);
    (void)close(fd);

    CHECK_INT(stored_ask(control, MBR__XS_SET_FEATURE, 0, &reply, "12", "0", NULL), 0);
    CHECK_INT(stored_control_fds(control, "connect", 12, &fd, 1), 0);
    CHECK_INT(stored_ask(fd, MBR__XS_WATCH, 0, &reply, "x", "t", "0", NULL), -EINVAL);
    (void)close(fd);
    await_release("12");
}

static void test_wrong_numbers(void **state)
{
    struct stored_reply reply;
    int fds[3];

    CHECK_INT(stored_control_fds(control, "connect", 0, fds, 1), -EINVAL);
    CHECK_INT(stored_control_fds(control, "connect", 0x7ff0, fds, 1), -EINVAL);
    CHECK_INT(stored_control_fds(control, "ring", 0, fds, 3), -EINVAL);
    CHECK_INT(stored_ask(control, MBR__XS_CONTROL, 0, &reply, "connect", NULL), -EINVAL);
    CHECK_INT(stored_ask(control, MBR__XS_CONTROL, 0, &reply, "connect", "x", NULL), -EINVAL);
}

/* Descriptors come with their reply also when it is not the first in the row. */
static void test_descriptors_in_a_row(void **state)
{
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;
    int guest;

    stored_send(fd, MBR__XS_DIRECTORY, 1, 0, "/", 2);
    stored_send(fd, MBR__XS_DIRECTORY, 2, 0, "/", 2);
    stored_send(fd, MBR__XS_CONTROL, 3, 0, "connect\0009", 10);
    stored_send(fd, MBR__XS_DIRECTORY, 4, 0, "/", 2);
    stored_reply(fd, &reply);
    CHECK_INT(reply.header.req_id, 1);
    stored_reply(fd, &reply);
    CHECK_INT(reply.header.req_id, 2);
    /* Reads the reply to 3, which has the descriptor, and sends one request more. */
    {
        struct stored_reply behind;

        CHECK_INT(stored_control_fds(fd, "connect", 9, &guest, 1), 0);
        stored_reply(fd, &behind);
        CHECK_INT(behind.header.req_id, 4);
        stored_reply(fd, &behind);
        CHECK_INT(behind.header.req_id, 99);
    }
    (void)close(guest);
    (void)close(fd);
}

/* ---- the shared page ---- */

static int ring_call(struct stored_ring *ring, uint32_t type, const void *payload, size_t length,
                     struct stored_reply *reply)
{
    stored_ring_send(ring, type, 0, payload, length);
    do
        stored_ring_next(ring, reply);
    while (reply->header.type == MBR__XS_WATCH_EVENT);
    if (reply->header.type != MBR__XS_ERROR)
        return 0;
    return mbr__store_error_number(reply->payload, reply->header.len - 1);
}

static void test_ring(void **state)
{
    struct stored_ring ring;
    struct stored_reply reply;
    static char large[MBR__STORE_PAYLOAD_MAX];

    stored_ring_open(control, 21, &ring);
    make_home(21);
    CHECK_INT(mbr_load_relaxed(&ring.page.shm->features) & MBR__XS_FEATURE_RECONNECTION, 1);
    CHECK_INT(ring_call(&ring, MBR__XS_WRITE, "a\0value", 7, &reply), 0);
    stored_expect(control, "/local/domain/21/a", "value");
    CHECK_INT(ring_call(&ring, MBR__XS_READ, "a", 2, &reply), 0);
    CHECK(strcmp(reply.payload, "value") == 0);
    CHECK_INT(ring_call(&ring, MBR__XS_WRITE, "/a\0value", 8, &reply), -EACCES);
    CHECK_INT(ring_call(&ring, MBR__XS_CONTROL, "check", 6, &reply), -EACCES);

    /* Four times as large as the ring, both ways (domain 0 gives it, who has no quota). */
    memset(large, 'l', sizeof(large));
    memcpy(large, "/local/domain/21/large", 23);
    stored_call(control, MBR__XS_WRITE, 0, large, sizeof(large), &reply);
    CHECK_INT(reply.header.type, MBR__XS_WRITE);
    {
        const char *perms = "/local/domain/21/large\0n21";

        stored_call(control, MBR__XS_SET_PERMS, 0, perms, 27, &reply);
    }
    CHECK_INT(ring_call(&ring, MBR__XS_READ, "large", 6, &reply), 0);
    CHECK_INT(reply.header.len, sizeof(large) - 23);
    CHECK(reply.payload[0] == 'l' && reply.payload[reply.header.len - 1] == 'l');
    memcpy(large, "large\0", 6);
    CHECK_INT(ring_call(&ring, MBR__XS_WRITE, large, sizeof(large), &reply), -ENOSPC);
    CHECK_INT(ring_call(&ring, MBR__XS_READ, "a", 2, &reply), 0);
    stored_ring_close(&ring);
}

/* A guest that knows nothing of the second page. */
static void test_plain_ring(void **state)
{
    struct stored_ring ring;
    struct stored_reply reply;

    stored_ring_open(control, 22, &ring);
    make_home(22);
    ring.plain = true;
    CHECK_INT(ring_call(&ring, MBR__XS_WRITE, "n\0000", 3, &reply), 0);
    for (int i = 0; i < 3000; i++)
        CHECK_INT(ring_call(&ring, MBR__XS_READ, "n", 2, &reply), 0);
    stored_ring_close(&ring);
}

/* Long rows, with sleeps on both sides: no wake-up is lost. */
static void test_ring_rows(void **state)
{
    struct stored_ring ring;
    struct stored_reply reply;

    stored_ring_open(control, 23, &ring);
    make_home(23);
    CHECK_INT(ring_call(&ring, MBR__XS_WRITE, "n\0000", 3, &reply), 0);
    for (int row = 0; row < 500; row++) {
        int length = 1 + row % 20;

        for (int i = 0; i < length; i++)
            stored_ring_send(&ring, MBR__XS_READ, 0, "n", 2);
        for (int i = 0; i < length; i++) {
            stored_ring_next(&ring, &reply);
            CHECK_INT(reply.header.type, MBR__XS_READ);
        }
        if (row % 50 == 0)
            stored_expect(control, "/local/domain/23/n", "0"); /* meanwhile it falls asleep */
    }
    stored_ring_close(&ring);
}

static void test_ring_events(void **state)
{
    struct stored_ring ring;
    struct stored_reply reply;

    stored_ring_open(control, 24, &ring);
    make_home(24);
    stored_ring_send(&ring, MBR__XS_WATCH, 0, "w\0token", 8);
    stored_ring_next(&ring, &reply);
    CHECK_INT(reply.header.type, MBR__XS_WATCH);
    stored_ring_next(&ring, &reply);
    CHECK_INT(reply.header.type, MBR__XS_WATCH_EVENT);
    CHECK_INT(ring_call(&ring, MBR__XS_MKDIR, "w", 2, &reply), 0);
    for (int i = 0; i < 200; i++) {
        CHECK_INT(stored_write(control, 0, "/local/domain/24/w", "1"), 0);
        do
            stored_ring_next(&ring, &reply);
        while (reply.header.type != MBR__XS_WATCH_EVENT);
        CHECK(strcmp(reply.payload, "w") == 0);
    }
    stored_ring_close(&ring);
}

static void await_connection_word(struct stored_ring *ring)
{
    while (mbr_load_acquire(&ring->page.shm->connection) != MBR__STORE_RING_CONNECTED)
        stored_ring_wait(ring);
}

/* What Linux does when it comes back from a crash kernel: everything of before is gone, also the
 * half of a message. */
/* The client has the eventfd still when its domain is gone, and rings on. */
static void test_ringing_after_release(void **state)
{
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;
    const uint64_t one = 1;

    for (int i = 0; i < 20; i++) {
        struct stored_ring ring;

        stored_ring_open(fd, 40, &ring);
        CHECK_INT(stored_ask(fd, MBR__XS_RELEASE, 0, &reply, "40", NULL), 0);
        CHECK_INT(write(ring.to_server, &one, sizeof(one)), sizeof(one));
        CHECK_INT(stored_write(fd, 0, "/after", "release"), 0);
        CHECK_INT(write(ring.to_server, &one, sizeof(one)), sizeof(one));
        stored_expect(fd, "/after", "release");
        stored_ring_close(&ring);
    }
    (void)close(fd);
}

static void test_reconnect(void **state)
{
    struct stored_ring ring;
    struct stored_reply reply;
    unsigned char part[10] = {0};
    struct iovec iov = {part, sizeof(part)};

    stored_ring_open(control, 25, &ring);
    make_home(25);
    ring.plain = true;
    CHECK_INT(ring_call(&ring, MBR__XS_WATCH, "w\0token", 8, &reply), 0);
    CHECK_INT(ring_call(&ring, MBR__XS_MKDIR, "w", 2, &reply), 0);
    CHECK(mbr__store_ring_write(&ring.page, &iov, 1) == (ssize_t)sizeof(part));
    stored_ring_bell(&ring);
    for (int round = 0; round < 20; round++) {
        mbr_store_release(&ring.page.shm->connection, MBR__STORE_RING_RECONNECT);
        stored_ring_bell(&ring);
        await_connection_word(&ring);
        mbr__store_ring_init(&ring.page, ring.page.shm, false);
        CHECK_INT(ring.page.consumed, 0);
        CHECK_INT(ring_call(&ring, MBR__XS_WRITE, "n\0000", 3, &reply), 0);
    }
    /* The watch is gone: the next message is the answer and no event stands before it. */
    CHECK_INT(stored_write(control, 0, "/local/domain/25/w", "1"), 0);
    stored_ring_send(&ring, MBR__XS_READ, 0, "n", 2);
    stored_ring_next(&ring, &reply);
    CHECK_INT(reply.header.type, MBR__XS_READ);
    stored_ring_close(&ring);
}

static void await_error(struct stored_ring *ring, uint32_t error)
{
    while (mbr_load_acquire(&ring->page.shm->error) == MBR__STORE_RING_OK)
        stored_ring_wait(ring);
    CHECK_INT(mbr_load_acquire(&ring->page.shm->error), error);
}

static void test_hostile_indices(void **state)
{
    static const uint32_t jumps[] = {1025, 5000, 0x80000000u, UINT32_MAX};
    struct stored_reply reply;

    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        struct stored_ring ring;

        stored_ring_open(control, 26, &ring);
        ring.plain = true;
        mbr_store_release(&ring.page.shm->req_prod, jumps[i]);
        stored_ring_bell(&ring);
        await_error(&ring, MBR__STORE_RING_ERROR_INDEX);
        /* The domain stays known, its page is ignored, everybody else is served; INTRODUCE again
         * binds it anew. */
        expect_introduced("26", "T");
        CHECK_INT(stored_write(control, 0, "/others", "served"), 0);
        CHECK_INT(stored_ask(control, MBR__XS_INTRODUCE, 0, &reply, "26", "1", "1", NULL), 0);
        CHECK_INT(mbr_load_acquire(&ring.page.shm->error), MBR__STORE_RING_OK);
        mbr__store_ring_init(&ring.page, ring.page.shm, false);
        CHECK_INT(ring_call(&ring, MBR__XS_GET_DOMAIN_PATH, "26", 3, &reply), 0);
        CHECK_INT(stored_ask(control, MBR__XS_RELEASE, 0, &reply, "26", NULL), 0);
        stored_ring_close(&ring);
    }
}

static void test_too_long_on_a_ring(void **state)
{
    struct mbr__store_header header = {.type = MBR__XS_WRITE, .len = 4097};
    unsigned char head[MBR__STORE_HEADER_SIZE];
    struct iovec iov = {head, sizeof(head)};
    struct stored_ring ring;

    stored_ring_open(control, 27, &ring);
    ring.plain = true;
    mbr__store_header_pack(head, &header);
    CHECK(mbr__store_ring_write(&ring.page, &iov, 1) == (ssize_t)sizeof(head));
    stored_ring_bell(&ring);
    await_error(&ring, MBR__STORE_RING_ERROR_PROTOCOL);
    CHECK_INT(stored_write(control, 0, "/others", "served"), 0);
    stored_ring_close(&ring);
}

/* Random values over every word of the page, for a while. */
static void test_scribbling(void **state)
{
    struct stored_ring ring;
    uint64_t random = stage_seed();

    stored_ring_open(control, 28, &ring);
    for (int i = 0; i < 20000; i++) {
        volatile uint32_t *words = (volatile uint32_t *)ring.page.shm;
        uint64_t where = stage_below(&random, 4);

        if (where == 0)
            words[stage_below(&random, 2048)] = (uint32_t)stage_random(&random);
        else
            words[512 + stage_below(&random, 8)] = (uint32_t)stage_below(&random, 3000);
        if (where == 3) {
            const uint64_t one = 1;

            CHECK(write(ring.to_server, &one, sizeof(one)) == (ssize_t)sizeof(one));
        }
        if (i % 1000 == 0)
            CHECK_INT(stored_write(control, 0, "/others", "served"), 0);
    }
    stored_ring_close(&ring);
}

/* The memory cannot be taken away from under the daemon. */
static void test_sealed(void **state)
{
    int fds[3];

    CHECK_INT(stored_control_fds(control, "ring", 29, fds, 3), 0);
    CHECK_INT(ftruncate(fds[0], 0), -1);
    CHECK_INT(errno, EPERM);
    CHECK(ftruncate(fds[0], 1 << 20) == -1);
    for (int i = 0; i < 3; i++)
        (void)close(fds[i]);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_socket),
        cmocka_unit_test(test_introduced_before),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_wrong_numbers),
        cmocka_unit_test(test_descriptors_in_a_row),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_plain_ring),
        cmocka_unit_test(test_ring_rows),
        cmocka_unit_test(test_ring_events),
        cmocka_unit_test(test_ringing_after_release),
        cmocka_unit_test(test_reconnect),
        cmocka_unit_test(test_hostile_indices),
        cmocka_unit_test(test_too_long_on_a_ring),
        cmocka_unit_test(test_scribbling),
        cmocka_unit_test(test_sealed),
    };
    int rc;

    stored_need();
    stored_start(&daemon_, NULL, NULL);
    control = stored_connect(daemon_.path);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    stored_stop(&daemon_);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
