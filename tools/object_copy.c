/* SPDX-License-Identifier: MIT */
/*
 * membrane object put, get, cat and hold: bytes in and out.
 *
 * Bytes go through memory of our own, never straight from an object to a pipe: a reader of ours
 * that is slow, or stopped, must not keep the object's writers waiting.
 */
#include "object.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exits.h"
#include "progress.h"
#include "say.h"
#include "stop.h"
#include "units.h"

#define STEP ((size_t)1 << 20) /* bytes between two looks at signals and progress */

struct copy {
    const struct tool_args *args;
    int container, object, fd;
    const char *name; /* of the object */
    const char *file; /* for messages */
    char *piece;      /* OBJECT_PIECE bytes, or fewer */
    size_t room;
    uint64_t deadline;
    uint64_t moved, size; /* size UINT64_MAX: not known */
    uint64_t started;
    struct progress progress;
};

static int begin(struct copy *c, uint64_t size)
{
    c->size = size;
    c->room = size < OBJECT_PIECE ? (size_t)(size != 0 ? size : 1) : OBJECT_PIECE;
    c->piece = malloc(c->room);
    if (c->piece == NULL)
        return tool_error_library(-ENOMEM, "%s", c->name);
    progress_init(&c->progress, c->args->value[OPT_PROGRESS], tool_given(c->args, OPT_QUIET),
                  false);
    c->started = tool_now_ns();
    progress_begin(&c->progress, c->started, size);
    return TOOL_EXIT_OK;
}

static int finish(struct copy *c, int code)
{
    if (c->piece != NULL)
        progress_end(&c->progress, tool_now_ns(), c->moved);
    free(c->piece);
    return code;
}

static int interrupted(const struct copy *c)
{
    return tool_error(TOOL_EXIT_UNREACHABLE, NULL, "%s: interrupted", c->name);
}

/* The --json object of put and get. */
static int tell(const struct copy *c, FILE *out)
{
    double seconds = (double)(tool_now_ns() - c->started) / 1e9;

    if (!tool_given(c->args, OPT_JSON))
        return TOOL_EXIT_OK;
    return tool_print_json(
        json_pack("{s:o, s:o, s:I, s:f}", "container", tool_text_json(c->args->word[0]), "object",
                  tool_text_json(c->name), "bytes", (json_int_t)c->moved, "seconds", seconds),
        out);
}

/* ---- into an object ---- */

