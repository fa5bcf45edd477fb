/* SPDX-License-Identifier: MIT */
/*
 * The loads. Answers are counted by their bytes, which are known beforehand, so that the client
 * costs as little as a client can. See load.h.
 */
#define _GNU_SOURCE
#include "bench/store/load.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/lib/clock.h"
#include "bench/lib/hist.h"
#include "store/ring.h"

#define PATH        "/bench/value"
#define REQUEST_MAX 128
#define CONNECTIONS 64
#define BUFFER      65536
#define FAN_PATH    PEER_FAN

struct line {
    int fd;
    size_t partial; /* bytes of an answer that is not whole */
};

static size_t request_of(unsigned char *at, uint32_t type)
{
    char payload[REQUEST_MAX] = PATH;
    size_t length = sizeof(PATH);

    if (type == MBR__XS_WRITE) {
        memcpy(payload + length, PEER_VALUE, sizeof(PEER_VALUE));
        length += sizeof(PEER_VALUE) - 1;
    }
    return peer_message(at, type, 0, payload, length);
}

static size_t answer_size(uint32_t type)
{
    return MBR__STORE_HEADER_SIZE + (type == MBR__XS_READ ? strlen(PEER_VALUE) : 3);
}

static int prepare(const struct peer *p)
{
    char answer[MBR__STORE_PAYLOAD_MAX];
    char payload[] = PATH "\0" PEER_VALUE;
    int fd = peer_connect(p);
    int rc = fd < 0 ? fd : peer_ask(fd, MBR__XS_WRITE, 0, payload, sizeof(payload) - 1, answer);

    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* ---- requests ---- */

static double one_by_one(int fd, uint32_t type, uint64_t span_ns)
{
    unsigned char request[REQUEST_MAX + MBR__STORE_HEADER_SIZE];
    unsigned char answer[REQUEST_MAX];
    size_t length = request_of(request, type);
    uint64_t begin = bench_now_ns();
    uint64_t now = begin;
    uint64_t count = 0;

    while (now - begin < span_ns) {
        int rc = peer_send(fd, request, length);

        if (rc == 0)
            rc = peer_receive(fd, answer, answer_size(type));
        if (rc < 0)
            return rc;
        now = bench_now_ns();
        count++;
    }
    return (double)count * 1e9 / (double)(now - begin);
}

static int top_up(struct line *line, const unsigned char *burst, size_t request, size_t count)
{
    return count == 0 ? 0 : peer_send(line->fd, burst, request * count);
}

/* Takes what has come and asks as often again. Answers, or a negative errno. */
static int turn(struct line *line, const unsigned char *burst, size_t request, size_t answer)
{
    static unsigned char buffer[BUFFER];
    ssize_t n = recv(line->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    size_t whole;

    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return -ECONNRESET;
    whole = (line->partial + (size_t)n) / answer;
    line->partial = (line->partial + (size_t)n) % answer;
    return top_up(line, burst, request, whole) < 0 ? -ECONNRESET : (int)whole;
}

static double many(struct line *lines, int connections, int depth, uint32_t type, uint64_t span_ns)
{
    static unsigned char burst[BUFFER];
    struct epoll_event events[CONNECTIONS];
    size_t request = 0;
    uint64_t begin;
    uint64_t now;
    uint64_t count = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int rc = epoll < 0 ? -errno : 0;

    for (int i = 0; i < depth; i++)
        request = request_of(burst + request * (size_t)i, type);
    for (int i = 0; i < connections && rc == 0; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = (uint32_t)i}};

        rc = epoll_ctl(epoll, EPOLL_CTL_ADD, lines[i].fd, &event) < 0 ? -errno : 0;
        if (rc == 0)
            rc = top_up(&lines[i], burst, request, (size_t)depth);
    }
    begin = now = bench_now_ns();
    while (rc == 0 && now - begin < span_ns) {
        int n = epoll_wait(epoll, events, CONNECTIONS, 1000);

        for (int i = 0; i < n && rc == 0; i++) {
            int got = turn(&lines[events[i].data.u32], burst, request, answer_size(type));

            rc = got < 0 ? got : 0;
            count += got > 0 ? (uint64_t)got : 0;
        }
        now = bench_now_ns();
    }
    (void)close(epoll);
    return rc < 0 ? rc : (double)count * 1e9 / (double)(now - begin);
}

