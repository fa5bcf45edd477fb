/* SPDX-License-Identifier: MIT */
/*
 * What threads and signals can do to a call under way (calls.h): cancel it, interrupt it, use the
 * same connection, close it, give its number to another. And what a call must leave alone.
 */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/un.h>

#include "calls.h"

/* Until the thread sleeps in the kernel. */
static void until_asleep(pid_t tid)
{
    char path[64];
    char text[256] = "";

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
    while (strstr(text, ") S ") == NULL) {
        int fd = open(path, O_RDONLY);

        must(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, path);
        close(fd);
    }
}

struct job {
    int fd;
    int how;
    pid_t tid; /* once it has begun */
    long result;
};

static pid_t started(struct job *j)
{
    pid_t tid;

    while ((tid = __atomic_load_n(&j->tid, __ATOMIC_ACQUIRE)) == 0)
        sched_yield();
    return tid;
}

static void begun(struct job *j)
{
    __atomic_store_n(&j->tid, gettid(), __ATOMIC_RELEASE);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static void *blocks(void *arg)
{
    struct job *j = arg;
    char buf[8];
    static char some[4 << 20];
    struct pollfd p = {.fd = j->fd, .events = POLLIN};
    struct epoll_event ev = {.events = EPOLLIN};
    int e = -1;
    fd_set in;

    FD_ZERO(&in);
    FD_SET(j->fd, &in);
    if (j->how == 4) {
        e = epoll_create1(0);
        must(epoll_ctl(e, EPOLL_CTL_ADD, j->fd, &ev) == 0, "epoll_ctl");
    }
    begun(j);
    if (j->how == 0)
        j->result = read(j->fd, buf, 8);
    if (j->how == 1)
        j->result = write(j->fd, some, sizeof(some));
    if (j->how == 2)
        j->result = poll(&p, 1, -1);
    if (j->how == 3)
        j->result = select(j->fd + 1, &in, NULL, NULL, NULL);
    if (j->how == 4)
        j->result = epoll_wait(e, &ev, 1, -1);
    return NULL;
}

/* A thread that is cancelled where it blocks leaves the connection as usable as it was. */
static void cancelled(int how)
{
    static const char *const names[] = {"read", "write", "poll", "select", "epoll_wait"};
    int a;
    int b;
    char buf[8];
    pthread_t thread;
    void *result = NULL;
    struct job j = {.how = how};

    section("a thread is cancelled");
    printf("in %s\n", names[how]);
    connection(&a, &b);
    j.fd = b;
    pthread_create(&thread, NULL, blocks, &j);
    until_asleep(started(&j));
    pthread_cancel(thread);
    pthread_join(thread, &result);
    printf("cancelled: %d\n", result == PTHREAD_CANCELED);
    T(write(a, "on", 2));
    T(read(b, buf, 8));
    T(write(a, "on", 2));
    arrived(b);
    T(recv(b, buf, 8, MSG_DONTWAIT));
    if (how != 1) {
        T(write(b, "back", 4));
        T(read(a, buf, 8));
    }
    T(close(b));
    close(a);
}

/* ---- a member that comes late ---------------------------------------------------------------- */

static void *waits(void *arg)
{
    struct job *j = arg;
    struct epoll_event ev = {0};

    begun(j);
    j->result = epoll_wait(j->fd, &ev, 1, 10000) == 1 ? (long)ev.data.u64 : -1;
    return NULL;
}

/* ThreadSanitizer keeps an account of descriptors by the calls that it sees, which are not all
 * under a shim; where numbers are used again by other threads it fails an assertion of its own.
 * And of a lock that is taken within a call that waits it does not see that it was given back by
 * another call within the shim. */
#if defined(__SANITIZE_THREAD__)
#define ACCOUNTED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ACCOUNTED 1
#endif
#endif
#ifndef ACCOUNTED
#define ACCOUNTED 0
#endif

/* Somebody waits on an epoll in which no socket is yet: what he is told is what was added. */
static void added_under_a_wait(void)
{
    int a;
    int b;
    pthread_t thread;
    struct job j = {.fd = epoll_create1(0)};
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 42};

    if (ACCOUNTED) {
        close(j.fd);
        return;
    }
    section("added under a wait");
    connection(&a, &b);
    pthread_create(&thread, NULL, waits, &j);
    until_asleep(started(&j));
    T(epoll_ctl(j.fd, EPOLL_CTL_ADD, b, &ev));
    T(write(a, "x", 1));
    pthread_join(thread, NULL);
    printf("told of %ld\n", j.result);
    close(j.fd);
    done(a, b);
}

