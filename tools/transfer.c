/* SPDX-License-Identifier: MIT */
/*
 * The common part of send and recv. See transfer.h.
 */
#include "transfer.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "exits.h"
#include "say.h"
#include "stop.h"
#include "units.h"

#include <jansson.h>

const char *transfer_peer(const struct transfer *t)
{
    return t->role == STREAM_SENDER ? "receiver" : "sender";
}

/* JSON must not be mixed with the data. */
static void choose_json(struct transfer *t)
{
    if (!tool_given(t->args, OPT_JSON))
        return;
    t->json = stdout;
    if (t->role == STREAM_RECEIVER && t->path == NULL) {
        t->json = stderr;
        tool_say_mute();
    }
}

int transfer_open(struct transfer *t)
{
    const struct mbr_libos_options options = {.size = sizeof(options), .capacity = t->capacity};
    bool busy = isatty(t->fd) == 1;
    int code = tool_duration(t->args, OPT_TIMEOUT, MBR_FOREVER, &t->timeout_ns);

    if (code != TOOL_EXIT_OK)
        return code;
    t->size = STREAM_SIZE_UNKNOWN;
    choose_json(t);
    progress_init(&t->progress, t->args->value[OPT_PROGRESS],
                  tool_given(t->args, OPT_QUIET) || t->json == stderr, busy);
    tool_stop_catch();

    int rc = mbr_libos_open("catmem", &options, &t->libos);

    if (rc < 0)
        return tool_error_library(rc, "starting");
    tool_stop_libos(t->libos);
    return TOOL_EXIT_OK;
}

void transfer_begin(struct transfer *t, uint64_t size)
{
    t->begun = true;
    t->size = size;
    t->started = tool_now_ns();
    progress_begin(&t->progress, t->started, size);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

int transfer_await(struct transfer *t, unsigned what, uint32_t len)
{
    uint64_t from = tool_now_ns();
    uint64_t now = from;

    for (;;) {
        if (tool_stopped())
            return -EINTR;

        uint64_t left = t->timeout_ns;

        if (left != MBR_FOREVER)
            left = now - from < left ? left - (now - from) : 0;

        uint64_t slice = least(left, progress_pause(&t->progress, now));
        int rc = mbr_pipe_await(t->libos, t->qd, what, len, slice);

        if (rc >= 0)
            return 0;
        now = tool_now_ns();
        progress_tick(&t->progress, now, t->moved);
        if (rc != -EINTR && (rc != -ETIMEDOUT || slice == left))
            return rc;
    }
}

int transfer_put(struct transfer *t, const void *message, uint32_t len)
{
    void *room;
    int rc;

    while ((rc = mbr_pipe_reserve(t->libos, t->qd, len, &room)) == -EAGAIN) {
        rc = transfer_await(t, MBR_WRITABLE, len);
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        return rc;
    memcpy(room, message, len);
    rc = mbr_pipe_commit(t->libos, t->qd, len);
    return rc < 0 ? rc : mbr_pipe_flush(t->libos, t->qd);
}

void transfer_give_up(struct transfer *t, int error)
{
    const struct stream_total fail = {
        .head = {STREAM_FAIL, sizeof(fail) - sizeof(fail.head)},
        .bytes = t->moved,
        .error = (uint32_t)(error < 0 ? -error : error),
    };
    void *room;

    if (!t->open || mbr_pipe_reserve(t->libos, t->qd, sizeof(fail), &room) < 0)
        return;
    memcpy(room, &fail, sizeof(fail));
    if (mbr_pipe_commit(t->libos, t->qd, sizeof(fail)) == 0)
        (void)mbr_pipe_flush(t->libos, t->qd);
}

/* "after 1.23 GB" for messages. */
static const char *after(const struct transfer *t, char *text, size_t size)
{
    char bytes[16];

    (void)snprintf(text, size, "after %s (%llu byte%s)",
                   tool_bytes_text(t->moved, bytes, sizeof(bytes)), (unsigned long long)t->moved,
                   tool_s(t->moved));
    return text;
}

int transfer_peer_failed(struct transfer *t, const struct stream_total *why)
{
    char text[64];
    const char *peer = transfer_peer(t);

    if (why->error == ECANCELED)
        return tool_error(TOOL_EXIT_UNREACHABLE, NULL, "%s: the %s was interrupted %s", t->name,
                          peer, after(t, text, sizeof(text)));
    if (why->error == EPIPE)
        return tool_error(TOOL_EXIT_UNREACHABLE, NULL,
                          "%s: whoever reads the %s's output has gone, %s", t->name, peer,
                          after(t, text, sizeof(text)));
    return tool_error(TOOL_EXIT_UNREACHABLE, NULL, "%s: the %s gave up %s: %s", t->name, peer,
                      after(t, text, sizeof(text)), strerror((int)(why->error & 0xfff)));
}

int transfer_broken(struct transfer *t, int error)
{
    char text[64];

    (void)after(t, text, sizeof(text));
    switch (error) {
    case -EINTR:
        return tool_error(TOOL_EXIT_UNREACHABLE, NULL, "%s: interrupted %s", t->name, text);
    case -ETIMEDOUT:
        return tool_error(TOOL_EXIT_TIMEOUT, "a longer --timeout", "%s: the %s let us wait, %s",
                          t->name, transfer_peer(t), text);
    case -ECONNRESET:
    case -ENODATA:
        return tool_error(TOOL_EXIT_UNREACHABLE, "start both sides again",
                          "%s: the %s has died, %s", t->name, transfer_peer(t), text);
    case -EPROTO:
        return tool_error(TOOL_EXIT_INCOMPATIBLE, "the same version on both sides",
                          "%s: the %s does not keep to the protocol, %s", t->name, transfer_peer(t),
                          text);
    default:
        return tool_error_library(error, "%s, %s", t->name, text);
    }
}

bool transfer_copy(enum stream_type type, const void *data, uint32_t len, uint64_t left, void *out,
                   uint32_t size)
{
    struct stream_head head;

    if (len != size || left != 0)
        return false;
    memcpy(out, data, size);
    memcpy(&head, out, sizeof(head));
    return head.type == (uint32_t)type && head.length == size - sizeof(head);
}

static json_t *result(const struct transfer *t, double seconds)
{
    json_t *object =
        json_pack("{s:s, s:s, s:I, s:f, s:f}", "role", t->role == STREAM_SENDER ? "send" : "recv",
                  "name", t->name, "bytes", (json_int_t)t->moved, "seconds", seconds, "rate",
                  seconds > 0 ? (double)t->moved / seconds : 0.0);
    json_t *error = tool_error_json();

    if (object != NULL && error != NULL)
        (void)json_object_set(object, "error", error);
    json_decref(error);
    return object;
}

int transfer_finish(struct transfer *t, int code)
{
    uint64_t now = tool_now_ns();
    double seconds = t->begun ? (double)(now - t->started) / TOOL_SECOND : 0;

    tool_stop_libos(NULL);
    if (t->open)
        (void)mbr_close(t->libos, t->qd);
    mbr_libos_close(t->libos);
    t->libos = NULL;
    if (t->begun)
        progress_end(&t->progress, now, t->moved);
    if (t->json != NULL) {
        int lost = tool_print_json(result(t, seconds), t->json);

        if (code == TOOL_EXIT_OK)
            code = lost;
    }
    return tool_stop_exit(code);
}
