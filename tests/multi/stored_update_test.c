/* SPDX-License-Identifier: MIT */
/*
 * Live update: connections, watches, transactions, requests under way, shared pages, users and the
 * state on disk are kept; a binary that cannot take over is refused and nothing has happened; under
 * load no reply is lost, doubled or out of order. Nor is one when somebody stops the daemon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stored.h"

/* ThreadSanitizer keeps signals back while a program waits in the C library, so none of its
 * programs can be interrupted in the middle of its start. */
#if defined(__SANITIZE_THREAD__)
#define SIGNALS_WAIT 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SIGNALS_WAIT 1
#endif
#endif
#ifndef SIGNALS_WAIT
#define SIGNALS_WAIT 0
#endif

static struct stored daemon_;

/* What CONTROL live-update answers. */
static void update_says(int fd, const char *wanted)
{
    struct stored_reply reply;

    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-s", NULL), 0);
    if (strncmp(reply.payload, wanted, strlen(wanted)) != 0)
        fprintf(stderr, "live-update: %s\n", reply.payload);
    CHECK(strncmp(reply.payload, wanted, strlen(wanted)) == 0);
}

static void next_event(int fd, const char *path)
{
    struct stored_reply reply;

    CHECK(stored_next(fd, &reply));
    CHECK_INT(reply.header.type, MBR__XS_WATCH_EVENT);
    CHECK(strcmp(reply.payload, path) == 0);
}

static void test_everything_is_kept(void **state)
{
    int control = stored_connect(daemon_.path);
    int watcher = stored_connect(daemon_.path);
    int writer = stored_connect(daemon_.path);
    int half = stored_connect(daemon_.path);
    struct stored_reply reply;
    struct stored_ring ring;
    unsigned char head[20] = {MBR__XS_READ, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, '/', 'a'};
    uint32_t tx;
    uint32_t doomed;

    CHECK_INT(stored_write(writer, 0, "/a", "1"), 0);
    CHECK_INT(stored_ask(watcher, MBR__XS_WATCH, 0, &reply, "/a", "t", NULL), 0);
    next_event(watcher, "/a");
    tx = stored_begin(writer);
    CHECK_INT(stored_write(writer, tx, "/b", "in"), 0);
    doomed = stored_begin(writer);
    {
        char value[16];

        CHECK_INT(stored_read(writer, doomed, "/a", value, sizeof(value)), 0);
    }
    stored_ring_open(control, 31, &ring);
    /* Half of a message: the other half comes after the update. */
    CHECK_INT(send(half, head, 18, 0), 18);

    for (int i = 0; i < 3; i++)
        update_says(control, "OK");

    CHECK_INT(send(half, "\0\0", 2, 0), 2);
    stored_reply(half, &reply);
    CHECK_INT(reply.header.req_id, 5);
    CHECK_INT(stored_write(writer, 0, "/a", "2"), 0);
    next_event(watcher, "/a");
    CHECK_INT(stored_end(writer, tx, true), 0);
    stored_expect(watcher, "/b", "in");
    CHECK_INT(stored_end(writer, doomed, true), -EAGAIN); /* what it has read was changed since */
    stored_ring_send(&ring, MBR__XS_GET_DOMAIN_PATH, 0, "31", 3);
    stored_ring_next(&ring, &reply);
    CHECK(strcmp(reply.payload, "/local/domain/31") == 0);
    stored_ring_close(&ring);
    (void)close(control);
    (void)close(watcher);
    (void)close(writer);
    (void)close(half);
}

/* How often the daemon's standard error has this text by now. */
static unsigned times_said(const struct stored *daemon, const char *text)
{
    char line[2048];
    unsigned count = 0;
    FILE *file = fopen(daemon->errors, "re");

    CHECK(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL)
        count += strstr(line, text) != NULL;
    (void)fclose(file);
    return count;
}

static void test_by_signal(void **state)
{
    int fd = stored_connect(daemon_.path);
    unsigned before;

    CHECK_INT(stored_write(fd, 0, "/signal", "kept"), 0);
    before = times_said(&daemon_, "updated: ");
    CHECK_INT(kill(daemon_.pid, SIGUSR2), 0);
    while (times_said(&daemon_, "updated: ") == before)
        stored_expect(fd, "/signal", "kept");
    stored_expect(fd, "/signal", "kept");
    (void)close(fd);
}

