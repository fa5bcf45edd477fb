/* SPDX-License-Identifier: MIT */
/*
 * Catloop's connections with sockets of the kernel, from within one process: guests good and bad at
 * a server, a client at a listening socket that has a name, names and their addresses, and each
 * allocation failing. With real programs: tests/shim/meet.sh.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include <cmocka.h>

#include <membrane/socket.h>

#include "base/clock.h"
#include "failalloc.h"
#include "queue/catloop/guest.h"
#include "queue/catloop/listens.h"
#include "shm/post.h"
#include "shm/proc.h"

#define PATIENCE UINT64_C(10000000000)

static char scratch[] = "/tmp/mbr-guest-XXXXXX";
static struct mbr_libos *l;
static struct mbr__names names;

static int count_open(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

/* ---- sockets of the kernel ------------------------------------------------------------------- */

static union mbr__addr loopback(int family, uint16_t port)
{
    union mbr__addr a;

    mbr__addr_any(family, &a);
    mbr__addr_set_port(&a, port);
    if (family == AF_INET)
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        a.v6.sin6_addr = in6addr_loopback;
    return a;
}

static int kernel_listener(int family, union mbr__addr *at)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof(*at);

    *at = loopback(family, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &at->sa, mbr__addr_size(at)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, &at->sa, &size), 0);
    return fd;
}

/* Both ends of a connection. */
static void kernel_pair(int family, int ends[2])
{
    union mbr__addr at;
    int listener = kernel_listener(family, &at);

    ends[0] = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(ends[0], &at.sa, mbr__addr_size(&at)), 0);
    ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(ends[1] >= 0);
    close(listener);
}

/* ---- a server of catloop --------------------------------------------------------------------- */

static int server(int backlog, struct mbr__link *link)
{
    union mbr__addr at = loopback(AF_INET, 0);
    socklen_t size = sizeof(at);
    int qd = -1;

    assert_int_equal(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &qd), 0);
    assert_int_equal(mbr_bind(l, qd, &at.sa, mbr__addr_size(&at)), 0);
    assert_int_equal(mbr_listen(l, qd, backlog), 0);
    assert_int_equal(mbr_getsockname(l, qd, &at.sa, &size), 0);
    assert_int_equal(mbr__address_find(&names, SOCK_STREAM, &at, link), 0);
    assert_int_equal(link->state, 'l');
    return qd;
}

static void drive(void)
{
    struct mbr_ready_event event;

    (void)mbr_ready_next(l, 0, &event, 1);
}

/* Sends the note; whether its guest is let in. */
static bool is_admitted(const struct mbr__link *link, const struct mbr__note *note)
{
    uint64_t deadline = mbr__now_ns() + PATIENCE;
    struct mbr__note answer;
    int conn = -1;
    int r;

    assert_int_equal(mbr__post_send(&names, link->inst, note, &conn), 0);
    while ((r = mbr__conn_recv(conn, &answer)) == -EAGAIN && mbr__now_ns() < deadline)
        drive();
    close(conn);
    assert_true(r == 0 || r == -ECONNRESET);
    if (r == 0)
        assert_int_equal(answer.nfds, 0);
    return r == 0 && mbr__guest_admitted(&answer);
}

static bool visit(const struct mbr__link *link, int fd)
{
    struct mbr__note note;

    mbr__guest_note(link, fd, &note);
    return is_admitted(link, &note);
}

