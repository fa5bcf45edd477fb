/* SPDX-License-Identifier: MIT */
/*
 * Connections that are older than a fork (calls.h): the child serves and the parent closes, both
 * use it, one of them dies. The client's end is in this process too, or in the child.
 */
#include <pthread.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>

#include "calls.h"

static pid_t forked(void)
{
    pid_t child;

    fflush(stdout);
    child = fork();
    must(child >= 0, "fork");
    return child;
}

static void ended(pid_t child)
{
    int status = 0;

    must(waitpid(child, &status, 0) == child, "waitpid");
    printf("child: %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

/* Until the end of the stream; the exit code of a child. */
static int echo(int fd)
{
    char some[4096];
    ssize_t n;

    while ((n = read(fd, some, sizeof(some))) > 0) {
        for (ssize_t at = 0; at < n;) {
            ssize_t w = write(fd, some + at, (size_t)(n - at));

            if (w < 0)
                return 3;
            at += w;
        }
    }
    return n == 0 ? 0 : 4;
}

static void ask(int fd, int times)
{
    char buf[16];

    for (int i = 0; i < times; i++) {
        must(send(fd, "question", 8, MSG_NOSIGNAL) == 8, "send");
        T(recv(fd, buf, 8, MSG_WAITALL));
    }
}

static void ask_by_hand(int a, int b)
{
    char buf[16];

    T(write(a, "question", 8));
    T(recv(b, buf, 8, MSG_WAITALL));
    T(write(b, "answer", 6));
    T(recv(a, buf, 6, MSG_WAITALL));
}

/* Until that process sleeps. */
static void until_asleep(pid_t pid)
{
    char path[64];
    char text[256] = "";

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    while (strstr(text, ") S ") == NULL) {
        int fd = open(path, O_RDONLY);

        must(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, path);
        close(fd);
    }
}

/* ---- one serves ------------------------------------------------------------------------------ */

/* As inetd and its like do, after a greeting or two. How the child leaves makes no difference. */
static void child_serves(bool in_order)
{
    int a;
    int b;
    char buf[8];
    pid_t child;

    section(in_order ? "the child serves, and exits" : "the child serves, and _exits");
    connection(&a, &b);
    must(write(a, "early", 5) == 5, "write");
    arrived(b);
    child = forked();
    if (child == 0) {
        int code;

        close(a);
        close(listener);
        code = echo(b);
        if (in_order)
            exit(code);
        _exit(code);
    }
    T(close(b));
    T(recv(a, buf, 5, MSG_WAITALL));
    printf("%.5s\n", buf);
    ask(a, 5);
    T(shutdown(a, SHUT_WR));
    T(read(a, buf, 8));
    ended(child);
    T(close(a));
}

static void grandchild_serves(void)
{
    int a;
    int b;
    char buf[8];
    pid_t child;

    section("a grandchild serves");
    connection(&a, &b);
    child = forked();
    if (child == 0) {
        close(a);
        if (fork() == 0)
            _exit(echo(b));
        _exit(0);
    }
    close(b);
    ended(child);
    ask(a, 3);
    T(shutdown(a, SHUT_WR));
    T(read(a, buf, 8));
    close(a);
}

/* The client's end moves to a child. */
static void child_asks(void)
{
    int a;
    int b;
    char buf[16];
    pid_t child;

    section("the child asks");
    connection(&a, &b);
    child = forked();
    if (child == 0) {
        close(b);
        for (int i = 0; i < 5; i++) {
            if (write(a, "question", 8) != 8 || recv(a, buf, 6, MSG_WAITALL) != 6)
                _exit(2);
        }
        _exit(0);
    }
    close(a);
    for (int i = 0; i < 5; i++) {
        T(recv(b, buf, 8, MSG_WAITALL));
        T(write(b, "answer", 6));
    }
    ended(child);
    T(read(b, buf, 8));
    close(b);
}

static void many_bytes(void)
{
    enum { TOTAL = 8 << 20, PIECE = 30011 };
    static unsigned char out[PIECE];
    static unsigned char in[PIECE];
    int a;
    int b;
    pid_t child;
    pid_t sender;
    size_t got = 0;
    size_t wrong = 0;

    section("many bytes through a child");
    connection(&a, &b);
    child = forked();
    if (child == 0) {
        close(a);
        _exit(echo(b));
    }
    close(b);
    sender = forked();
    if (sender == 0) {
        for (size_t at = 0; at < TOTAL;) {
            ssize_t n;

            for (size_t i = 0; i < PIECE; i++)
                out[i] = (unsigned char)((at + i) * 31 >> 3);
            n = write(a, out, TOTAL - at < PIECE ? TOTAL - at : PIECE);
            if (n <= 0)
                _exit(2);
            at += (size_t)n;
        }
        _exit(0);
    }
    while (got < TOTAL) {
        ssize_t n = read(a, in, PIECE);

        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            wrong += in[i] != (unsigned char)((got + (size_t)i) * 31 >> 3);
        got += (size_t)n;
    }
    printf("%zu bytes, %zu wrong\n", got, wrong);
    ended(sender);
    T(shutdown(a, SHUT_WR));
    T(read(a, in, 8));
    ended(child);
    close(a);
}

/* ---- several use it -------------------------------------------------------------------------- */

/* Old clients: one process carries each way. */
static void one_each_way(void)
{
    int a;
    int b;
    char buf[16];
    pid_t reader;
    pid_t server;

    section("one process each way");
    connection(&a, &b);
    server = forked();
    if (server == 0) {
        close(a);
        _exit(echo(b));
    }
    close(b);
    reader = forked();
    if (reader == 0) {
        size_t got = 0;
        ssize_t n;

        while ((n = read(a, buf, sizeof(buf))) > 0)
            got += (size_t)n;
        _exit(got == 2600 && n == 0 ? 0 : 5);
    }
    for (int i = 0; i < 100; i++)
        must(write(a, "abcdefghijklmnopqrstuvwxyz", 26) == 26, "write");
    T(shutdown(a, SHUT_WR));
    ended(reader);
    ended(server);
    T(read(a, buf, 8));
    close(a);
}

/* The parent goes on; what the child does with its copy is no matter of its peer. */
static void parent_goes_on(int what)
{
    static const char *const names[] = {"closes", "exits", "execs", "is killed", "talks and exits"};
    int a;
    int b;
    char buf[16];
    int sync[2];
    pid_t child;

    section("the parent goes on");
    printf("the child %s\n", names[what]);
    connection(&a, &b);
    must(fcntl(b, F_SETFD, FD_CLOEXEC) == 0 && pipe(sync) == 0, "fcntl");
    child = forked();
    if (child == 0) {
        close(a);
        if (what == 0)
            close(b);
        if (what == 1)
            exit(0);
        if (what == 2)
            unsetenv("LD_PRELOAD"); /* a sanitizer's shim does not fit into true */
        if (what == 2)
            execlp("true", "true", (char *)NULL);
        if (what == 4 && (recv(b, buf, 8, MSG_WAITALL) != 8 || write(b, "answer", 6) != 6))
            _exit(6);
        if (what == 4)
            exit(0);
        must(write(sync[1], "", 1) == 1, "write");
        for (;;)
            pause();
    }
    close(sync[1]);
    if (what == 4) {
        T(write(a, "question", 8));
        T(recv(a, buf, 6, MSG_WAITALL));
    }
    if (what == 0 || what == 3)
        must(read(sync[0], buf, 1) == 1 && kill(child, SIGKILL) == 0, "kill");
    ended(child);
    for (int i = 0; i < 3; i++) {
        T(write(a, "question", 8));
        T(recv(b, buf, 8, MSG_WAITALL));
        T(write(b, "answer", 6));
        T(recv(a, buf, 6, MSG_WAITALL));
    }
    T(close(b));
    T(read(a, buf, 8));
    close(a);
    close(sync[0]);
}

/* Both are blocked in read(): each message goes to one of them. */
static void both_read(void)
{
    int a;
    int b;
    char buf[8];
    ssize_t n;
    int mine = 0;
    int status = 0;
    pid_t child;
    pid_t writer;

    section("both read");
    connection(&a, &b);
    child = forked();
    if (child == 0) {
        int got = 0;

        close(a);
        while ((n = read(b, buf, 1)) == 1)
            got++;
        _exit(n < 0 ? 255 : got);
    }
    writer = forked();
    if (writer == 0) {
        close(b);
        for (int i = 0; i < 200; i++) {
            if (write(a, "x", 1) != 1)
                _exit(2);
            sched_yield();
        }
        _exit(0);
    }
    close(a);
    while ((n = read(b, buf, 1)) == 1)
        mine++;
    ended(writer);
    must(waitpid(child, &status, 0) == child, "waitpid");
    printf("together %d, then %zd\n", mine + WEXITSTATUS(status), n);
    close(b);
}

/* Neither the child's closing nor its death takes anything out of the parent's epoll. */
static void parent_waits(bool used)
{
    int a;
    int b;
    int e = epoll_create1(0);
    char buf[8];
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 5};
    pid_t child;
    pid_t writer;

    section("the parent waits");
    connection(&a, &b);
    must(epoll_ctl(e, EPOLL_CTL_ADD, b, &ev) == 0, "epoll_ctl");
    T(epoll_wait(e, &ev, 1, 1));
    child = forked();
    if (child == 0) {
        if (used)
            must(write(b, "child", 5) == 5, "write");
        close(b);
        close(e);
        _exit(0);
    }
    ended(child);
    if (used)
        T(recv(a, buf, 5, MSG_WAITALL));
    for (int i = 0; i < 3; i++) {
        writer = forked();
        if (writer == 0) {
            until_asleep(getppid());
            _exit(write(a, "x", 1) != 1);
        }
        T(epoll_wait(e, &ev, 1, 10000));
        T(read(b, buf, 8));
        ended(writer);
    }
    done(a, b);
    close(e);
}

static void flags_are_shared(void)
{
    int a;
    int b;
    char buf[8];
    pid_t child;

    section("flags and ends are shared");
    connection(&a, &b);
    child = forked();
    if (child == 0) {
        bool fine = fcntl(b, F_SETFL, O_NONBLOCK) == 0 && read(b, buf, 1) < 0 && errno == EAGAIN;

        _exit(fine && write(b, "last", 4) == 4 && shutdown(b, SHUT_WR) == 0 ? 0 : 7);
    }
    ended(child);
    T(fcntl(b, F_GETFL) & O_NONBLOCK);
    T(recv(a, buf, 8, MSG_WAITALL));
    T(send(b, "x", 1, MSG_NOSIGNAL));
    T(write(a, "still", 5));
    arrived(b);
    T(read(b, buf, 8));
    done(a, b);
}

/* ---- waiting in the child -------------------------------------------------------------------- */

static int served_by_poll(int fd)
{
    char buf[16];
    struct pollfd p = {.fd = fd, .events = POLLIN};

    for (;;) {
        ssize_t n;

        if (poll(&p, 1, 10000) != 1 || (n = read(fd, buf, sizeof(buf))) < 0)
            return 2;
        if (n == 0)
            return 0;
        if (write(fd, buf, (size_t)n) != n)
            return 3;
    }
}

static int served_by_select(int fd)
{
    char buf[16];

    for (;;) {
        struct timeval tv = {.tv_sec = 10};
        fd_set in;
        ssize_t n;

        FD_ZERO(&in);
        FD_SET(fd, &in);
        if (select(fd + 1, &in, NULL, NULL, &tv) != 1 || (n = read(fd, buf, sizeof(buf))) < 0)
            return 2;
        if (n == 0)
            return 0;
        if (write(fd, buf, (size_t)n) != n)
            return 3;
    }
}

static int served_by_epoll(int e, int fd)
{
    char buf[16];
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

    if (e < 0) {
        e = epoll_create1(0);
        must(epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev) == 0, "epoll_ctl");
    }
    for (;;) {
        ssize_t n;

        if (epoll_wait(e, &ev, 1, 10000) != 1 || (n = read(fd, buf, sizeof(buf))) < 0)
            return 2;
        if (n == 0)
            return 0;
        if (write(fd, buf, (size_t)n) != n)
            return 3;
    }
}

