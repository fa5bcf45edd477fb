/* SPDX-License-Identifier: MIT */
/*
 * What programs do round the C library's calls (calls.h): system calls by number, forks that no
 * handler of fork() hears of, jumps out of a call, and input that is told by a signal.
 */
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "calls.h"

/* ---- by number ------------------------------------------------------------------------------- */

/* Closed by number, and the number is something else's: which is not ours any more. */
static void closed_by_number(void)
{
    int a;
    int b;
    int ends[2];
    char buf[8] = "";

    section("closed by number");
    connection(&a, &b);
    T(syscall(SYS_close, a));
    T(read(b, buf, 8));
    must(pipe(ends) == 0, "pipe");
    printf("the same number: %d\n", ends[0] == a);
    T(write(ends[1], "pipe", 4));
    T(read(ends[0], buf, 8));
    printf("%s\n", buf);
    done(ends[0], ends[1]);
    T(syscall(SYS_close, b));
    T(syscall(SYS_close, b));
}

static void moved_by_number(void)
{
    int a;
    int b;
    char buf[16] = "";
    struct iovec iov = {buf, 8};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    section("moved by number");
    connection(&a, &b);
    T(syscall(SYS_write, a, "one", 3));
    arrived(b);
    T(syscall(SYS_read, b, buf, 8));
    T(syscall(SYS_sendto, b, "four", 4, 0, NULL, 0));
    arrived(a);
    T(syscall(SYS_recvfrom, a, buf, 8, 0, NULL, NULL));
    T(syscall(SYS_sendmsg, a, &m, 0));
    arrived_all(b, 8);
    T(syscall(SYS_recvmsg, b, &m, MSG_DONTWAIT));
    T(syscall(SYS_recvmsg, b, &m, MSG_DONTWAIT));
    T(syscall(SYS_writev, a, &iov, 1));
    arrived_all(b, 8);
    T(syscall(SYS_readv, b, &iov, 1));
    T(syscall(SYS_shutdown, a, SHUT_WR));
    T(read(b, buf, 8));
    T(syscall(SYS_write, 999, "x", 1));
    T(syscall(SYS_close_range, a, a, 0));
    T(write(a, "x", 1));
    close(b);
}

static void waits_by_number(void)
{
    int a;
    int b;
    int e;
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 7};
    struct epoll_event got;

    section("waits by number");
    connection(&a, &b);
    e = (int)syscall(SYS_epoll_create1, 0);
    T(syscall(SYS_epoll_ctl, e, EPOLL_CTL_ADD, b, &ev));
    T(syscall(SYS_epoll_pwait, e, &got, 1, 0, NULL, 8));
    T(write(a, "x", 1));
    T(syscall(SYS_epoll_pwait, e, &got, 1, 5000, NULL, 8));
    printf("%x %d\n", got.events, (int)got.data.u64);
    close(e);
    done(a, b);
}

/* The duplicate is the connection, too. */
static void duplicated_by_number(void)
{
    int a;
    int b;
    int d;
    char buf[8];

    section("duplicated by number");
    connection(&a, &b);
    d = (int)syscall(SYS_dup, a);
    close(a);
    T(write(d, "dup", 3));
    arrived(b);
    T(read(b, buf, 8));
    T(syscall(SYS_fcntl, b, F_SETFL, O_NONBLOCK));
    T(read(b, buf, 8));
    done(d, b);
}

/* Sockets that were never made by a call of the C library. */
static void made_by_number(void)
{
    int a = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    int b;
    char buf[8];

    section("made by number");
    T(syscall(SYS_connect, a, &address, sizeof(address)));
    b = (int)syscall(SYS_accept4, listener, NULL, NULL, SOCK_NONBLOCK);
    for (int i = 0; i < 8; i++) {
        must(write(a, "ping", 4) == 4, "write");
        arrived(b);
        must(read(b, buf, 4) == 4 && write(b, "pong", 4) == 4, "read");
        must(read(a, buf, 4) == 4, "read");
    }
    T(read(b, buf, 8));
    done(a, b);
}

/* ---- forks that nobody hears of -------------------------------------------------------------- */

static int ends[2]; /* of the connection that parent and child have */

/* The child's: says something, closes, and gives the number to a file. */
static int child(void *arg)
{
    int null;

    (void)arg;
    if (write(ends[0], "child", 5) != 5)
        return 1;
    close(ends[0]);
    null = open("/dev/null", O_RDWR);
    return null == ends[0] && write(null, "file", 4) == 4 ? 7 : 2;
}

