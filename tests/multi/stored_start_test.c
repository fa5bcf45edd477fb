/* SPDX-License-Identifier: MIT */
/*
 * How membraned starts: the socket's place, stale and living predecessors, a socket passed by a
 * service manager, notices to it, privileges given up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stored.h"

static char place[400];

static const char *in_stage(const char *name)
{
    (void)snprintf(place, sizeof(place), "%.80s/%s", stage_dir(), name);
    return place;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_INT(listen(fd, 5), 0);
    return fd;
}

/* A killed daemon leaves socket and lock file; the next one replaces them. */
static void test_stale(void **state)
{
    struct stored daemon;
    struct stat st;

    for (int i = 0; i < 5; i++) {
        stored_start(&daemon, in_stage("stale"), NULL);
        CHECK_INT(stat(place, &st), 0);
        CHECK(S_ISSOCK(st.st_mode));
        CHECK_INT(st.st_mode & 0777, 0666);
        stored_kill(&daemon);
        CHECK_INT(access(place, F_OK), 0);
    }
    stored_start(&daemon, in_stage("stale"), NULL);
    stored_stop(&daemon);
    CHECK_INT(access(place, F_OK), -1);
}

/* A living one is left alone, also one that is stopped. */
static void test_living(void **state)
{
    struct stored daemon;
    int fd;

    stored_start(&daemon, in_stage("living"), NULL);
    stored_refuses(1, place, NULL);
    CHECK_INT(kill(daemon.pid, SIGSTOP), 0);
    stored_refuses(1, place, NULL);
    CHECK_INT(kill(daemon.pid, SIGCONT), 0);
    fd = stored_try_connect(place);
    CHECK(fd >= 0);
    (void)close(fd);
    stored_stop(&daemon);
}

/* Neither another program's socket nor a file is removed. */
static void test_in_the_way(void **state)
{
    int fd = listen_at(in_stage("foreign"));
    struct stat st;

    stored_refuses(1, place, NULL);
    (void)close(fd);
    CHECK_INT(unlink(place), 0);
    fd = open(in_stage("file"), O_CREAT | O_WRONLY, 0600);
    (void)close(fd);
    stored_refuses(1, place, NULL);
    CHECK_INT(stat(place, &st), 0);
    CHECK(S_ISREG(st.st_mode));
}

static void start_one(struct stage_actor *parent, void *argument)
{
    struct stored daemon;
    int status;
    pid_t pid;

    (void)stage_hear(parent);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char binary[512];

        (void)snprintf(binary, sizeof(binary), "%s/membraned", getenv("MEMBRANE_BIN_DIR"));
        (void)execl(binary, binary, "--socket", (const char *)argument, (char *)NULL);
        _exit(127);
    }
    daemon.pid = pid;
    stage_say(parent, (uint64_t)pid);
    CHECK(waitpid(daemon.pid, &status, 0) == pid);
    stage_say(parent, WIFEXITED(status) ? (uint64_t)WEXITSTATUS(status) : 99);
}

/* Several at once over a dead one's socket: one serves, the others say so. */
static void test_race(void **state)
{
    enum { RACERS = 4 };
    struct stage_actor racers[RACERS];
    uint64_t pids[RACERS];
    struct stored dead;
    int losers = 0;
    int fd;

    stored_start(&dead, in_stage("race"), NULL);
    stored_kill(&dead);
    for (int i = 0; i < RACERS; i++)
        stage_spawn(&racers[i], start_one, place);
    for (int i = 0; i < RACERS; i++)
        stage_say(&racers[i], 1);
    for (int i = 0; i < RACERS; i++)
        pids[i] = stage_hear(&racers[i]);
    do
        fd = stored_try_connect(place);
    while (fd < 0);
    (void)close(fd);
    while (losers < RACERS - 1) {
        for (int i = 0; i < RACERS; i++) {
            if (pids[i] != 0 && stage_peek(&racers[i])) {
                CHECK_INT(stage_hear(&racers[i]), 1);
                pids[i] = 0;
                losers++;
            }
        }
    }
    for (int i = 0; i < RACERS; i++) {
        if (pids[i] != 0) {
            CHECK_INT(kill((pid_t)pids[i], SIGTERM), 0);
            CHECK_INT(stage_hear(&racers[i]), 0);
        }
        stage_join_ok(&racers[i]);
    }
}

/* ---- the service manager's protocols ---- */

struct manager {
    int listener;
    int notices;
    char notify_path[100];
};

static void start_managed(struct manager *manager, struct stored *daemon)
{
    char pid[16];
    char binary[512];

    (void)snprintf(binary, sizeof(binary), "%s/membraned", getenv("MEMBRANE_BIN_DIR"));
    daemon->pid = fork();
    CHECK(daemon->pid >= 0);
    if (daemon->pid != 0)
        return;
    (void)dup2(manager->listener, 3);
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    (void)setenv("LISTEN_PID", pid, 1);
    (void)setenv("LISTEN_FDS", "1", 1);
    (void)setenv("NOTIFY_SOCKET", manager->notify_path, 1);
    (void)setenv("WATCHDOG_USEC", "100000", 1);
    (void)execl(binary, binary, (char *)NULL);
    _exit(127);
}

static void expect_notice(const struct manager *manager, const char *wanted)
{
    char text[256];
    ssize_t n;

    do {
        n = recv(manager->notices, text, sizeof(text) - 1, 0);
        CHECK(n > 0);
        text[n] = '\0';
    } while (strncmp(text, wanted, strlen(wanted)) != 0);
}

