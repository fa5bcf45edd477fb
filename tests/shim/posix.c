/* SPDX-License-Identifier: MIT */
/*
 * Goes through the socket calls and prints what each returns and errno says (calls.h).
 *
 * Both ends are in this process, one thread, except where a call is to block.
 */
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "calls.h"

static int pipes; /* SIGPIPEs */

/* ---- the cases ------------------------------------------------------------------------------- */

static void wrong_arguments(void)
{
    int a;
    int b;
    char buf[4];
    volatile int minus = -1; /* the compiler knows better */
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);

    section("wrong arguments");
    connection(&a, &b);
    T(socket(AF_INET, 77, 0));
    T(socket(-1, SOCK_STREAM, 0));
    T(read(-1, buf, 1));
    T(write(-1, buf, 1));
    T(recv(9999, buf, 1, 0));
    T(send(9999, buf, 1, 0));
    T(close(-1));
    T(close(9999));
    T(accept(a, NULL, NULL));
    T(listen(-1, 1));
    T(bind(a, (struct sockaddr *)&address, sizeof(address)));
    T(bind(a, (struct sockaddr *)&address, 3));
    T(connect(a, (struct sockaddr *)&address, sizeof(address)));
    T(shutdown(a, 77));
    T(shutdown(listener + 1000, SHUT_RD));
    T(getpeername(listener, (struct sockaddr *)&ss, &len));
    T(getsockopt(a, 12345, 1, buf, &len));
    T(setsockopt(a, SOL_SOCKET, SO_REUSEADDR, buf, 1));
    T(pread(a, buf, 1, 0));
    T(pwrite(a, buf, 1, 0));
    T(lseek(a, 0, SEEK_SET));
    T(fcntl(a, F_SETFD, FD_CLOEXEC));
    T(fcntl(a, 9999, 0));
    T(dup(9999));
    T(dup2(9999, a));
    T(dup3(a, a, 0));
    T(read(a, NULL, 0));
    T(write(a, NULL, 0));
    T(recv(a, buf, 0, MSG_DONTWAIT));
    T(readv(a, NULL, minus));
    T(writev(a, NULL, minus));
    T(recv(a, buf, 1, MSG_DONTWAIT | MSG_OOB));
    T(recv(a, buf, 1, MSG_DONTWAIT | MSG_ERRQUEUE));
    T(epoll_ctl(a, EPOLL_CTL_ADD, b, NULL));
    T(epoll_wait(a, NULL, 1, 0));
    T(poll(NULL, 1, 0));
    T(select(-1, NULL, NULL, NULL, NULL));
    done(a, b);
}

static void not_connected(void)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);
    int closed;
    struct sockaddr_in to = address;
    struct sockaddr_in got;
    socklen_t len = sizeof(got);
    int error = 0;
    char buf[4];

    section("not connected, refused");
    T(read(s, buf, 1));
    T(send(s, "x", 1, MSG_NOSIGNAL));
    T(shutdown(s, SHUT_WR));
    T(getpeername(s, (struct sockaddr *)&got, &len));
    closed = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_port = 0;
    must(bind(closed, (struct sockaddr *)&to, sizeof(to)) == 0, "bind");
    len = sizeof(to);
    must(getsockname(closed, (struct sockaddr *)&to, &len) == 0, "getsockname");
    T(connect(s, (struct sockaddr *)&to, sizeof(to)));
    T(close(s));
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    T(connect(s, (struct sockaddr *)&to, sizeof(to)));
    len = sizeof(error);
    T(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len));
    printf("error %d\n", error);
    done(s, closed);
}