static pid_t by_clone(void)
{
    static _Alignas(16) char stack[65536];

    return clone(child, stack + sizeof(stack), SIGCHLD, NULL);
}

static pid_t by_fork(pid_t pid)
{
    if (pid == 0)
        _exit(child(NULL));
    return pid;
}

static void forked(const char *how, int way)
{
    char buf[16];
    int status = 0;
    pid_t pid;

    section(how);
    connection(&ends[0], &ends[1]);
    pid = way == 0   ? by_clone()
          : way == 1 ? by_fork(_Fork())
                     : by_fork((pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0));
    must(pid > 0, how);
    T(recv(ends[1], buf, 5, MSG_WAITALL));
    T(waitpid(pid, &status, 0) == pid);
    T(WEXITSTATUS(status));
    T(write(ends[0], "parent", 6));
    T(recv(ends[1], buf, 6, MSG_WAITALL));
    T(write(ends[1], "back", 4));
    T(recv(ends[0], buf, 4, MSG_WAITALL));
    done(ends[0], ends[1]);
}

/* ---- jumps ----------------------------------------------------------------------------------- */

static sigjmp_buf back;

static void jumps(int number)
{
    siglongjmp(back, number);
}

/* A blocking call is left by a jump out of a handler: by none of its own doing is it ended. */
static void jumped(int how)
{
    static char some[8 << 20];
    static int a;
    static int b;
    struct pollfd p;
    char buf[8];

    section("jumped out");
    connection(&a, &b);
    signal(SIGALRM, jumps);
    for (volatile int i = 0; i < 3; i++) {
        p = (struct pollfd){.fd = b, .events = POLLIN};
        if (sigsetjmp(back, 1) != 0)
            continue;
        ualarm(20000, 0);
        if (how == 0)
            printf("read %zd\n", read(b, buf, 8));
        else if (how == 1)
            printf("poll %d\n", poll(&p, 1, -1));
        else
            while (write(a, some, sizeof(some)) > 0)
                ;
        printf("not jumped: %s\n", strerrorname_np(errno));
    }
    signal(SIGALRM, SIG_DFL);
    if (how == 2) {
        must(send(a, "x", 1, MSG_DONTWAIT) == 1 || errno == EAGAIN, "send"); /* room, or none */
        while (recv(b, some, sizeof(some), MSG_DONTWAIT) > 0)
            ;
    }
    p = (struct pollfd){.fd = b, .events = POLLIN};
    must(poll(&p, 1, 0) >= 0, "poll");
    for (int i = 0; i < 20; i++) {
        must(write(a, "ping", 4) == 4 && recv(b, buf, 4, MSG_WAITALL) == 4, "ping");
        must(write(b, "pong", 4) == 4 && recv(a, buf, 4, MSG_WAITALL) == 4, "pong");
    }
    T(close(a));
    T(read(b, buf, 8));
    T(close(b));
}

/* ---- SIGIO ----------------------------------------------------------------------------------- */

static volatile sig_atomic_t signalled;

static void counts(int number)
{
    (void)number;
    signalled++;
}

/* A connection that asks for signals before it has moved gets them. */
static void signals_input(bool by_ioctl)
{
    int a;
    int b;
    int on = 1;
    char buf[8];
    bool was = warm;

    section("signals");
    warm = false;
    connection(&a, &b);
    warm = was;
    signal(SIGIO, counts);
    T(fcntl(b, F_SETOWN, getpid()));
    if (by_ioctl)
        T(ioctl(b, FIOASYNC, &on));
    else
        T(fcntl(b, F_SETFL, O_ASYNC));
    for (int i = 0; i < 40; i++) {
        signalled = 0;
        must(write(a, "ping", 4) == 4, "write");
        while (!signalled)
            sched_yield();
        must(recv(b, buf, 4, MSG_WAITALL) == 4 && write(b, "pong", 4) == 4, "read");
        must(recv(a, buf, 4, MSG_WAITALL) == 4, "read");
    }
    done(a, b);
    signal(SIGIO, SIG_DFL);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    closed_by_number();
    moved_by_number();
    waits_by_number();
    duplicated_by_number();
    made_by_number();
    forked("clone", 0);
    forked("_Fork", 1);
    forked("clone by number", 2);
    for (int how = 0; how < 3; how++)
        jumped(how);
    signals_input(false);
    signals_input(true);
    end();
    return 0;
}