/* ---- two threads ----------------------------------------------------------------------------- */

static void *polls(void *arg)
{
    struct job *j = arg;
    struct pollfd p = {.fd = j->fd, .events = POLLIN};

    begun(j);
    j->result = poll(&p, 1, 20000);
    return NULL;
}

static void *writes(void *arg)
{
    struct job *j = arg;
    size_t n = 6u << 20;
    char *data = calloc(1, n);

    begun(j);
    j->result = write(j->fd, data, n);
    free(data);
    return NULL;
}

/* One waits until there is something to read, another until there is room: a byte that is meant for
 * the one must not be lost to the other. */
static void poller_and_writer(bool writer_first)
{
    int a;
    int b;
    static char some[65536];
    pthread_t poller;
    pthread_t writer;
    struct job p = {0};
    struct job w = {0};
    size_t got = 0;
    ssize_t n;

    section("one polls, one writes");
    connection(&a, &b);
    p.fd = w.fd = b;
    if (writer_first) {
        pthread_create(&writer, NULL, writes, &w);
        until_asleep(started(&w));
    }
    pthread_create(&poller, NULL, polls, &p);
    until_asleep(started(&p));
    if (!writer_first) {
        pthread_create(&writer, NULL, writes, &w);
        until_asleep(started(&w));
    }
    must(write(a, "x", 1) == 1, "write");
    pthread_join(poller, NULL);
    while (got < 6u << 20 && (n = read(a, some, sizeof(some))) > 0)
        got += (size_t)n;
    pthread_join(writer, NULL);
    printf("poll %ld, write %ld, came %zu\n", p.result, w.result, got);
    done(a, b);
}

/* Each byte is read once, by whichever. */
static void *reads_all(void *arg)
{
    struct job *j = arg;
    char buf[64];
    ssize_t n;

    begun(j);
    while ((n = read(j->fd, buf, sizeof(buf))) > 0)
        j->result += n;
    return NULL;
}

static void many_readers(void)
{
    int a;
    int b;
    long sum = 0;
    pthread_t threads[4];
    struct job jobs[4] = {0};

    section("four read");
    connection(&a, &b);
    for (int i = 0; i < 4; i++) {
        jobs[i].fd = b;
        pthread_create(&threads[i], NULL, reads_all, &jobs[i]);
    }
    for (int i = 0; i < 5000; i++)
        must(write(a, "abcdefg", 7) == 7, "write");
    T(shutdown(a, SHUT_WR));
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        sum += jobs[i].result;
    }
    printf("%ld\n", sum);
    done(a, b);
}

/* shutdown() lets a blocked writer go. */
static void shut_under_a_writer(void)
{
    int a;
    int b;
    pthread_t thread;
    struct job j = {0};

    section("shutdown under a writer");
    connection(&a, &b);
    j.fd = b;
    pthread_create(&thread, NULL, writes, &j);
    until_asleep(started(&j));
    T(shutdown(b, SHUT_RDWR));
    pthread_join(thread, NULL);
    printf("less than all: %d\n", j.result < 6 << 20);
    done(a, b);
}

/* ---- half moved ------------------------------------------------------------------------------ */

static void pingpong(int a, int b)
{
    char buf[8];

    must(write(a, "ping", 4) == 4 && recv(b, buf, 4, MSG_WAITALL) == 4, "ping");
    must(write(b, "pong", 4) == 4 && recv(a, buf, 4, MSG_WAITALL) == 4, "pong");
}