static void plain_bytes(void)
{
    int a;
    int b;
    char buf[64] = "";
    struct iovec out[3] = {{(void *)"one", 3}, {(void *)"", 0}, {(void *)"three", 5}};
    struct iovec in[2] = {{buf, 2}, {buf + 2, 20}};
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 3};
    struct mmsghdr mm[2] = {{.msg_hdr = {.msg_iov = out, .msg_iovlen = 1}},
                            {.msg_hdr = {.msg_iov = out + 2, .msg_iovlen = 1}}};
    struct sockaddr_storage from;
    socklen_t len = sizeof(from);
    int n = -1;

    section("bytes");
    connection(&a, &b);
    T(write(a, "hello", 5));
    arrived(b);
    T(ioctl(b, FIONREAD, &n));
    printf("%d bytes\n", n);
    T(recv(b, buf, 2, MSG_PEEK));
    T(recv(b, buf, 64, MSG_PEEK));
    printf("%.5s\n", buf);
    T(recv(b, NULL, 2, MSG_TRUNC));
    T(recvfrom(b, buf, 64, 0, (struct sockaddr *)&from, &len));
    printf("%.3s, address of %u\n", buf, (unsigned)len);
    T(writev(a, out, 3));
    arrived(b);
    T(readv(b, in, 2));
    printf("%.8s\n", buf);
    T(sendmsg(a, &m, MSG_NOSIGNAL));
    m.msg_iov = in;
    m.msg_iovlen = 2;
    arrived(b);
    T(recvmsg(b, &m, 0));
    printf("%.8s flags %x\n", buf, (unsigned)m.msg_flags);
    T(sendmmsg(a, mm, 2, 0));
    printf("%u %u\n", mm[0].msg_len, mm[1].msg_len);
    mm[0].msg_hdr.msg_iov = in;
    mm[1].msg_hdr.msg_iov = in + 1;
    arrived_all(b, 8);
    T(recvmmsg(b, mm, 2, MSG_DONTWAIT, NULL));
    T(recv(b, buf, 64, MSG_DONTWAIT));
    printf("%u\n", mm[0].msg_len);
    T(sendto(a, "xyz", 3, 0, NULL, 0));
    T(recv(b, buf, 3, MSG_WAITALL));
    T(dprintf(a, "%d and %s", 7, "more"));
    T(recv(b, buf, 10, MSG_WAITALL));
    printf("%.10s\n", buf);
    T(recv(b, buf, 1, MSG_DONTWAIT));
    nonblocking(b);
    T(read(b, buf, 1));
    n = 0;
    T(ioctl(b, FIONBIO, &n));
    T(recv(b, buf, 1, MSG_DONTWAIT));
    done(a, b);
}

static void ends(void)
{
    int a;
    int b;
    char buf[8];

    section("half-closed, closed, reset");
    connection(&a, &b);
    T(write(a, "last", 4));
    T(shutdown(a, SHUT_WR));
    T(send(a, "x", 1, MSG_NOSIGNAL));
    T(read(b, buf, 8));
    T(read(b, buf, 8));
    T(read(b, buf, 8));
    T(write(b, "answer", 6));
    T(close(b));
    T(read(a, buf, 8));
    T(read(a, buf, 8));
    close(a);

    connection(&a, &b);
    T(close(b));
    T(read(a, buf, 8));
    T(send(a, "x", 1, MSG_NOSIGNAL));
    T(send(a, "x", 1, MSG_NOSIGNAL));
    pipes = 0;
    T(write(a, "x", 1));
    printf("%d SIGPIPE\n", pipes);
    close(a);

    connection(&a, &b);
    T(write(a, "unread", 6));
    arrived(b);
    T(close(b));
    T(read(a, buf, 8));
    T(read(a, buf, 8));
    close(a);

    connection(&a, &b);
    T(shutdown(b, SHUT_RD));
    T(recv(b, buf, 8, MSG_DONTWAIT));
    T(shutdown(b, SHUT_RDWR));
    T(read(a, buf, 8));
    T(shutdown(a, SHUT_RDWR));
    T(read(a, buf, 8));
    done(a, b);
}

