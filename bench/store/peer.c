/* SPDX-License-Identifier: MIT */
/*
 * The two servers and the talk with them. See peer.h.
 */
#define _GNU_SOURCE
#include "bench/store/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLOOR_BUFFER   65536
#define FLOOR_EVENTS   64
#define FLOOR_WATCHERS 64
#define FLOOR_EVENT    64 /* bytes of an event's payload, at most */
#define START_MS       30000

/* ---- the floor ---- */

/* Bytes to be sent. */
struct floor_out {
    unsigned char bytes[FLOOR_BUFFER];
    size_t length;
};

static int floor_watchers[FLOOR_WATCHERS];
static int floor_watching;

static void floor_add(struct floor_out *out, uint32_t type, const void *payload, size_t length)
{
    out->length += peer_message(out->bytes + out->length, type, 0, payload, length);
}

static void floor_watch(int fd)
{
    if (floor_watching < FLOOR_WATCHERS)
        floor_watchers[floor_watching++] = fd;
}

static void floor_forget(int fd)
{
    for (int i = 0; i < floor_watching; i++)
        if (floor_watchers[i] == fd)
            floor_watchers[i--] = floor_watchers[--floor_watching];
}

/* Answers one message; what others are to be told of it goes into EVENTS. */
static void floor_answer(int fd, const struct mbr__store_header *h, const char *payload,
                         struct floor_out *answers, struct floor_out *events)
{
    char event[FLOOR_EVENT] = "";
    size_t path = strnlen(payload, h->len);

    if (h->type == MBR__XS_READ) {
        floor_add(answers, h->type, PEER_VALUE, strlen(PEER_VALUE));
        return;
    }
    floor_add(answers, h->type, "OK", 3);
    if (path + 1 + sizeof(PEER_TOKEN) > sizeof(event))
        return;
    memcpy(event, payload, path);
    memcpy(event + path + 1, PEER_TOKEN, sizeof(PEER_TOKEN));
    if (h->type == MBR__XS_WATCH) {
        floor_watch(fd);
        floor_add(answers, MBR__XS_WATCH_EVENT, event, path + 1 + sizeof(PEER_TOKEN));
    } else if (strncmp(payload, PEER_FAN, strlen(PEER_FAN)) == 0) {
        floor_add(events, MBR__XS_WATCH_EVENT, event, path + 1 + sizeof(PEER_TOKEN));
    }
}

/* Answers all whole messages in the LENGTH bytes at IN, as far as there is room. */
static void floor_all(int fd, const unsigned char *in, size_t length, struct floor_out *answers,
                      struct floor_out *events)
{
    size_t used = 0;

    while (length - used >= MBR__STORE_HEADER_SIZE &&
           answers->length + FLOOR_EVENT + 64 < FLOOR_BUFFER &&
           events->length + FLOOR_EVENT + 64 < FLOOR_BUFFER) {
        struct mbr__store_header h;

        mbr__store_header_parse(&h, in + used);
        if (length - used < MBR__STORE_HEADER_SIZE + h.len)
            break;
        floor_answer(fd, &h, (const char *)in + used + MBR__STORE_HEADER_SIZE, answers, events);
        used += MBR__STORE_HEADER_SIZE + h.len;
    }
}

/* Requests are never split here: the load sends each burst whole, well below the buffer's size. */
static int floor_serve(int fd)
{
    static unsigned char in[FLOOR_BUFFER];
    static struct floor_out answers;
    static struct floor_out events;
    ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT);

    if (n <= 0)
        return n < 0 && errno == EAGAIN ? 0 : -1;
    answers.length = events.length = 0;
    floor_all(fd, in, (size_t)n, &answers, &events);
    for (int i = 0; events.length > 0 && i < floor_watching; i++)
        (void)peer_send(floor_watchers[i], events.bytes, events.length);
    return peer_send(fd, answers.bytes, answers.length);
}

static _Noreturn void floor_main(int listener)
{
    struct epoll_event events[FLOOR_EVENTS];
    struct epoll_event add = {.events = EPOLLIN, .data = {.fd = listener}};
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &add);
    for (;;) {
        int n = epoll_wait(epoll, events, FLOOR_EVENTS, -1);

        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;

            if (fd == listener) {
                add.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (add.data.fd >= 0)
                    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, add.data.fd, &add);
            } else if (floor_serve(fd) < 0) {
                floor_forget(fd);
                (void)close(fd);
            }
        }
    }
}

static int address_of(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
    return 0;
}

static int make_directory(struct peer *p)
{
    *p = (struct peer){0};
    (void)snprintf(p->directory, sizeof(p->directory), "/tmp/membrane-bench.XXXXXX");
    if (mkdtemp(p->directory) == NULL)
        return -errno;
    (void)snprintf(p->socket, sizeof(p->socket), "%s/store", p->directory);
    return 0;
}

