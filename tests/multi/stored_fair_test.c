/* SPDX-License-Identifier: MIT */
/*
 * What a flooding client takes from a quiet one, counted in requests and not in time. The daemon is
 * stopped by a signal; the flooders fill their sockets to the brim, and only then the quiet one
 * asks. When the daemon goes on, the answer says how many requests were carried out before: at most
 * what it takes from each flooder in a turn, twice, of all that waits there.
 *
 * Not here: that answers are bounded and nothing is lost (stored_stream_test.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../daemon/server.h"
#include "stored.h"

#define FLOODERS 4
#define ROUNDS   20
#define MESSAGE  (MBR__STORE_HEADER_SIZE + 7)
#define ROW      200 /* messages in one piece */

/* Requests that one turn may carry out for one flooder, a part of a message standing before. */
#define TURN (SERVER_BUDGET / MESSAGE + 1)

static struct stored daemon_;

static void stop_daemon(void)
{
    int status;

    CHECK_INT(kill(daemon_.pid, SIGSTOP), 0);
    CHECK(waitpid(daemon_.pid, &status, WUNTRACED) == daemon_.pid);
    CHECK(WIFSTOPPED(status));
}

/* Sends until the socket takes no more; how many requests those were. */
static uint32_t fill_up(int fd)
{
    unsigned char row[MESSAGE * ROW];
    uint32_t sent = 0;

    for (size_t i = 0; i < ROW; i++) {
        const struct mbr__store_header header = {.type = MBR__XS_READ, .len = 7};

        mbr__store_header_pack(row + i * MESSAGE, &header);
        memcpy(row + i * MESSAGE + MBR__STORE_HEADER_SIZE, "/there", 7);
    }
    for (;;) {
        ssize_t n = send(fd, row, sizeof(row), MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            return sent;
        CHECK(n > 0);
        for (size_t rest = (size_t)n; rest < sizeof(row); rest += (size_t)n) {
            n = send(fd, row + rest, sizeof(row) - rest, MSG_NOSIGNAL);
            CHECK(n > 0);
        }
        sent += ROW;
    }
}

static void ask_for_count(int fd)
{
    stored_send(fd, MBR__XS_CONTROL, 1, 0, "stats", 6);
}

/* Requests that the daemon has carried out before this one. */
static unsigned long hear_count(int fd)
{
    struct stored_reply reply;
    const char *line;

    stored_reply(fd, &reply);
    CHECK_INT(reply.header.type, MBR__XS_CONTROL);
    line = strstr(reply.payload, "requests");
    CHECK(line != NULL);
    return strtoul(line + strlen("requests"), NULL, 10);
}

static void read_all(int fd, uint32_t count)
{
    struct stored_reply reply;

    for (uint32_t i = 0; i < count; i++) {
        stored_reply(fd, &reply);
        CHECK(strcmp(reply.payload, "x") == 0);
    }
}

/* One round; how many of the flooders' requests came first. */
static unsigned long round_of(int quiet, const int flooders[], int count)
{
    uint32_t sent[FLOODERS];
    unsigned long before, after;
    uint64_t all = 0;

    ask_for_count(quiet);
    before = hear_count(quiet);
    stop_daemon();
    for (int i = 0; i < count; i++) {
        sent[i] = fill_up(flooders[i]);
        all += sent[i];
    }
    ask_for_count(quiet);
    CHECK_INT(kill(daemon_.pid, SIGCONT), 0);
    after = hear_count(quiet);
    for (int i = 0; i < count; i++)
        read_all(flooders[i], sent[i]);
    CHECK(all > 4u * TURN * (unsigned)count); /* or it would show nothing */
    return after - before;
}

/* COUNT flooders, made before or after the quiet client. */
static void share(int count, bool quiet_is_first)
{
    int flooders[FLOODERS];
    int quiet = quiet_is_first ? stored_connect(daemon_.path) : -1;

    for (int i = 0; i < count; i++)
        flooders[i] = stored_connect(daemon_.path);
    if (quiet < 0)
        quiet = stored_connect(daemon_.path);
    CHECK_INT(stored_write(quiet, 0, "/there", "x"), 0);
    for (int i = 0; i < ROUNDS; i++) {
        unsigned long others = round_of(quiet, flooders, count);

        if (others > 2u * TURN * (unsigned)count + 1)
            fail_msg("%lu requests of %d flooders came first", others, count);
    }
    for (int i = 0; i < count; i++)
        (void)close(flooders[i]);
    (void)close(quiet);
}

static void one_flooder(void **state)
{
    share(1, true);
    share(1, false);
}

static void several_flooders(void **state)
{
    share(FLOODERS, true);
    share(FLOODERS, false);
}

/* A guest that does not read its answers is stopped by its quota long before. */
static void a_flooding_guest(void **state)
{
    int quiet = stored_connect(daemon_.path);
    int guest[1];
    uint32_t sent;
    unsigned long before;

    CHECK_INT(stored_write(quiet, 0, "/there", "x"), 0);
    CHECK_INT(
        stored_ask(quiet, MBR__XS_SET_PERMS, 0, &(struct stored_reply){0}, "/there", "r0", NULL),
        0);
    CHECK_INT(stored_control_fds(quiet, "connect", 7, guest, 1), 0);
    ask_for_count(quiet);
    before = hear_count(quiet);
    stop_daemon();
    sent = fill_up(guest[0]);
    CHECK(sent > TURN);
    ask_for_count(quiet);
    CHECK_INT(kill(daemon_.pid, SIGCONT), 0);
    CHECK(hear_count(quiet) - before <= 2u * TURN + 1);
    read_all(guest[0], sent);
    (void)close(guest[0]);
    (void)close(quiet);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_flooder),
        cmocka_unit_test(several_flooders),
        cmocka_unit_test(a_flooding_guest),
    };

    stored_need();
    stored_start(&daemon_, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
