/* SPDX-License-Identifier: MIT */
/*
 * Processes under the shim are killed at random moments: while they connect, meet in shared memory,
 * go back to the kernel, send, receive, fork, close. Whoever is left gets what was sent to him, or
 * the end, or an errno that says that the peer is gone; he does not hang, and keeps nothing of the
 * dead.
 *
 *   shim_kills KILLS
 *
 * One listener for all servers, so that a connection may also be made while there is none. A server
 * is either one process with an epoll, or, every other time, one that forks for each connection
 * after it has moved; the children die of an alarm now and then.
 */
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "calls.h"

#define CLIENTS 4
#define MOST    30000 /* bytes of a message, with its head */
#define FDS     256
#define PATIENT 30 /* seconds after which a client that waits is said to hang */

/* What the processes tell the one that kills them. */
struct board {
    uint64_t messages; /* that came back whole */
    uint64_t told;     /* connections that ended with the news that the peer is gone */
    uint32_t open;     /* connections of a server with an epoll; a futex */
    uint32_t failed;   /* a process found something wrong: */
    char what[200];
};
static struct board *board;

static void fail(const char *what)
{
    if (__atomic_exchange_n(&board->failed, 1, __ATOMIC_ACQ_REL) == 0)
        snprintf(board->what, sizeof(board->what), "%s (errno %s)", what, strerrorname_np(errno));
    _exit(9);
}

static uint64_t chance;
static uint32_t any(uint32_t below)
{
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((chance >> 33) % below);
}

static bool peer_is_gone(ssize_t r)
{
    return r == 0 || errno == ECONNRESET || errno == EPIPE;
}

/* Now and then an end goes back to the kernel: the option is one that only the kernel has. */
static void sometimes_go_back(int fd)
{
    int one = 1;

    if (any(60) == 0 && setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one)) < 0 &&
        errno != ENOPROTOOPT)
        fail("setsockopt");
}

/* ---- servers --------------------------------------------------------------------------------- */

struct served {
    bool used;
    size_t begin;
    size_t end;
    char bytes[8192];
};

/* False: the connection is over. */
static bool serve(int e, int fd, struct served *s)
{
    struct epoll_event ev = {.data.fd = fd};

    for (;;) {
        while (s->begin < s->end) {
            ssize_t w = write(fd, s->bytes + s->begin, s->end - s->begin);

            if (w < 0 && errno == EAGAIN) {
                ev.events = EPOLLOUT;
                return epoll_ctl(e, EPOLL_CTL_MOD, fd, &ev) == 0;
            }
            if (w <= 0 && !peer_is_gone(w))
                fail("a server's write");
            if (w <= 0)
                return false;
            s->begin += (size_t)w;
        }
        sometimes_go_back(fd);
        ssize_t r = read(fd, s->bytes, sizeof(s->bytes));

        if (r < 0 && errno == EAGAIN) {
            ev.events = EPOLLIN;
            return epoll_ctl(e, EPOLL_CTL_MOD, fd, &ev) == 0;
        }
        if (r <= 0 && !peer_is_gone(r))
            fail("a server's read");
        if (r <= 0)
            return false;
        s->begin = 0;
        s->end = (size_t)r;
    }
}