double load_requests(const struct peer *p, uint32_t type, int connections, int depth,
                     uint64_t span_ns)
{
    struct line lines[CONNECTIONS] = {{0}};
    double result = prepare(p);
    int open = 0;

    for (; open < connections && result == 0; open++) {
        lines[open].fd = peer_connect(p);
        if (lines[open].fd < 0)
            result = lines[open].fd;
    }
    if (result == 0 && connections == 1 && depth == 1)
        result = one_by_one(lines[0].fd, type, span_ns);
    else if (result == 0)
        result = many(lines, connections, depth, type, span_ns);
    for (int i = 0; i < open; i++)
        (void)close(lines[i].fd);
    return result;
}

/* Asks and takes the answer, behind which nothing comes, in one piece as a rule: as one_by_one().
 */
static int ask(int fd, uint32_t type, uint32_t tx, const void *payload, size_t length, char *answer)
{
    unsigned char message[MBR__STORE_HEADER_SIZE + REQUEST_MAX];
    struct mbr__store_header head = {0};
    size_t had = 0;
    int rc = peer_send(fd, message, peer_message(message, type, tx, payload, length));

    while (rc == 0 && (had < sizeof(head) || had < sizeof(head) + head.len)) {
        ssize_t n = recv(fd, message + had, sizeof(message) - had, 0);

        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        had += (size_t)n;
        if (had >= sizeof(head))
            mbr__store_header_parse(&head, message);
        if (head.len > REQUEST_MAX)
            return -EPROTO;
    }
    memcpy(answer, message + MBR__STORE_HEADER_SIZE, head.len);
    return rc < 0 ? rc : head.type == MBR__XS_ERROR ? -EIO : 0;
}

static int transaction(int fd)
{
    char answer[REQUEST_MAX];
    char write[] = PATH "\0" PEER_VALUE;
    uint32_t tx;
    int rc = ask(fd, MBR__XS_TRANSACTION_START, 0, "", 1, answer);

    if (rc < 0)
        return rc;
    tx = (uint32_t)strtoul(answer, NULL, 10);
    rc = ask(fd, MBR__XS_READ, tx, PATH, sizeof(PATH), answer);
    if (rc == 0)
        rc = ask(fd, MBR__XS_WRITE, tx, write, sizeof(write) - 1, answer);
    return rc < 0 ? rc : ask(fd, MBR__XS_TRANSACTION_END, tx, "T", 2, answer);
}

/* ---- watches ---- */

static int watch(int fd, const char *path)
{
    char payload[REQUEST_MAX];
    char answer[MBR__STORE_PAYLOAD_MAX];
    struct mbr__store_header head;
    int length = snprintf(payload, sizeof(payload), "%s%c" PEER_TOKEN, path, '\0');
    int rc = peer_ask(fd, MBR__XS_WATCH, 0, payload, (size_t)length + 1, answer);

    return rc < 0 ? rc : peer_answer(fd, &head, answer);
}

/* ---- turns ---- */

#define TURN 32 /* round trips */

/* What the turns ask over. */
struct turns {
    int floor, store, watcher;
    unsigned char read[REQUEST_MAX + MBR__STORE_HEADER_SIZE];
    unsigned char write[REQUEST_MAX + MBR__STORE_HEADER_SIZE];
    size_t read_size, write_size;
};

static int round_trip(int fd, const unsigned char *request, size_t size, uint32_t type)
{
    unsigned char answer[REQUEST_MAX];
    int rc = peer_send(fd, request, size);

    return rc < 0 ? rc : peer_receive(fd, answer, answer_size(type));
}

/* From the write to the event: the answer to the write is not waited for, but taken afterwards. */
static int write_and_event(const struct turns *t)
{
    unsigned char event[REQUEST_MAX];
    int rc = peer_send(t->store, t->write, t->write_size);

    return rc < 0 ? rc
                  : peer_receive(t->watcher, event,
                                 MBR__STORE_HEADER_SIZE + sizeof(PATH) + sizeof(PEER_TOKEN));
}

static int one_of(const struct turns *t, int kind)
{
    switch (kind) {
    case LOAD_FLOOR:
        return round_trip(t->floor, t->read, t->read_size, MBR__XS_READ);
    case LOAD_READ:
        return round_trip(t->store, t->read, t->read_size, MBR__XS_READ);
    case LOAD_WRITE:
        return round_trip(t->store, t->write, t->write_size, MBR__XS_WRITE);
    case LOAD_TRANSACTION:
        return transaction(t->store);
    default:
        return write_and_event(t);
    }
}

/* Nanoseconds of one, on the average of a turn; negative errno. */
static int64_t one_turn(const struct turns *t, int kind)
{
    int count = kind == LOAD_TRANSACTION ? TURN / 4 : TURN;
    unsigned char answer[REQUEST_MAX];
    uint64_t spent = 0;

    for (int i = 0; i < count; i++) {
        uint64_t begin = bench_now_ns();
        int rc = one_of(t, kind);

        spent += bench_now_ns() - begin;
        if (rc == 0 && kind == LOAD_DELIVERY)
            rc = peer_receive(t->store, answer, answer_size(MBR__XS_WRITE));
        if (rc < 0)
            return rc;
    }
    return (int64_t)(spent / (uint64_t)count);
}

