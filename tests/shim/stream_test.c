/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a connection against a model, in one process and one thread that never blocks: both
 * ends belong to the shim, which is part of this program. Rings are as small as can be, so that
 * they wrap and fill all the time, and each run begins with the kernel's connection and moves at
 * some point; some go back at another. Also what happens when memory or a region cannot be had on
 * the way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../shim/conn.h"
#include "../unit/failalloc.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAPACITY 4096

static int listener;
static struct sockaddr_in address;

static uint64_t chance;
static uint32_t any(uint32_t below)
{
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((chance >> 33) % below);
}

/* ---- regions that cannot be had ---- */

static int refuse; /* the nth region from now on: -ENOMEM; 0 none */

int __real_mbr__region_create(const char *label, size_t head, size_t body, struct mbr__region *out);
int __wrap_mbr__region_create(const char *label, size_t head, size_t body, struct mbr__region *out);
int __wrap_mbr__region_create(const char *label, size_t head, size_t body, struct mbr__region *out)
{
    if (refuse > 0 && --refuse == 0)
        return -ENOMEM;
    return __real_mbr__region_create(label, head, body, out);
}

/* ---- a direction and what it should hold ---- */

struct way {
    int from;
    int to;
    bool raw_from; /* the end is another program's by now, which is not under the shim */
    bool raw_to;
    uint64_t sent; /* byte i of the stream is mix(i) */
    uint64_t got;
    bool ended;
};

static unsigned char mix(uint64_t i)
{
    return (unsigned char)(i * 131 >> 2 ^ i >> 11);
}

static char buffer[40000];
static char pipe_buffer[4096];
static int pipes[2];
static int file;

static void fill(uint64_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buffer[i] = (char)mix(from + i);
}

/* Each from a place of its own: the kernel sends the file's pages as they are when they are read.
 */
static ssize_t put_file(int fd, size_t n)
{
    static off_t end;
    off_t at = end;

    assert_int_equal(pwrite(file, buffer, n, end), n);
    end += (off_t)n;
    return sendfile(fd, file, &at, n);
}