int peer_floor(struct peer *p)
{
    struct sockaddr_un address;
    int rc = make_directory(p);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (rc == 0 && fd < 0)
        rc = -errno;
    (void)address_of(p->socket, &address);
    if (rc == 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        rc = -errno;
    if (rc == 0 && listen(fd, 512) < 0)
        rc = -errno;
    if (rc == 0)
        p->pid = fork();
    if (rc == 0 && p->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        floor_main(fd);
    }
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* ---- membraned ---- */

static int beside(char path[512])
{
    ssize_t n = readlink("/proc/self/exe", path, 400);
    char *slash;

    if (n < 0)
        return -errno;
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (slash != NULL)
        (void)snprintf(slash + 1, 64, "membraned");
    return access(path, X_OK) < 0 ? -ENOENT : 0;
}

static _Noreturn void store_main(const struct peer *p, const char *program, const char *notify,
                                 int durable)
{
    char state[96];
    int null = open("/dev/null", O_RDWR);

    (void)snprintf(state, sizeof(state), "%s/state", p->directory);
    (void)mkdir(state, 0700);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setenv("NOTIFY_SOCKET", notify, 1);
    (void)dup2(null, 0);
    (void)dup2(null, 2);
    if (durable)
        execl(program, "membraned", "--socket", p->socket, "--state", state, (char *)NULL);
    else
        execl(program, "membraned", "--socket", p->socket, (char *)NULL);
    _exit(127);
}

int peer_store(struct peer *p, int durable)
{
    struct sockaddr_un address;
    char program[512];
    char notify[96];
    char said[512] = "";
    struct pollfd pfd;
    int rc = beside(program);

    if (rc == 0)
        rc = make_directory(p);
    if (rc < 0)
        return rc;
    (void)snprintf(notify, sizeof(notify), "%s/notify", p->directory);
    (void)address_of(notify, &address);
    pfd = (struct pollfd){.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), .events = POLLIN};
    if (pfd.fd < 0 || bind(pfd.fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    p->pid = fork();
    if (p->pid == 0)
        store_main(p, program, notify, durable);
    while (rc == 0 && strstr(said, "READY=1") == NULL) {
        ssize_t n = poll(&pfd, 1, START_MS) == 1 ? recv(pfd.fd, said, sizeof(said) - 1, 0) : -1;

        rc = n < 0 ? -EIO : 0;
        said[n < 0 ? 0 : n] = '\0';
    }
    (void)close(pfd.fd);
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void peer_end(struct peer *p)
{
    if (p->pid > 0) {
        (void)kill(p->pid, SIGKILL);
        (void)waitpid(p->pid, NULL, 0);
    }
    if (p->directory[0] != '\0' && nftw(p->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf(stderr, "membrane-bench-store: %s stays behind\n", p->directory);
    *p = (struct peer){0};
}

int peer_place(pid_t pid, int cpu)
{
    static cpu_set_t allowed;
    cpu_set_t one;

    if (CPU_COUNT(&allowed) == 0 && sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
        return -errno;
    CPU_ZERO(&one);
    if (cpu >= 0)
        CPU_SET((size_t)cpu, &one);
    return sched_setaffinity(pid, sizeof(one), cpu >= 0 ? &one : &allowed) < 0 ? -errno : 0;
}

uint64_t peer_memory(const struct peer *p)
{
    char path[64];
    char line[128];
    unsigned long long kib = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)p->pid);
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtoull(line + 6, NULL, 10);
    }
    (void)fclose(file);
    return kib * 1024;
}

/* ---- talk ---- */

int peer_connect(const struct peer *p)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    (void)address_of(p->socket, &address);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    (void)close(fd);
    return -ECONNREFUSED;
}

size_t peer_message(unsigned char *at, uint32_t type, uint32_t tx, const void *payload,
                    size_t length)
{
    const struct mbr__store_header head = {type, 1, tx, (uint32_t)length};

    mbr__store_header_pack(at, &head);
    memcpy(at + MBR__STORE_HEADER_SIZE, payload, length);
    return MBR__STORE_HEADER_SIZE + length;
}

int peer_send(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;

    while (length > 0) {
        ssize_t n = send(fd, at, length, MSG_NOSIGNAL);

        if (n < 0)
            return -errno;
        at += n;
        length -= (size_t)n;
    }
    return 0;
}

int peer_receive(int fd, void *bytes, size_t length)
{
    char *at = bytes;

    while (length > 0) {
        ssize_t n = recv(fd, at, length, 0);

        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        at += n;
        length -= (size_t)n;
    }
    return 0;
}

int peer_answer(int fd, struct mbr__store_header *head, void *payload)
{
    unsigned char bytes[MBR__STORE_HEADER_SIZE];
    int rc = peer_receive(fd, bytes, sizeof(bytes));

    if (rc < 0)
        return rc;
    mbr__store_header_parse(head, bytes);
    if (head->len > MBR__STORE_PAYLOAD_MAX)
        return -EPROTO;
    rc = peer_receive(fd, payload, head->len);
    return rc < 0 ? rc : head->type == MBR__XS_ERROR ? -EIO : 0;
}

int peer_ask(int fd, uint32_t type, uint32_t tx, const void *payload, size_t length,
             char answer[MBR__STORE_PAYLOAD_MAX])
{
    unsigned char message[MBR__STORE_HEADER_SIZE + MBR__STORE_PAYLOAD_MAX];
    struct mbr__store_header head;
    int rc = peer_send(fd, message, peer_message(message, type, tx, payload, length));

    return rc < 0 ? rc : peer_answer(fd, &head, answer);
}