/* One end sends, the other is silent: wherever on its way the connection is, there is room. */
static void writable(uint32_t edge)
{
    char buf[8];
    bool was = warm;

    section("writable on the way");
    for (int rounds = 0; was && rounds < 9; rounds++) {
        int a;
        int b;
        int e = epoll_create1(0);
        struct epoll_event in = {.events = EPOLLIN | edge};
        struct epoll_event out = {.events = EPOLLOUT | edge};
        struct epoll_event got = {0};

        warm = false;
        connection(&a, &b);
        warm = was;
        T(epoll_ctl(e, EPOLL_CTL_ADD, b, &in));
        for (int i = 0; i < rounds; i++)
            pingpong(a, b);
        for (int i = 0; i < 6; i++)
            must(write(b, "more", 4) == 4 && recv(a, buf, 4, MSG_WAITALL) == 4, "more");
        T(epoll_ctl(e, EPOLL_CTL_MOD, b, &out));
        printf("%d %#x\n", epoll_wait(e, &got, 1, 5000), got.events);
        T(epoll_ctl(e, EPOLL_CTL_MOD, b, &in));
        T(epoll_wait(e, &got, 1, 0));
        close(e);
        done(a, b);
    }
}

/* A thread is blocked in sending while the connection moves. What the others do must not wait for
 * it: its peer fills its own direction and waits until that has been read. */
static void blocked_sender(uint32_t edge, bool server_blocks)
{
    int a;
    int b;
    int x;
    int y;
    int e = epoll_create1(0);
    static char some[65536];
    size_t filled = 0;
    size_t got = 0;
    ssize_t n;
    pthread_t thread;
    struct job j = {0};
    struct epoll_event out = {.events = EPOLLOUT | edge};
    bool was = warm;

    section("a sender is blocked while the connection moves");
    warm = false;
    connection(&a, &b);
    warm = was;
    x = server_blocks ? b : a;
    y = server_blocks ? a : b;
    j.fd = x;
    pthread_create(&thread, NULL, writes, &j);
    until_asleep(started(&j));
    for (int i = 0; i < 20; i++)
        must(write(y, "y", 1) == 1 && read(x, some, 1) == 1, "y");
    nonblocking(y);
    while ((n = write(y, some, 4096)) > 0)
        filled += (size_t)n;
    T(epoll_ctl(e, EPOLL_CTL_ADD, y, &out));
    T(epoll_wait(e, &out, 1, 0));
    while (got < filled && (n = read(x, some, sizeof(some))) > 0)
        got += (size_t)n;
    printf("%d", epoll_wait(e, &out, 1, 20000));
    printf(" %#x\n", out.events);
    must(fcntl(y, F_SETFL, 0) == 0, "fcntl");
    for (got = 0; got < 6u << 20 && (n = read(y, some, sizeof(some))) > 0;)
        got += (size_t)n;
    pthread_join(thread, NULL);
    printf("wrote %ld, came %zu\n", j.result, got);
    close(e);
    done(a, b);
}

/* ---- descriptors that come and go ------------------------------------------------------------ */

static int racing;

static void *dups_and_closes(void *arg)
{
    int fd = *(int *)arg;

    for (int i = 0; i < 3000; i++) {
        int d = i % 3 == 0   ? dup(fd)
                : i % 3 == 1 ? fcntl(fd, F_DUPFD_CLOEXEC, 50)
                             : dup2(fd, 900 + i % 5);

        if (d < 900)
            must(d >= 0 && close(d) == 0, "dup");
    }
    return NULL;
}

static void *opens_and_closes(void *arg)
{
    (void)arg;
    while (__atomic_load_n(&racing, __ATOMIC_ACQUIRE)) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        int e = epoll_create1(0);
        int p[2];

        must(s >= 0 && e >= 0 && pipe(p) == 0, "socket");
        must(write(p[1], "x", 1) == 1, "write");
        close(p[0]);
        close(p[1]);
        close(s);
        close(e);
    }
    return NULL;
}