static ssize_t put_pipe(int fd, size_t n)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    ssize_t r;

    n = n < sizeof(pipe_buffer) ? n : sizeof(pipe_buffer);
    if (poll(&p, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    assert_int_equal(write(pipes[1], buffer, n), n);
    r = splice(pipes[0], NULL, fd, NULL, n, SPLICE_F_NONBLOCK);
    if (r < (ssize_t)n) /* the kernel may take less: what it has not taken is not sent */
        assert_int_equal(read(pipes[0], pipe_buffer, sizeof(pipe_buffer)),
                         (ssize_t)n - (r > 0 ? r : 0));
    return r;
}

static void send_some(struct way *w)
{
    size_t n = any(4) == 0 ? any(12000) : any(300);
    size_t cut = n == 0 ? 0 : any((uint32_t)n);
    struct iovec iov[3] = {{buffer, cut}, {NULL, 0}, {buffer + cut, n - cut}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 3};
    ssize_t r;

    fill(w->sent, n);
    switch (w->raw_from ? 6 : any(6)) {
    case 0:
        r = write(w->from, buffer, n);
        break;
    case 1:
        r = send(w->from, buffer, n, MSG_DONTWAIT);
        break;
    case 2:
        r = writev(w->from, iov, 3);
        break;
    case 3:
        r = sendmsg(w->from, &m, MSG_DONTWAIT);
        break;
    case 4:
        r = n > 0 ? put_file(w->from, n) : 0;
        break;
    case 6:
        r = shim_kernel(SYS_sendto, w->from, buffer, n, MSG_DONTWAIT, NULL, 0);
        break;
    default:
        r = n > 0 ? put_pipe(w->from, n) : 0;
        break;
    }
    if (r < 0)
        assert_int_equal(errno, EAGAIN);
    else
        w->sent += (uint64_t)r;
}

static void check(const struct way *w, const char *bytes, ssize_t n)
{
    assert_true(w->got + (uint64_t)n <= w->sent);
    for (ssize_t i = 0; i < n; i++)
        assert_int_equal((unsigned char)bytes[i], mix(w->got + (uint64_t)i));
}

static void receive_some(struct way *w)
{
    size_t n = 1 + (any(4) == 0 ? any(12000) : any(300));
    size_t cut = any((uint32_t)n);
    struct iovec iov[2] = {{buffer, cut}, {buffer + cut, n - cut}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t r;
    bool taken = true;
    bool seen = true;

    memset(buffer, 0, n);
    switch (w->raw_to ? 7 : any(7)) {
    case 0:
        r = read(w->to, buffer, n);
        break;
    case 1:
        r = readv(w->to, iov, 2);
        break;
    case 2:
        r = recvmsg(w->to, &m, MSG_DONTWAIT);
        break;
    case 3:
        r = recv(w->to, buffer, n, MSG_PEEK);
        taken = false;
        break;
    case 4:
        r = recv(w->to, NULL, n, MSG_TRUNC);
        seen = false;
        break;
    case 5:
        r = recv(w->to, buffer, n, MSG_WAITALL | MSG_DONTWAIT);
        break;
    case 7:
        r = shim_kernel(SYS_recvfrom, w->to, buffer, n, MSG_DONTWAIT, NULL, NULL);
        break;
    default:
        r = splice(w->to, NULL, pipes[1], NULL, n, SPLICE_F_NONBLOCK);
        if (r > 0)
            assert_int_equal(read(pipes[0], buffer, sizeof(buffer)), r);
    }
    if (r < 0) {
        assert_int_equal(errno, EAGAIN);
        return;
    }
    assert_true(r > 0 || w->ended);
    if (seen)
        check(w, buffer, r);
    if (taken)
        w->got += (uint64_t)r;
}

/* What may be asked without changing anything. */
static void ask(struct way *w)
{
    struct pollfd p[2] = {{.fd = w->to, .events = POLLIN}, {.fd = w->from, .events = POLLOUT}};
    int n = -1;

    assert_int_equal(ioctl(w->to, FIONREAD, &n), 0);
    assert_in_range(n, 0, w->sent - w->got);
    assert_true(poll(p, 2, 0) >= 0);
    if (n > 0)
        assert_true(p[0].revents & POLLIN);
}

static void drain(struct way *w)
{
    for (int idle = 0; w->got < w->sent && idle < 5000;) {
        /* The sender may have to send what it had written. */
        struct pollfd p[2] = {{.fd = w->to, .events = POLLIN}, {.fd = w->from, .events = 0}};
        uint64_t before = w->got;

        receive_some(w);
        if (w->got == before)
            assert_true(poll(p, 2, 1) >= 0);
        idle = w->got == before ? idle + 1 : 0;
    }
    assert_int_equal(w->got, w->sent);
}

static void connect_ends(int *a, int *b)
{
    *a = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(*a, (struct sockaddr *)&address, sizeof(address)), 0);
    *b = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(*b >= 0 && fcntl(*a, F_SETFL, O_NONBLOCK) == 0);
}

static bool moved(int fd)
{
    struct shim_conn *c = shim_conn_get(fd);
    bool yes = c != NULL && mbr_load_acquire(&c->mode) == SHIM_RING;

    if (c != NULL)
        shim_conn_put(c);
    return yes;
}

/* One end goes back to the kernel, as a writer or altogether; in the latter case it is handed on.
 * Whether it was. */
static bool go_back(int fd, bool *raw)
{
    struct shim_conn *c = shim_conn_get(fd);
    bool was = mbr_load_acquire(&c->mode) == SHIM_RING;
    bool yes = false;

    if (was && any(3) == 0)
        (void)shim_leave(c, fd, 0);
    else if (was)
        *raw = yes = shim_return(c, fd, any(2) == 0);
    shim_conn_put(c);
    return yes;
}

/* So small that the kernel does not take a ring at once. */
static void make_small(int fd)
{
    int small = 1;
    int few = 16384;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few)), 0);
}

static void prompt(int fd)
{
    int yes = 1;

    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)), 0);
}

static uint64_t lives = 200; /* of those that go back */
static int returned;         /* ends that did */

/* One connection's life; with `returns` ends go back to the kernel. Whether it has moved. */
static bool live(uint64_t seed, bool returns)
{
    struct way there = {0};
    struct way back = {0};
    int a, b;
    bool yes = false;
    char c;

    chance = seed;
    (void)any(2);
    connect_ends(&a, &b);
    if (returns && any(50) == 0) {
        make_small(a);
        make_small(b);
    }
    if (returns) { /* lest the kernel wait for its own acknowledgements */
        prompt(a);
        prompt(b);
    }
    there.from = back.to = a;
    there.to = back.from = b;
    for (uint32_t i = 0, n = 100 + any(900); i < n; i++) {
        struct way *w = any(2) ? &there : &back;

        yes |= moved(a);
        if (returns && any(60) == 0 && go_back(w->from, &w->raw_from)) {
            *(w == &there ? &back.raw_to : &there.raw_to) = true;
            returned++;
        }
        switch (any(5)) {
        case 0:
        case 1:
            send_some(w);
            break;
        case 2:
        case 3:
            receive_some(w);
            break;
        default:
            ask(w);
        }
    }
    yes |= moved(a);
    drain(&back);
    if (any(2)) {
        assert_int_equal(shutdown(a, SHUT_WR), 0);
        there.ended = true;
        drain(&there);
        assert_int_equal(poll(&(struct pollfd){.fd = b, .events = POLLIN}, 1, 5000), 1);
        assert_int_equal(read(b, &c, 1), 0);
        send_some(&back);
        drain(&back);
    }
    drain(&there);
    close(a);
    assert_int_equal(poll(&(struct pollfd){.fd = b, .events = POLLIN}, 1, 5000), 1);
    assert_int_equal(read(b, &c, 1), 0);
    close(b);
    return yes;
}