static void test_managed(void **state)
{
    struct manager manager;
    struct stored daemon;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    manager.listener = listen_at(in_stage("passed"));
    (void)snprintf(daemon.path, sizeof(daemon.path), "%s", place);
    (void)snprintf(manager.notify_path, sizeof(manager.notify_path), "%.80s/notify", stage_dir());
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", manager.notify_path);
    manager.notices = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_INT(bind(manager.notices, (struct sockaddr *)&address, sizeof(address)), 0);

    /* Who connects before it runs is served when it does. */
    fd = stored_connect(daemon.path);
    CHECK(fd >= 0);
    start_managed(&manager, &daemon);
    expect_notice(&manager, "READY=1");
    CHECK_INT(stored_write(fd, 0, "/passed", "yes"), 0);
    expect_notice(&manager, "WATCHDOG=1");
    expect_notice(&manager, "WATCHDOG=1");
    CHECK_INT(kill(daemon.pid, SIGTERM), 0);
    expect_notice(&manager, "STOPPING=1");
    CHECK(waitpid(daemon.pid, NULL, 0) == daemon.pid);
    CHECK_INT(access(daemon.path, F_OK), 0); /* the manager's socket is not ours to remove */
    (void)close(fd);
    (void)close(manager.notices);
    (void)close(manager.listener);
}

/* A passed descriptor that is no listening unix socket is an error of the unit. */
static void test_wrong_socket_passed(void **state)
{
    struct manager manager = {.notify_path = "/nonexistent"};
    struct stored daemon;
    int status;

    manager.listener = socket(AF_UNIX, SOCK_DGRAM, 0);
    start_managed(&manager, &daemon);
    CHECK(waitpid(daemon.pid, &status, 0) == daemon.pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 2);
    (void)close(manager.listener);
}

/* Two sockets are one too many: whose clients would it be for? */
static void test_two_sockets_passed(void **state)
{
    struct manager manager = {.notify_path = "/nonexistent"};
    char binary[512];
    char pid[16];
    int status;
    pid_t child;

    manager.listener = listen_at(in_stage("two"));
    (void)snprintf(binary, sizeof(binary), "%s/membraned", getenv("MEMBRANE_BIN_DIR"));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)dup2(manager.listener, 3);
        (void)dup2(manager.listener, 4);
        (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
        (void)setenv("LISTEN_PID", pid, 1);
        (void)setenv("LISTEN_FDS", "2", 1);
        (void)execl(binary, binary, (char *)NULL);
        _exit(127);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 2);
    (void)close(manager.listener);
}

/* What a manager has told another process, from which it was inherited, is not meant for it; where
 * to give notice is. The name of that socket may be an abstract one. */
static void test_told_to_another(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char own[400], binary[512], pid[16], text[256], notify[64];
    int notices = socket(AF_UNIX, SOCK_DGRAM, 0);
    int listener = listen_at(in_stage("of another"));
    bool stopping = false;
    pid_t child;
    int fd;

    (void)snprintf(own, sizeof(own), "%s", in_stage("own"));
    (void)snprintf(binary, sizeof(binary), "%s/membraned", getenv("MEMBRANE_BIN_DIR"));
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    (void)snprintf(notify, sizeof(notify), "@membrane-test-%d", (int)getpid());
    memcpy(address.sun_path, notify, strlen(notify));
    address.sun_path[0] = '\0';
    CHECK_INT(bind(notices, (struct sockaddr *)&address,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(notify))),
              0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)dup2(listener, 3);
        (void)setenv("LISTEN_PID", pid, 1);
        (void)setenv("LISTEN_FDS", "1", 1);
        (void)setenv("WATCHDOG_PID", pid, 1);
        (void)setenv("WATCHDOG_USEC", "1000", 1);
        (void)setenv("NOTIFY_SOCKET", notify, 1);
        (void)execl(binary, binary, "--socket", own, (char *)NULL);
        _exit(127);
    }
    CHECK(recv(notices, text, sizeof(text), 0) >= 7 && strncmp(text, "READY=1", 7) == 0);
    fd = stored_connect(own);
    for (int i = 0; i < 100; i++) /* long enough for a watchdog of a millisecond */
        CHECK_INT(stored_write(fd, 0, "/served", "yes"), 0);
    CHECK_INT(kill(child, SIGTERM), 0);
    while (!stopping) {
        ssize_t n = recv(notices, text, sizeof(text) - 1, 0);

        CHECK(n > 0);
        text[n] = '\0';
        CHECK(strstr(text, "WATCHDOG") == NULL);
        stopping = strncmp(text, "STOPPING=1", 10) == 0;
    }
    CHECK(waitpid(child, NULL, 0) == child);
    (void)close(fd);
    (void)close(notices);
    (void)close(listener);
}

/* ---- privileges ---- */

static bool status_has(pid_t pid, const char *wanted)
{
    char path[64];
    char line[256];
    bool found = false;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    CHECK(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL)
        found = found || strcmp(line, wanted) == 0;
    (void)fclose(file);
    return found;
}

static void test_sandbox(void **state)
{
    struct stored daemon;

    if (stage_sanitized())
        return; /* sanitizers need what the sandbox takes away */
    stored_start(&daemon, in_stage("sandbox"), NULL);
    CHECK(status_has(daemon.pid, "NoNewPrivs:\t1\n"));
    CHECK(status_has(daemon.pid, "Seccomp:\t2\n"));
    stored_stop(&daemon);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_living),
        cmocka_unit_test(test_in_the_way),
        cmocka_unit_test(test_race),
        cmocka_unit_test(test_managed),
        cmocka_unit_test(test_wrong_socket_passed),
        cmocka_unit_test(test_two_sockets_passed),
        cmocka_unit_test(test_told_to_another),
        cmocka_unit_test(test_sandbox),
    };

    stored_need();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