/* Other threads make and close descriptors: what is ours stays ours, and works. */
static void descriptors_race(void)
{
    int a;
    int b;
    char buf[8];
    pthread_t threads[4];

    if (ACCOUNTED)
        return;
    section("descriptors come and go");
    connection(&a, &b);
    racing = 1;
    pthread_create(&threads[0], NULL, dups_and_closes, &b);
    pthread_create(&threads[1], NULL, opens_and_closes, NULL);
    pthread_create(&threads[2], NULL, opens_and_closes, NULL);
    for (int i = 0; i < 3000; i++) {
        must(write(a, "ping", 4) == 4 && recv(b, buf, 4, MSG_WAITALL) == 4, "ping");
        must(write(b, "pong", 4) == 4 && recv(a, buf, 4, MSG_WAITALL) == 4, "pong");
    }
    pthread_join(threads[0], NULL);
    __atomic_store_n(&racing, 0, __ATOMIC_RELEASE);
    pthread_join(threads[1], NULL);
    pthread_join(threads[2], NULL);
    T(close_range(900, 904, 0));
    T(close(b));
    T(read(a, buf, 8));
    close(a);
}

/* ---- signals --------------------------------------------------------------------------------- */

static int handler_fd;
static int handled;

/* What a handler may call (signal-safety(7)), on the connection its thread may be using. */
static void on_signal(int number)
{
    struct pollfd p = {.fd = handler_fd, .events = POLLOUT};
    int error = errno;

    (void)number;
    if (poll(&p, 1, 0) == 1 && send(handler_fd, "!", 1, MSG_DONTWAIT) == 1)
        handled++;
    errno = error;
}

/* A handler writes to a connection that its thread reads and writes all the time. */
static void handlers(void)
{
    int a;
    int b;
    char c;
    int plain = 0;
    int marks = 0;
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct itimerval often = {.it_value.tv_usec = 300, .it_interval.tv_usec = 300};
    struct itimerval never = {0};

    section("a handler writes");
    connection(&a, &b);
    handler_fd = a;
    handled = 0;
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 20000; i++) {
        must(write(a, ".", 1) == 1, "write");
        do {
            must(read(b, &c, 1) == 1, "read");
            marks += c == '!';
        } while (c != '.');
        plain++;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    while (recv(b, &c, 1, MSG_DONTWAIT) == 1)
        marks += c == '!';
    printf("%d, all marks: %d\n", plain, marks == handled);
    done(a, b);
}

static int handlers_epoll;
static int victims[24]; /* closed by a handler, one each time */
static int n_victims;

/* Changes, empties and asks the very epoll in whose call it comes, and closes what is in it. */
static void on_signal_epoll(int number)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = handler_fd};
    struct pollfd p = {.fd = handlers_epoll, .events = POLLIN};
    char some[8];
    int error = errno;

    (void)number;
    if (epoll_ctl(handlers_epoll, EPOLL_CTL_MOD, handler_fd, &ev) < 0)
        _exit(11);
    (void)recv(handler_fd, some, sizeof(some), MSG_DONTWAIT);
    (void)poll(&p, 1, 0);
    (void)epoll_wait(handlers_epoll, &ev, 1, 0);
    if (++handled % 16 == 0 && n_victims > 0 && close(victims[--n_victims]) < 0)
        _exit(12);
    errno = error;
}

/* One round of everything that takes an epoll's lock. */
static void use_epoll(int e, int a, int b)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = b};
    struct epoll_event got[8];
    char some[8];

    must(write(a, "x", 1) == 1, "write");
    (void)epoll_wait(e, got, 8, 0);
    must(epoll_ctl(e, EPOLL_CTL_MOD, b, &ev) == 0, "modify");
    (void)recv(b, some, sizeof(some), MSG_DONTWAIT);
    must(epoll_ctl(e, EPOLL_CTL_DEL, b, NULL) == 0, "delete");
    (void)epoll_wait(e, got, 8, 0);
    must(epoll_ctl(e, EPOLL_CTL_ADD, b, &ev) == 0, "add");
}

