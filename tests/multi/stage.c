/* SPDX-License-Identifier: MIT */
/*
 * The supervisor, actors and data of tests with several processes. stage.h says what each part is
 * for; what runs in which process is said at each function.
 */
#include "stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ACTOR_SECONDS 60

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static char dir[PATH_MAX];
static char names_dir[PATH_MAX + 8];
static pid_t test_pid; /* the process in which cmocka runs; 0 in a program that was not staged */

unsigned int stage_slowness(void)
{
    return SANITIZED ? 4 : 1;
}

bool stage_sanitized(void)
{
    return SANITIZED;
}

const char *stage_dir(void)
{
    return dir;
}

const char *stage_names_dir(void)
{
    return names_dir;
}

/* ---- checks ---- */

void stage_fail(const char *file, int line, const char *text)
{
    if (getpid() == test_pid && (pid_t)syscall(SYS_gettid) == test_pid) {
        print_error("%s\n", text);
        _fail(file, line);
    }
    fprintf(stderr, "%s:%d: process %d: %s\n", file, line, (int)getpid(), text);
    /* Not exit(): the handlers of a process in the middle of something may hang or crash. */
    _exit(1);
}

void stage_fail_int(const char *file, int line, const char *text, int64_t got, int64_t wanted)
{
    char all[512];

    snprintf(all, sizeof(all), "%s: %lld, not %lld", text, (long long)got, (long long)wanted);
    stage_fail(file, line, all);
}

/* ---- the supervisor ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st;
    (void)type;
    (void)walk;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

void stage_remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_config(void)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s/config.yaml", dir);
    FILE *f = fopen(path, "we");
    if (!f) {
        perror(path);
        exit(1);
    }
    fputs("demikernel:\n  local_ipv4_addr: 127.0.0.1\n", f);
    fclose(f);
    setenv("CONFIG_PATH", path, 1);
    setenv("LIBOS", "catmem", 1);
}

/* The directory of names must be on a file system with links, any will do. */
static void make_dir(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(dir, sizeof(dir), "%s/mbr-test.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) {
        perror(dir);
        exit(1);
    }
    snprintf(names_dir, sizeof(names_dir), "%s/names", dir);
    setenv("MEMBRANE_DIR", names_dir, 1);
    write_config();
}

/* What the supervisor waits for; blocked in it, not in the test. */
static void supervised_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

/* The signal that ended the wait, or 0 when the time is up. */
static int await_signal(const struct timespec *end)
{
    sigset_t set;
    struct timespec now, left = {0};

    supervised_signals(&set);
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec >= end->tv_sec)
        return 0;
    left.tv_sec = end->tv_sec - now.tv_sec;
    int sig = sigtimedwait(&set, NULL, &left);
    return sig > 0 ? sig : (errno == EAGAIN ? 0 : SIGCHLD);
}

/* Waits for the test, but not for ever. Its exit code, or 1. */
static int supervise(pid_t pid, unsigned int seconds)
{
    struct timespec end;
    int status;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)seconds + 1;
    for (;;) {
        int sig = await_signal(&end);
        pid_t gone = waitpid(pid, &status, WNOHANG);
        if (gone == pid)
            break;
        if (sig == SIGCHLD)
            continue;
        fprintf(stderr, sig ? "stage: stopped by signal %d\n" : "stage: time is up\n", sig);
        return 1;
    }
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "stage: the test ended by signal %d\n", WTERMSIG(status));
        return 1;
    }
    return WEXITSTATUS(status);
}

int stage_main(unsigned int seconds, int argc, char **argv, int (*body)(int argc, char **argv))
{
    sigset_t set, old;

    make_dir();
    supervised_signals(&set);
    sigprocmask(SIG_BLOCK, &set, &old);
    /* Actors' actors whose parent died are handed to us, so that all of them can be reaped. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigprocmask(SIG_SETMASK, &old, NULL);
        test_pid = getpid();
        exit(body(argc, argv));
    }
    if (pid < 0) {
        perror("fork");
        stage_remove_tree(dir);
        return 1;
    }
    setpgid(pid, pid);
    int code = supervise(pid, seconds * stage_slowness());
    kill(-pid, SIGKILL); /* the group has only ever held the test and its actors */
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        continue;
    stage_remove_tree(dir);
    return code;
}

