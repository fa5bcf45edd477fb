/* SPDX-License-Identifier: MIT */
/*
 * Two processes under the shim send each other streams, each with one thread that sends and one
 * that receives, or with one that waits in poll or epoll; at some moment one of them, or both, has
 * its connection go back to the kernel, from either thread. Each byte comes once and in order, and
 * nobody hangs.
 *
 *   shim_returns ROUNDS
 */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "calls.h"

#define PIECE 5000u

enum how { BLOCKING, POLLING, EPOLLING, EDGES, HOWS };

struct end {
    int fd;
    enum how how;
    size_t total; /* bytes each way */
    size_t
        return_rx; /* the receiver goes back after so many, the sender after so many of its own */
    size_t return_tx;
    uint64_t chance;
    bool hushed; /* pauses now and then, so that the other one sleeps */
};

static uint32_t any(uint64_t *chance, uint32_t below)
{
    *chance = *chance * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*chance >> 33) % below);
}

static unsigned char mix(uint64_t i)
{
    return (unsigned char)(i * 167 >> 3 ^ i >> 13);
}

static uint32_t *returned; /* connections that had moved and went back, of all processes */

static void go_back(int fd)
{
    bool moved = count_regions() > 0;
    int one = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one)) < 0)
        must(errno == ENOPROTOOPT, "setsockopt");
    else if (moved)
        __atomic_fetch_add(returned, 1, __ATOMIC_RELAXED);
}

/* ---- bytes -------------------------------------------------------------------------------------
 */

/* What has been done of an end's work. */
struct work {
    const struct end *e;
    uint64_t chance;
    size_t done;
};

static size_t draw(struct work *w)
{
    return 1 + any(&w->chance, any(&w->chance, 3) == 0 ? PIECE : 100);
}

static bool passed(size_t mark, size_t before, ssize_t by)
{
    return before < mark && before + (size_t)by >= mark;
}

static void pause_sometimes(struct work *w)
{
    if (w->e->hushed && any(&w->chance, 50) == 0)
        (void)poll(NULL, 0, 1);
}

/* 1 there may be more; 0 the end; -1 not now. */
static int receive(struct work *w)
{
    unsigned char buf[PIECE];
    ssize_t r = read(w->e->fd, buf, draw(w));

    if (r < 0 && errno == EAGAIN)
        return -1;
    must(r >= 0, "read");
    for (ssize_t i = 0; i < r; i++)
        if (buf[i] != mix(w->done + (size_t)i)) {
            printf("byte %zu is wrong\n", w->done + (size_t)i);
            exit(8);
        }
    if (passed(w->e->return_rx, w->done, r))
        go_back(w->e->fd);
    w->done += (size_t)r;
    pause_sometimes(w);
    if (r > 0)
        return 1;
    if (w->done != w->e->total) {
        printf("%zu of %zu bytes\n", w->done, w->e->total);
        exit(9);
    }
    return 0;
}

static int transmit(struct work *w)
{
    unsigned char buf[PIECE];
    size_t left = w->e->total - w->done;
    size_t n = draw(w);
    ssize_t r;

    n = n < left ? n : left;
    for (size_t i = 0; i < n; i++)
        buf[i] = mix(w->done + i);
    r = write(w->e->fd, buf, n);
    if (r < 0 && errno == EAGAIN)
        return -1;
    must(r > 0, "write");
    if (passed(w->e->return_tx, w->done, r))
        go_back(w->e->fd);
    w->done += (size_t)r;
    pause_sometimes(w);
    if (w->done < w->e->total)
        return 1;
    must(shutdown(w->e->fd, SHUT_WR) == 0, "shutdown");
    return 0;
}

/* ---- one thread each way --------------------------------------------------------------------- */

static void *receive_all(void *arg)
{
    struct work w = {.e = arg, .chance = ((struct end *)arg)->chance + 1};

    while (receive(&w) > 0)
        ;
    return NULL;
}

