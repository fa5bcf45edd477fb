/* SPDX-License-Identifier: MIT */
/*
 * Two or three threads of one process wait on one connection, each in a way of its own: for input
 * or for room, in a blocking call, poll, ppoll, select or epoll, by the same descriptor or by
 * duplicates, in one epoll or in several. None waits with a timeout. The peer, another process with
 * one thread or two, reads and writes in bursts, and the rings are small, so that all of them fall
 * asleep again and again, and what wakes one may have been meant for another. Nobody may sleep for
 * ever; and where nothing happens nobody may use the processor.
 *
 *   shim_wakes ROUNDS [FIRST]
 *   shim_wakes idle MILLISECONDS
 */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>

#include "calls.h"

#define PIECE    3000u
#define MOST     3  /* threads */
#define PATIENCE 60 /* seconds until somebody sleeps for ever */

enum how { BLOCKING, POLL, PPOLL, SELECT, LEVEL, EDGE, ONESHOT, HOWS };
static const char *const how_names[] = {"a call", "poll", "ppoll",  "select",
                                        "epoll",  "edge", "oneshot"};

enum peer { ECHO, ECHO_BLOCKING, TWO_THREADS, PEERS };

/* What the peer is told first. */
struct order {
    uint64_t chance;
    uint32_t total; /* bytes each way */
    uint32_t peer;
    uint32_t slow;  /* pauses of the peer: one in so many calls; 0 none */
    uint32_t turns; /* messages there and back before it begins */
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

static void pause_sometimes(uint64_t *chance, uint32_t one_in)
{
    if (one_in == 0 || any(chance, one_in) != 0)
        return;
    if (any(chance, 2) == 0)
        (void)poll(NULL, 0, 1);
    else
        for (uint32_t n = any(chance, 200); n > 0; n--)
            sched_yield();
}

static void read_all(int fd, void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = read(fd, (char *)to + done, n - done);

        must(r > 0, "read");
        done += (size_t)r;
    }
}

static void turns(int fd, uint32_t n, bool first)
{
    char text[4] = "turn";

    for (uint32_t i = 0; i < 2 * n; i++)
        if ((i % 2 == 0) == first)
            must(write(fd, text, 4) == 4, "write");
        else
            read_all(fd, text, 4);
}

/* ---- the peer -------------------------------------------------------------------------------- */

struct stream {
    int fd;
    struct order o;
    uint64_t chance;
};

static void *peer_sends(void *arg)
{
    struct stream *s = arg;
    uint64_t chance = s->o.chance + 1;
    unsigned char buf[PIECE];

    for (uint32_t done = 0; done < s->o.total;) {
        uint32_t n = 1 + any(&chance, PIECE);
        ssize_t r;

        n = n < s->o.total - done ? n : s->o.total - done;
        for (uint32_t i = 0; i < n; i++)
            buf[i] = mix(done + i);
        r = write(s->fd, buf, n);
        must(r > 0, "peer's write");
        done += (uint32_t)r;
        pause_sometimes(&chance, s->o.slow);
    }
    shutdown(s->fd, SHUT_WR);
    return NULL;
}

static void *peer_receives(void *arg)
{
    struct stream *s = arg;
    uint64_t chance = s->o.chance + 2;
    unsigned char buf[PIECE];
    uint32_t done = 0;
    ssize_t r;

    while ((r = read(s->fd, buf, 1 + any(&chance, PIECE))) > 0) {
        done += (uint32_t)r;
        pause_sometimes(&chance, s->o.slow);
    }
    must(r == 0 && done == s->o.total, "peer's read");
    return NULL;
}

static void two_threads(struct stream *s)
{
    pthread_t t;

    must(pthread_create(&t, NULL, peer_sends, s) == 0, "pthread_create");
    peer_receives(s);
    pthread_join(t, NULL);
}