/* ---- actors ---- */

/* The ends of lines that this process holds. An actor must not keep those of its siblings, who
 * would not notice their being closed. */
#define LINES_MAX 512

static int lines[LINES_MAX];
static int line_count;

static void forget_line(int fd)
{
    for (int i = 0; i < line_count; i++) {
        if (lines[i] == fd)
            lines[i--] = lines[--line_count];
    }
}

static void close_line(int fd)
{
    close(fd);
    forget_line(fd);
}

static void close_siblings_lines(void)
{
    while (line_count > 0)
        close(lines[--line_count]);
}

static void make_lines(int down[2], int up[2])
{
    CHECK(pipe2(down, O_CLOEXEC) == 0);
    CHECK(pipe2(up, O_CLOEXEC) == 0);
}

static void keep_lines(struct stage_actor *actor, pid_t pid, int down[2], int up[2])
{
    CHECK(pid > 0 && line_count + 2 <= LINES_MAX);
    lines[line_count++] = down[1];
    lines[line_count++] = up[0];
    close(down[0]);
    close(up[1]);
    actor->pid = pid;
    actor->to = down[1];
    actor->from = up[0];
}

static void become_actor(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    close_siblings_lines();
    signal(SIGPIPE, SIG_IGN);
    alarm(ACTOR_SECONDS * stage_slowness());
}

void stage_spawn(struct stage_actor *actor, stage_role *role, void *arg)
{
    int down[2], up[2];
    pid_t parent = getpid();

    make_lines(down, up);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        become_actor(parent);
        close(down[1]);
        close(up[0]);
        struct stage_actor line = {.pid = parent, .to = up[1], .from = down[0]};
        role(&line, arg);
        exit(0);
    }
    keep_lines(actor, pid, down, up);
}

void stage_spawn_program(struct stage_actor *actor, char *const argv[])
{
    int down[2], up[2];
    pid_t parent = getpid();

    make_lines(down, up);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        become_actor(parent);
        /* By way of high numbers, so that neither overwrites the other. */
        int in = fcntl(down[0], F_DUPFD_CLOEXEC, 100), out = fcntl(up[1], F_DUPFD_CLOEXEC, 100);
        if (dup2(in, 3) == 3 && dup2(out, 4) == 4)
            execvp(argv[0], argv);
        perror(argv[0]);
        _exit(127);
    }
    keep_lines(actor, pid, down, up);
}

struct stage_actor stage_parent(void)
{
    return (struct stage_actor){.pid = getppid(), .from = 3, .to = 4};
}

void stage_say(struct stage_actor *actor, uint64_t number)
{
    ssize_t n;

    do
        n = write(actor->to, &number, sizeof(number));
    while (n < 0 && errno == EINTR);
    CHECK(n == (ssize_t)sizeof(number));
}

bool stage_listen(struct stage_actor *actor, uint64_t *number)
{
    ssize_t n;

    do
        n = read(actor->from, number, sizeof(*number));
    while (n < 0 && errno == EINTR);
    /* Eight bytes are written at once, so they are there at once. */
    CHECK(n == 0 || n == (ssize_t)sizeof(*number));
    return n != 0;
}

uint64_t stage_hear(struct stage_actor *actor)
{
    uint64_t number = 0;
    int status = 0;

    if (stage_listen(actor, &number))
        return number;
    /* Its end says more than its silence. */
    if (waitpid(actor->pid, &status, 0) == actor->pid)
        fprintf(stderr, "process %d ended with status %#x\n", (int)actor->pid, (unsigned)status);
    stage_fail(__FILE__, __LINE__, "somebody ended without a word");
}