static void live_threaded(struct end *e)
{
    struct work w = {.e = e, .chance = e->chance + 2};
    pthread_t thread;

    must(pthread_create(&thread, NULL, receive_all, e) == 0, "pthread_create");
    while (transmit(&w) > 0)
        ;
    pthread_join(thread, NULL);
}

/* ---- one thread that waits ------------------------------------------------------------------- */

static void wait_for(const struct end *e, int epoll, bool receives, bool sends)
{
    struct pollfd p = {.fd = e->fd,
                       .events = (short)((receives ? POLLIN : 0) | (sends ? POLLOUT : 0))};
    struct epoll_event ev = {.events = (uint32_t)p.events};
    int r;

    if (e->how == EPOLLING)
        must(epoll_ctl(epoll, EPOLL_CTL_MOD, e->fd, &ev) == 0, "epoll_ctl");
    r = e->how == POLLING ? poll(&p, 1, 20000) : epoll_wait(epoll, &ev, 1, 20000);
    if (r == 1)
        return;
    printf("hangs, in %d, with %d %d\n", (int)e->how, receives, sends);
    exit(7);
}

static void live_alone(struct end *e)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
    struct work in = {.e = e, .chance = e->chance + 1};
    struct work out = {.e = e, .chance = e->chance + 2};
    int epoll = epoll_create1(0);
    int receives = 1;
    int sends = 1;

    nonblocking(e->fd);
    must(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, e->fd, &ev) == 0, "epoll");
    while (receives != 0 || sends != 0) {
        if (receives != 0)
            receives = receive(&in);
        if (sends != 0)
            sends = transmit(&out);
        if (receives <= 0 && sends <= 0 && (receives < 0 || sends < 0))
            wait_for(e, epoll, receives < 0, sends < 0);
    }
    close(epoll);
}

static void live(struct end *e)
{
    if (e->how == BLOCKING)
        live_threaded(e);
    else
        live_alone(e);
    close(e->fd);
}

/* What an end does; most go back at one time, some at two, some not at all. */
static struct end drawn(uint64_t *chance, size_t total)
{
    struct end e = {.how = (enum how)any(chance, HOWS), .total = total, .chance = *chance};
    uint32_t most = (uint32_t)total + (uint32_t)total / 4;

    e.return_rx = any(chance, 2) == 0 ? any(chance, most) : SIZE_MAX;
    e.return_tx = any(chance, 2) == 0 ? any(chance, most) : SIZE_MAX;
    e.hushed = any(chance, 3) == 0;
    return e;
}

static void live_and_exit(struct end *e, bool client)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (client) {
        e->fd = socket(AF_INET, SOCK_STREAM, 0);
        must(connect(e->fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    } else {
        e->fd = accept(listener, NULL, NULL);
        must(e->fd >= 0, "accept");
    }
    live(e);
    exit(0);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 20;

    begin(1, argv);
    returned = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(returned != MAP_FAILED, "mmap");
    for (unsigned round = argc > 2 ? (unsigned)atoi(argv[2]) : 1; round <= rounds; round++) {
        uint64_t chance = round * 7919;
        size_t total = 1000 + any(&chance, any(&chance, 4) == 0 ? 2000000 : 100000);
        struct end ends[2];
        pid_t pids[2];

        for (int i = 0; i < 2; i++) {
            ends[i] = drawn(&chance, total);
            fflush(stdout);
            pids[i] = fork();
            if (pids[i] == 0)
                live_and_exit(&ends[i], i == 1);
        }
        for (int i = 0; i < 2; i++) {
            int status = 0;

            must(waitpid(pids[i], &status, 0) == pids[i], "waitpid");
            if (status == 0)
                continue;
            printf("round %u, %s: status %x\n", round, i == 1 ? "client" : "server",
                   (unsigned)status);
            return 1;
        }
    }
    printf("%u rounds, %u returns\n", rounds, *returned);
    return 0;
}
