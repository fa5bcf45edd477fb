/* SPDX-License-Identifier: MIT */
/*
 * Connections that are older than a fork (calls.h): the child serves and the parent closes, both
 * use it, one of them dies. The client's end is in this process too, or in the child.
 */
#include <pthread.h>
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

static void *reader(void *arg)
{
    char buf[8];

    T(read(*(int *)arg, buf, 8));
    return NULL;
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

/* More than can be kin of one connection at a time. */
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
    for (int i = 0; i < 50; i++) {
        children[i] = forked();
        if (children[i] == 0) {
            close(sync[1]);
            must(read(sync[0], buf, 1) == 0, "read");
            _exit(0);
        }
    }
    ask(a, 0);
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
    many_children();
    end();
    return 0;
}