static void test_guest(void **state)
{
    union mbr__addr own, peer, seen;
    socklen_t size = sizeof(seen);
    struct mbr__link link;
    int listener = server(4, &link);
    char bytes[16] = "";
    int ends[2];
    int qd = -1;

    kernel_pair(AF_INET, ends);
    assert_int_equal(getsockname(ends[0], &peer.sa, &size), 0);
    assert_int_equal(mbr_sock_accept(l, listener, &qd), -EAGAIN);
    assert_true(visit(&link, ends[1]));
    close(ends[1]);
    assert_int_equal(mbr_sock_ready(l, listener, NULL), MBR_READABLE);
    assert_int_equal(mbr_sock_accept(l, listener, &qd), 0);
    assert_int_equal(mbr_sock_ready(l, listener, NULL), 0);

    size = sizeof(own);
    assert_int_equal(mbr_getsockname(l, listener, &own.sa, &size), 0);
    size = sizeof(seen);
    assert_int_equal(mbr_getsockname(l, qd, &seen.sa, &size), 0);
    assert_true(mbr__addr_equal(&own, &seen));
    size = sizeof(seen);
    assert_int_equal(mbr_getpeername(l, qd, &seen.sa, &size), 0);
    assert_true(mbr__addr_equal(&peer, &seen));
    assert_true(mbr_sock_fd(l, qd) >= 0);

    assert_int_equal(mbr_sock_recv(l, qd, bytes, sizeof(bytes), 0, NULL, NULL), -EAGAIN);
    assert_int_equal(write(ends[0], "there", 5), 5);
    assert_int_equal(mbr_sock_recv(l, qd, bytes, sizeof(bytes), 0, NULL, NULL), 5);
    assert_int_equal(mbr_sock_send(l, qd, "back", 4, NULL, 0), 4);
    assert_int_equal(read(ends[0], bytes, sizeof(bytes)), 4);
    assert_memory_equal(bytes, "backe", 5);
    /* Closed in order: an end, not a reset. */
    assert_int_equal(mbr_close(l, qd), 0);
    assert_int_equal(read(ends[0], bytes, sizeof(bytes)), 0);
    close(ends[0]);
    assert_int_equal(mbr_close(l, listener), 0);
}

static void expect_refused(const struct mbr__link *link, int fd)
{
    assert_true(fd >= 0);
    assert_false(visit(link, fd));
    close(fd);
}

static void test_strange_guests(void **state)
{
    struct mbr__link link;
    int listener = server(4, &link);
    struct mbr__link other = link;
    union mbr__addr at;
    struct mbr__note note;
    int before = count_open();
    int ends[2];

    expect_refused(&link, socket(AF_UNIX, SOCK_STREAM, 0));
    expect_refused(&link, socket(AF_INET, SOCK_DGRAM, 0));
    expect_refused(&link, kernel_listener(AF_INET, &at));
    assert_int_equal(pipe(ends), 0);
    expect_refused(&link, ends[0]);
    close(ends[1]);
    kernel_pair(AF_INET6, ends);
    expect_refused(&link, ends[1]);
    close(ends[0]);

    kernel_pair(AF_INET, ends);
    other.id[1]++;
    assert_false(visit(&other, ends[1]));
    mbr__guest_note(&link, ends[1], &note);
    note.nfds = 0;
    assert_false(is_admitted(&link, &note));
    note.nfds = 2;
    note.fds[1] = ends[0];
    assert_false(is_admitted(&link, &note));
    note.nfds = 1;
    note.len--;
    assert_false(is_admitted(&link, &note));
    assert_true(visit(&link, ends[1]));
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(count_open(), before + 1);
    /* Who was not accepted goes with the listener. */
    assert_int_equal(mbr_close(l, listener), 0);
    assert_int_equal(count_open(), before);
}

static void test_backlog(void **state)
{
    struct mbr__link link;
    int listener = server(2, &link);
    char byte;
    int ends[4][2];
    int qd = -1;

    for (int i = 0; i < 4; i++)
        kernel_pair(AF_INET, ends[i]);
    assert_true(visit(&link, ends[0][1]));
    assert_true(visit(&link, ends[1][1]));
    assert_false(visit(&link, ends[2][1]));
    assert_int_equal(mbr_sock_accept(l, listener, &qd), 0);
    assert_true(visit(&link, ends[3][1]));
    assert_int_equal(mbr_close(l, qd), 0);
    for (int i = 0; i < 4; i++)
        close(ends[i][1]);
    assert_int_equal(mbr_close(l, listener), 0);
    assert_int_equal(read(ends[0][0], &byte, 1), 0);
    for (int i = 0; i < 4; i++)
        close(ends[i][0]);
}