static void model(void **state)
{
    int n = 0;

    for (uint64_t seed = 1; seed <= 300; seed++)
        n += live(seed, false);
    assert_true(n > 250);
}

static void model_returns(void **state)
{
    int n = 0;

    returned = 0;
    for (uint64_t seed = 1; seed <= lives; seed++)
        n += live(seed, true);
    assert_true(n > (int)lives / 4 * 3 && returned > (int)lives / 2);
}

static void pass(int from, int to, size_t n)
{
    assert_int_equal(write(from, buffer, n), n);
    assert_int_equal(poll(&(struct pollfd){.fd = to, .events = POLLIN}, 1, 5000), 1);
    assert_int_equal(read(to, buffer, n), n);
}

static bool prepared(int fd)
{
    struct shim_conn *c = shim_conn_get(fd);
    bool yes = c != NULL && c->own != NULL;

    if (c != NULL)
        shim_conn_put(c);
    return yes;
}

/* One request with one answer, each in pieces, is not worth a region; a second one is, and so is a
 * stream one way. */
static void when_it_moves(void **state)
{
    int a, b;

    connect_ends(&a, &b);
    for (int i = 0; i < 3; i++)
        pass(a, b, 10);
    for (int i = 0; i < 10; i++)
        pass(b, a, 1000);
    assert_false(prepared(a) || prepared(b));
    for (int i = 0; i < 4 && !moved(a); i++) {
        pass(a, b, 10);
        pass(b, a, 10);
    }
    assert_true(moved(a));
    close(a);
    close(b);
    connect_ends(&a, &b);
    for (int i = 0; i < 15; i++)
        pass(a, b, 100);
    assert_false(prepared(a) || prepared(b));
    for (int i = 0; i < 5; i++)
        pass(a, b, 100);
    assert_true(moved(a));
    close(a);
    close(b);
}

/* One that only sends: it writes into its ring and reads from the kernel. */
static void sender(int *a, int *b)
{
    connect_ends(a, b);
    for (int i = 0; i < 40; i++)
        pass(*a, *b, 100);
    assert_true(moved(*a));
    struct shim_conn *c = shim_conn_get(*a);

    assert_true(shim_tx_in_ring(c) && !shim_rx_in_ring(c));
    shim_conn_put(c);
}

static void fill_up(int fd)
{
    while (write(fd, buffer, sizeof(buffer)) > 0)
        continue;
    assert_int_equal(errno, EAGAIN);
}

static void empty_out(int fd)
{
    while (read(fd, buffer, sizeof(buffer)) > 0)
        continue;
}

/* Programs ask for room when they have something to send, and not before. */
static void room_one_way(void **state)
{
    static const uint32_t how[] = {0, EPOLLET, EPOLLONESHOT};

    for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
        struct epoll_event ev = {.events = EPOLLIN | how[i]};
        int a, b, e = epoll_create1(0);

        sender(&a, &b);
        assert_int_equal(poll(&(struct pollfd){.fd = a, .events = POLLOUT}, 1, -1), 1);
        assert_int_equal(epoll_ctl(e, EPOLL_CTL_ADD, a, &ev), 0);
        assert_int_equal(epoll_wait(e, &ev, 1, 0), 0);
        ev = (struct epoll_event){.events = EPOLLIN | EPOLLOUT | how[i]};
        assert_int_equal(epoll_ctl(e, EPOLL_CTL_MOD, a, &ev), 0);
        assert_int_equal(epoll_wait(e, &ev, 1, -1), 1);
        assert_int_equal(ev.events, EPOLLOUT);
        /* Once, or as long as it is so. */
        assert_int_equal(epoll_wait(e, &ev, 1, 0), how[i] == 0);
        fill_up(a);
        ev = (struct epoll_event){.events = EPOLLIN | EPOLLOUT | how[i]};
        assert_int_equal(epoll_ctl(e, EPOLL_CTL_MOD, a, &ev), 0);
        assert_int_equal(epoll_wait(e, &ev, 1, 20), 0);
        empty_out(b);
        assert_int_equal(epoll_wait(e, &ev, 1, -1), 1);
        assert_int_equal(ev.events & EPOLLOUT, EPOLLOUT);
        close(a);
        close(b);
        close(e);
    }
}