static void closed(int fd)
{
    close(fd);
    if (__atomic_sub_fetch(&board->open, 1, __ATOMIC_ACQ_REL) == 0)
        syscall(SYS_futex, &board->open, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void serve_many(void)
{
    static struct served all[FDS];
    int e = epoll_create1(0);
    struct epoll_event ev[16] = {{.events = EPOLLIN, .data.fd = listener}};

    if (e < 0 || epoll_ctl(e, EPOLL_CTL_ADD, listener, &ev[0]) < 0)
        fail("epoll");
    for (;;) {
        int n = epoll_wait(e, ev, 16, -1);

        for (int i = 0; i < n; i++) {
            int fd = ev[i].data.fd;

            if (fd != listener && !serve(e, fd, &all[fd])) {
                closed(fd);
                continue;
            }
            if (fd != listener)
                continue;
            struct epoll_event in = {.events = EPOLLIN};
            int b = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

            if (b >= FDS)
                fail("a server keeps descriptors");
            if (b < 0)
                continue;
            __atomic_add_fetch(&board->open, 1, __ATOMIC_ACQ_REL);
            all[b].begin = all[b].end = 0;
            in.data.fd = b;
            if (epoll_ctl(e, EPOLL_CTL_ADD, b, &in) < 0)
                fail("epoll_ctl");
        }
    }
}

/* True: the peer has ended well, or `rounds` are done. */
static bool echo(int fd, int rounds)
{
    static char some[8192];

    while (rounds-- != 0) {
        ssize_t r;

        sometimes_go_back(fd);
        r = read(fd, some, sizeof(some));
        if (r <= 0 && !peer_is_gone(r))
            fail("a child's read");
        if (r <= 0)
            return r == 0;
        for (ssize_t at = 0; at < r;) {
            ssize_t w = write(fd, some + at, (size_t)(r - at));

            if (w <= 0 && !peer_is_gone(w))
                fail("a child's write");
            if (w <= 0)
                return false;
            at += w;
        }
    }
    return true;
}

static void serve_forking(void)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int b = accept(listener, NULL, NULL);

        if (b < 0)
            continue;
        if (echo(b, (int)any(12)) && fork() == 0) {
            struct itimerval some = {.it_value.tv_usec = 1 + any(5000)};

            if (any(8) == 0)
                setitimer(ITIMER_REAL, &some, NULL);
            (void)echo(b, -1);
            _exit(0);
        }
        close(b);
    }
}

/* ---- clients --------------------------------------------------------------------------------- */

static ssize_t receive_all(int fd, unsigned char *buf, size_t n)
{
    size_t got = 0;

    while (got < n) {
        ssize_t r = read(fd, buf + got, n - got);

        if (r <= 0)
            return r;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

/* False: the connection is over. */
static bool converse(int fd)
{
    static unsigned char out[MOST];
    static unsigned char in[MOST];
    size_t n = any(4) == 0 ? 1 + any(MOST) : 1 + any(200);
    unsigned char seed = (unsigned char)any(256);
    ssize_t r;

    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)(seed + i * 7);
    sometimes_go_back(fd);
    r = send(fd, out, n, MSG_NOSIGNAL);
    if (r == (ssize_t)n && any(4) == 0)
        sometimes_go_back(fd);
    if (r != (ssize_t)n && r >= 0)
        return true; /* the peer died in between: the next one says so */
    if (r == (ssize_t)n)
        r = receive_all(fd, in, n);
    if (r > 0 && memcmp(in, out, n) != 0)
        fail("what came back is not what was sent");
    if (r > 0) {
        __atomic_fetch_add(&board->messages, 1, __ATOMIC_RELAXED);
        return true;
    }
    if (!peer_is_gone(r))
        fail("a client");
    __atomic_fetch_add(&board->told, 1, __ATOMIC_RELAXED);
    return false;
}

static void ask_for_ever(void)
{
    struct timeval patient = {.tv_sec = PATIENT};

    for (;;) {
        int a = socket(AF_INET, SOCK_STREAM, 0);
        int messages = 1 + (int)any(60);
        bool alive = true;

        if (a < 0 || a > 100)
            fail("a client keeps descriptors");
        setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &patient, sizeof(patient));
        setsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &patient, sizeof(patient));
        if (connect(a, (struct sockaddr *)&address, sizeof(address)) < 0) {
            if (errno != ECONNRESET)
                fail("connect");
            close(a);
            continue;
        }
        while (alive && messages-- > 0)
            alive = converse(a);
        if (alive && any(2) == 0)
            shutdown(a, any(2) == 0 ? SHUT_WR : SHUT_RDWR);
        close(a);
    }
}

/* ---- who kills ------------------------------------------------------------------------------- */