/* Sends back what it gets: until that has gone nothing else is read. */
static void echo(struct stream *s)
{
    unsigned char buf[PIECE];
    uint32_t done = 0;
    int flags = s->o.peer == ECHO ? MSG_DONTWAIT : 0;

    while (done < s->o.total) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        ssize_t n;

        must(flags == 0 || poll(&p, 1, -1) == 1, "peer's poll");
        n = recv(s->fd, buf, 1 + any(&s->chance, PIECE), flags);
        if (n < 0 && errno == EAGAIN)
            continue;
        must(n > 0, "peer's recv");
        pause_sometimes(&s->chance, s->o.slow);
        for (ssize_t sent = 0; sent < n;) {
            ssize_t r;

            p.events = POLLOUT;
            must(flags == 0 || poll(&p, 1, -1) == 1, "peer's poll");
            r = send(s->fd, buf + sent, (size_t)(n - sent), flags);
            must(r > 0 || errno == EAGAIN, "peer's send");
            sent += r > 0 ? r : 0;
        }
        done += (uint32_t)n;
    }
    shutdown(s->fd, SHUT_WR);
    must(read(s->fd, buf, 1) == 0, "the end");
}

static void peer_loop(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        struct stream s = {.fd = accept(listener, NULL, NULL)};
        struct pollfd end = {.fd = s.fd, .events = POLLRDHUP};

        must(s.fd >= 0, "accept");
        read_all(s.fd, &s.o, sizeof(s.o));
        s.chance = s.o.chance;
        turns(s.fd, s.o.turns, true);
        if (s.o.total == 0)
            (void)poll(&end, 1, -1);
        else if (s.o.peer == TWO_THREADS)
            two_threads(&s);
        else
            echo(&s);
        close(s.fd);
    }
}

/* ---- the threads ----------------------------------------------------------------------------- */

struct round;

struct job {
    struct round *round;
    pthread_mutex_t lock; /* in one epoll any thread may do it */
    int fd;
    bool sends;
    enum how how;
    int epoll;
    bool done;
    uint64_t chance;
    uint64_t bytes;
    uint32_t calls;
    bool waits;
};

struct round {
    struct order o;
    struct job jobs[MOST];
    int n;
    bool shared;   /* one epoll for all that have one */
    bool alone[2]; /* one receiver; one sender: the bytes are those of one stream */
    int stop;      /* of the shared epoll */
    uint32_t left_in_epoll;
    uint32_t to_send; /* not yet claimed by a sender */
    uint32_t senders;
    uint64_t received;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    int running;
};

#define STOP 99u

static void finished(struct job *j)
{
    struct round *r = j->round;
    uint64_t one = 1;

    j->done = true;
    if (j->sends && __atomic_sub_fetch(&r->senders, 1, __ATOMIC_SEQ_CST) == 0)
        shutdown(j->fd, SHUT_WR);
    if (j->how < LEVEL)
        return;
    must(epoll_ctl(j->epoll, EPOLL_CTL_DEL, j->fd, NULL) == 0, "epoll_ctl");
    if (!r->shared || __atomic_sub_fetch(&r->left_in_epoll, 1, __ATOMIC_SEQ_CST) == 0)
        must(!r->shared || write(r->stop, &one, 8) == 8, "eventfd");
}

/* Whether there may be more at once. */
static bool receive(struct job *j, int flags)
{
    unsigned char buf[PIECE];
    ssize_t n = recv(j->fd, buf, 1 + any(&j->chance, any(&j->chance, 2) ? PIECE : 50), flags);

    if (n < 0 && errno == EAGAIN)
        return false;
    must(n >= 0, "recv");
    for (ssize_t i = 0; j->round->alone[0] && i < n; i++)
        must(buf[i] == mix(j->bytes + (uint64_t)i), "a byte");
    j->bytes += (uint64_t)n;
    __atomic_add_fetch(&j->round->received, (uint64_t)n, __ATOMIC_SEQ_CST);
    if (n == 0)
        finished(j);
    return n > 0;
}