/* One that has asked before its direction moved: the kernel's socket, which has room, is not what
 * its waits are about any more. */
static void room_asked_before(void **state)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT};
    int a, b, e = epoll_create1(0);

    connect_ends(&a, &b);
    assert_int_equal(epoll_ctl(e, EPOLL_CTL_ADD, a, &ev), 0);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(epoll_wait(e, &ev, 1, -1), 1);
        pass(a, b, 100);
    }
    assert_true(moved(a));
    fill_up(a);
    assert_int_equal(epoll_wait(e, &ev, 1, 20), 0);
    empty_out(b);
    assert_int_equal(epoll_wait(e, &ev, 1, -1), 1);
    assert_int_equal(ev.events, EPOLLOUT);
    close(a);
    close(b);
    close(e);
}

/* A region that cannot be had leaves the connection with the kernel, and nothing behind. */
static void no_region(void **state)
{
    for (int nth = 1; nth <= 2; nth++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            refuse = nth;
            assert_false(live(seed, false));
            assert_int_equal(refuse, 0);
        }
    }
    assert_true(live(1, false));
}

/* Each allocation of socket(), accept(), epoll and poll fails in turn: the program gets ENOMEM, or
 * a descriptor that passes through, and everything works. */
static void no_memory(void **state)
{
    struct pollfd many[100];
    struct epoll_event ev = {.events = EPOLLIN};

    for (unsigned n = 0;; n++) {
        int a, b, e, r;
        bool hit;

        connect_ends(&a, &b);
        failalloc_arm(n);
        int s = socket(AF_INET, SOCK_STREAM, 0);

        e = epoll_create1(0);
        r = e < 0 ? -1 : epoll_ctl(e, EPOLL_CTL_ADD, b, &ev);
        if (e < 0 || r < 0)
            assert_int_equal(errno, ENOMEM);
        for (int i = 0; i < 100; i++)
            many[i] = (struct pollfd){.fd = i % 2 ? a : s, .events = POLLOUT};
        if (poll(many, 100, 0) < 0)
            assert_int_equal(errno, ENOMEM);
        hit = failalloc_disarm();
        assert_int_equal(write(a, "x", 1), 1);
        if (r == 0)
            assert_int_equal(epoll_wait(e, &ev, 1, 5000), 1);
        assert_int_equal(read(b, buffer, 8), 1);
        assert_int_equal(connect(s, (struct sockaddr *)&address, sizeof(address)), 0);
        close(accept(listener, NULL, NULL));
        close(s);
        close(a);
        close(b);
        if (e >= 0)
            close(e);
        if (!hit)
            break;
        assert_true(n < 50);
    }
}

static int prepare(void **state)
{
    socklen_t len = sizeof(address);
    static char dir[] = "/tmp/membrane-stream.XXXXXX";

    assert_non_null(mkdtemp(dir));
    *state = dir;
    strcat(strcpy(buffer, dir), "/names");
    assert_int_equal(setenv("MEMBRANE_DIR", buffer, 1), 0);
    shim_settings.rings = true;
    shim_settings.capacity = CAPACITY;
    address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(pipe(pipes), 0);
    strcat(strcpy(buffer, dir), "/file");
    file = open(buffer, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(file >= 0 && unlink(buffer) == 0);
    return 0;
}

/* The directory of names is empty, or rmdir() would say so. */
static int tidy(void **state)
{
    close(listener); /* has a name there */
    strcat(strcpy(buffer, *state), "/names");
    return rmdir(buffer) < 0 || rmdir(*state) < 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model),
        cmocka_unit_test(model_returns),
        cmocka_unit_test(when_it_moves),
        cmocka_unit_test(room_one_way),
        cmocka_unit_test(room_asked_before),
        cmocka_unit_test(no_region),
        cmocka_unit_test(no_memory),
    };

    if (argc > 1 && strcmp(argv[1], "full") == 0)
        lives = 5000;
    return cmocka_run_group_tests(tests, prepare, tidy);
}