bool stage_peek(const struct stage_actor *actor)
{
    struct pollfd p = {.fd = actor->from, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

int stage_join(struct stage_actor *actor)
{
    int status = -1;
    pid_t pid;

    close_line(actor->to);
    do
        pid = waitpid(actor->pid, &status, 0);
    while (pid < 0 && errno == EINTR);
    CHECK(pid == actor->pid);
    close_line(actor->from);
    return status;
}

void stage_join_ok(struct stage_actor *actor)
{
    int status = stage_join(actor);

    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        stage_fail(__FILE__, __LINE__, "an actor hangs");
    CHECK_INT(status, 0);
}

void stage_kill(struct stage_actor *actor)
{
    kill(actor->pid, SIGKILL);
    CHECK_INT(WTERMSIG(stage_join(actor)), SIGKILL);
}

/* State letter and number of times PID has given up a CPU; false when it is gone. */
static bool look(pid_t pid, char *state, unsigned long *switches)
{
    char path[64], line[256];

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    *state = '?';
    *switches = 0;
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "State:\t", 7) == 0)
            *state = line[7];
        if (strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
            *switches = strtoul(line + 24, NULL, 10);
    }
    fclose(f);
    return true;
}

void stage_await_parked(pid_t pid)
{
    unsigned long before = 0, now;
    char state;

    for (int quiet = 0; quiet < 200;) {
        CHECK(look(pid, &state, &now));
        CHECK(state != 'Z');
        quiet = state == 'S' && now == before ? quiet + 1 : 0;
        before = now;
        sched_yield();
    }
}

/* ---- users ---- */

void stage_become_user(uid_t uid, gid_t group)
{
    char own[PATH_MAX + 16];

    (void)snprintf(own, sizeof(own), "%s/u%u", dir, uid);
    CHECK(mkdir(own, 0700) == 0 || errno == EEXIST);
    CHECK_INT(chown(own, uid, uid), 0);
    CHECK_INT(setenv("MEMBRANE_DIR", own, 1), 0);
    CHECK_INT(setgroups(group != 0 ? 1 : 0, &group), 0);
    CHECK_INT(setgid(uid), 0);
    CHECK_INT(setuid(uid), 0);
}

/* ---- threads ---- */

struct job {
    void (*fn)(void *arg);
    void *arg;
};

static void *run_job(void *arg)
{
    struct job *job = arg;

    job->fn(job->arg);
    return NULL;
}

void stage_in_thread(void (*fn)(void *arg), void *arg)
{
    struct job job = {fn, arg};
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, run_job, &job) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* ---- what there is ---- */

size_t stage_count_entries(const char *path)
{
    size_t n = 0;
    DIR *d = opendir(path);

    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}

size_t stage_count_fds(void)
{
    return stage_count_entries("/proc/self/fd") - 1; /* one is the directory being read */
}

/* ---- data ---- */

uint64_t stage_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t stage_below(uint64_t *state, uint64_t limit)
{
    return stage_random(state) % limit;
}

uint64_t stage_setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

uint64_t stage_seed(void)
{
    static uint64_t seed;

    if (!seed) {
        seed = stage_setting("MBR_TEST_SEED", 20240813);
        fprintf(stderr, "seed: MBR_TEST_SEED=%llu\n", (unsigned long long)seed);
    }
    return seed;
}

static uint64_t word_of(uint64_t key, uint64_t index)
{
    return (key + index + 1) * 0x9e3779b97f4a7c15u;
}

void stage_fill(void *data, size_t n, uint64_t key)
{
    unsigned char *p = data;
    uint64_t word, i = 0;

    for (; n >= sizeof(word); i++, p += sizeof(word), n -= sizeof(word)) {
        word = word_of(key, i);
        memcpy(p, &word, sizeof(word));
    }
    word = word_of(key, i);
    memcpy(p, (unsigned char *)&word + sizeof(word) - n, n);
}

bool stage_filled(const void *data, size_t n, uint64_t key)
{
    const unsigned char *p = data;
    uint64_t word, got, i = 0, wrong = 0;

    for (; n >= sizeof(word); i++, p += sizeof(word), n -= sizeof(word)) {
        memcpy(&got, p, sizeof(got));
        wrong |= got ^ word_of(key, i);
    }
    word = word_of(key, i);
    return !wrong && memcmp(p, (unsigned char *)&word + sizeof(word) - n, n) == 0;
}