/* The watcher is there for its own turns only: other writes would wake it, too. */
static int turn_of(struct turns *t, const struct peer *store, int kind, struct bench_hist *hist)
{
    int64_t ns;
    int rc = 0;

    if (kind == LOAD_DELIVERY) {
        t->watcher = peer_connect(store);
        rc = t->watcher < 0 ? t->watcher : watch(t->watcher, PATH);
    }
    ns = rc < 0 ? rc : one_turn(t, kind);
    if (kind == LOAD_DELIVERY && t->watcher >= 0)
        (void)close(t->watcher);
    if (ns >= 0)
        bench_hist_record(hist, (uint64_t)ns);
    return ns < 0 ? (int)ns : 0;
}

int load_in_turns(const struct peer *floor, const struct peer *store, uint64_t span_ns,
                  double out[LOAD_TURNS])
{
    struct turns t = {.floor = peer_connect(floor), .store = peer_connect(store)};
    struct bench_hist hist[LOAD_TURNS] = {0};
    uint64_t begin = bench_now_ns();
    int rc = prepare(store);

    t.read_size = request_of(t.read, MBR__XS_READ);
    t.write_size = request_of(t.write, MBR__XS_WRITE);
    for (int i = 0; i < LOAD_TURNS && rc == 0; i++)
        rc = bench_hist_init(&hist[i]);
    while (rc == 0 && bench_now_ns() - begin < span_ns) {
        for (int i = 0; i < LOAD_TURNS && rc == 0; i++)
            rc = turn_of(&t, store, i, &hist[i]);
    }
    for (int i = 0; i < LOAD_TURNS; i++) {
        out[i] = rc < 0 ? 0 : (double)bench_hist_quantile(&hist[i], 0.5);
        bench_hist_fini(&hist[i]);
    }
    (void)close(t.floor);
    (void)close(t.store);
    return rc;
}

/* ---- fan-out ---- */

/* Writes of as many nodes below the watched one, so that no event is equal to one before it. */
static size_t fan_burst(unsigned char *at, int count)
{
    size_t length = 0;

    for (int i = 0; i < count; i++) {
        char payload[32];
        int size = snprintf(payload, sizeof(payload), FAN_PATH "/%d%cx", i, '\0');

        length += peer_message(at + length, MBR__XS_WRITE, 0, payload, (size_t)size);
    }
    return length;
}

double load_fan_out(const struct peer *p, int watchers, int writes, uint64_t span_ns)
{
    struct line lines[CONNECTIONS] = {{0}};
    unsigned char burst[LOAD_BURST * 64];
    static unsigned char buffer[BUFFER];
    size_t length = fan_burst(burst, writes);
    size_t event = MBR__STORE_HEADER_SIZE + sizeof(FAN_PATH "/0") + sizeof(PEER_TOKEN);
    int writer = peer_connect(p);
    uint64_t begin;
    uint64_t events = 0;
    int rc = writer < 0 ? writer : 0;

    for (int i = 0; i < watchers && rc == 0; i++) {
        lines[i].fd = peer_connect(p);
        rc = lines[i].fd < 0 ? lines[i].fd : watch(lines[i].fd, FAN_PATH);
    }
    begin = bench_now_ns();
    while (rc == 0 && bench_now_ns() - begin < span_ns) {
        rc = peer_send(writer, burst, length);
        for (int i = 0; i < watchers && rc == 0; i++) {
            rc = peer_receive(lines[i].fd, buffer, event * (size_t)writes);
            events += (uint64_t)writes;
        }
        if (rc == 0)
            rc = peer_receive(writer, buffer, answer_size(MBR__XS_WRITE) * (size_t)writes);
    }
    for (int i = 0; i < watchers; i++)
        (void)close(lines[i].fd);
    (void)close(writer);
    return rc < 0 ? rc : (double)events * 1e9 / (double)(bench_now_ns() - begin);
}

/* ---- crowds ---- */

static int *crowd;
static int crowd_count;

int load_crowd(const struct peer *p, int count, int with_watch)
{
    int rc = 0;

    crowd = calloc((size_t)count, sizeof(*crowd));
    if (crowd == NULL)
        return -ENOMEM;
    for (crowd_count = 0; crowd_count < count && rc == 0; crowd_count++) {
        char path[32];
        int fd = peer_connect(p);

        crowd[crowd_count] = fd;
        (void)snprintf(path, sizeof(path), "/crowd/%d", crowd_count);
        rc = fd < 0 ? fd : with_watch ? watch(fd, path) : 0;
    }
    return rc;
}