static void handlers_close(bool old_call)
{
    enum { VICTIMS = sizeof(victims) / sizeof(victims[0]) };
    struct sigaction sa = {.sa_handler = on_signal_epoll, .sa_flags = SA_RESTART};
    struct sigaction was;
    struct itimerval often = {.it_value.tv_usec = 200, .it_interval.tv_usec = 200};
    struct itimerval never = {0};
    struct epoll_event ev = {.events = EPOLLIN};
    int far[VICTIMS];
    int ends[4];
    char some[8];
    int closed = 0;

    if (ACCOUNTED)
        return;
    section("a handler uses an epoll and closes what is in it");
    handlers_epoll = epoll_create1(0);
    for (int i = 0; i < VICTIMS; i++) {
        connection(&far[i], &victims[i]);
        must(epoll_ctl(handlers_epoll, EPOLL_CTL_ADD, victims[i], &ev) == 0, "add");
    }
    connection(&ends[0], &ends[1]);
    connection(&ends[2], &ends[3]);
    must(epoll_ctl(handlers_epoll, EPOLL_CTL_ADD, ends[1], &ev) == 0, "add");
    must(epoll_ctl(handlers_epoll, EPOLL_CTL_ADD, ends[3], &ev) == 0, "add");
    handler_fd = ends[3];
    n_victims = VICTIMS;
    handled = 0;
    if (old_call)
        signal(SIGALRM, on_signal_epoll);
    else
        sigaction(SIGALRM, &sa, NULL);
    T(sigaction(SIGALRM, NULL, &was));
    printf("the handler: %d, flags %#x\n", was.sa_handler == on_signal_epoll,
           (unsigned)was.sa_flags & ~0x04000000u);
    setitimer(ITIMER_REAL, &often, NULL);
    while (*(volatile int *)&n_victims > 0)
        use_epoll(handlers_epoll, ends[0], ends[1]);
    setitimer(ITIMER_REAL, &never, NULL);
    for (int i = 0; i < VICTIMS; i++) {
        closed += read(far[i], some, 1) == 0;
        close(far[i]);
    }
    printf("closed: %d\n", closed);
    T(epoll_ctl(handlers_epoll, EPOLL_CTL_DEL, ends[3], NULL));
    T(epoll_ctl(handlers_epoll, EPOLL_CTL_DEL, ends[1], NULL));
    T(close(handlers_epoll));
    done(ends[0], ends[1]);
    done(ends[2], ends[3]);
}

static void on_info(int number, siginfo_t *info, void *context)
{
    sigset_t now;

    (void)context;
    handled = number * 1000 + (info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);
    sigprocmask(SIG_BLOCK, NULL, &now);
    handled += 10000 * sigismember(&now, SIGUSR2);
}

/* Dispositions are told as they were set, and do what they say. */
static void dispositions(void)
{
    struct sigaction sa = {.sa_sigaction = on_info, .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND)};
    struct sigaction was;

    section("dispositions");
    sigaddset(&sa.sa_mask, SIGUSR2);
    T(sigaction(SIGUSR1, &sa, NULL));
    T(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 7}));
    printf("%d\n", handled);
    T(sigaction(SIGUSR1, NULL, &was));
    printf("default: %d\n", was.sa_handler == SIG_DFL);
    sa.sa_flags = SA_SIGINFO;
    T(sigaction(SIGUSR1, &sa, &was));
    T(sigaction(SIGUSR1, &sa, &was));
    printf("ours: %d, flags %#x\n", was.sa_sigaction == on_info,
           (unsigned)was.sa_flags & ~0x04000000u);
    printf("as before: %d\n", signal(SIGUSR1, SIG_IGN) == was.sa_handler);
    printf("ignored: %d\n", signal(SIGUSR1, on_signal) == SIG_IGN);
    printf("installed: %d\n", signal(SIGUSR1, SIG_DFL) == on_signal);
    T(sigaction(SIGKILL, &sa, NULL));
    T(sigaction(0, &sa, NULL));
    T(sigaction(1000, &sa, NULL));
}

