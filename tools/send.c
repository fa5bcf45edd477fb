/* SPDX-License-Identifier: MIT */
/*
 * membrane send: read() straight into the ring, so that the data is copied once by the kernel on
 * its way in and once on its way out, and never by us.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
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

#define CAPACITY_DEFAULT (UINT64_C(1) << 20)
#define CAPACITY_LEAST   (UINT64_C(64) << 10)
#define MESSAGE_DEFAULT  (UINT64_C(256) << 10)
#define MESSAGE_LEAST    64
#define RING_SHARE       4 /* a ring holds at least so many messages, so that both sides can work */

struct sender {
    struct transfer t;
    uint32_t message;      /* bytes of data in one at most */
    bool ready_always;     /* a file: reading it never has to wait for anybody */
    demi_qtoken_t reply;   /* the pop that takes what the receiver has to say */
    bool replied;          /* it has, or is gone */
    demi_qresult_t result; /* of that pop */
};

/* ---- the input ---- */

/* Bytes from the present position to the end, if that can be known. */
static uint64_t input_size(const struct sender *s)
{
    struct stat st;
    off_t at;

    if (fstat(s->t.fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return STREAM_SIZE_UNKNOWN; /* files of /proc have size 0 and content */
    at = lseek(s->t.fd, 0, SEEK_CUR);
    return at >= 0 && at <= st.st_size ? (uint64_t)(st.st_size - at) : STREAM_SIZE_UNKNOWN;
}

static int open_input(struct sender *s)
{
    struct transfer *t = &s->t;
    struct stat st;

    t->fd = STDIN_FILENO;
    if (t->path != NULL)
        t->fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (t->fd < 0 || fstat(t->fd, &st) != 0)
        return tool_error_system(errno, "%s", t->file);
    if ((fcntl(t->fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
        return tool_error_system(EBADF, "%s", t->file);
    if (S_ISDIR(st.st_mode))
        return tool_error_system(EISDIR, "%s", t->file);
    s->ready_always = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
    (void)posix_fadvise(t->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return TOOL_EXIT_OK;
}

/* Takes the receiver's word, if it has come. False: not yet. Otherwise 0 or -ETIMEDOUT, -EINTR. */
static bool has_replied(struct sender *s)
{
    int offset;

    if (!s->replied)
        s->replied = mbr_wait_any(s->t.libos, &s->reply, 1, 0, &s->result, &offset) == 0;
    return s->replied;
}

/*
 * Waits until there is input, or the receiver says or does something unexpected. While input is
 * there it costs one system call. 0, -ECONNABORTED the receiver has spoken, -EINTR.
 */
static int await_input(struct sender *s)
{
    struct pollfd pfd[2] = {
        {.fd = s->t.fd, .events = POLLIN},
        {.fd = mbr_libos_fd(s->t.libos), .events = POLLIN},
    };

    if (s->ready_always || poll(pfd, 1, 0) > 0)
        return 0;
    while (!has_replied(s)) {
        uint64_t pause = progress_pause(&s->t.progress, tool_now_ns());
        int ms = pause == UINT64_MAX ? -1 : (int)(pause / 1000000) + 1;

        if (tool_stopped())
            return -EINTR;
        if (mbr_libos_prepare(s->t.libos) == 0 && poll(pfd, 2, ms) > 0 && pfd[0].revents != 0)
            return 0;
        progress_tick(&s->t.progress, tool_now_ns(), s->t.moved);
    }
    return -ECONNABORTED;
}

/* ---- the stream ---- */

/* Room for a message. 0 or a negative errno. */
static int reserve(struct sender *s, uint32_t len, void **room)
{
    int rc;

    while ((rc = mbr_pipe_reserve(s->t.libos, s->t.qd, len, room)) == -EAGAIN) {
        rc = transfer_await(&s->t, MBR_WRITABLE, len);
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* The receiver has spoken or gone before we were done, or the pipe broke. Returns the exit code. */
static int stream_broken(struct sender *s, int error)
{
    struct stream_total why;
    const demi_sgarray_t *sga = &s->result.qr_value.sga;

    if (error != -EINTR && error != -ETIMEDOUT && has_replied(s)) {
        if (s->result.qr_opcode == DEMI_OPC_FAILED)
            return transfer_broken(&s->t, -(int)s->result.qr_ret);
        if (transfer_copy(STREAM_FAIL, sga->sga_segs[0].sgaseg_buf, sga->sga_segs[0].sgaseg_len, 0,
                          &why, sizeof(why)))
            return transfer_peer_failed(&s->t, &why);
        return transfer_broken(&s->t, sga->sga_segs[0].sgaseg_len == 0 ? -ECONNRESET : -EPROTO);
    }
    transfer_give_up(&s->t, error == -EINTR ? ECANCELED : error);
    return transfer_broken(&s->t, error);
}

static int input_failed(struct sender *s, int error)
{
    transfer_give_up(&s->t, error);
    return tool_error_system(error, "%s", s->t.file);
}

/* One message from the input to the ring. 1 moved, 0 end of input, else an exit code in *code. */
static int move(struct sender *s, int *code)
{
    uint32_t room = s->message + (uint32_t)sizeof(struct stream_head);
    void *data;
    ssize_t n = 0;
    int rc = reserve(s, room, &data);

    do {
        if (rc == 0)
            rc = await_input(s);
        if (rc < 0) {
            *code = stream_broken(s, rc);
            return -1;
        }
        n = read(s->t.fd, (char *)data + sizeof(struct stream_head), s->message);
    } while (n < 0 && (errno == EINTR || errno == EAGAIN));
    if (n < 0) {
        *code = input_failed(s, errno);
        return -1;
    }
    if (n == 0)
        return 0;

    struct stream_head head = {STREAM_DATA, (uint32_t)n};

    memcpy(data, &head, sizeof(head));
    rc = mbr_pipe_commit(s->t.libos, s->t.qd, (uint32_t)(sizeof(head) + (size_t)n));
    if (rc == 0)
        rc = mbr_pipe_flush(s->t.libos, s->t.qd);
    if (rc < 0) {
        *code = stream_broken(s, rc);
        return -1;
    }
    s->t.moved += (uint64_t)n;
    s->t.messages++;
    progress_tick(&s->t.progress, tool_now_ns(), s->t.moved);
    return 1;
}

/* Waits for the receiver's word that it has written everything. Returns the exit code. */
static int await_done(struct sender *s)
{
    const demi_sgarray_t *sga = &s->result.qr_value.sga;
    uint64_t from = tool_now_ns();
    uint64_t now = from;
    struct stream_total done;

    while (!s->replied) {
        uint64_t left = s->t.timeout_ns;

        if (tool_stopped())
            return stream_broken(s, -EINTR);
        if (left != MBR_FOREVER)
            left = now - from < left ? left - (now - from) : 0;

        uint64_t pause = progress_pause(&s->t.progress, now);
        int rc = mbr_wait(s->t.libos, s->reply, pause < left ? pause : left, &s->result);

        s->replied = rc == 0;
        now = tool_now_ns();
        progress_tick(&s->t.progress, now, s->t.moved);
        if (rc < 0 && rc != -EINTR && (rc != -ETIMEDOUT || left <= pause))
            return stream_broken(s, rc);
    }
    if (s->result.qr_opcode != DEMI_OPC_POP ||
        !transfer_copy(STREAM_DONE, sga->sga_segs[0].sgaseg_buf, sga->sga_segs[0].sgaseg_len, 0,
                       &done, sizeof(done)))
        return stream_broken(s, -ECONNRESET);
    if (done.bytes != s->t.moved)
        return tool_error(TOOL_EXIT_INTERNAL, NULL, "%s: bytes sent: %llu, written: %llu",
                          s->t.name, (unsigned long long)s->t.moved,
                          (unsigned long long)done.bytes);
    return TOOL_EXIT_OK;
}

static int stream(struct sender *s)
{
    int code = TOOL_EXIT_OK;
    int rc = mbr_pop(s->t.libos, s->t.qd, 0, &s->reply);

    if (rc < 0)
        return tool_error_library(rc, "%s", s->t.name);
    while ((rc = move(s, &code)) > 0)
        continue;
    if (rc < 0)
        return code;

    const struct stream_total end = {
        .head = {STREAM_END, sizeof(end) - sizeof(end.head)},
        .bytes = s->t.moved,
    };

    rc = transfer_put(&s->t, &end, sizeof(end));
    return rc < 0 ? stream_broken(s, rc) : await_done(s);
}

/* ---- options ---- */

static int read_sizes(struct sender *s)
{
    const struct tool_args *args = s->t.args;
    const char *environment = getenv("MEMBRANE_CAPACITY");
    uint64_t capacity = CAPACITY_DEFAULT;
    uint64_t message;
    int code;

    if (environment != NULL &&
        (tool_parse_size(environment, &capacity) < 0 || capacity > MBR_PIPE_CAPACITY_MAX))
        return tool_error(TOOL_EXIT_USAGE, "MEMBRANE_CAPACITY=1M",
                          "MEMBRANE_CAPACITY=%.40s: not a size up to 1G", environment);
    /* What is enough for small messages of other programs may be too little here. */
    if (capacity < CAPACITY_LEAST)
        capacity = CAPACITY_LEAST;
    code = tool_size(args, OPT_CAPACITY, capacity, CAPACITY_LEAST, MBR_PIPE_CAPACITY_MAX,
                     &s->t.capacity);
    if (code != TOOL_EXIT_OK)
        return code;

    uint64_t most = s->t.capacity / RING_SHARE - 64;

    message = most < MESSAGE_DEFAULT ? most : MESSAGE_DEFAULT;
    code =
        tool_size(args, OPT_MESSAGE, message, MESSAGE_LEAST, s->t.capacity / RING_SHARE, &message);
    s->message = (uint32_t)(message < most ? message : most);
    return code;
}

int tool_send(const struct tool_args *args)
{
    struct sender s = {.t = {.args = args, .role = STREAM_SENDER, .name = args->word[0]}};
    struct stream_hello peer;
    int code;

    s.t.file = "standard input";
    if (args->words > 1 && strcmp(args->word[1], "-") != 0)
        s.t.file = s.t.path = args->word[1];
    code = read_sizes(&s);
    if (code == TOOL_EXIT_OK)
        code = open_input(&s);
    if (code != TOOL_EXIT_OK)
        return code;
    code = transfer_open(&s.t);
    if (code == TOOL_EXIT_OK)
        code = meet(&s.t, input_size(&s), &peer);
    if (code == TOOL_EXIT_OK) {
        transfer_begin(&s.t, input_size(&s));
        code = stream(&s);
    }
    if (s.replied && s.result.qr_opcode == DEMI_OPC_POP)
        (void)mbr_sga_free(&s.result.qr_value.sga);
    code = transfer_finish(&s.t, code);
    if (s.t.path != NULL)
        (void)close(s.t.fd);
    return code;
}