/* Fills the piece as far as the input goes. Negative errno: -EINTR a signal asks for the end. */
static ssize_t fill(struct copy *c)
{
    size_t have = 0;

    while (have < c->room) {
        size_t want = c->room - have < STEP ? c->room - have : STEP;
        ssize_t n = read(c->fd, c->piece + have, want);

        if (tool_stopped())
            return -EINTR;
        if (n == 0)
            break;
        if (n < 0 && errno == EAGAIN) {
            struct pollfd pfd = {.fd = c->fd, .events = POLLIN};

            (void)poll(&pfd, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return -errno;
        } else if (n > 0) {
            have += (size_t)n;
        }
        progress_tick(&c->progress, tool_now_ns(), c->moved + have);
    }
    return (ssize_t)have;
}

/* The object, new or as it is, with room for `size` bytes. */
static int make_object(struct copy *c, size_t size, bool *made)
{
    struct mbr_container_attr attr;
    struct mbr_object_attr old;
    uint32_t policy = mbr_container_getattr(c->container, &attr) == 0 ? attr.policy : 0;
    int rc;

    (void)object_policy(c->args, &policy);
    for (int tries = 0; tries < 100; tries++) {
        rc = mbr_object_create_with(c->container, c->name, size, (enum mbr_write_policy)policy);
        *made = rc >= 0;
        if (rc == -EEXIST)
            rc = mbr_object_join(c->container, c->name);
        if (rc != -ENOENT)
            break;
    }
    if (rc >= 0) {
        c->object = rc;
        rc = *made ? 0 : mbr_object_getattr(c->object, &old);
        if (rc == 0 && !*made && old.size < size)
            rc = mbr_object_resize_until(c->object, size, c->deadline);
    }
    return rc < 0 ? object_error(rc, c->name) : TOOL_EXIT_OK;
}

/* Writes a piece; grows the object by doubling while the end is not known. */
static int store(struct copy *c, size_t length, bool *made)
{
    struct mbr_object_attr attr;
    int rc, code = TOOL_EXIT_OK;

    if (c->object < 0) {
        uint64_t size = c->size != UINT64_MAX && length == c->room ? c->size : length;

        code = make_object(c, (size_t)size, made);
    }
    if (code != TOOL_EXIT_OK)
        return code;
    rc = mbr_object_getattr(c->object, &attr);
    if (rc == 0 && attr.size < c->moved + length)
        rc = mbr_object_resize_until(c->object, (size_t)(2 * c->moved + length), c->deadline);
    if (rc == 0)
        rc = mbr_object_write_until(c->object, (size_t)c->moved, c->piece, length, c->deadline);
    if (rc < 0)
        return object_error(rc, c->name);
    c->moved += length;
    return TOOL_EXIT_OK;
}

static int put_all(struct copy *c, bool *made)
{
    int code = TOOL_EXIT_OK;
    ssize_t n;

    while (code == TOOL_EXIT_OK && (n = fill(c)) != 0) {
        if (n == -EINTR)
            return interrupted(c);
        if (n < 0)
            return tool_error_system((int)n, "%s", c->file);
        code = store(c, (size_t)n, made);
        if (code == TOOL_EXIT_OK && (size_t)n < c->room)
            break;
    }
    if (code != TOOL_EXIT_OK)
        return code;
    if (c->object < 0)
        return tool_error(TOOL_EXIT_USAGE, "at least one byte",
                          "%s: no object can be made of nothing", c->file);
    int rc = mbr_object_resize_until(c->object, (size_t)c->moved, c->deadline);

    return rc < 0 ? object_error(rc, c->name) : TOOL_EXIT_OK;
}

static int open_input(struct copy *c)
{
    struct stat st;
    uint64_t size = UINT64_MAX;

    c->fd = STDIN_FILENO;
    c->file = c->args->words > 2 ? c->args->all[2] : "standard input";
    if (c->args->words > 2)
        c->fd = open(c->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (c->fd < 0 || fstat(c->fd, &st) != 0)
        return tool_error_system(errno, "%s", c->file);
    if (S_ISREG(st.st_mode)) {
        off_t at = lseek(c->fd, 0, SEEK_CUR);

        if (at >= 0 && at < st.st_size)
            size = (uint64_t)(st.st_size - at);
    }
    return begin(c, size);
}

/* In a persistent container it is not put before it is on the disk. */
static int make_durable(const struct copy *c)
{
    int rc = mbr_object_sync(c->object);

    return rc < 0 && rc != -EOPNOTSUPP ? object_error(rc, c->name) : TOOL_EXIT_OK;
}

/* Stays until a signal comes. */
static int stay(const char *container)
{
    tool_note("%s is kept until this process ends", container);
    while (!tool_stopped())
        (void)pause();
    return TOOL_EXIT_OK;
}

int object_put(const struct tool_args *args)
{
    struct copy c = {.args = args, .object = -1, .fd = -1, .name = args->word[1]};
    bool make = tool_given(args, OPT_KEEP) || tool_given(args, OPT_STORED);
    bool hold = tool_given(args, OPT_HOLD), made = false;
    int code = object_deadline(args, &c.deadline);

    /* Before a container is made, and perhaps kept, for a file that is not there. */
    if (code == TOOL_EXIT_OK)
        code = open_input(&c);
    if (code == TOOL_EXIT_OK)
        code = object_open(args, hold || make, &c.container);
    if (code != TOOL_EXIT_OK)
        return finish(&c, code);
    tool_stop_catch();
    code = put_all(&c, &made);
    if (code == TOOL_EXIT_OK)
        code = make_durable(&c);
    if (code != TOOL_EXIT_OK && made) /* half an object is none */
        (void)mbr_object_unlink(c.container, c.name);
    code = finish(&c, code);
    if (code == TOOL_EXIT_OK)
        code = tool_finish_stdout(tell(&c, stdout));
    if (code == TOOL_EXIT_OK && hold)
        code = stay(args->word[0]);
    (void)mbr_container_leave(c.container);
    return hold && code == TOOL_EXIT_OK ? code : tool_stop_exit(code);
}

int object_hold(const struct tool_args *args)
{
    int container, code = object_open(args, true, &container);

    if (code != TOOL_EXIT_OK)
        return code;
    tool_stop_catch();
    code = stay(args->word[0]);
    (void)mbr_container_leave(container);
    return code;
}

/* ---- out of objects ---- */

/* Writes all of the piece. Negative errno; -EINTR when a signal asks for the end. */
static int spill(struct copy *c, size_t length)
{
    for (size_t at = 0; at < length;) {
        ssize_t n = write(c->fd, c->piece + at, length - at < STEP ? length - at : STEP);

        if (tool_stopped())
            return -EINTR;
        if (n >= 0) {
            at += (size_t)n;
            c->moved += (size_t)n;
            progress_tick(&c->progress, tool_now_ns(), c->moved);
        } else if (errno == EAGAIN) {
            struct pollfd pfd = {.fd = c->fd, .events = POLLOUT};

            (void)poll(&pfd, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static int take(struct copy *c, uint64_t size)
{
    for (uint64_t at = 0; at < size;) {
        size_t length = size - at < c->room ? (size_t)(size - at) : c->room;
        int rc = mbr_object_read_until(c->object, (size_t)at, c->piece, length, c->deadline);

        if (rc == -ERANGE)
            return tool_error(TOOL_EXIT_NEGATIVE, "again", "%s: it has shrunk meanwhile", c->name);
        if (rc < 0)
            return object_error(rc, c->name);
        rc = spill(c, length);
        if (rc == -EINTR)
            return interrupted(c);
        if (rc < 0)
            return tool_error_system(rc, "%s", c->file);
        at += length;
    }
    return TOOL_EXIT_OK;
}

/* One object to c->fd. */
static int take_object(struct copy *c)
{
    struct mbr_object_attr attr;
    int rc, code = object_find(c->container, c->name, &c->object);

    if (code != TOOL_EXIT_OK)
        return code;
    rc = mbr_object_getattr(c->object, &attr);
    code = rc < 0 ? object_error(rc, c->name) : begin(c, attr.size);
    if (code == TOOL_EXIT_OK)
        code = take(c, attr.size);
    code = finish(c, code);
    (void)mbr_object_leave(c->object);
    return code;
}

/* The file is only touched once there is something to put into it. */
static int open_output(struct copy *c)
{
    c->fd = STDOUT_FILENO;
    c->file = c->args->words > 2 ? c->args->all[2] : "standard output";
    if (c->args->words > 2)
        c->fd = open(c->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    return c->fd < 0 ? tool_error_system(errno, "%s", c->file) : TOOL_EXIT_OK;
}

int object_get(const struct tool_args *args)
{
    struct copy c = {.args = args, .object = -1, .fd = -1, .name = args->word[1]};
    int probe = -1, code = object_deadline(args, &c.deadline);

    if (code == TOOL_EXIT_OK)
        code = object_open(args, false, &c.container);
    if (code != TOOL_EXIT_OK)
        return code;
    tool_stop_catch();
    code = object_find(c.container, c.name, &probe);
    if (code == TOOL_EXIT_OK)
        code = open_output(&c);
    if (code == TOOL_EXIT_OK)
        code = take_object(&c);
    if (code == TOOL_EXIT_OK && args->words > 2 && close(c.fd) != 0)
        code = tool_error_system(errno, "%s", c.file);
    if (code == TOOL_EXIT_OK)
        code = tell(&c, args->words > 2 ? stdout : stderr);
    (void)mbr_container_leave(c.container);
    return tool_stop_exit(code);
}

int object_cat(const struct tool_args *args)
{
    struct copy c = {.args = args, .object = -1, .fd = STDOUT_FILENO, .file = "standard output"};
    int code = object_deadline(args, &c.deadline);

    if (code == TOOL_EXIT_OK)
        code = object_open(args, false, &c.container);
    if (code != TOOL_EXIT_OK)
        return code;
    tool_stop_catch();
    for (int i = 1; code == TOOL_EXIT_OK && i < args->words; i++) {
        c.name = args->all[i];
        c.moved = 0;
        code = take_object(&c);
    }
    (void)mbr_container_leave(c.container);
    return tool_stop_exit(code);
}