static void set_binary(int fd, const char *path, const char *wanted)
{
    struct stored_reply reply;

    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-f", path, NULL), 0);
    CHECK(strstr(reply.payload, wanted) != NULL);
}

/* A binary that ends at once, one that fails with a message, and none at all. */
static void test_bad_binaries(void **state)
{
    char script[600];
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;
    FILE *file;

    CHECK_INT(stored_write(fd, 0, "/bad", "kept"), 0);
    set_binary(fd, "/nonexistent/membraned", "no program");
    set_binary(fd, "/bin/false", "OK");
    update_says(fd, "/bin/false");
    set_binary(fd, "/bin/true", "OK"); /* content with everything, but no membraned */
    update_says(fd, "/bin/true: failed on trial");
    (void)snprintf(script, sizeof(script), "%s/script", stage_dir());
    file = fopen(script, "we");
    CHECK(file != NULL);
    (void)fputs("#!/bin/sh\necho 'I will not' >&2\nexit 1\n", file);
    (void)fclose(file);
    CHECK_INT(chmod(script, 0755), 0);
    set_binary(fd, script, "OK");
    update_says(fd, "I will not");
    CHECK(stored_said(&daemon_, "live update refused"));
    stored_expect(fd, "/bad", "kept");
    /* Forgotten, the old binary serves. */
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-a", NULL), 0);
    update_says(fd, "OK");
    stored_expect(fd, "/bad", "kept");
    (void)close(fd);
}

/* Arguments can be added, and wrong ones are refused by the trial. */
static void test_arguments(void **state)
{
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;

    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-c", "--wrong", NULL), 0);
    update_says(fd, "membraned: --wrong");
    CHECK_INT(
        stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-c", "--log-level info", NULL),
        0);
    update_says(fd, "OK");
    (void)close(fd);
}

/* One that can read the state and then cannot serve, since its log cannot be opened: the old one,
 * with its own arguments, takes the process over again. */
static void test_way_back(void **state)
{
    char config[600];
    char option[700];
    int fd = stored_connect(daemon_.path);
    int watcher = stored_connect(daemon_.path);
    struct stored_reply reply;
    uint32_t tx;
    FILE *file;

    CHECK_INT(stored_ask(watcher, MBR__XS_WATCH, 0, &reply, "/back", "t", NULL), 0);
    next_event(watcher, "/back");
    tx = stored_begin(fd);
    CHECK_INT(stored_write(fd, tx, "/back", "kept"), 0);
    (void)snprintf(config, sizeof(config), "%s/nolog.conf", stage_dir());
    file = fopen(config, "we");
    CHECK(file != NULL);
    (void)fputs("[log]\nfile = /nonexistent/directory/log\n", file);
    (void)fclose(file);
    (void)snprintf(option, sizeof(option), "--config %s", config);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-c", option, NULL), 0);
        update_says(fd, "the new program has failed");
    }
    CHECK(stored_said(&daemon_, "live update failed"));
    CHECK(stored_said(&daemon_, "going on"));
    CHECK_INT(stored_end(fd, tx, true), 0);
    next_event(watcher, "/back");
    update_says(fd, "OK"); /* and updates go on being possible */
    stored_expect(fd, "/back", "kept");
    (void)close(fd);
    (void)close(watcher);
}

/* ---- programs that hang -----------------------------------------------------------------------
 */

static const char *write_file(const char *name, const char *text)
{
    static char path[600];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", stage_dir(), name);
    file = fopen(path, "we");
    CHECK(file != NULL);
    (void)fputs(text, file);
    (void)fclose(file);
    CHECK_INT(chmod(path, 0755), 0);
    return path;
}

/* A daemon of its own, on the socket NAME, whose programs must be ready in SECONDS. */
static void start_limited(struct stored *daemon, const char *name, unsigned seconds)
{
    char config[64];
    char text[64];
    char path[600];
    const char *arguments[] = {"--config", NULL, NULL};

    (void)snprintf(config, sizeof(config), "%s.conf", name);
    (void)snprintf(text, sizeof(text), "[daemon]\nlive-update-seconds = %u\n", seconds);
    (void)snprintf(path, sizeof(path), "%s/%s", stage_dir(), name);
    arguments[1] = write_file(config, text);
    stored_start(daemon, path, arguments);
}