/* Connections of both kinds wait: neither has to wait for all of the other. */
static void test_turns(void **state)
{
    struct mbr_libos *client = NULL;
    struct mbr__link link;
    int listener = server(8, &link);
    union mbr__addr at;
    socklen_t size = sizeof(at);
    int ends[2][2];
    int qds[2], qd = -1, guests = 0;

    assert_int_equal(mbr_libos_open("catloop", NULL, &client), 0);
    assert_int_equal(mbr_getsockname(l, listener, &at.sa, &size), 0);
    for (int i = 0; i < 2; i++) {
        kernel_pair(AF_INET, ends[i]);
        assert_true(visit(&link, ends[i][1]));
        assert_int_equal(mbr_socket(client, AF_INET, SOCK_STREAM, 0, &qds[i]), 0);
        assert_int_equal(mbr_sock_connect(client, qds[i], &at.sa, size), -EINPROGRESS);
    }
    for (int i = 0; i < 2; i++) {
        while ((mbr_sock_ready(client, qds[i], NULL) & MBR_WRITABLE) == 0) {
            struct mbr_ready_event event;

            drive();
            (void)mbr_ready_next(client, 0, &event, 1);
        }
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(mbr_sock_accept(l, listener, &qd), 0);
        guests += mbr_sock_fd(l, qd) >= 0;
        assert_true(guests == (i + 1) / 2 || (i % 2 == 0 && guests == i / 2 + 1));
        assert_int_equal(mbr_close(l, qd), 0);
    }
    assert_int_equal(guests, 2);
    for (int i = 0; i < 2; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
    mbr_libos_close(client);
    assert_int_equal(mbr_close(l, listener), 0);
}

/* A guest for whom there is no memory is refused, or waits until there is some. */
static void test_no_memory(void **state)
{
    struct mbr__link link;
    int listener = server(4, &link);
    int before;

    drive(); /* what is left of other tests */
    before = count_open();
    for (unsigned n = 0;; n++) {
        int ends[2];
        int qd = -1;

        kernel_pair(AF_INET, ends);
        failalloc_arm(n);
        bool in = visit(&link, ends[1]);
        int r = in ? mbr_sock_accept(l, listener, &qd) : 0;
        bool failed = failalloc_disarm();

        assert_true(r == 0 || (r == -ENOMEM && failed));
        if (r < 0)
            assert_int_equal(mbr_sock_accept(l, listener, &qd), 0);
        if (in)
            assert_int_equal(mbr_close(l, qd), 0);
        close(ends[0]);
        close(ends[1]);
        assert_int_equal(count_open(), before);
        if (!failed)
            break;
        assert_true(n < 100);
    }
    assert_int_equal(mbr_close(l, listener), 0);
}

/* ---- a client of catloop --------------------------------------------------------------------- */

static void name(const union mbr__addr *at, uint64_t ns)
{
    struct mbr__link link = {.wake = -1, .state = MBR__NAME_KERNEL, .id = {ns, 1}};
    char file[MBR__CATLOOP_FILE];

    assert_int_equal(mbr__proc_self(&link.owner), 0);
    mbr__address_file(at, SOCK_STREAM, 0, file);
    assert_int_equal(mbr__names_lock(&names, PATIENCE), 0);
    assert_int_equal(mbr__names_write(&names, file, &link), 0);
    mbr__names_unlock(&names);
}

static void unname(const union mbr__addr *at)
{
    char file[MBR__CATLOOP_FILE];

    mbr__address_file(at, SOCK_STREAM, 0, file);
    (void)unlinkat(names.dir, file, 0);
}

static int new_socket(int family)
{
    int qd = -1;

    assert_int_equal(mbr_socket(l, family, SOCK_STREAM, 0, &qd), 0);
    return qd;
}

static int connect_soon(int qd, const union mbr__addr *at)
{
    int r = mbr_sock_connect(l, qd, &at->sa, mbr__addr_size(at));

    while (r == -EINPROGRESS || r == -EALREADY)
        r = mbr_sock_connect(l, qd, &at->sa, mbr__addr_size(at));
    return r == -EISCONN ? 0 : r;
}

static void client_at(int family)
{
    union mbr__addr at, seen, own;
    socklen_t size = sizeof(seen);
    int listener = kernel_listener(family, &at);
    int qd = new_socket(family);
    int off = 0, value = -1;
    char bytes[8] = "";

    name(&at, mbr__listens_namespace());
    assert_int_equal(mbr_setsockopt(l, qd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &off, sizeof(off)), 0);
    assert_int_equal(connect_soon(qd, &at), 0);
    size = sizeof(value);
    assert_int_equal(mbr_getsockopt(l, qd, IPPROTO_TCP, 1, &value, &size), 0);
    assert_int_equal(value, 0);
    int fd = accept(listener, NULL, NULL);

    assert_true(fd >= 0);
    size = sizeof(seen);
    assert_int_equal(getpeername(fd, &seen.sa, &size), 0);
    size = sizeof(own);
    assert_int_equal(mbr_getsockname(l, qd, &own.sa, &size), 0);
    assert_true(mbr__addr_equal(&own, &seen));
    size = sizeof(seen);
    assert_int_equal(mbr_getpeername(l, qd, &seen.sa, &size), 0);
    assert_true(mbr__addr_equal(&at, &seen));
    assert_int_equal(mbr_sock_send(l, qd, "hello", 5, NULL, 0), 5);
    assert_int_equal(read(fd, bytes, sizeof(bytes)), 5);
    close(fd);
    assert_int_equal(mbr_close(l, qd), 0);

    /* Nobody listens any more, whatever the link says. */
    close(listener);
    qd = new_socket(family);
    assert_int_equal(connect_soon(qd, &at), -ECONNREFUSED);
    assert_int_equal(mbr_close(l, qd), 0);
    unname(&at);
}

static void test_client(void **state)
{
    client_at(AF_INET);
    client_at(AF_INET6);
}

static void test_client_bound(void **state)
{
    union mbr__addr at, mine, seen;
    socklen_t size = sizeof(seen);
    int listener = kernel_listener(AF_INET, &at);
    int taken = kernel_listener(AF_INET, &mine);
    int qd = new_socket(AF_INET);

    name(&at, mbr__listens_namespace());
    /* Catloop does not know that the kernel has the address in use. */
    assert_int_equal(mbr_bind(l, qd, &mine.sa, sizeof(mine.v4)), 0);
    assert_int_equal(connect_soon(qd, &at), -EADDRINUSE);
    assert_int_equal(mbr_close(l, qd), 0);
    close(taken);
    qd = new_socket(AF_INET);
    assert_int_equal(mbr_bind(l, qd, &mine.sa, sizeof(mine.v4)), 0);
    assert_int_equal(connect_soon(qd, &at), 0);
    int fd = accept(listener, &seen.sa, &size);

    assert_true(fd >= 0 && mbr__addr_equal(&seen, &mine));
    assert_int_equal(mbr_close(l, qd), 0);
    close(fd);
    close(listener);
    unname(&at);
}

/* For tests of what becomes of a name that nobody stands behind. */
static void need_inet_diag(void)
{
    union mbr__addr at = loopback(AF_INET, 1);
    int r = mbr__listens_at(&at, false);

    if (r >= 0)
        return;
    print_message("sock_diag: %s\n", strerrorname_np(-r));
    skip();
}

static void test_elsewhere(void **state)
{
    need_inet_diag();
    union mbr__addr at;
    int listener = kernel_listener(AF_INET, &at);
    int qd = new_socket(AF_INET);

    name(&at, mbr__listens_namespace() + 1);
    assert_int_equal(connect_soon(qd, &at), -ECONNREFUSED);
    assert_int_equal(mbr_close(l, qd), 0);
    /* Its owner lives, so the address is taken all the same. */
    qd = new_socket(AF_INET);
    close(listener);
    assert_int_equal(mbr_bind(l, qd, &at.sa, sizeof(at.v4)), -EADDRINUSE);
    name(&at, mbr__listens_namespace());
    assert_int_equal(mbr_bind(l, qd, &at.sa, sizeof(at.v4)), 0);
    assert_int_equal(mbr_close(l, qd), 0);
}

/* Also the wildcard collides with a name, and takes away those that nobody stands behind. */
static void test_collisions(void **state)
{
    need_inet_diag();
    union mbr__addr at, any;
    struct mbr__link link;
    int listener = kernel_listener(AF_INET, &at);
    int qd = new_socket(AF_INET);

    name(&at, mbr__listens_namespace());
    mbr__addr_any(AF_INET, &any);
    mbr__addr_set_port(&any, mbr__addr_port(&at));
    assert_int_equal(mbr_bind(l, qd, &at.sa, sizeof(at.v4)), -EADDRINUSE);
    assert_int_equal(mbr_bind(l, qd, &any.sa, sizeof(any.v4)), -EADDRINUSE);
    assert_int_equal(mbr__names_lock(&names, PATIENCE), 0);
    assert_true(mbr__address_collides(&names, &at, SOCK_STREAM, 0));
    assert_false(mbr__address_collides(&names, &at, SOCK_STREAM, MBR__NAME_BINDS));
    mbr__names_unlock(&names);
    close(listener);
    assert_int_equal(mbr_bind(l, qd, &any.sa, sizeof(any.v4)), 0);
    assert_int_equal(mbr__address_find(&names, SOCK_STREAM, &at, &link), 0);
    assert_int_equal(link.state, 'b');
    assert_int_equal(mbr__names_lock(&names, PATIENCE), 0);
    assert_true(mbr__address_collides(&names, &at, SOCK_STREAM, MBR__NAME_BINDS));
    mbr__names_unlock(&names);
    assert_int_equal(mbr_close(l, qd), 0);
}

static void test_client_no_memory(void **state)
{
    union mbr__addr at;
    int listener = kernel_listener(AF_INET, &at);
    int before = count_open();

    name(&at, mbr__listens_namespace());
    for (unsigned n = 0; n < 100; n++) {
        int qd = -1;

        failalloc_arm(n);
        int r = mbr_socket(l, AF_INET, SOCK_STREAM, 0, &qd);

        if (r == 0)
            r = connect_soon(qd, &at);
        bool failed = failalloc_disarm();

        assert_true(r == 0 || (r == -ENOMEM && failed));
        if (qd >= 0)
            assert_int_equal(mbr_close(l, qd), 0);
        assert_int_equal(count_open(), before);
        if (!failed)
            break;
    }
    close(listener);
    unname(&at);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void test_parse(void **state)
{
    static const char *const good[] = {"127.0.0.1:80.s", "0.0.0.0:0.s", "[::1]:65535.s", "[::]:1.s",
                                       "255.255.255.255:9.s"};
    static const char *const bad[] = {"",
                                      ":",
                                      "[",
                                      "[]",
                                      "127.0.0.1",
                                      "127.0.0.1:80",
                                      "127.0.0.1:80.d",
                                      "127.0.0.1:.s",
                                      "127.0.0.1:-1.s",
                                      "127.0.0.1: 80.s",
                                      "127.0.0.1:65536.s",
                                      "127.0.0.1:99999999999999999999.s",
                                      "127.0.0.1#1:80.s",
                                      "127.0.0.1:80.ss",
                                      "1.2.3:80.s",
                                      "[::1:80.s",
                                      "[::1]80.s",
                                      "[1.2.3.4]:80.s",
                                      "tcp.1234.a",
                                      "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:00]:1.s"};
    char file[MBR__CATLOOP_FILE];
    union mbr__addr a;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(mbr__address_parse(good[i], &a));
        mbr__address_file(&a, SOCK_STREAM, 0, file);
        assert_string_equal(file, good[i]);
    }
    a = loopback(AF_INET, 7);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(mbr__address_parse(bad[i], &a));
    assert_int_equal(mbr__addr_port(&a), 7);
}

static void test_listens(void **state)
{
    need_inet_diag();
    union mbr__addr at, any;
    int ends[2];

    for (int i = 0; i < 2; i++) {
        int family = i == 0 ? AF_INET : AF_INET6;
        int fd = kernel_listener(family, &at);

        assert_int_equal(mbr__listens_at(&at, true), 1);
        assert_int_equal(mbr__listens_at(&at, false), 1);
        mbr__addr_any(family, &any);
        mbr__addr_set_port(&any, mbr__addr_port(&at));
        assert_int_equal(mbr__listens_at(&any, false), 0);
        close(fd);
        assert_int_equal(mbr__listens_at(&at, false), 0);
    }
    /* Connected sockets of that address do not listen. */
    kernel_pair(AF_INET, ends);
    socklen_t size = sizeof(at);

    assert_int_equal(getsockname(ends[1], &at.sa, &size), 0);
    assert_int_equal(mbr__listens_at(&at, false), 0);
    close(ends[0]);
    close(ends[1]);
}

/* ---- a kernel without inet_diag -------------------------------------------------------------- */

static enum { WHOLE, NO_FAMILY, NO_TCP } kernel_is;

ssize_t __real_recv(int fd, void *buf, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags);

/* What such a kernel answers: to a question about one socket always the same, to one for a list by
 * what is missing. */
static ssize_t lacking(void *buf, bool list)
{
    bool done = list && kernel_is == NO_TCP;
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
    } m = {.error = {.error = -ENOENT, .msg.nlmsg_type = SOCK_DIAG_BY_FAMILY}};

    m.header.nlmsg_len = done ? sizeof(m.header) + sizeof(int) : sizeof(m);
    m.header.nlmsg_type = done ? NLMSG_DONE : NLMSG_ERROR;
    memcpy(buf, &m, m.header.nlmsg_len);
    return (ssize_t)m.header.nlmsg_len;
}

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags)
{
    ssize_t r = __real_recv(fd, buf, n, flags);
    struct nlmsghdr header;
    struct sockaddr sa = {0};
    socklen_t size = sizeof(sa);

    if (kernel_is == WHOLE || r < (ssize_t)sizeof(header) || getsockname(fd, &sa, &size) < 0 ||
        sa.sa_family != AF_NETLINK)
        return r;
    memcpy(&header, buf, sizeof(header));
    return lacking(buf, header.nlmsg_type == NLMSG_DONE);
}