int load_watches(const struct peer *p, int count)
{
    int rc = load_crowd(p, 1, 0);

    for (int i = 0; i < count && rc == 0; i++) {
        char path[32];

        (void)snprintf(path, sizeof(path), "/crowd/%d", i);
        rc = watch(crowd[0], path);
    }
    return rc;
}

void load_crowd_end(void)
{
    for (int i = 0; i < crowd_count; i++) {
        if (crowd[i] >= 0)
            (void)close(crowd[i]);
    }
    free(crowd);
    crowd = NULL;
    crowd_count = 0;
}

/* ---- a big tree ---- */

#define BURST 128 /* nodes asked for at once */

int load_nodes(const struct peer *p, const char *directory, int count)
{
    static unsigned char burst[BURST * 256];
    static unsigned char answers[BURST * 32];
    int fd = peer_connect(p);
    int rc = fd < 0 ? fd : 0;

    for (int i = 0; i < count && rc == 0;) {
        size_t length = 0;
        int n = 0;

        for (; n < BURST && i < count; n++, i++) {
            char payload[200];
            int size =
                snprintf(payload, sizeof(payload), "%s/%07d%c%s", directory, i, '\0', "value");

            length += peer_message(burst + length, MBR__XS_WRITE, 0, payload, (size_t)size);
        }
        rc = peer_send(fd, burst, length);
        if (rc == 0)
            rc = peer_receive(fd, answers, answer_size(MBR__XS_WRITE) * (size_t)n);
    }
    (void)close(fd);
    return rc;
}

double load_children(const struct peer *p, const char *directory, uint64_t span_ns)
{
    static unsigned number;
    char answer[MBR__STORE_PAYLOAD_MAX];
    int fd = peer_connect(p);
    uint64_t begin = bench_now_ns();
    uint64_t count = 0;
    int rc = fd < 0 ? fd : 0;

    while (rc == 0 && bench_now_ns() - begin < span_ns) {
        char payload[200];
        int size = snprintf(payload, sizeof(payload), "%s/c%u%cx", directory, number++, '\0');

        rc = peer_ask(fd, MBR__XS_WRITE, 0, payload, (size_t)size, answer);
        if (rc == 0)
            rc = peer_ask(fd, MBR__XS_READ, 0, payload, (size_t)size - 1, answer);
        count++;
    }
    (void)close(fd);
    return rc < 0 ? rc : (double)count * 1e9 / (double)(bench_now_ns() - begin);
}

/* COUNT reads: the longest wait, or LONGEST if that is more. */
static double longest_wait(int fd, int count, double longest)
{
    char answer[MBR__STORE_PAYLOAD_MAX];

    for (int i = 0; i < count; i++) {
        uint64_t sent = bench_now_ns();
        int rc = peer_ask(fd, MBR__XS_READ, 0, PATH, sizeof(PATH), answer);
        double wait = (double)(bench_now_ns() - sent);

        if (rc < 0)
            return rc;
        if (wait > longest)
            longest = wait;
    }
    return longest;
}

double load_quiet_wait(const struct peer *p, int count)
{
    int fd = peer_connect(p);
    int rc = fd < 0 ? fd : prepare(p);
    double longest = rc < 0 ? rc : longest_wait(fd, count, 0);

    (void)close(fd);
    return longest;
}

/* Whether the store has removed subtrees to work off; negative errno. */
static int is_removing(int fd)
{
    char answer[MBR__STORE_PAYLOAD_MAX] = "";
    int rc = peer_ask(fd, MBR__XS_CONTROL, 0, "stats", sizeof("stats"), answer);

    return rc < 0 ? rc : strstr(answer, "removals 0\n") == NULL;
}

double load_removal(const struct peer *p, const char *directory)
{
    unsigned char message[MBR__STORE_HEADER_SIZE + 200];
    char answer[MBR__STORE_PAYLOAD_MAX];
    struct mbr__store_header head;
    int remover = peer_connect(p);
    int reader = peer_connect(p);
    int rc = prepare(p);
    double longest = 0;

    if (rc == 0)
        rc = peer_send(remover, message,
                       peer_message(message, MBR__XS_RM, 0, directory, strlen(directory) + 1));
    if (rc == 0)
        longest = longest_wait(reader, 1, 0);
    if (rc == 0)
        rc = peer_answer(remover, &head, answer);
    while (rc == 0 && longest >= 0 && (rc = is_removing(remover)) > 0) {
        longest = longest_wait(reader, 16, longest);
        rc = 0;
    }
    (void)close(remover);
    (void)close(reader);
    return rc < 0 ? rc : longest;
}