static uint32_t claim(struct round *r, uint32_t n)
{
    uint32_t left = __atomic_load_n(&r->to_send, __ATOMIC_SEQ_CST);
    uint32_t mine;

    do {
        mine = n < left ? n : left;
    } while (!__atomic_compare_exchange_n(&r->to_send, &left, left - mine, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    return mine;
}

static bool transmit(struct job *j, int flags)
{
    unsigned char buf[PIECE];
    uint32_t n = claim(j->round, 1 + any(&j->chance, any(&j->chance, 2) ? PIECE : 50));
    ssize_t r;

    if (n == 0) {
        finished(j);
        return false;
    }
    for (uint32_t i = 0; i < n; i++)
        buf[i] = mix(j->bytes + i);
    r = send(j->fd, buf, n, flags);
    must(r > 0 || errno == EAGAIN, "send");
    r = r > 0 ? r : 0;
    j->bytes += (uint64_t)r;
    __atomic_add_fetch(&j->round->to_send, n - (uint32_t)r, __ATOMIC_SEQ_CST);
    return r == (ssize_t)n;
}

static bool step(struct job *j, int flags)
{
    bool more;

    if (j->done)
        return false;
    j->calls++;
    more = j->sends ? transmit(j, flags) : receive(j, flags);
    pause_sometimes(&j->chance, 40);
    return more && !j->done;
}

static void wait_once(struct job *j)
{
    struct pollfd p = {.fd = j->fd, .events = j->sends ? POLLOUT : POLLIN};
    sigset_t none;
    fd_set set;
    int r;

    FD_ZERO(&set);
    FD_SET(j->fd, &set);
    sigemptyset(&none);
    if (j->how == POLL)
        r = poll(&p, 1, -1);
    else if (j->how == PPOLL)
        r = ppoll(&p, 1, NULL, &none);
    else
        r = select(j->fd + 1, j->sends ? NULL : &set, j->sends ? &set : NULL, NULL, NULL);
    must(r == 1, "a wait");
}

static uint32_t events_of(const struct job *j)
{
    return (j->sends ? EPOLLOUT : EPOLLIN) | (j->how == EDGE ? EPOLLET : 0) |
           (j->how == ONESHOT ? EPOLLONESHOT : 0);
}

static void tell_epoll(struct job *j, int op)
{
    struct epoll_event ev = {.events = events_of(j), .data.u32 = (uint32_t)(j - j->round->jobs)};

    must(epoll_ctl(j->epoll, op, j->fd, &ev) == 0, "epoll_ctl");
}

/* False: nothing is left for this thread. */
static bool epoll_once(struct job *mine)
{
    struct epoll_event ev;
    struct job *j;

    must(epoll_wait(mine->epoll, &ev, 1, -1) == 1, "epoll_wait");
    if (ev.data.u32 == STOP)
        return false;
    j = &mine->round->jobs[ev.data.u32];
    mine->waits = false;
    pthread_mutex_lock(&j->lock);
    while (step(j, MSG_DONTWAIT) && j->how == EDGE)
        ;
    if (!j->done && j->how == ONESHOT)
        tell_epoll(j, EPOLL_CTL_MOD);
    pthread_mutex_unlock(&j->lock);
    return mine->round->shared || !j->done;
}

static void *work(void *arg)
{
    struct job *j = arg;
    struct round *r = j->round;

    if (j->how == BLOCKING) {
        j->waits = true;
        while (!j->done)
            (void)step(j, 0);
    } else if (j->how < LEVEL) {
        while (!j->done) {
            j->waits = true;
            wait_once(j);
            j->waits = false;
            (void)step(j, MSG_DONTWAIT);
        }
    } else {
        do {
            j->waits = true;
        } while (epoll_once(j));
    }
    j->waits = false;
    pthread_mutex_lock(&r->lock);
    r->running--;
    pthread_cond_signal(&r->ended);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- a round --------------------------------------------------------------------------------- */

static void tell(const struct round *r)
{
    int have = -1;

    ioctl(r->jobs[0].fd, FIONREAD, &have);
    printf("  total %u, peer %u, slow %u, turns %u, one epoll %d; to be sent %u, received %lu, "
           "readable %d; %d regions\n",
           r->o.total, r->o.peer, r->o.slow, r->o.turns, r->shared, r->to_send,
           (unsigned long)r->received, have, count_regions());
    for (int i = 0; i < r->n; i++) {
        const struct job *j = &r->jobs[i];
        struct pollfd p = {.fd = j->fd, .events = POLLIN | POLLOUT};

        (void)poll(&p, 1, 0);
        printf("  %s in %s on %d: %u calls, %lu bytes%s%s; poll says %x\n",
               j->sends ? "room" : "input", how_names[j->how], j->fd, j->calls,
               (unsigned long)j->bytes, j->done ? ", done" : "", j->waits ? ", waits" : "",
               (unsigned)p.revents);
    }
    fflush(stdout);
}

static void wait_ended(struct round *r)
{
    struct timespec ts;
    int err = 0;

    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_sec += PATIENCE;
    pthread_mutex_lock(&r->lock);
    while (r->running > 0 && err == 0)
        err = pthread_cond_timedwait(&r->ended, &r->lock, &ts);
    pthread_mutex_unlock(&r->lock);
    if (err == 0)
        return;
    printf("somebody sleeps for ever\n");
    tell(r);
    if (getenv("SHIM_WAKES_STAY") != NULL)
        pause();
    _exit(7);
}

static int connected(const struct order *o)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    must(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    must(write(fd, o, sizeof(*o)) == sizeof(*o), "write");
    turns(fd, o->turns, false);
    return fd;
}

static void add_job(struct round *r, struct job *like, int fd, bool duplicate)
{
    struct job *j = &r->jobs[r->n++];

    *j = *like;
    j->round = r;
    pthread_mutex_init(&j->lock, NULL);
    j->fd = duplicate ? dup(fd) : fd;
    must(j->fd >= 0, "dup");
    r->senders += j->sends;
}

/* Two that share an epoll need two descriptors there. */
static void make_epolls(struct round *r)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = STOP};
    int one = -1;

    r->stop = eventfd(0, 0);
    for (int i = 0; i < r->n; i++) {
        struct job *j = &r->jobs[i];

        if (j->how < LEVEL)
            continue;
        j->epoll = r->shared && one >= 0 ? one : epoll_create1(0);
        must(j->epoll >= 0, "epoll_create1");
        if (r->shared && one < 0)
            must(epoll_ctl(j->epoll, EPOLL_CTL_ADD, r->stop, &ev) == 0, "epoll_ctl");
        one = j->epoll;
        r->left_in_epoll++;
        tell_epoll(j, EPOLL_CTL_ADD);
    }
}

static void close_all(struct round *r, int fd)
{
    int last = -1;

    for (int i = 0; i < r->n; i++) {
        struct job *j = &r->jobs[i];

        if (j->fd != fd)
            close(j->fd);
        if (j->how >= LEVEL && j->epoll != last)
            close(last = j->epoll);
        pthread_mutex_destroy(&j->lock);
    }
    close(r->stop);
    close(fd);
}

static void draw(struct round *r, uint64_t *chance)
{
    r->o.chance = *chance;
    r->o.total = 1 + any(chance, any(chance, 8) == 0 ? 400000 : 60000);
    r->o.peer = any(chance, PEERS);
    r->o.slow = any(chance, 2) == 0 ? 0 : 2 + any(chance, 60);
    r->o.turns = any(chance, 4) == 0 ? 0 : 6;
    r->shared = any(chance, 3) == 0;
    r->to_send = r->o.total;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->ended, NULL);
}