static void ask_for_update(int fd)
{
    stored_send(fd, MBR__XS_CONTROL, 77, 0, "live-update\0-s", sizeof("live-update\0-s"));
}

/* Its trial never ends; what it has started ends with it, and everybody is served meanwhile. */
static void hang_on_trial(int asking, int other)
{
    char program[600];
    char mark[600];
    char text[1400];
    struct stored_reply reply;

    (void)snprintf(mark, sizeof(mark), "%s/mark", stage_dir());
    (void)unlink(mark);
    (void)snprintf(text, sizeof(text), "#!/bin/sh\n: >'%s'\nsleep 1000\n", mark);
    (void)snprintf(program, sizeof(program), "%s", write_file("hangs", text));
    set_binary(asking, program, "OK");
    ask_for_update(asking);
    do
        CHECK_INT(stored_write(other, 0, "/meanwhile", "served"), 0);
    while (access(mark, F_OK) != 0);
    stored_expect(other, "/meanwhile", "served");
    update_says(other, "a live update is under way");
    set_binary(other, "/bin/true", "a live update is under way");
    stored_reply(asking, &reply);
    CHECK_INT(reply.header.req_id, 77);
    CHECK(strstr(reply.payload, "not ready in time") != NULL);
    stored_expect(asking, "/meanwhile", "served");
}

static void test_hangs_on_trial(void **state)
{
    struct stored daemon;
    struct stored_reply reply;
    int asking, other;

    start_limited(&daemon, "short", 1);
    asking = stored_connect(daemon.path);
    other = stored_connect(daemon.path);
    hang_on_trial(asking, other);
    /* Its own program can still be run (which may take its time, too), and is not ended when that
     * time has passed: the second trial takes longer. */
    CHECK_INT(stored_ask(asking, MBR__XS_CONTROL, 0, &reply, "live-update", "-a", NULL), 0);
    do {
        CHECK_INT(stored_ask(asking, MBR__XS_CONTROL, 0, &reply, "live-update", "-s", NULL), 0);
    } while (strcmp(reply.payload, "OK") != 0);
    hang_on_trial(asking, other);
    /* Who has asked may go before the answer. */
    ask_for_update(asking);
    (void)close(asking);
    while (times_said(&daemon, "not ready in time") < 3)
        stored_expect(other, "/meanwhile", "served");
    (void)close(other);
    stored_stop(&daemon);
}

/* The new program waits for its configuration, which comes on trial only. FD asks. */
static int stop_in_start(const struct stored *daemon, int fd, const char *fifo)
{
    char option[700];
    char place[64];
    char line[4096];
    struct stored_reply reply;
    size_t length;
    int end;

    CHECK_INT(mkfifo(fifo, 0600), 0);
    (void)snprintf(option, sizeof(option), "--config %s", fifo);
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-c", option, NULL), 0);
    ask_for_update(fd);
    end = open(fifo, O_WRONLY | O_CLOEXEC);
    CHECK(end >= 0);
    (void)close(end);
    (void)snprintf(place, sizeof(place), "/proc/%d/cmdline", (int)daemon->pid);
    do {
        FILE *file = fopen(place, "re");

        CHECK(file != NULL);
        length = fread(line, 1, sizeof(line) - 1, file);
        (void)fclose(file);
    } while (memmem(line, length, fifo, strlen(fifo)) == NULL);
    end = open(fifo, O_WRONLY | O_CLOEXEC);
    CHECK(end >= 0);
    return end;
}

static void fell_back(const struct stored *daemon, int fd)
{
    struct stored_reply reply;

    stored_reply(fd, &reply);
    CHECK_INT(reply.header.req_id, 77);
    CHECK(strstr(reply.payload, "the new program has failed") != NULL);
    CHECK(stored_said(daemon, "going on"));
}

