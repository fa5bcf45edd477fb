/* SPDX-License-Identifier: MIT */
/*
 * membrane recv: write() straight out of the sender's ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exits.h"
#include "meet.h"
#include "say.h"
#include "stop.h"
#include "transfer.h"
#include "units.h"
#include "verbs.h"

#define CAPACITY 4096 /* of the ring that carries our greeting and the final word */

static int open_output(struct transfer *t)
{
    t->fd = STDOUT_FILENO;
    if (t->path == NULL && (fcntl(t->fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
        return tool_error_system(EBADF, "%s", t->file);
    if (t->path == NULL)
        return TOOL_EXIT_OK;
    /* Not truncated before a sender has come: a forgotten receiver must not cost an old file. */
    t->fd = open(t->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (t->fd < 0 && errno == ENOENT) {
        t->fd = open(t->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
        t->made = t->fd >= 0;
    }
    if (t->fd < 0 && errno == EEXIST) /* meanwhile, or a link to nothing yet */
        t->fd = open(t->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    return t->fd < 0 ? tool_error_system(errno, "%s", t->file) : TOOL_EXIT_OK;
}

/* No sender has come: a file that is there only for our sake, and still is ours, goes again. */
static void remove_output(const struct transfer *t)
{
    struct stat ours;
    struct stat there;

    if (t->made && fstat(t->fd, &ours) == 0 && lstat(t->path, &there) == 0 &&
        ours.st_dev == there.st_dev && ours.st_ino == there.st_ino && there.st_size == 0)
        (void)unlink(t->path);
}

static int truncate_output(const struct transfer *t)
{
    struct stat st;

    if (t->path == NULL || fstat(t->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return TOOL_EXIT_OK;
    return ftruncate(t->fd, 0) != 0 ? tool_error_system(errno, "%s", t->file) : TOOL_EXIT_OK;
}

/* Writes all of it. 0, or a negative errno; -EINTR when a signal asks for the end. */
static int write_all(struct transfer *t, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(t->fd, data, len);

        if (n >= 0) {
            data += n;
            len -= (size_t)n;
            t->moved += (uint64_t)n;
            continue;
        }
        if (errno == EAGAIN) {
            struct pollfd pfd = {.fd = t->fd, .events = POLLOUT};

            (void)poll(&pfd, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
        if (tool_stopped())
            return -EINTR;
    }
    return 0;
}

static int output_failed(struct transfer *t, int error)
{
    transfer_give_up(t, error == -EINTR ? ECANCELED : error);
    if (error == -EINTR)
        return transfer_broken(t, error);
    return tool_error_system(error, "%s", t->file);
}

static int stream_broken(struct transfer *t, int error)
{
    transfer_give_up(t, error == -EINTR ? ECANCELED : error);
    return transfer_broken(t, error);
}

/* Everything has been written: says so, which is what the sender waits for. */
static int say_done(struct transfer *t, const struct stream_total *end)
{
    const struct stream_total done = {
        .head = {STREAM_DONE, sizeof(done) - sizeof(done.head)},
        .bytes = t->moved,
    };
    int rc;

    if (end->bytes != t->moved)
        return stream_broken(t, -EPROTO);
    /* Some file systems report a full disk only here. Nothing is forced onto the disk. */
    if (t->path != NULL) {
        rc = close(t->fd);
        t->fd = -1;
        if (rc != 0 && errno != EINTR)
            return output_failed(t, -errno);
    }
    rc = transfer_put(t, &done, sizeof(done));
    return rc < 0 ? stream_broken(t, rc) : TOOL_EXIT_OK;
}

/* What a message is, read once: the sender could change it while we look. */
static uint32_t type_of(const void *data, uint32_t len)
{
    struct stream_head head;

    if (len < sizeof(head))
        return 0;
    memcpy(&head, data, sizeof(head));
    return head.length == len - sizeof(head) ? head.type : 0;
}

/* One message. 1 go on, 0 the stream is over with *code. */
static int take(struct transfer *t, const void *data, uint32_t len, uint64_t left, int *code)
{
    uint32_t type = left == 0 ? type_of(data, len) : 0;
    struct stream_total total;
    int rc;

    if (type == STREAM_DATA && len > sizeof(struct stream_head)) {
        rc = write_all(t, (const char *)data + sizeof(struct stream_head),
                       len - sizeof(struct stream_head));
        if (rc == 0)
            return 1;
        *code = output_failed(t, rc);
    } else if (transfer_copy(STREAM_END, data, len, left, &total, sizeof(total))) {
        *code = say_done(t, &total);
    } else if (transfer_copy(STREAM_FAIL, data, len, left, &total, sizeof(total))) {
        *code = transfer_peer_failed(t, &total);
    } else {
        *code = stream_broken(t, -EPROTO);
    }
    return 0;
}

static int stream(struct transfer *t)
{
    const void *data;
    uint64_t left;
    uint32_t len;
    int code = TOOL_EXIT_OK;

    for (;;) {
        int rc = mbr_pipe_peek(t->libos, t->qd, &data, &len, &left);

        if (rc == -EAGAIN) {
            rc = transfer_await(t, MBR_READABLE, 0);
            if (rc == 0)
                continue;
        }
        if (rc < 0)
            return stream_broken(t, rc);
        if (take(t, data, len, left, &code) == 0)
            return code;
        (void)mbr_pipe_release(t->libos, t->qd);
        (void)mbr_pipe_retire(t->libos, t->qd);
        t->messages++;
        progress_tick(&t->progress, tool_now_ns(), t->moved);
    }
}

int tool_recv(const struct tool_args *args)
{
    struct transfer t = {
        .args = args,
        .role = STREAM_RECEIVER,
        .name = args->word[0],
        .file = "standard output",
        .capacity = CAPACITY,
    };
    struct stream_hello peer;
    int code;

    if (args->words > 1 && strcmp(args->word[1], "-") != 0)
        t.file = t.path = args->word[1];
    code = open_output(&t);
    if (code != TOOL_EXIT_OK)
        return code;
    code = transfer_open(&t);
    if (code == TOOL_EXIT_OK)
        code = meet(&t, STREAM_SIZE_UNKNOWN, &peer);
    if (code == TOOL_EXIT_OK)
        code = truncate_output(&t);
    if (code == TOOL_EXIT_OK) {
        transfer_begin(&t, peer.size);
        code = stream(&t);
    } else if (t.open) {
        transfer_give_up(&t, EIO);
    }
    if (!t.begun)
        remove_output(&t);
    code = transfer_finish(&t, code);
    if (t.path != NULL && t.fd >= 0)
        (void)close(t.fd);
    return code;
}