/* ---- the shared page ---- */

/* Asks for a domain's ring: a region and two event descriptors come with the answer. */
static int ask_ring(int fd, int got[3])
{
    unsigned char message[MBR__STORE_HEADER_SIZE + 16];
    unsigned char answer[REQUEST_MAX];
    union {
        char bytes[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {answer, sizeof(answer)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    size_t length = peer_message(message, MBR__XS_CONTROL, 0,
                                 "ring\0"
                                 "7",
                                 7);
    const struct cmsghdr *c;

    if (peer_send(fd, message, length) < 0 || recvmsg(fd, &msg, MSG_CMSG_CLOEXEC) <= 0)
        return -ECONNRESET;
    c = CMSG_FIRSTHDR(&msg);
    if (c == NULL || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(3 * sizeof(int)))
        return -EIO;
    memcpy(got, CMSG_DATA(c), 3 * sizeof(int));
    return 0;
}

static void wake(const struct mbr__store_ring *ring, int fd)
{
    const uint64_t one = 1;

    if (mbr__store_ring_must_wake(ring) && write(fd, &one, sizeof(one)) < 0)
        return;
}

/* One question and its answer: spins for a while, then sleeps. */
static int ask_over_ring(struct mbr__store_ring *ring, const int got[3], const void *request,
                         size_t length, size_t expected)
{
    unsigned char answer[MBR__STORE_PAYLOAD_MAX];
    const struct iovec iov = {(void *)(uintptr_t)request, length};
    size_t had = 0;
    unsigned looks = 0;

    if (mbr__store_ring_write(ring, &iov, 1) != (ssize_t)length)
        return -EPROTO;
    wake(ring, got[1]);
    while (had < expected) {
        ssize_t n = mbr__store_ring_read(ring, answer, sizeof(answer));

        if (n > 0) {
            had += (size_t)n;
            wake(ring, got[1]);
        } else if (n != -EAGAIN) {
            return (int)n;
        } else if (++looks > 20000) {
            struct pollfd pfd = {.fd = got[2], .events = POLLIN};
            uint64_t told;

            mbr__store_ring_sleep(ring, true);
            if (!mbr__store_ring_readable(ring) && poll(&pfd, 1, 1000) == 1 &&
                read(got[2], &told, sizeof(told)) < 0)
                return -errno;
            mbr__store_ring_sleep(ring, false);
            looks = 0;
        } else if (looks % 256 == 0) {
            (void)sched_yield(); /* the server may be waiting for this CPU */
        }
    }
    return 0;
}

double load_ring(const struct peer *p, uint64_t span_ns)
{
    unsigned char request[REQUEST_MAX + MBR__STORE_HEADER_SIZE];
    char answer[MBR__STORE_PAYLOAD_MAX];
    static const char open_perms[] = PATH "\0"
                                          "r0";
    size_t length = request_of(request, MBR__XS_READ);
    struct mbr__store_ring ring;
    int fd = peer_connect(p);
    int got[3] = {-1, -1, -1};
    uint64_t begin;
    uint64_t count = 0;
    void *shm = MAP_FAILED;
    int rc = prepare(p);

    if (rc == 0)
        rc = peer_ask(fd, MBR__XS_SET_PERMS, 0, open_perms, sizeof(open_perms), answer);
    if (rc == 0)
        rc = ask_ring(fd, got);
    if (rc == 0)
        shm = mmap(NULL, sizeof(struct mbr__store_ring_shm), PROT_READ | PROT_WRITE, MAP_SHARED,
                   got[0], 0);
    if (rc == 0 && shm == MAP_FAILED)
        rc = -errno;
    if (rc == 0)
        mbr__store_ring_init(&ring, shm, false);
    begin = bench_now_ns();
    while (rc == 0 && bench_now_ns() - begin < span_ns) {
        rc = ask_over_ring(&ring, got, request, length, answer_size(MBR__XS_READ));
        count++;
    }
    for (int i = 0; i < 3; i++) {
        if (got[i] >= 0)
            (void)close(got[i]);
    }
    if (shm != MAP_FAILED)
        (void)munmap(shm, sizeof(struct mbr__store_ring_shm));
    (void)peer_ask(fd, MBR__XS_RELEASE, 0, "7", 2, answer);
    (void)close(fd);
    return rc < 0 ? rc : (double)count * 1e9 / (double)(bench_now_ns() - begin);
}