/* ---- what is left alone ---------------------------------------------------------------------- */

#define KEEPS(call)                                                 \
    do {                                                            \
        errno = 77;                                                 \
        long r = (long)(call);                                      \
        printf("%s = %ld, errno %s\n", #call, r,                    \
               errno == 77 ? "as before" : strerrorname_np(errno)); \
    } while (0)

static void errnos(void)
{
    int a;
    int b;
    int d;
    int value = 1;
    char buf[8];
    struct pollfd p;

    section("errno after success");
    connection(&a, &b);
    p = (struct pollfd){.fd = a, .events = POLLIN};
    KEEPS(write(a, "x", 1));
    arrived(b);
    KEEPS(read(b, buf, 8));
    KEEPS(poll(&p, 1, 1));
    KEEPS(setsockopt(a, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)));
    KEEPS((d = dup(a)) >= 0);
    KEEPS(close(d));
    KEEPS(shutdown(a, SHUT_WR));
    KEEPS(read(b, buf, 8));
    KEEPS(close(a));
    KEEPS(close(b));
}

static ssize_t pass(int through, int fd, int mmsg)
{
    char byte = 'f';
    struct iovec iov = {&byte, 1};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &iov,
                                    .msg_iovlen = 1,
                                    .msg_control = &control,
                                    .msg_controllen = sizeof(control)}};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m.msg_hdr);

    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &fd, sizeof(fd));
    return mmsg ? sendmmsg(through, &m, 1, 0) : sendmsg(through, &m.msg_hdr, 0);
}

static int passed(int through)
{
    char byte;
    struct iovec iov = {&byte, 1};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    int fd = -1;

    if (recvmsg(through, &m, 0) == 1 && CMSG_FIRSTHDR(&m) != NULL)
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
    return fd;
}

/* A connection goes through a unix socket, works there, and does not move any more; what was on its
 * way goes along. */
static void passing(void)
{
    int a;
    int b;
    int s[2];
    int got;
    char buf[16];

    section("passing a descriptor");
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0, "socketpair");
    for (int mmsg = 0; mmsg < 2; mmsg++) {
        connection(&a, &b);
        must(write(a, "before", 6) == 6 && write(b, "early", 5) == 5, "write");
        T(pass(s[0], b, mmsg));
        got = passed(s[1]);
        T(close(b));
        T(recv(got, buf, 6, MSG_WAITALL));
        printf("%.6s\n", buf);
        T(recv(a, buf, 5, MSG_WAITALL));
        printf("%.5s\n", buf);
        for (int i = 0; i < 8; i++) {
            must(write(a, "question", 8) == 8 && recv(got, buf, 8, MSG_WAITALL) == 8, "question");
            must(write(got, "answer", 6) == 6 && recv(a, buf, 6, MSG_WAITALL) == 6, "answer");
        }
        T(close(got));
        T(read(a, buf, 8));
        close(a);
    }
    close(s[0]);
    close(s[1]);
}

static void dissolved(void)
{
    int a;
    int b;
    char buf[8];
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    section("dissolved and connected again");
    connection(&a, &b);
    T(connect(a, &nobody, sizeof(nobody)));
    T(read(a, buf, 1));
    close(b);
    T(connect(a, (struct sockaddr *)&address, sizeof(address)));
    b = accept(listener, NULL, NULL);
    for (int i = 0; i < 8; i++) {
        must(write(a, "ping", 4) == 4 && recv(b, buf, 4, MSG_WAITALL) == 4, "ping");
        must(write(b, "pong", 4) == 4 && recv(a, buf, 4, MSG_WAITALL) == 4, "pong");
    }
    T(close_range((unsigned)a, (unsigned)a, 1 << 20));
    T(write(a, "still", 5));
    T(read(b, buf, 8));
    done(a, b);
}

