/* SPDX-License-Identifier: MIT */
/*
 * See stored.h.
 */
#include "stored.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "receive.h"

unsigned stored_events;

static const char *binary(void)
{
    static char path[512];
    const char *dir = getenv("MEMBRANE_BIN_DIR");

    (void)snprintf(path, sizeof(path), "%s/membraned", dir != NULL ? dir : ".");
    return path;
}

void stored_need(void)
{
    if (access(binary(), X_OK) == 0)
        return;
    printf("skipped: %s is not built\n", binary());
    (void)fflush(stdout);
    _exit(STAGE_SKIPPED);
}

/* ---- the daemon ---- */

static void run(struct stored *daemon, const char *path, const char *const *arguments)
{
    static unsigned number;
    const char *argv[32] = {binary(), "--socket", daemon->path};
    int n = 3;

    if (path != NULL)
        (void)snprintf(daemon->path, sizeof(daemon->path), "%s", path);
    else
        (void)snprintf(daemon->path, sizeof(daemon->path), "%s/store", stage_dir());
    (void)snprintf(daemon->errors, sizeof(daemon->errors), "%s/errors.%u", stage_dir(), ++number);
    for (; arguments != NULL && *arguments != NULL; arguments++)
        argv[n++] = *arguments;
    daemon->pid = fork();
    CHECK(daemon->pid >= 0);
    if (daemon->pid == 0) {
        int fd = open(daemon->errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        (void)dup2(fd, STDERR_FILENO);
        (void)unsetenv("JOURNAL_STREAM");
        (void)execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
}

static void show_errors(const struct stored *daemon)
{
    char text[2000];
    int fd = open(daemon->errors, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : 0;

    if (n > 0)
        fprintf(stderr, "%.*s", (int)n, text);
    if (fd >= 0)
        (void)close(fd);
}

bool stored_said(const struct stored *daemon, const char *text)
{
    static char said[65536];
    int fd = open(daemon->errors, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, said, sizeof(said) - 1) : 0;

    if (fd >= 0)
        (void)close(fd);
    said[n > 0 ? n : 0] = '\0';
    return strstr(said, text) != NULL;
}

void stored_start(struct stored *daemon, const char *path, const char *const *arguments)
{
    run(daemon, path, arguments);
    for (;;) {
        int fd = stored_try_connect(daemon->path);
        int status;

        if (fd >= 0) {
            (void)close(fd);
            return;
        }
        if (waitpid(daemon->pid, &status, WNOHANG) == daemon->pid) {
            show_errors(daemon);
            CHECK_INT(status, -1);
        }
        (void)poll(NULL, 0, 2);
    }
}

void stored_refuses(int code, const char *path, const char *const *arguments)
{
    struct stored daemon;
    int status;

    run(&daemon, path, arguments);
    CHECK(waitpid(daemon.pid, &status, 0) == daemon.pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        show_errors(&daemon);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), code);
}

void stored_stop(struct stored *daemon)
{
    int status;

    CHECK(kill(daemon->pid, SIGTERM) == 0);
    CHECK(waitpid(daemon->pid, &status, 0) == daemon->pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        show_errors(daemon);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
}

void stored_kill(struct stored *daemon)
{
    int status;

    CHECK(kill(daemon->pid, SIGKILL) == 0);
    CHECK(waitpid(daemon->pid, &status, 0) == daemon->pid);
    /* One that had ended by itself, by a sanitizer perhaps, is no killed one. */
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        show_errors(daemon);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- clients ---- */

int stored_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

int stored_try_connect(const char *path)
{
    struct mbr__store_header header = {.type = MBR__XS_DIRECTORY, .len = 2};
    unsigned char request[18];
    unsigned char byte;
    int fd = stored_connect(path);

    if (fd < 0)
        return -1;
    mbr__store_header_pack(request, &header);
    memcpy(request + 16, "/", 2);
    if (send(fd, request, sizeof(request), MSG_NOSIGNAL) == (ssize_t)sizeof(request) &&
        recv(fd, &byte, 1, MSG_PEEK) == 1) {
        struct stored_reply reply;

        CHECK(stored_next(fd, &reply));
        return fd;
    }
    (void)close(fd);
    return -1;
}

static void send_all(int fd, const void *data, size_t length)
{
    const char *at = data;

    while (length > 0) {
        ssize_t n = send(fd, at, length, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        CHECK(n > 0);
        at += n;
        length -= (size_t)n;
    }
}

void stored_send(int fd, uint32_t type, uint32_t req, uint32_t tx, const void *payload,
                 size_t length)
{
    struct mbr__store_header header = {
        .type = type, .req_id = req, .tx_id = tx, .len = (uint32_t)length};
    unsigned char message[MBR__STORE_HEADER_SIZE + MBR__STORE_PAYLOAD_MAX];

    CHECK(length <= MBR__STORE_PAYLOAD_MAX);
    mbr__store_header_pack(message, &header);
    if (length != 0)
        memcpy(message + sizeof(message) - MBR__STORE_PAYLOAD_MAX, payload, length);
    send_all(fd, message, MBR__STORE_HEADER_SIZE + length);
}

bool stored_next(int fd, struct stored_reply *reply)
{
    unsigned char head[MBR__STORE_HEADER_SIZE];

    if (!receive_all(fd, head, sizeof(head)))
        return false;
    mbr__store_header_parse(&reply->header, head);
    CHECK(reply->header.len <= MBR__STORE_PAYLOAD_MAX);
    reply->payload[reply->header.len] = '\0';
    return receive_all(fd, reply->payload, reply->header.len);
}

void stored_reply(int fd, struct stored_reply *reply)
{
    for (;;) {
        CHECK(stored_next(fd, reply));
        if (reply->header.type != MBR__XS_WATCH_EVENT)
            return;
        stored_events++;
    }
}

void stored_call(int fd, uint32_t type, uint32_t tx, const void *payload, size_t length,
                 struct stored_reply *reply)
{
    static uint32_t number;

    stored_send(fd, type, ++number, tx, payload, length);
    stored_reply(fd, reply);
    CHECK_INT(reply->header.req_id, number);
    CHECK_INT(reply->header.tx_id, tx);
    if (reply->header.type != MBR__XS_ERROR)
        CHECK_INT(reply->header.type, type);
}

static int verdict(const struct stored_reply *reply)
{
    if (reply->header.type != MBR__XS_ERROR)
        return 0;
    CHECK(reply->header.len > 0);
    return mbr__store_error_number(reply->payload, reply->header.len - 1);
}

int stored_ask(int fd, uint32_t type, uint32_t tx, struct stored_reply *reply, ...)
{
    char payload[MBR__STORE_PAYLOAD_MAX];
    size_t length = 0;
    const char *text;
    va_list texts;

    va_start(texts, reply);
    while ((text = va_arg(texts, const char *)) != NULL) {
        size_t size = strlen(text) + 1;

        CHECK(size <= sizeof(payload) - length);
        memcpy(payload + length, text, size);
        length += size;
    }
    va_end(texts);
    stored_call(fd, type, tx, payload, length, reply);
    return verdict(reply);
}

int stored_write(int fd, uint32_t tx, const char *path, const char *value)
{
    char payload[MBR__STORE_PAYLOAD_MAX];
    struct stored_reply reply;
    size_t length = strlen(path) + 1;

    memcpy(payload, path, length);
    memcpy(payload + length, value, strlen(value));
    stored_call(fd, MBR__XS_WRITE, tx, payload, length + strlen(value), &reply);
    return verdict(&reply);
}

int stored_read(int fd, uint32_t tx, const char *path, char *value, size_t size)
{
    struct stored_reply reply;
    int rc = stored_ask(fd, MBR__XS_READ, tx, &reply, path, NULL);

    if (rc == 0)
        (void)snprintf(value, size, "%s", reply.payload);
    return rc;
}

void stored_expect(int fd, const char *path, const char *value)
{
    char got[MBR__STORE_PAYLOAD_MAX + 1] = "";

    CHECK_INT(stored_read(fd, 0, path, got, sizeof(got)), 0);
    if (strcmp(got, value) != 0)
        fprintf(stderr, "%s: %s, not %s\n", path, got, value);
    CHECK(strcmp(got, value) == 0);
}

uint32_t stored_begin(int fd)
{
    struct stored_reply reply;

    CHECK_INT(stored_ask(fd, MBR__XS_TRANSACTION_START, 0, &reply, "", NULL), 0);
    return (uint32_t)strtoul(reply.payload, NULL, 10);
}

int stored_end(int fd, uint32_t tx, bool commit)
{
    struct stored_reply reply;

    return stored_ask(fd, MBR__XS_TRANSACTION_END, tx, &reply, commit ? "T" : "F", NULL);
}

int stored_control_fds(int fd, const char *verb, uint32_t domid, int *fds, int count)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 3)];
        struct cmsghdr align;
    } control;
    unsigned char first;
    struct iovec iov = {&first, 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    unsigned char head[MBR__STORE_HEADER_SIZE];
    struct stored_reply reply;
    char payload[64];
    int length = snprintf(payload, sizeof(payload), "%s%c%u", verb, 0, domid);
    struct cmsghdr *cmsg;

    stored_send(fd, MBR__XS_CONTROL, 99, 0, payload, (size_t)length + 1);
    CHECK_INT(recvmsg(fd, &message, MSG_CMSG_CLOEXEC), 1);
    head[0] = first;
    CHECK(receive_all(fd, head + 1, sizeof(head) - 1));
    mbr__store_header_parse(&reply.header, head);
    CHECK(reply.header.len <= MBR__STORE_PAYLOAD_MAX);
    CHECK(receive_all(fd, reply.payload, reply.header.len));
    cmsg = CMSG_FIRSTHDR(&message);
    if (reply.header.type == MBR__XS_ERROR) {
        CHECK(cmsg == NULL);
        return verdict(&reply);
    }
    CHECK(cmsg != NULL && cmsg->cmsg_type == SCM_RIGHTS);
    CHECK_INT(cmsg->cmsg_len, CMSG_LEN(sizeof(int) * (size_t)count));
    memcpy(fds, CMSG_DATA(cmsg), sizeof(int) * (size_t)count);
    return 0;
}

/* ---- a client over a shared page ---- */

void stored_ring_open(int control, uint32_t domid, struct stored_ring *ring)
{
    int fds[3];
    void *shm;

    CHECK_INT(stored_control_fds(control, "ring", domid, fds, 3), 0);
    shm = mmap(NULL, sizeof(struct mbr__store_ring_shm), PROT_READ | PROT_WRITE, MAP_SHARED, fds[0],
               0);
    CHECK(shm != MAP_FAILED);
    (void)close(fds[0]);
    *ring = (struct stored_ring){.to_server = fds[1], .to_client = fds[2]};
    mbr__store_ring_init(&ring->page, shm, false);
}

void stored_ring_close(struct stored_ring *ring)
{
    (void)munmap(ring->page.shm, sizeof(*ring->page.shm));
    (void)close(ring->to_server);
    (void)close(ring->to_client);
}

void stored_ring_bell(struct stored_ring *ring)
{
    const uint64_t one = 1;

    if (ring->plain || mbr__store_ring_must_wake(&ring->page))
        CHECK(write(ring->to_server, &one, sizeof(one)) == (ssize_t)sizeof(one));
}

void stored_ring_wait(struct stored_ring *ring)
{
    struct pollfd wait = {.fd = ring->to_client, .events = POLLIN};
    uint64_t count;

    CHECK(poll(&wait, 1, -1) == 1);
    CHECK(read(ring->to_client, &count, sizeof(count)) == (ssize_t)sizeof(count));
}

void stored_ring_push(struct stored_ring *ring, const void *data, size_t length)
{
    const char *at = data;

    while (length > 0) {
        struct iovec iov = {(void *)(uintptr_t)at, length};
        ssize_t n = mbr__store_ring_write(&ring->page, &iov, 1);

        if (n == -EAGAIN) {
            if (!ring->plain) {
                mbr__store_ring_sleep(&ring->page, true);
                if (mbr__store_ring_writable(&ring->page)) {
                    mbr__store_ring_sleep(&ring->page, false);
                    continue;
                }
            }
            stored_ring_wait(ring);
            if (!ring->plain)
                mbr__store_ring_sleep(&ring->page, false);
            continue;
        }
        CHECK(n > 0);
        at += n;
        length -= (size_t)n;
        stored_ring_bell(ring);
    }
}

static void ring_pull(struct stored_ring *ring, void *data, size_t length)
{
    char *at = data;

    while (length > 0) {
        ssize_t n = mbr__store_ring_read(&ring->page, at, length);

        if (n == -EAGAIN) {
            if (!ring->plain) {
                mbr__store_ring_sleep(&ring->page, true);
                if (mbr__store_ring_readable(&ring->page)) {
                    mbr__store_ring_sleep(&ring->page, false);
                    continue;
                }
            }
            stored_ring_wait(ring);
            if (!ring->plain)
                mbr__store_ring_sleep(&ring->page, false);
            continue;
        }
        CHECK(n > 0);
        at += n;
        length -= (size_t)n;
        stored_ring_bell(ring); /* it may wait for the room */
    }
}

void stored_ring_send(struct stored_ring *ring, uint32_t type, uint32_t tx, const void *payload,
                      size_t length)
{
    struct mbr__store_header header = {.type = type, .tx_id = tx, .len = (uint32_t)length};
    unsigned char message[MBR__STORE_HEADER_SIZE + MBR__STORE_PAYLOAD_MAX];

    mbr__store_header_pack(message, &header);
    if (length != 0)
        memcpy(message + MBR__STORE_HEADER_SIZE, payload, length);
    stored_ring_push(ring, message, MBR__STORE_HEADER_SIZE + length);
}

void stored_ring_next(struct stored_ring *ring, struct stored_reply *reply)
{
    unsigned char head[MBR__STORE_HEADER_SIZE];

    ring_pull(ring, head, sizeof(head));
    mbr__store_header_parse(&reply->header, head);
    CHECK(reply->header.len <= MBR__STORE_PAYLOAD_MAX);
    ring_pull(ring, reply->payload, reply->header.len);
    reply->payload[reply->header.len] = '\0';
}