/* With `both` the parent keeps its descriptor, without using it. */
static void waits(int how, bool both)
{
    static const char *const names[] = {"poll", "select", "epoll", "epoll of the parent"};
    int a;
    int b;
    int e = -1;
    char buf[8];
    pid_t child;

    section("the child waits");
    printf("in %s, %s\n", names[how], both ? "not alone" : "alone");
    connection(&a, &b);
    if (how == 3) {
        struct epoll_event ev = {.events = EPOLLIN};

        e = epoll_create1(0);
        must(epoll_ctl(e, EPOLL_CTL_ADD, b, &ev) == 0, "epoll_ctl");
        T(epoll_wait(e, &ev, 1, 0));
    }
    child = forked();
    if (child == 0) {
        close(a);
        _exit(how == 0   ? served_by_poll(b)
              : how == 1 ? served_by_select(b)
                         : served_by_epoll(e, b));
    }
    if (!both)
        close(b);
    ask(a, 4);
    T(shutdown(a, SHUT_WR));
    if (both) {
        ended(child);
        T(read(b, buf, 8));
        close(b);
        T(read(a, buf, 8));
    } else {
        T(read(a, buf, 8));
        ended(child);
    }
    close(a);
    if (e >= 0)
        close(e);
}

/* ---- threads --------------------------------------------------------------------------------- */