static void options(void)
{
    int a;
    int b;
    int value = -1;
    socklen_t len = sizeof(value);
    struct timeval tv = {.tv_usec = 20000};
    struct sockaddr_in here;
    struct sockaddr_in there;
    socklen_t n = sizeof(here);
    char buf[4];

    section("options and names");
    connection(&a, &b);
    T(getsockopt(a, IPPROTO_TCP, TCP_NODELAY, &value, &len));
    printf("%d\n", value);
    value = 1;
    T(setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)));
    T(getsockopt(a, IPPROTO_TCP, TCP_NODELAY, &value, &len));
    printf("%d\n", value);
    value = 0;
    T(setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)));
    T(getsockopt(a, IPPROTO_TCP, TCP_NODELAY, &value, &len));
    printf("%d\n", value);
    T(getsockopt(a, SOL_SOCKET, SO_TYPE, &value, &len));
    printf("%d\n", value);
    T(getsockopt(a, SOL_SOCKET, SO_ERROR, &value, &len));
    printf("%d\n", value);
    T(getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &value, &len));
    printf("%d\n", value);
    T(setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    T(read(b, buf, 4));
    T(getsockname(a, (struct sockaddr *)&here, &n));
    T(getpeername(b, (struct sockaddr *)&there, &n));
    printf("same: %d\n",
           here.sin_port == there.sin_port && here.sin_addr.s_addr == there.sin_addr.s_addr);
    T(fcntl(a, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    done(a, b);
}

static void duplicates(void)
{
    int a;
    int b;
    int c;
    char buf[8];

    section("duplicates");
    connection(&a, &b);
    c = dup(a);
    close(a);
    T(write(c, "dup", 3));
    T(read(b, buf, 8));
    a = fcntl(c, F_DUPFD_CLOEXEC, 100);
    printf("at least 100: %d\n", a >= 100);
    T(dup2(a, 90));
    T(write(90, "90", 2));
    T(read(b, buf, 8));
    T(close(90));
    T(dup3(a, 91, O_CLOEXEC));
    T(close(a));
    T(close(c));
    T(recv(b, buf, 8, MSG_DONTWAIT));
    T(close_range(91, 91, 0));
    T(read(b, buf, 8));
    T(write(91, "x", 1));
    close(b);
}

static void poll_and_select(void)
{
    int a;
    int b;
    int p[2];
    struct pollfd fds[3];
    fd_set in;
    fd_set out;
    struct timeval tv = {0};
    struct timespec ts = {0};
    char buf[8];

    section("poll and select");
    connection(&a, &b);
    must(pipe(p) == 0, "pipe");
    fds[0] = (struct pollfd){.fd = a, .events = POLLIN | POLLOUT};
    fds[1] = (struct pollfd){.fd = b, .events = POLLIN | POLLOUT};
    fds[2] = (struct pollfd){.fd = p[0], .events = POLLIN};
    T(poll(fds, 3, 0));
    printf("%x %x %x\n", fds[0].revents, fds[1].revents, fds[2].revents);
    T(write(a, "x", 1));
    T(write(p[1], "x", 1));
    arrived(b);
    T(ppoll(fds, 3, &ts, NULL));
    printf("%x %x %x\n", fds[0].revents, fds[1].revents, fds[2].revents);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(a, &in);
    FD_SET(b, &in);
    FD_SET(p[0], &in);
    FD_SET(a, &out);
    T(select(p[1] + 1, &in, &out, NULL, &tv));
    printf("%d %d %d %d\n", FD_ISSET(a, &in) != 0, FD_ISSET(b, &in) != 0, FD_ISSET(p[0], &in) != 0,
           FD_ISSET(a, &out) != 0);
    T(read(b, buf, 8));
    FD_ZERO(&in);
    FD_SET(b, &in);
    ts.tv_nsec = 1000000;
    T(pselect(b + 1, &in, NULL, NULL, &ts, NULL));
    fds[0] = (struct pollfd){.fd = b, .events = POLLIN | POLLRDHUP};
    T(poll(fds, 1, 1));
    T(shutdown(a, SHUT_WR));
    T(poll(fds, 1, 1000));
    printf("%x\n", fds[0].revents);
    close(a);
    fds[1] = (struct pollfd){.fd = a, .events = POLLIN};
    T(poll(fds, 2, 0));
    printf("%x\n", fds[1].revents);
    close(b);
    close(p[0]);
    close(p[1]);
}

/* One wait for the timeout, then some that do not wait, since not all that is ready must be told at
 * once. In the order of the data, since epoll promises none. */
static void wait_some(int e, int timeout, int more)
{
    unsigned events[16] = {0};
    struct epoll_event ev[16];

    for (int i = 0; i <= more; i++) {
        int n = epoll_wait(e, ev, 16, i == 0 ? timeout : 0);

        for (int k = 0; k < n; k++)
            events[ev[k].data.u32 % 16] |= ev[k].events;
    }
    printf("epoll:");
    for (unsigned k = 0; k < 16; k++)
        if (events[k] != 0)
            printf(" %u=%x", k, events[k]);
    printf("\n");
}

static void wait_once(int e, int timeout)
{
    wait_some(e, timeout, 0);
}

static void put_in(int e, int op, int fd, unsigned events, unsigned data)
{
    struct epoll_event ev = {.events = events, .data.u32 = data};

    errno = 0;
    show("epoll_ctl", epoll_ctl(e, op, fd, &ev));
}

static void epoll_level(int e, int a, int b)
{
    int event = eventfd(0, EFD_NONBLOCK);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec soon = {.it_value.tv_nsec = 1};
    uint64_t one = 1;
    char buf[16];

    section("epoll, level");
    put_in(e, EPOLL_CTL_ADD, b, EPOLLIN, 1);
    put_in(e, EPOLL_CTL_ADD, b, EPOLLIN, 1);
    put_in(e, EPOLL_CTL_MOD, a, EPOLLIN, 1);
    put_in(e, EPOLL_CTL_DEL, a, 0, 0);
    put_in(e, EPOLL_CTL_ADD, event, EPOLLIN, 2);
    put_in(e, EPOLL_CTL_ADD, timer, EPOLLIN, 3);
    put_in(e, EPOLL_CTL_ADD, listener, EPOLLIN, 4);
    wait_once(e, 0);
    T(write(a, "abc", 3));
    arrived(b);
    wait_once(e, 1000);
    wait_once(e, 1000);
    T(read(b, buf, 1));
    wait_once(e, 1000);
    T(read(b, buf, 16));
    wait_once(e, 1);
    T(write(event, &one, 8));
    T(timerfd_settime(timer, 0, &soon, NULL));
    arrived(timer);
    wait_some(e, 1000, 40);
    T(write(a, "abc", 3));
    arrived(b);
    wait_some(e, 1000, 40);
    put_in(e, EPOLL_CTL_MOD, b, EPOLLOUT, 5);
    wait_some(e, 1000, 40);
    put_in(e, EPOLL_CTL_MOD, b, EPOLLIN | EPOLLOUT, 6);
    wait_some(e, 1000, 40);
    put_in(e, EPOLL_CTL_DEL, b, 0, 0);
    wait_some(e, 1000, 40);
    put_in(e, EPOLL_CTL_DEL, b, 0, 0);
    put_in(e, EPOLL_CTL_MOD, b, EPOLLIN, 6);
    put_in(e, EPOLL_CTL_DEL, event, 0, 0);
    put_in(e, EPOLL_CTL_DEL, timer, 0, 0);
    T(read(b, buf, 16));
    close(event);
    close(timer);
}

static void epoll_edge(int e, int a, int b)
{
    char buf[16];

    section("epoll, edge");
    put_in(e, EPOLL_CTL_ADD, b, EPOLLIN | EPOLLET, 7);
    wait_once(e, 1);
    T(write(a, "abc", 3));
    arrived(b);
    wait_once(e, 1000);
    wait_once(e, 1);
    T(read(b, buf, 1));
    wait_once(e, 1);
    T(write(a, "d", 1));
    wait_once(e, 1000);
    wait_once(e, 1);
    T(read(b, buf, 16));
    put_in(e, EPOLL_CTL_MOD, b, EPOLLIN | EPOLLOUT | EPOLLET, 8);
    wait_once(e, 1000);
    wait_once(e, 1);
}

static void epoll_one_shot(int e, int a, int b)
{
    char buf[16];

    section("epoll, one shot");
    put_in(e, EPOLL_CTL_MOD, b, EPOLLIN | EPOLLONESHOT, 9);
    T(write(a, "abc", 3));
    arrived(b);
    wait_once(e, 1000);
    wait_once(e, 1);
    T(write(a, "abc", 3));
    wait_once(e, 1);
    put_in(e, EPOLL_CTL_MOD, b, EPOLLIN | EPOLLONESHOT, 10);
    wait_once(e, 1000);
    T(read(b, buf, 16));
}

static void epoll_in_epoll(int e, int a, int b)
{
    int outer = epoll_create1(0);
    char buf[16];

    section("epoll in epoll");
    put_in(e, EPOLL_CTL_MOD, b, EPOLLIN, 11);
    put_in(outer, EPOLL_CTL_ADD, e, EPOLLIN, 12);
    wait_once(outer, 1);
    T(write(a, "abc", 3));
    wait_once(outer, 1000);
    wait_once(e, 1000);
    T(read(b, buf, 16));
    wait_once(e, 1);
    wait_once(outer, 1);
    close(outer);
}

static void epoll_end(int e, int a, int b)
{
    section("epoll, the end");
    put_in(e, EPOLL_CTL_MOD, b, EPOLLIN | EPOLLRDHUP, 13);
    T(shutdown(a, SHUT_WR));
    arrived(b);
    wait_once(e, 1000);
    T(close(b));
    wait_once(e, 1);
}

static void epolls(void)
{
    int a;
    int b;
    int e = epoll_create1(EPOLL_CLOEXEC);

    connection(&a, &b);
    epoll_level(e, a, b);
    epoll_edge(e, a, b);
    epoll_one_shot(e, a, b);
    epoll_in_epoll(e, a, b);
    epoll_end(e, a, b);
    close(a);
    close(e);
}

/* Until the connection takes no more: how much that is, is each one's own affair. */
static void full(void)
{
    int a;
    int b;
    int e = epoll_create1(0);
    static char some[65536];
    size_t sent = 0;
    size_t got = 0;
    ssize_t r;
    struct pollfd p;

    section("full");
    connection(&a, &b);
    nonblocking(a);
    while ((r = write(a, some, sizeof(some))) > 0)
        sent += (size_t)r;
    show("write", r);
    p = (struct pollfd){.fd = a, .events = POLLOUT};
    T(poll(&p, 1, 1));
    put_in(e, EPOLL_CTL_ADD, a, EPOLLOUT | EPOLLET, 1);
    wait_once(e, 1);
    while (got < sent && (r = read(b, some, sizeof(some))) > 0)
        got += (size_t)r;
    printf("all came: %d\n", got == sent);
    wait_once(e, 1000);
    wait_once(e, 1);
    T(poll(&p, 1, 1000));
    done(a, b);
    close(e);
}

static void files(void)
{
    int a;
    int b;
    int p[2];
    char name[] = "/tmp/membrane-posix.XXXXXX";
    int file = mkstemp(name);
    off_t at = 2;
    char buf[16];

    section("sendfile and splice");
    connection(&a, &b);
    unlink(name);
    must(write(file, "0123456789", 10) == 10 && pipe(p) == 0, "file");
    T(sendfile(a, file, &at, 4));
    printf("at %ld\n", (long)at);
    T(recv(b, buf, 4, MSG_WAITALL));
    printf("%.4s\n", buf);
    T(lseek(file, 7, SEEK_SET));
    T(sendfile(a, file, NULL, 100));
    T(lseek(file, 0, SEEK_CUR));
    T(recv(b, buf, 3, MSG_WAITALL));
    T(sendfile(a, -1, NULL, 1));
    T(write(p[1], "through", 7));
    T(splice(p[0], NULL, a, NULL, 7, 0));
    T(recv(b, buf, 7, MSG_WAITALL));
    T(write(b, "back", 4));
    arrived(a);
    T(splice(a, NULL, p[1], NULL, 4, 0));
    T(read(p[0], buf, 16));
    printf("%.4s\n", buf);
    T(splice(a, &at, p[1], NULL, 4, 0));
    done(a, b);
    close(file);
    close(p[0]);
    close(p[1]);
}

/* ---- calls that block ------------------------------------------------------------------------ */

static void on_signal(int number)
{
    pipes += number == SIGPIPE;
}

static void *reader(void *arg)
{
    char buf[8];

    T(read(*(int *)arg, buf, 8));
    return NULL;
}

static void *big_writer(void *arg)
{
    size_t n = 4u << 20;
    char *data = calloc(1, n);

    T(write(*(int *)arg, data, n));
    free(data);
    return NULL;
}

static void blocking(void)
{
    int a;
    int b;
    pthread_t thread;
    struct sigaction sa = {.sa_handler = on_signal};
    struct itimerval soon = {.it_value.tv_usec = 20000};
    static char some[65536];
    size_t got = 0;
    ssize_t r;

    section("blocking");
    connection(&a, &b);
    pthread_create(&thread, NULL, reader, &b);
    must(write(a, "wake", 4) == 4, "write");
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, big_writer, &a);
    while (got < 4u << 20 && (r = read(b, some, sizeof(some))) > 0)
        got += (size_t)r;
    pthread_join(thread, NULL);
    printf("%zu\n", got);
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    T(read(b, some, 1));
    sa.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    pthread_create(&thread, NULL, reader, &b);
    must(write(a, "x", 1) == 1, "write");
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, reader, &b);
    must(shutdown(a, SHUT_RDWR) == 0, "shutdown");
    pthread_join(thread, NULL);
    done(a, b);
}

