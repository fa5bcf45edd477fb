/* SPDX-License-Identifier: MIT */
/*
 * The conformance cases of the store's protocol, through membraned: over sockets, and with the
 * guests on shared pages (argument "ring"). A daemon of its own for each case.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../store/cases.h"
#include "stored.h"

struct world {
    struct stored daemon;
    bool rings;
    int control;
    int fds[128]; /* by name; 0: not open */
    struct stored_ring ring[128];
    bool has_ring[128];
};

static bool privileged(char who)
{
    return store_case_domid(who) == 0;
}

static void open_connection(struct world *world, char who)
{
    if (world->fds[(int)who] != 0 || world->has_ring[(int)who])
        return;
    if (privileged(who)) {
        world->fds[(int)who] = stored_connect(world->daemon.path);
        CHECK(world->fds[(int)who] > 0);
    } else if (world->rings) {
        stored_ring_open(world->control, store_case_domid(who), &world->ring[(int)who]);
        world->has_ring[(int)who] = true;
    } else {
        CHECK_INT(stored_control_fds(world->control, "connect", store_case_domid(who),
                                     &world->fds[(int)who], 1),
                  0);
    }
}

static int port_send(void *user, char who, const struct mbr__store_header *header,
                     const void *payload)
{
    unsigned char message[MBR__STORE_HEADER_SIZE + MBR__STORE_PAYLOAD_MAX];
    struct world *world = user;
    size_t length = MBR__STORE_HEADER_SIZE + header->len;

    open_connection(world, who);
    mbr__store_header_pack(message, header);
    if (header->len != 0)
        memcpy(message + MBR__STORE_HEADER_SIZE, payload, header->len);
    if (world->has_ring[(int)who]) {
        stored_ring_push(&world->ring[(int)who], message, length);
        return 0;
    }
    return send(world->fds[(int)who], message, length, MSG_NOSIGNAL) == (ssize_t)length ? 0
                                                                                        : -EPIPE;
}

static int port_receive(void *user, char who, struct mbr__store_header *header,
                        char payload[MBR__STORE_PAYLOAD_MAX])
{
    struct world *world = user;
    struct stored_reply reply;

    open_connection(world, who);
    if (world->has_ring[(int)who])
        stored_ring_next(&world->ring[(int)who], &reply);
    else if (!stored_next(world->fds[(int)who], &reply))
        return -EPIPE;
    *header = reply.header;
    memcpy(payload, reply.payload, reply.header.len);
    return 0;
}

static void introduce(const struct world *world, const char *domid)
{
    struct stored_reply reply;

    CHECK_INT(stored_ask(world->control, MBR__XS_INTRODUCE, 0, &reply, domid, "1", "1", NULL), 0);
}

static bool run_case(const struct store_case *c, bool rings)
{
    static struct world world;
    struct store_port port = {&world, port_send, port_receive};
    char error[512];
    bool good;

    memset(&world, 0, sizeof(world));
    world.rings = rings;
    stored_start(&world.daemon, NULL, NULL);
    world.control = stored_connect(world.daemon.path);
    introduce(&world, "1");
    introduce(&world, "2");
    good = store_case_run(&port, c, error, sizeof(error));
    if (!good)
        fprintf(stderr, "%s: %s\n", c->name, error);
    for (int i = 0; i < 128; i++) {
        if (world.fds[i] > 0)
            (void)close(world.fds[i]);
        if (world.has_ring[i])
            stored_ring_close(&world.ring[i]);
    }
    (void)close(world.control);
    stored_stop(&world.daemon); /* also that it has not fallen over something */
    return good;
}

/* Events that wait in the engine become one. Here they are on their way at once. */
static bool needs_a_full_queue(const struct store_case *c)
{
    return strcmp(c->name, "equal events are told once") == 0;
}

static int run(int argc, char **argv)
{
    bool rings = argc > 1 && strcmp(argv[1], "ring") == 0;
    unsigned failed = 0;

    stored_need();
    for (size_t i = 0; i < store_case_count; i++) {
        if (!needs_a_full_queue(&store_cases[i]))
            failed += !run_case(&store_cases[i], rings);
    }
    printf("%zu cases, %u failed\n", store_case_count, failed);
    return failed != 0;
}

int main(int argc, char **argv)
{
    return stage_main(80, argc, argv, run);
}