/* Only the kernel can send them; those before and behind keep their order. */
static void urgent(void)
{
    int a;
    int b;
    char buf[16];

    section("urgent bytes");
    connection(&a, &b);
    T(send(a, "before", 6, 0));
    T(send(a, "u", 1, MSG_OOB));
    T(send(a, "behind", 6, 0));
    while (recv(b, buf, 1, MSG_OOB) < 0)
        sched_yield();
    printf("%c\n", buf[0]);
    T(recv(b, buf, 6, MSG_WAITALL));
    printf("%.6s\n", buf);
    T(recv(b, buf, 6, MSG_WAITALL));
    printf("%.6s\n", buf);
    T(write(b, "answer", 6));
    T(recv(a, buf, 6, MSG_WAITALL));
    T(shutdown(a, SHUT_WR));
    T(read(b, buf, 8));
    done(a, b);
}

/* What asks for the kernel gets it, also late. */
static void late_options(void)
{
    static const int names[] = {SO_RCVLOWAT, SO_PEEK_OFF, SO_ZEROCOPY};
    int a;
    int b;
    int one = 1;
    char buf[8];
    FILE *f;

    section("late options");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        connection(&a, &b);
        must(write(a, "on", 2) == 2, "write");
        T(setsockopt(b, SOL_SOCKET, names[i], &one, sizeof(one)));
        T(recv(b, buf, 2, MSG_WAITALL));
        T(write(b, "answer", 6));
        T(recv(a, buf, 6, MSG_WAITALL));
        T(shutdown(b, SHUT_WR));
        T(read(a, buf, 8));
        done(a, b);
    }
    section("fdopen");
    connection(&a, &b);
    must(write(a, "a line\n", 7) == 7, "write");
    f = fdopen(b, "r+");
    must(f != NULL && fileno(f) == b, "fileno");
    must(fgets(buf, sizeof(buf), f) != NULL, "fgets");
    printf("%s", buf);
    must(fputs("answer", f) >= 0 && fflush(f) == 0, "fputs");
    T(recv(a, buf, 6, MSG_WAITALL));
    T(fclose(f));
    T(read(a, buf, 8));
    close(a);
}

/* No descriptor is left when the connection would move: it stays with the kernel and works. */
static void no_descriptors(void)
{
    int a;
    int b;
    char buf[8];
    bool was = warm;
    struct rlimit before;
    struct rlimit none;

    section("no descriptors");
    warm = false;
    connection(&a, &b);
    warm = was;
    must(getrlimit(RLIMIT_NOFILE, &before) == 0, "getrlimit");
    none = before;
    none.rlim_cur = (rlim_t)(b + 1);
    must(setrlimit(RLIMIT_NOFILE, &none) == 0, "setrlimit");
    for (int i = 0; i < 40; i++) {
        must(write(a, "ping", 4) == 4 && recv(b, buf, 4, MSG_WAITALL) == 4, "ping");
        must(write(b, "pong", 4) == 4 && recv(a, buf, 4, MSG_WAITALL) == 4, "pong");
    }
    T(socket(AF_INET, SOCK_STREAM, 0));
    T(epoll_create1(0));
    T(dup(a));
    T(accept(listener, NULL, NULL));
    must(setrlimit(RLIMIT_NOFILE, &before) == 0, "setrlimit");
    T(write(a, "still", 5));
    T(read(b, buf, 8));
    done(a, b);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (int how = 0; how < 5; how++)
        cancelled(how);
    added_under_a_wait();
    poller_and_writer(false);
    poller_and_writer(true);
    many_readers();
    shut_under_a_writer();
    writable(0);
    writable(EPOLLET);
    for (int i = 0; i < 4; i++)
        blocked_sender(i & 1 ? (uint32_t)EPOLLET : 0, i & 2);
    descriptors_race();
    handlers();
    handlers_close(false);
    handlers_close(true);
    dispositions();
    errnos();
    passing();
    dissolved();
    urgent();
    late_options();
    no_descriptors();
    end();
    return 0;
}