/* A server that forks for each connection, and one whose child accepts. */
static void forks(void)
{
    int a = socket(AF_INET, SOCK_STREAM, 0);
    int b;
    char buf[8];
    int status = 0;

    section("fork");
    fflush(stdout);
    T(connect(a, (struct sockaddr *)&address, sizeof(address)));
    b = accept(listener, NULL, NULL);
    fflush(stdout);
    if (fork() == 0) {
        for (int i = 0; i < 6; i++) {
            while (read(b, buf, 8) < 0 && errno == EINTR)
                ;
            if (write(b, "child", 5) != 5)
                _exit(2);
        }
        _exit(0);
    }
    close(b);
    for (int i = 0; i < 6; i++) {
        must(write(a, "to", 2) == 2, "write");
        T(recv(a, buf, 5, MSG_WAITALL));
    }
    T(read(a, buf, 8));
    wait(&status);
    printf("child %d\n", WEXITSTATUS(status));
    close(a);
}

static void ping_pongs(int a)
{
    char buf[8];

    for (int i = 0; i < 8; i++)
        must(write(a, "ping", 4) == 4 && recv(a, buf, 4, MSG_WAITALL) == 4, "ping");
}

static void pong_pings(int b)
{
    char buf[8];

    for (int i = 0; i < 8; i++)
        must(recv(b, buf, 4, MSG_WAITALL) == 4 && write(b, "pong", 4) == 4, "pong");
}