static pid_t begun(bool server, uint64_t number)
{
    pid_t pid;

    if (server)
        board->open = 0;
    pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid > 0)
        return pid;
    chance = number * 7919 + 1;
    (void)any(2);
    signal(SIGPIPE, SIG_IGN);
    if (!server)
        ask_for_ever();
    if (number % 2 == 0)
        serve_many();
    serve_forking();
    _exit(0);
}

static void killed(pid_t pid)
{
    must(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid, "kill");
}

/* Children of dead servers that have ended are ours now. Nobody else ends by himself. */
static void bury_orphans(const pid_t clients[CLIENTS], pid_t server)
{
    siginfo_t info = {0};

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0) {
        for (int i = 0; i < CLIENTS; i++) {
            if (info.si_pid == clients[i])
                return;
        }
        if (info.si_pid == server || waitpid(info.si_pid, NULL, 0) < 0)
            return;
        info.si_pid = 0;
    }
}

static size_t lines_with(pid_t pid, const char *what)
{
    char path[64];
    char line[512];
    size_t n = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        n += strstr(line, what) != NULL;
    if (file != NULL)
        fclose(file);
    return n;
}

static size_t descriptors(pid_t pid)
{
    char path[64];
    size_t n = 0;

    for (int fd = 0; fd < 1024; fd++) {
        struct stat st;

        snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
        n += lstat(path, &st) == 0;
    }
    return n;
}

/* Until the server has closed the connections of all who came before. */
static void until_closed(void)
{
    struct timespec patient = {.tv_sec = PATIENT};
    int a = socket(AF_INET, SOCK_STREAM, 0);
    uint32_t open;
    char byte = 'x';

    /* The last of those that wait to be accepted. */
    must(connect(a, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    must(write(a, &byte, 1) == 1 && read(a, &byte, 1) == 1, "the last one");
    close(a);
    while ((open = __atomic_load_n(&board->open, __ATOMIC_ACQUIRE)) != 0) {
        if (syscall(SYS_futex, &board->open, FUTEX_WAIT, open, &patient, NULL, 0) < 0)
            must(errno == EAGAIN || errno == EINTR, "the server keeps connections");
    }
}

/* With the clients gone the server has no more than it began with. */
static void server_is_empty(pid_t server, size_t before)
{
    size_t fds;
    size_t maps;

    until_closed();
    fds = descriptors(server);
    maps = lines_with(server, "memfd:membrane-shim");
    if (fds <= before && maps == 0)
        return;
    printf("the server keeps %zu descriptors (%zu at first) and %zu mappings\n", fds, before, maps);
    exit(1);
}

int main(int argc, char **argv)
{
    uint64_t kills = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    pid_t clients[CLIENTS];
    pid_t server;
    uint64_t servers = 0;
    size_t before;

    begin(1, argv);
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(board != MAP_FAILED && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "mmap");
    chance = 4242;
    before = descriptors(getpid()) + 2; /* an epoll, the directory of names */
    server = begun(true, servers++);
    for (uint64_t i = 0; i < CLIENTS; i++)
        clients[i] = begun(false, i);
    for (uint64_t i = 0; i < kills && !board->failed; i++) {
        uint32_t victim = any(CLIENTS * 2);
        uint32_t delay = any(3000);
        struct timespec ts = {.tv_nsec = (long)delay * 1000};

        nanosleep(&ts, NULL);
        if (victim < CLIENTS) {
            killed(clients[victim]);
            clients[victim] = begun(false, i + 100);
        } else if (any(4) == 0) {
            killed(server);
            server = begun(true, servers++);
            bury_orphans(clients, server);
        }
    }
    if (servers % 2 == 0) {
        killed(server);
        server = begun(true, servers++);
    }
    for (int i = 0; i < CLIENTS; i++)
        killed(clients[i]);
    if (!board->failed)
        server_is_empty(server, before);
    killed(server);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    if (board->failed) {
        printf("%s\n", board->what);
        return 1;
    }
    printf("%ju messages came back, %ju connections were told\n", (uintmax_t)board->messages,
           (uintmax_t)board->told);
    return board->messages < kills || board->told == 0;
}