static int reader_id;

static void *reader(void *arg)
{
    char buf[8];

    __atomic_store_n(&reader_id, gettid(), __ATOMIC_RELEASE);
    T(read(*(int *)arg, buf, 8));
    return NULL;
}

/* A thread is blocked in a connection while another forks, and the child uses it as well: each byte
 * goes to one of them. */
static void a_child_has_it_too(void)
{
    int a;
    int b;
    char buf[8];
    int sync[2];
    pthread_t thread;
    pid_t child;

    section("a thread is in it, and a child");
    connection(&a, &b);
    must(pipe(sync) == 0, "pipe");
    reader_id = 0;
    pthread_create(&thread, NULL, reader, &b);
    while (__atomic_load_n(&reader_id, __ATOMIC_ACQUIRE) == 0)
        sched_yield();
    until_asleep(reader_id);
    child = forked();
    if (child == 0) {
        must(write(b, "child", 5) == 5, "write");
        must(read(sync[0], buf, 1) == 1, "read");
        _exit(recv(b, buf, 4, MSG_WAITALL) == 4 && write(b, buf, 4) == 4 ? 0 : 8);
    }
    T(recv(a, buf, 5, MSG_WAITALL));
    must(write(a, "wake", 4) == 4, "write");
    pthread_join(thread, NULL);
    must(write(sync[1], "", 1) == 1 && write(a, "more", 4) == 4, "write");
    T(recv(a, buf, 4, MSG_WAITALL));
    ended(child);
    T(write(b, "on", 2));
    T(read(a, buf, 8));
    close(sync[0]);
    close(sync[1]);
    done(a, b);
}