/* A process that connects, does its part, and is there until it is killed. */
static pid_t victim(void (*part)(int a))
{
    pid_t child;
    int a;

    fflush(stdout);
    child = fork();
    if (child != 0)
        return child;
    a = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(a, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    part(a);
    for (;;)
        pause();
}

static void kill_now(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void ping_and_last(int a)
{
    ping_pongs(a);
    must(write(a, "last", 4) == 4, "write");
}

/* The peer is killed: once with everything read, once with something unread. */
static void killed(bool unread)
{
    char buf[8];
    int b;
    pid_t child;

    section(unread ? "killed, unread" : "killed");
    child = victim(ping_and_last);
    b = accept(listener, NULL, NULL);
    pong_pings(b);
    T(recv(b, buf, 4, MSG_WAITALL));
    if (unread)
        T(write(b, "unread", 6));
    kill_now(child);
    T(read(b, buf, 8));
    T(read(b, buf, 8));
    if (!unread)
        T(send(b, "x", 1, MSG_NOSIGNAL));
    T(send(b, "x", 1, MSG_NOSIGNAL));
    T(send(b, "x", 1, MSG_NOSIGNAL));
    close(b);
}

/* Sends as often as the news needs to come. */
static ssize_t heard(int fd, const char *some, int flags)
{
    struct timespec now;
    struct timespec end;
    ssize_t r;

    clock_gettime(CLOCK_MONOTONIC, &end);
    do {
        r = send(fd, some, 100, flags);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (r < 0 && errno == EAGAIN && now.tv_sec < end.tv_sec + 5);
    return r;
}

/* There is no room for more, the peer is killed, and the next call writes. */
static void kill_full(pid_t child, int b, int flags)
{
    static char some[65536];
    char buf[8];
    int error = 0;
    socklen_t len = sizeof(error);

    while (send(b, some, sizeof(some), MSG_DONTWAIT) > 0)
        ;
    printf("errno %d\n", errno);
    kill_now(child);
    pipes = 0;
    for (int i = 0; i < 3; i++) {
        T(heard(b, some, flags));
        printf("pipes %d\n", pipes);
    }
    T(read(b, buf, 8));
    T(getsockopt(b, SOL_SOCKET, SO_ERROR, &error, &len));
    printf("error %d\n", error);
    close(b);
}

static void killed_full(int flags)
{
    pid_t child;
    int b;

    section(flags & MSG_DONTWAIT ? "killed, full, not blocking" : "killed, full");
    child = victim(ping_pongs);
    b = accept(listener, NULL, NULL);
    pong_pings(b);
    kill_full(child, b, flags);
}

#define PIECES 64 /* enough for a connection to move */
static int heard_it[2];

static void listens(int a)
{
    char buf[8];

    for (int i = 0; i < PIECES; i++)
        must(recv(a, buf, 4, MSG_WAITALL) == 4 && write(heard_it[1], "", 1) == 1, "listen");
}

/* The same where the peer has never said anything, and the kernel has nothing unread. */
static void killed_silent(int flags)
{
    pid_t child;
    char one;
    int b;

    section(flags & MSG_DONTWAIT ? "killed, silent, not blocking" : "killed, silent");
    must(pipe(heard_it) == 0, "pipe");
    child = victim(listens);
    b = accept(listener, NULL, NULL);
    for (int i = 0; i < PIECES; i++)
        must(write(b, "hear", 4) == 4 && read(heard_it[0], &one, 1) == 1, "hear");
    kill_full(child, b, flags);
    close(heard_it[0]);
    close(heard_it[1]);
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_signal};

    sigaction(SIGPIPE, &sa, NULL);
    begin(argc, argv);
    wrong_arguments();
    not_connected();
    plain_bytes();
    ends();
    options();
    duplicates();
    poll_and_select();
    epolls();
    full();
    files();
    blocking();
    forks();
    killed(false);
    killed(true);
    killed_full(0);
    killed_full(MSG_DONTWAIT);
    killed_silent(0);
    killed_silent(MSG_DONTWAIT);
    end();
    return 0;
}