static void one_round(uint64_t number, uint64_t *moved)
{
    uint64_t chance = number * 0x9e3779b97f4a7c15u;
    struct round r = {0};
    pthread_t threads[MOST];
    bool duplicates;
    int n;
    int fd;

    draw(&r, &chance);
    n = 2 + (any(&chance, 3) == 0);
    duplicates = any(&chance, 2) == 0 || r.shared;
    fd = connected(&r.o);
    for (int i = 0; i < n; i++) {
        struct job like = {.sends = i == 2 ? any(&chance, 2) : (uint32_t)i,
                           .how = (enum how)any(&chance, HOWS),
                           .chance = chance + (uint64_t)i};

        add_job(&r, &like, fd, duplicates && i > 0);
    }
    r.alone[0] = r.alone[1] = n == 2;
    make_epolls(&r);
    r.running = n;
    for (int i = 0; i < n; i++)
        must(pthread_create(&threads[i], NULL, work, &r.jobs[i]) == 0, "pthread_create");
    wait_ended(&r);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    must(r.received == r.o.total, "all bytes");
    *moved += count_regions() > 0;
    close_all(&r, fd);
}

/* ---- nothing happens ------------------------------------------------------------------------- */

static uint64_t cpu_time(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Fills the way to the peer, which does not read. */
static void fill(int fd)
{
    char buf[1000] = {0};

    while (send(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
        ;
    must(errno == EAGAIN, "send");
}

static void *idle_wait(void *arg)
{
    struct job *j = arg;
    struct epoll_event ev;
    char byte = 0;

    if (j->how == BLOCKING && j->sends)
        (void)!write(j->fd, &byte, 1);
    else if (j->how == BLOCKING)
        (void)!read(j->fd, &byte, 1);
    else if (j->how < LEVEL)
        wait_once(j);
    else
        must(epoll_wait(j->epoll, &ev, 1, -1) == 1, "epoll_wait");
    return NULL;
}

/* Two threads that wait on one connection in their ways: what they use, in parts of 1,000. */
static uint64_t idle_pair(enum how in, enum how out, int ms)
{
    struct linger now = {.l_onoff = 1};
    struct round r = {.o = {.turns = 6}};
    struct job jobs[2] = {{.how = in}, {.how = out, .sends = true}};
    pthread_t threads[2];
    uint64_t used;
    int fd = connected(&r.o);

    fill(fd);
    for (int i = 0; i < 2; i++)
        add_job(&r, &jobs[i], fd, true);
    make_epolls(&r);
    for (int i = 0; i < 2; i++)
        must(pthread_create(&threads[i], NULL, idle_wait, &r.jobs[i]) == 0, "pthread_create");
    (void)poll(NULL, 0, 20); /* they have looked, and sleep */
    used = cpu_time();
    (void)poll(NULL, 0, ms);
    used = cpu_time() - used;
    shutdown(fd, SHUT_RDWR); /* wakes both, one way or another */
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0, "setsockopt");
    close_all(&r, fd); /* of which the peer hears although it has not read */
    return used / ((uint64_t)ms * 1000);
}

static int idle(int ms)
{
    uint64_t most = 0;

    signal(SIGPIPE, SIG_IGN);
    for (int in = 0; in < HOWS; in++) {
        for (int out = 0; out < HOWS; out++) {
            uint64_t used = idle_pair((enum how)in, (enum how)out, ms);

            if (used >= 100)
                printf("input in %s, room in %s: %lu of 1000\n", how_names[in], how_names[out],
                       (unsigned long)used);
            most = used > most ? used : most;
        }
    }
    printf("at most %lu of 1000\n", (unsigned long)most);
    return most >= 300; /* who spins uses all he gets */
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 20;
    uint64_t moved = 0;
    pid_t peer;
    int code = 0;

    begin(1, argv);
    fflush(stdout);
    peer = fork();
    if (peer == 0)
        peer_loop();
    if (argc > 2 && strcmp(argv[1], "idle") == 0)
        code = idle(atoi(argv[2]));
    else
        for (unsigned i = argc > 2 ? (unsigned)atoi(argv[2]) : 1; i <= rounds; i++)
            one_round(i, &moved);
    kill(peer, SIGKILL);
    waitpid(peer, NULL, 0);
    if (code == 0)
        printf("%u rounds, %lu moved\n", rounds, (unsigned long)moved);
    return code;
}
