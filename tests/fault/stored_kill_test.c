/* SPDX-License-Identifier: MIT */
/*
 * membraned --state, killed at random moments under load: what was acknowledged is there
 * afterwards, and of a transaction all or nothing. The number of kills is the argument.
 *
 * Each client owns a directory and writes one sequence: in round N it sets the five counters
 * "0".."4" to N in one transaction and then writes N to the node "single". The last round of which
 * the commit, or the write, was acknowledged is a lower bound for what must be found, and one more
 * an upper bound. Also removals: node "gone" is made and removed in every other round.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../multi/stored.h"

#define CLIENTS  4
#define COUNTERS 5

/* What clients have been told, in memory that outlives them. */
struct told {
    uint64_t committed; /* the last round whose commit was acknowledged */
    uint64_t single;
    uint64_t removed; /* the last round whose removal of "gone" was acknowledged */
    uint64_t made;    /* the last round in which "gone" was begun to be made */
};

static struct told *told;
static struct stored daemon_;

/* As stored_reply(), but the stream may end: false. */
static bool answered(int fd, struct stored_reply *reply)
{
    do {
        if (!stored_next(fd, reply))
            return false;
    } while (reply->header.type == MBR__XS_WATCH_EVENT);
    CHECK(reply->header.type != MBR__XS_ERROR);
    return true;
}

static bool request(int fd, uint32_t type, uint32_t tx, const void *payload, size_t length,
                    struct stored_reply *reply)
{
    struct mbr__store_header header = {.type = type, .tx_id = tx, .len = (uint32_t)length};
    unsigned char message[256];

    CHECK(length <= sizeof(message) - MBR__STORE_HEADER_SIZE);
    mbr__store_header_pack(message, &header);
    memcpy(message + MBR__STORE_HEADER_SIZE, payload, length);
    if (send(fd, message, MBR__STORE_HEADER_SIZE + length, MSG_NOSIGNAL) < 0)
        return false;
    return answered(fd, reply);
}

static bool write_node(int fd, uint32_t tx, unsigned client, const char *name, uint64_t value)
{
    char payload[128];
    struct stored_reply reply;
    int length = snprintf(payload, sizeof(payload), "/c%u/%s%c%llu", client, name, 0,
                          (unsigned long long)value);

    return request(fd, MBR__XS_WRITE, tx, payload, (size_t)length, &reply);
}

static bool commit_round(int fd, unsigned client, uint64_t round)
{
    struct stored_reply reply;
    uint32_t tx;

    if (!request(fd, MBR__XS_TRANSACTION_START, 0, "", 1, &reply))
        return false;
    tx = (uint32_t)strtoul(reply.payload, NULL, 10);
    for (unsigned i = 0; i < COUNTERS; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "%u", i);
        if (!write_node(fd, tx, client, name, round))
            return false;
    }
    return request(fd, MBR__XS_TRANSACTION_END, tx, "T", 2, &reply);
}

static bool remove_gone(int fd, unsigned client)
{
    char payload[64];
    struct stored_reply reply;
    int length = snprintf(payload, sizeof(payload), "/c%u/gone", client);

    return request(fd, MBR__XS_RM, 0, payload, (size_t)length + 1, &reply);
}

static bool play(int fd, unsigned client, uint64_t round)
{
    if (!commit_round(fd, client, round))
        return false;
    told[client].committed = round;
    if (!write_node(fd, 0, client, "single", round))
        return false;
    told[client].single = round;
    told[client].made = round;
    if (!write_node(fd, 0, client, "gone/below", round) || !remove_gone(fd, client))
        return false;
    told[client].removed = round;
    return true;
}

static void client_role(struct stage_actor *parent, void *argument)
{
    unsigned client = (unsigned)(uintptr_t)argument;
    uint64_t round = told[client].committed + 2;
    int fd = stored_connect(daemon_.path);

    CHECK(fd >= 0);
    stage_say(parent, 1);
    while (play(fd, client, round))
        round++;
}

/* The number in a node; 0 if there is none. */
static uint64_t number_at(int fd, unsigned client, const char *name)
{
    char path[64];
    char value[32] = "0";
    int rc;

    (void)snprintf(path, sizeof(path), "/c%u/%s", client, name);
    rc = stored_read(fd, 0, path, value, sizeof(value));
    CHECK(rc == 0 || rc == -ENOENT);
    return strtoull(value, NULL, 10);
}

/* A client's directory is there before it starts: making it would touch what all share. */
static void make_directory(int fd, unsigned client)
{
    struct stored_reply reply;
    char path[32];

    (void)snprintf(path, sizeof(path), "/c%u", client);
    CHECK_INT(stored_ask(fd, MBR__XS_MKDIR, 0, &reply, path, NULL), 0);
}

static void verify(int fd, unsigned client)
{
    struct told *t = &told[client];
    uint64_t first = number_at(fd, client, "0");
    uint64_t single = number_at(fd, client, "single");

    for (unsigned i = 1; i < COUNTERS; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "%u", i);
        CHECK_INT(number_at(fd, client, name), first); /* no half of a transaction */
    }
    CHECK(first >= t->committed);
    CHECK(single >= t->single && single <= first);
    if (t->removed == t->made) /* its removal was acknowledged, and nothing came after */
        CHECK_INT(number_at(fd, client, "gone/below"), 0);
    /* What is there now was never acknowledged to be more: it is the new lower bound. */
    t->committed = first;
    t->single = single;
    t->made = t->removed = first + 1;
    make_directory(fd, client);
    (void)remove_gone(fd, client);
}

static void one_kill(const char *const *arguments, uint64_t *random)
{
    struct stage_actor clients[CLIENTS];
    struct timespec span = {0, (long)stage_below(random, 30000000)};
    int fd;

    stored_start(&daemon_, NULL, arguments);
    fd = stored_connect(daemon_.path);
    for (unsigned i = 0; i < CLIENTS; i++)
        verify(fd, i);
    (void)close(fd);
    for (unsigned i = 0; i < CLIENTS; i++)
        stage_spawn(&clients[i], client_role, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < CLIENTS; i++)
        CHECK_INT(stage_hear(&clients[i]), 1);
    (void)nanosleep(&span, NULL); /* the random moment, not a synchronisation */
    stored_kill(&daemon_);
    for (unsigned i = 0; i < CLIENTS; i++)
        stage_join_ok(&clients[i]);
}

static int run(int argc, char **argv)
{
    unsigned long kills = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
    uint64_t random = stage_seed();
    char dir[600];
    const char *arguments[] = {"--state", dir, NULL};

    stored_need();
    (void)snprintf(dir, sizeof(dir), "%s/state", stage_dir());
    told = mmap(NULL, sizeof(*told) * CLIENTS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    CHECK(told != MAP_FAILED);
    for (unsigned long i = 0; i < kills; i++)
        one_kill(arguments, &random);
    printf("%lu kills", kills);
    for (unsigned i = 0; i < CLIENTS; i++)
        printf(", %llu rounds", (unsigned long long)told[i].committed);
    printf("\n");
    return 0;
}

int main(int argc, char **argv)
{
    return stage_main(argc > 1 ? 1200 : 100, argc, argv, run);
}