/* ---- another program ------------------------------------------------------------------------- */

extern char **environ;

static const char *const ways[] = {"execl",    "execvp",      "execle",  "vfork",
                                   "a number", "a duplicate", "spawned", "spawned by name"};
enum { EXECL, EXECVP, EXECLE, VFORK, NUMBER, DUPLICATE, SPAWN, SPAWNP, WAYS };

static void onto_stdio(int fd)
{
    must(dup2(fd, 0) == 0 && dup2(fd, 1) == 1 && dup2(fd, 2) == 2, "dup2");
}

static void become(int fd, int how)
{
    char *const args[] = {(char *)(uintptr_t) "cat", NULL};
    char shell[64];

    if (how == DUPLICATE)
        fd = dup(fd);
    if (how == NUMBER || how == DUPLICATE) {
        snprintf(shell, sizeof(shell), "exec cat <&%d >&%d", fd, fd);
        execl("/bin/sh", "sh", "-c", shell, (char *)NULL);
        _exit(9);
    }
    onto_stdio(fd);
    if (how == EXECL)
        execl("/bin/cat", "cat", (char *)NULL);
    if (how == EXECLE)
        execle("/bin/cat", "cat", (char *)NULL, environ);
    execvp("cat", args);
    _exit(9);
}

static pid_t spawned(int fd, int how)
{
    char *const args[] = {(char *)(uintptr_t) "cat", NULL};
    posix_spawn_file_actions_t actions;
    pid_t child = -1;

    must(posix_spawn_file_actions_init(&actions) == 0 &&
             posix_spawn_file_actions_adddup2(&actions, fd, 0) == 0 &&
             posix_spawn_file_actions_adddup2(&actions, fd, 1) == 0,
         "actions");
    if (how == SPAWN)
        must(posix_spawn(&child, "/bin/cat", &actions, NULL, args, environ) == 0, "posix_spawn");
    else
        must(posix_spawnp(&child, "cat", &actions, NULL, args, environ) == 0, "posix_spawnp");
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

/* Who vforks may do nothing else that matters in the child. */
static pid_t vforked(int fd)
{
    char *const args[] = {(char *)(uintptr_t) "cat", NULL};
    pid_t child = vfork();

    if (child != 0)
        return child;
    (void)dup2(fd, 0);
    (void)dup2(fd, 1);
    execvp("cat", args);
    _exit(9);
}

/* What the server has read it has read; all the rest is the new program's, also what the client has
 * sent before. */
static void another_serves(int how, bool keeps)
{
    int a;
    int b;
    char buf[16];
    pid_t child;

    section("another program serves");
    printf("%s, %s\n", ways[how], keeps ? "the parent keeps it" : "the parent closes it");
    connection(&a, &b);
    must(fcntl(a, F_SETFD, FD_CLOEXEC) == 0 && fcntl(listener, F_SETFD, FD_CLOEXEC) == 0, "fcntl");
    must(write(a, "head", 4) == 4 && recv(b, buf, 4, MSG_WAITALL) == 4, "head");
    must(write(b, "hello", 5) == 5 && write(a, "early", 5) == 5, "write");
    if (how == SPAWN || how == SPAWNP)
        child = spawned(b, how);
    else if (how == VFORK)
        child = vforked(b);
    else
        child = forked();
    if (child == 0)
        become(b, how);
    if (!keeps)
        close(b);
    T(recv(a, buf, 10, MSG_WAITALL));
    printf("%.10s\n", buf);
    ask(a, 3);
    T(shutdown(a, SHUT_WR));
    ended(child);
    if (keeps) {
        T(read(b, buf, 8));
        T(write(b, "last", 4));
        close(b);
        T(recv(a, buf, 4, MSG_WAITALL));
    }
    T(read(a, buf, 8));
    close(a);
}

/* A shell command has it as its standard input; a connection that it merely inherits, because
 * nobody has closed it, stays as it was. */
static void commands(void)
{
    int a;
    int b;
    int before;
    char buf[8];
    FILE *f;

    section("commands");
    connection(&a, &b);
    before = fcntl(0, F_DUPFD_CLOEXEC, 10);
    T(system("exit 3"));
    ask_by_hand(a, b);
    must(write(a, "one\ntwo\nsix\n", 12) == 12, "write");
    must(dup2(b, 0) == 0, "dup2");
    must(fflush(stdout) == 0, "fflush");
    T(system("read x; echo got $x"));
    f = popen("read x; echo got $x", "r");
    must(f != NULL && fgets(buf, sizeof(buf), f) != NULL && pclose(f) == 0, "popen");
    printf("%s", buf);
    must(dup2(before, 0) == 0 && close(before) == 0, "dup2");
    T(recv(b, buf, 4, MSG_WAITALL));
    ask_by_hand(a, b);
    done(a, b);
}

/* Both ends become other programs, at the same time. */
static void both_become(void)
{
    int a;
    int b;
    int out[2];
    char buf[4096];
    size_t got = 0;
    ssize_t n;
    pid_t server;
    pid_t client;

    section("both become another program");
    connection(&a, &b);
    must(pipe(out) == 0, "pipe");
    must(write(a, "early\n", 6) == 6 && write(b, "hello\n", 6) == 6, "write");
    server = forked();
    if (server == 0) {
        close(a);
        become(b, EXECVP);
    }
    client = forked();
    if (client == 0) {
        close(b);
        must(dup2(a, 0) == 0 && dup2(out[1], 1) == 1 && close(out[0]) == 0 && close(out[1]) == 0,
             "dup2");
        must(a < 3 || close(a) == 0, "close");
        execl("/bin/sh", "sh", "-c", "exec 3<&0; seq 1 20000 >&3 & head -c 108906", (char *)NULL);
        _exit(9);
    }
    done(a, b);
    close(out[1]);
    while ((n = read(out[0], buf, sizeof(buf))) > 0)
        got += (size_t)n;
    printf("%zu bytes\n", got);
    close(out[0]);
    ended(client);
    ended(server);
}

/* A thread is blocked in the connection while another forks, and another is free. */
static void a_thread_is_in_it(void)
{
    int a;
    int b;
    int c;
    int d;
    char buf[8];
    pthread_t thread;
    pid_t child;

    section("a thread is in it");
    connection(&a, &b);
    connection(&c, &d);
    pthread_create(&thread, NULL, reader, &b);
    child = forked();
    if (child == 0) {
        close(c);
        _exit(echo(d));
    }
    close(d);
    ask(c, 3);
    must(write(a, "wake", 4) == 4, "write");
    pthread_join(thread, NULL);
    close(c);
    ended(child);
    T(write(b, "on", 2));
    T(read(a, buf, 8));
    done(a, b);
}

/* More than can be kin of one connection at a time: each has it, also the last one. */
static void many_children(void)
{
    int a;
    int b;
    char buf[16];
    pid_t children[50];
    int sync[2];

    section("many children");
    connection(&a, &b);
    must(pipe(sync) == 0, "pipe");
    must(write(a, "early", 5) == 5, "write");
    for (int i = 0; i < 50; i++) {
        children[i] = forked();
        if (children[i] == 0) {
            close(sync[1]);
            must(i < 48 || recv(b, buf, 5, MSG_WAITALL) == 5, "recv");
            must(i < 48 || write(b, "child", 5) == 5, "write");
            must(read(sync[0], buf, 1) == 0, "read");
            _exit(0);
        }
        if (i < 48)
            continue;
        T(recv(a, buf, 5, MSG_WAITALL));
        must(write(a, "again", 5) == 5, "write");
    }
    T(recv(b, buf, 5, MSG_WAITALL));
    T(write(a, "question", 8));
    T(recv(b, buf, 8, MSG_WAITALL));
    close(sync[1]);
    for (int i = 0; i < 50; i++)
        must(waitpid(children[i], NULL, 0) == children[i], "waitpid");
    T(write(b, "answer", 6));
    T(recv(a, buf, 6, MSG_WAITALL));
    close(b);
    T(read(a, buf, 8));
    close(a);
    close(sync[0]);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    child_serves(true);
    child_serves(false);
    grandchild_serves();
    child_asks();
    many_bytes();
    one_each_way();
    for (int what = 0; what < 5; what++)
        parent_goes_on(what);
    both_read();
    parent_waits(false);
    parent_waits(true);
    flags_are_shared();
    for (int how = 0; how < 4; how++) {
        waits(how, false);
        waits(how, true);
    }
    a_thread_is_in_it();
    a_child_has_it_too();
    many_children();
    unsetenv("LD_PRELOAD"); /* a sanitizer's shim does not fit into other programs */
    for (int how = 0; how < WAYS; how++) {
        another_serves(how, false);
        if (how != NUMBER)
            another_serves(how, true);
    }
    commands();
    both_become();
    end();
    return 0;
}