/* Whether PID is a child of ours that runs membraned on PATH. */
static bool serves(pid_t pid, const char *path)
{
    char place[64];
    char text[8192];
    size_t length;
    int parent;
    FILE *file;

    (void)snprintf(place, sizeof(place), "/proc/%d/stat", (int)pid);
    file = fopen(place, "re");
    if (file == NULL || fscanf(file, "%*d %*s %*c %d", &parent) != 1)
        parent = -1;
    if (file != NULL)
        (void)fclose(file);
    (void)snprintf(place, sizeof(place), "/proc/%d/cmdline", (int)pid);
    file = parent == (int)getpid() ? fopen(place, "re") : NULL;
    if (file == NULL)
        return false;
    length = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    return memmem(text, length, path, strlen(path) + 1) != NULL;
}

/* The daemon's process has ended by SIGNAL; its guard, which is our child then (a subreaper's), is
 * the daemon. */
static void take_guard(struct stored *daemon, int signal)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    int status;

    CHECK_INT(waitpid(daemon->pid, &status, 0), daemon->pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    CHECK(dir != NULL);
    daemon->pid = 0;
    while (daemon->pid == 0 && (entry = readdir(dir)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (pid > 0 && serves(pid, daemon->path))
            daemon->pid = pid;
    }
    (void)closedir(dir);
    CHECK(daemon->pid != 0);
}

/* SIGKILL, which no program sees, before the new one serves: the old one goes on, again and again,
 * until it is let. */
static void test_killed_after_trial(void **state)
{
    struct stored daemon;
    struct stored_reply reply;
    char fifo[600];
    int fd, watcher, end;

    if (SIGNALS_WAIT)
        skip();
    CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    start_limited(&daemon, "killed", 60);
    fd = stored_connect(daemon.path);
    watcher = stored_connect(daemon.path);
    CHECK_INT(stored_write(fd, 0, "/killed", "kept"), 0);
    CHECK_INT(stored_ask(watcher, MBR__XS_WATCH, 0, &reply, "/killed", "t", NULL), 0);
    CHECK(stored_next(watcher, &reply));
    (void)snprintf(fifo, sizeof(fifo), "%s/killed.fifo", stage_dir());
    for (int i = 0; i < 3; i++) {
        end = stop_in_start(&daemon, fd, fifo);
        CHECK_INT(kill(daemon.pid, SIGKILL), 0);
        fell_back(&daemon, fd);
        take_guard(&daemon, SIGKILL);
        stored_expect(fd, "/killed", "kept");
        CHECK_INT(stored_write(fd, 0, "/killed", "kept"), 0);
        CHECK(stored_next(watcher, &reply));
        CHECK_INT(reply.header.type, MBR__XS_WATCH_EVENT);
        (void)close(end);
        (void)unlink(fifo);
    }
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-a", NULL), 0);
    update_says(fd, "OK");
    stored_expect(fd, "/killed", "kept");
    (void)close(fd);
    (void)close(watcher);
    stored_stop(&daemon);
    CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

/* A fault before the new program serves: the old one is back. */
static void test_fault_after_trial(void **state)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT};
    char fifo[600];
    int fd = stored_connect(daemon_.path);

    if (SIGNALS_WAIT)
        skip();
    CHECK_INT(stored_write(fd, 0, "/fault", "kept"), 0);
    (void)snprintf(fifo, sizeof(fifo), "%s/fifo", stage_dir());
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        int end = stop_in_start(&daemon_, fd, fifo);

        CHECK_INT(kill(daemon_.pid, signals[i]), 0);
        fell_back(&daemon_, fd);
        stored_expect(fd, "/fault", "kept");
        (void)close(end);
        (void)unlink(fifo);
    }
    update_says(fd, "OK");
    stored_expect(fd, "/fault", "kept");
    (void)close(fd);
}

/* One that passes the trial and then hangs: a membraned becomes the old one again; anything else is
 * ended, and its guard becomes it. */