/* The link alone says that somebody listens, as long as who has put it there lives. Runs before
 * anything has found out that this kernel is another one. */
static void test_no_inet_diag(void **state)
{
    union mbr__addr at;
    int listener = kernel_listener(AF_INET, &at);

    name(&at, mbr__listens_namespace());
    for (kernel_is = NO_FAMILY; kernel_is <= NO_TCP; kernel_is++) {
        int qd = new_socket(AF_INET);

        assert_int_equal(mbr__listens_at(&at, true), -EOPNOTSUPP);
        assert_int_equal(connect_soon(qd, &at), 0);
        assert_int_equal(mbr_close(l, qd), 0);
        close(accept(listener, NULL, NULL));
    }
    kernel_is = WHOLE;
    unname(&at);
    close(listener);
}

static int setup(void **state)
{
    char path[64];

    assert_non_null(mkdtemp(scratch));
    snprintf(path, sizeof(path), "%s/names", scratch);
    assert_int_equal(setenv("MEMBRANE_DIR", path, 1), 0);
    assert_int_equal(mbr__names_open(&names), 0);
    assert_int_equal(mbr_libos_open("catloop", NULL, &l), 0);
    return 0;
}

static int teardown(void **state)
{
    char path[64];

    mbr_libos_close(l);
    mbr__names_close(&names);
    snprintf(path, sizeof(path), "%s/names", scratch);
    assert_int_equal(rmdir(path), 0); /* nothing is left in it */
    return rmdir(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_inet_diag),
        cmocka_unit_test(test_guest),
        cmocka_unit_test(test_strange_guests),
        cmocka_unit_test(test_backlog),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_client),
        cmocka_unit_test(test_client_bound),
        cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_collisions),
        cmocka_unit_test(test_client_no_memory),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_listens),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