static void test_hangs_after_trial(void **state)
{
    struct stored patient, fooled;
    char fifo[600];
    char text[1400];
    char program[600];
    int end, first, second;

    if (SIGNALS_WAIT)
        skip();
    CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    start_limited(&patient, "patient", 5);
    start_limited(&fooled, "fooled", 5);
    first = stored_connect(patient.path);
    second = stored_connect(fooled.path);
    CHECK_INT(stored_write(first, 0, "/hung", "kept"), 0);
    (void)snprintf(text, sizeof(text),
                   "#!/bin/sh\ncase $* in *--try-state*) exec '%s/membraned' \"$@\" ;; esac\n"
                   "exec sleep 1000\n",
                   getenv("MEMBRANE_BIN_DIR"));
    (void)snprintf(program, sizeof(program), "%s", write_file("fools", text));
    set_binary(second, program, "OK");
    ask_for_update(second);
    (void)snprintf(fifo, sizeof(fifo), "%s/hung.fifo", stage_dir());
    end = stop_in_start(&patient, first, fifo);
    fell_back(&patient, first);
    stored_expect(first, "/hung", "kept");
    fell_back(&fooled, second);
    take_guard(&fooled, SIGALRM);
    CHECK_INT(stored_write(second, 0, "/fooled", "served"), 0);
    (void)close(end);
    (void)close(first);
    (void)close(second);
    stored_stop(&patient);
    stored_stop(&fooled);
    CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

/* Writes and reads one counter after the other, in transactions too, and hears each event. */
static void load(struct stage_actor *parent, void *argument)
{
    int fd = stored_connect(daemon_.path);
    char path[64];
    char value[16];
    struct stored_reply reply;
    uint64_t round;

    (void)snprintf(path, sizeof(path), "/load/%d", (int)getpid());
    CHECK_INT(stored_ask(fd, MBR__XS_WATCH, 0, &reply, path, "t", NULL), 0);
    stage_say(parent, 1);
    for (round = 0; !stage_peek(parent); round++) {
        char back[16] = "";
        uint32_t tx;

        (void)snprintf(value, sizeof(value), "%llu", (unsigned long long)round);
        CHECK_INT(stored_write(fd, 0, path, value), 0);
        tx = stored_begin(fd);
        CHECK_INT(stored_read(fd, tx, path, back, sizeof(back)), 0);
        CHECK(strcmp(back, value) == 0);
        CHECK_INT(stored_write(fd, tx, path, "in between"), 0);
        CHECK_INT(stored_end(fd, tx, true), 0);
    }
    /* The first event of the watch, and one for each write; two that wait together become one. */
    CHECK(stored_events >= round && stored_events <= 1 + 2 * round);
    stage_say(parent, round);
}

static void test_under_load(void **state)
{
    enum { CLIENTS = 6 };
    struct stage_actor clients[CLIENTS];
    int fd = stored_connect(daemon_.path);

    for (int i = 0; i < CLIENTS; i++)
        stage_spawn(&clients[i], load, NULL);
    for (int i = 0; i < CLIENTS; i++)
        CHECK_INT(stage_hear(&clients[i]), 1);
    for (int i = 0; i < 20; i++)
        update_says(fd, "OK");
    for (int i = 0; i < CLIENTS; i++) {
        stage_say(&clients[i], 0);
        CHECK(stage_hear(&clients[i]) > 0);
        stage_join_ok(&clients[i]);
    }
    (void)close(fd);
}

#define STOPPED_NS INT64_C(2000000000) /* longer than any pause of the daemon's own */

/* Somebody stops the daemon for seconds: clients wait, who comes meanwhile is served afterwards,
 * and nobody loses an answer or an event. */
static void test_stopped_under_load(void **state)
{
    enum { CLIENTS = 4 };
    static const struct timespec pause = {.tv_sec = STOPPED_NS / 1000000000};
    struct stage_actor clients[CLIENTS];
    struct stored_reply reply;
    int status, late;

    for (int i = 0; i < CLIENTS; i++)
        stage_spawn(&clients[i], load, NULL);
    for (int i = 0; i < CLIENTS; i++)
        CHECK_INT(stage_hear(&clients[i]), 1);
    CHECK_INT(kill(daemon_.pid, SIGSTOP), 0);
    CHECK_INT(waitpid(daemon_.pid, &status, WUNTRACED), daemon_.pid);
    CHECK(WIFSTOPPED(status));
    late = stored_connect(daemon_.path);
    stored_send(late, MBR__XS_WRITE, 5, 0, "/late\0x", sizeof("/late\0x") - 1);
    (void)nanosleep(&pause, NULL);
    CHECK_INT(kill(daemon_.pid, SIGCONT), 0);
    stored_reply(late, &reply);
    CHECK_INT(reply.header.req_id, 5);
    CHECK(strcmp(reply.payload, "OK") == 0);
    stored_expect(late, "/late", "x");
    (void)close(late);
    for (int i = 0; i < CLIENTS; i++) {
        stage_say(&clients[i], 0);
        CHECK(stage_hear(&clients[i]) > 0);
        stage_join_ok(&clients[i]);
    }
}

/* Programs that cannot be trusted with the state: one that does not know how to try it, one that
 * knows, but not the word that proves it, as before there was one. */
static void test_older_programs(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } programs[] = {
        {"#!/bin/sh\necho \"membraned: unknown option '--try-state'\" >&2\nexit 2\n",
         "unknown option"},
        {"#!/bin/sh\nexit 0\n", "failed on trial, without a word"},
        {"#!/bin/sh\necho 'membraned has read 0123456789abcdef'\nexit 0\n",
         "membraned has read 0123456789abcdef"},
    };
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;

    CHECK_INT(stored_write(fd, 0, "/older", "kept"), 0);
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        set_binary(fd, write_file("older", programs[i].text), "OK");
        CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-s", NULL), 0);
        CHECK(strstr(reply.payload, programs[i].says) != NULL);
        stored_expect(fd, "/older", "kept");
    }
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-a", NULL), 0);
    update_says(fd, "OK");
    stored_expect(fd, "/older", "kept");
    (void)close(fd);
}

/* Descriptors that a daemon has. */
static unsigned descriptors(const struct stored *daemon)
{
    char path[64];
    unsigned count = 0;
    DIR *dir;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)daemon->pid);
    dir = opendir(path);
    CHECK(dir != NULL);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

/* With the state on disk: what was written before and after is there at the next start. */
static void test_with_state(void **state)
{
    char dir[600];
    char path[600];
    const char *arguments[] = {"--state", dir, NULL};
    struct stored daemon;
    unsigned count;
    int fd;

    (void)snprintf(dir, sizeof(dir), "%s/state", stage_dir());
    (void)snprintf(path, sizeof(path), "%s/durable", stage_dir());
    stored_start(&daemon, path, arguments);
    fd = stored_connect(path);
    CHECK_INT(stored_write(fd, 0, "/one", "1"), 0);
    count = descriptors(&daemon);
    update_says(fd, "OK");
    CHECK_INT(stored_write(fd, 0, "/two", "2"), 0);
    update_says(fd, "OK");
    CHECK_INT(stored_write(fd, 0, "/three", "3"), 0);
    CHECK_INT(descriptors(&daemon), count); /* none was left behind */
    (void)close(fd);
    stored_kill(&daemon);
    stored_start(&daemon, path, arguments);
    fd = stored_connect(path);
    stored_expect(fd, "/one", "1");
    stored_expect(fd, "/two", "2");
    stored_expect(fd, "/three", "3");
    (void)close(fd);
    stored_stop(&daemon);
}

static void test_switched_off(void **state)
{
    char config[600];
    char path[600];
    const char *arguments[] = {"--config", config, NULL};
    struct stored daemon;
    FILE *file;
    int fd;

    (void)snprintf(config, sizeof(config), "%s/off.conf", stage_dir());
    (void)snprintf(path, sizeof(path), "%s/off", stage_dir());
    file = fopen(config, "we");
    CHECK(file != NULL);
    (void)fputs("[daemon]\nlive-update = no\n", file);
    (void)fclose(file);
    stored_start(&daemon, path, arguments);
    fd = stored_connect(path);
    update_says(fd, "live update is switched off");
    (void)close(fd);
    stored_stop(&daemon);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_kept), cmocka_unit_test(test_by_signal),
        cmocka_unit_test(test_bad_binaries),       cmocka_unit_test(test_way_back),
        cmocka_unit_test(test_arguments),          cmocka_unit_test(test_under_load),
        cmocka_unit_test(test_with_state),         cmocka_unit_test(test_switched_off),
        cmocka_unit_test(test_hangs_on_trial),     cmocka_unit_test(test_fault_after_trial),
        cmocka_unit_test(test_hangs_after_trial),  cmocka_unit_test(test_stopped_under_load),
        cmocka_unit_test(test_older_programs),     cmocka_unit_test(test_killed_after_trial),
    };
    int rc;

    stored_need();
    stored_start(&daemon_, NULL, NULL);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    stored_stop(&daemon_);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(100, argc, argv, run);
}
