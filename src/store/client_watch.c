/* SPDX-License-Identifier: MIT */
/*
 * Watches of a client's handle, and the events that wait to be handed out.
 *
 * A watch's token on the wire is its handle in the slab, so an event finds its watch without a
 * search, and one for a watch that has ended finds nothing. Everything that ending a watch, or
 * telling of trouble, will need is allocated when it begins: its UNWATCH, and one spare event,
 * which stands for all those that there is no room for.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/client.h"

#define TOKEN_SIZE 17 /* 16 hexadecimal digits and a NUL */

/* ---- events ---- */

static const void *key_of(const void *value, size_t *length)
{
    const struct mbr__client_event *e = value;

    *length = e->key_length;
    return e->key;
}

void mbr__client_watches_init(struct mbr_store *s)
{
    mbr__bytes_map_init(&s->waiting, key_of);
    (void)mbr__slab_init(&s->watches, sizeof(struct mbr_store_watcher), MBR__CLIENT_WATCHES);
}

static struct mbr__client_event *event_new(struct mbr_store_watcher *w, const char *path)
{
    size_t length = strlen(path) + 1;
    struct mbr__client_event *e = calloc(1, sizeof(*e) + MBR__CLIENT_KEY_ID + length);
    uint64_t id = mbr__slab_handle(&w->store->watches, w);

    if (e == NULL)
        return NULL;
    e->ready.is_event = true;
    e->watch = w;
    e->key_length = MBR__CLIENT_KEY_ID + length;
    memcpy(e->key, &id, MBR__CLIENT_KEY_ID);
    memcpy(e->key + MBR__CLIENT_KEY_ID, path, length);
    mbr__list_init(&e->ready.node);
    mbr__list_init(&e->of_watch);
    return e;
}

const char *mbr__client_event_path(const struct mbr__client_event *e)
{
    return (const char *)e->key + MBR__CLIENT_KEY_ID;
}

/* To the end of what waits; it is in the map already, or spare. */
static void event_queue(struct mbr_store *s, struct mbr__client_event *e)
{
    mbr__list_push_back(e->watch->fn != NULL ? &s->ready : &s->polled, &e->ready.node);
    mbr__list_push_back(&e->watch->events, &e->of_watch);
    e->watch->waiting++;
    e->queued = true;
}

void mbr__client_event_take(struct mbr_store *s, struct mbr__client_event *e)
{
    mbr__list_del(&e->ready.node);
    mbr__list_del(&e->of_watch);
    e->watch->waiting--;
    e->queued = false;
    if (!e->spare)
        (void)mbr__bytes_map_del(&s->waiting, e->key, e->key_length);
}

void mbr__client_event_free(struct mbr__client_event *e)
{
    /* A spare one belongs to its watch, unless that has ended while the event was handed out. */
    if (e != NULL && (!e->spare || e->watch == NULL))
        free(e);
}

/* The one event that needs no memory: "look at all of it again", or why it ends. */
static void queue_spare(struct mbr_store *s, struct mbr_store_watcher *w, int error)
{
    w->spare->error = error;
    if (!w->spare->queued)
        event_queue(s, w->spare);
}

/* Forgets what waits, since the spare event says more than all of it. */
static void drop_events(struct mbr_store *s, struct mbr_store_watcher *w)
{
    struct mbr__list *node;

    while ((node = mbr__list_pop_front(&w->events)) != NULL) {
        struct mbr__client_event *e = mbr__container_of(node, struct mbr__client_event, of_watch);

        mbr__client_event_take(s, e);
        mbr__client_event_free(e);
    }
}

static void add_event(struct mbr_store *s, struct mbr_store_watcher *w, const char *path)
{
    struct mbr__client_event *e;

    if (w->spare->queued || w->refused)
        return;
    if (w->waiting >= MBR__CLIENT_WAITING) {
        drop_events(s, w);
        queue_spare(s, w, 0);
        return;
    }
    e = event_new(w, path);
    if (e != NULL && mbr__bytes_map_get(&s->waiting, e->key, e->key_length) != NULL) {
        free(e);
        return;
    }
    if (e == NULL || mbr__bytes_map_put(&s->waiting, e) < 0) {
        free(e);
        queue_spare(s, w, 0);
        return;
    }
    event_queue(s, e);
}

/* Levels that a path lies below the watched one. */
static size_t depth_below(const struct mbr_store_watcher *w, const char *path)
{
    size_t slashes = 0;

    for (; *path != '\0'; path++)
        slashes += *path == '/';
    return slashes > w->slashes ? slashes - w->slashes : 0;
}

void mbr__client_event_came(struct mbr_store *s, const char *path, const char *token)
{
    struct mbr_store_watcher *w;
    char *end;
    uint64_t handle = strtoull(token, &end, 16);

    if (end == token || *end != '\0')
        return;
    w = mbr__slab_from_handle(&s->watches, handle);
    if (w != NULL && !(w->filter && depth_below(w, path) > w->depth))
        add_event(s, w, path);
}

/* ---- watches ---- */

static void watch_free(struct mbr_store *s, struct mbr_store_watcher *w)
{
    drop_events(s, w);
    if (w->begin != NULL && w->begin->queued)
        w->begin->watch = NULL; /* freed when it is answered */
    else
        mbr__client_msg_free(w->begin);
    mbr__client_msg_free(w->end);
    if (w->spare != NULL && (w->spare == s->fetched || w->spare == s->handed))
        w->spare->watch = NULL;
    else
        free(w->spare);
    free(w->path);
    mbr__slab_free(&s->watches, w);
}

/* The path, the token and, behind them, the depth: without it the request is a shorter one. */
static int make_messages(struct mbr_store_watcher *w, const char *path)
{
    char token[TOKEN_SIZE];
    char depth[16];
    size_t length = strlen(path) + 1;
    size_t room = length + TOKEN_SIZE + sizeof(depth);

    (void)snprintf(token, sizeof(token), "%016" PRIx64, mbr__slab_handle(&w->store->watches, w));
    (void)snprintf(depth, sizeof(depth), "%" PRIu32, w->depth);
    w->begin = mbr__client_msg_new(MBR__XS_WATCH, MBR__CLIENT_OF_WATCH, room);
    w->end = mbr__client_msg_new(MBR__XS_UNWATCH, MBR__CLIENT_NOBODY, room);
    if (w->begin == NULL || w->end == NULL)
        return -ENOMEM;
    w->begin->watch = w;
    mbr__client_msg_add(w->begin, path, length);
    mbr__client_msg_add(w->begin, token, TOKEN_SIZE);
    mbr__client_msg_add(w->end, path, length);
    mbr__client_msg_add(w->end, token, TOKEN_SIZE);
    if (w->depth != MBR_STORE_ALL_DEPTHS)
        mbr__client_msg_add(w->begin, depth, strlen(depth) + 1);
    return 0;
}

static size_t count_slashes(const char *path)
{
    size_t n = 0;

    /* Of "/" nothing lies below "/x" but one level: its slash is that of its children. */
    for (const char *c = path; *c != '\0'; c++)
        n += *c == '/';
    return strcmp(path, "/") == 0 ? 0 : n;
}

static int watch_new(struct mbr_store *s, const char *path, uint32_t depth, mbr_store_watch_fn *fn,
                     void *arg, struct mbr_store_watcher **out)
{
    struct mbr_store_watcher *w;
    int rc = -ENOMEM;

    if (strnlen(path, MBR_STORE_PAYLOAD_MAX) + TOKEN_SIZE + 16 > MBR_STORE_PAYLOAD_MAX)
        return -E2BIG;
    if (s->pending_count >= MBR_STORE_PENDING_MAX)
        return -ENOBUFS;
    w = mbr__slab_alloc(&s->watches);
    if (w == NULL)
        return mbr__slab_count(&s->watches) >= MBR__CLIENT_WATCHES ? -ENOBUFS : -ENOMEM;
    *w = (struct mbr_store_watcher){
        .store = s, .fn = fn, .arg = arg, .depth = depth, .slashes = count_slashes(path)};
    mbr__list_init(&w->events);
    w->path = strdup(path);
    w->spare = event_new(w, path);
    if (w->path != NULL && w->spare != NULL)
        rc = make_messages(w, path);
    if (rc < 0) {
        watch_free(s, w);
        return rc;
    }
    w->spare->spare = true;
    *out = w;
    return 0;
}

/*
 * A daemon that knows no depths refuses the third part. Then all depths are asked for, and the
 * filter does the rest; a path that is itself refused is refused again.
 */
static bool try_without_depth(struct mbr_store *s, struct mbr_store_watcher *w)
{
    struct mbr__client_msg *m = w->begin;
    size_t size = MBR__STORE_HEADER_SIZE + strlen(w->path) + 1 + TOKEN_SIZE;

    if (m->error != -EINVAL || m->size == size)
        return false;
    m->size = size;
    m->done = false;
    w->filter = true;
    mbr__client_msg_queue(s, m);
    return true;
}

void mbr__client_watch_answered(struct mbr_store *s, struct mbr__client_msg *m)
{
    struct mbr_store_watcher *w = m->watch;

    if (w == NULL) {
        mbr__client_msg_free(m);
        return;
    }
    free(m->data);
    m->data = NULL;
    m->length = 0;
    if (m->error == 0 || try_without_depth(s, w))
        return;
    w->refused = true;
    drop_events(s, w);
    queue_spare(s, w, m->error);
}

void mbr__client_watches_again(struct mbr_store *s)
{
    struct mbr__list *behind = &s->pending;
    struct mbr_store_watcher *w;
    uint32_t cursor = 0;

    while ((w = mbr__slab_next(&s->watches, &cursor)) != NULL) {
        if (w->refused || w->begin->queued)
            continue;
        mbr__client_msg_queue(s, w->begin);
        /* Before what was asked for meanwhile, as it would have been without the interruption;
         * among themselves in their old order, in which the daemon will tell of what they share. */
        mbr__list_del(&w->begin->ready.node);
        mbr__list_push_front(behind, &w->begin->ready.node);
        behind = &w->begin->ready.node;
        w->begin->done = false;
    }
}

void mbr__client_watches_free(struct mbr_store *s)
{
    struct mbr_store_watcher *w;
    uint32_t cursor = 0;

    while ((w = mbr__slab_next(&s->watches, &cursor)) != NULL)
        watch_free(s, w);
}

/* ---- calls ---- */

int mbr_store_watch_start(struct mbr_store *s, const char *path, uint32_t depth,
                          mbr_store_watch_fn *fn, void *arg, struct mbr_store_watcher **out)
{
    struct mbr_store_watcher *w = NULL;
    int rc = mbr__client_enter(s);

    if (rc < 0)
        return rc;
    if (path == NULL || out == NULL)
        return -EINVAL;
    rc = mbr__client_reachable(s);
    if (rc < 0)
        return rc;
    rc = watch_new(s, path, depth, fn, arg, &w);
    if (rc < 0)
        return rc;
    if (s->fd >= 0 || s->embedded != NULL)
        mbr__client_msg_queue(s, w->begin); /* else when there is a connection */
    mbr__client_flush(s);
    mbr__client_leave(s);
    *out = w;
    return 0;
}

int mbr_store_watch(struct mbr_store *s, const char *path, uint32_t depth, mbr_store_watch_fn *fn,
                    void *arg, struct mbr_store_watcher **out)
{
    struct mbr_store_watcher *w = NULL;
    uint64_t deadline;
    int rc = mbr_store_watch_start(s, path, depth, fn, arg, out != NULL ? &w : NULL);

    if (rc < 0)
        return rc;
    deadline = mbr__deadline_ns(s->timeout_ns);
    while (rc == 0 && !w->begin->done) {
        rc = mbr__client_revive(s, deadline);
        if (rc == 0 && !w->begin->done)
            rc = mbr__client_receive(s, deadline);
    }
    if (w->begin->done)
        rc = w->begin->error; /* also if that came with the last bytes that there was time for */
    if (rc < 0)
        mbr_store_unwatch(w);
    else
        *out = w;
    mbr__client_leave(s);
    return rc;
}

void mbr_store_unwatch(struct mbr_store_watcher *w)
{
    struct mbr_store *s;

    if (w == NULL)
        return;
    s = w->store;
    if (mbr__client_enter(s) == 0 && !w->refused && (s->fd >= 0 || s->embedded != NULL)) {
        mbr__client_msg_queue(s, w->end);
        w->end = NULL;
        watch_free(s, w);
        mbr__client_flush(s);
        mbr__client_leave(s);
        return;
    }
    watch_free(s, w);
}

static bool fetch(struct mbr_store *s, struct mbr_store_event *out)
{
    struct mbr__list *node = mbr__list_first(&s->polled);
    struct mbr__client_event *e;

    if (node == NULL)
        return false;
    e = mbr__container_of(node, struct mbr__client_event, ready.node);
    mbr__client_event_take(s, e);
    s->fetched = e;
    *out = (struct mbr_store_event){e->watch, e->watch->arg, mbr__client_event_path(e), e->error};
    return true;
}

int mbr_store_next_event(struct mbr_store *s, uint64_t timeout_ns, struct mbr_store_event *out)
{
    uint64_t deadline = timeout_ns == 0 ? 0 : mbr__deadline_ns(timeout_ns);
    int rc = mbr__client_enter(s);
    bool got;

    if (rc < 0)
        return rc;
    if (out == NULL)
        return -EINVAL;
    mbr__client_event_free(s->fetched);
    s->fetched = NULL;
    for (int i = 0; !(got = fetch(s, out)) && rc == 0; i++) {
        rc = mbr__client_revive(s, deadline);
        mbr__client_flush(s);
        if (rc == 0 && mbr__list_empty(&s->polled))
            rc = mbr__client_receive(s, deadline);
        if (rc == 0 && deadline == 0 && i >= MBR__CLIENT_RECEIVES && mbr__list_empty(&s->polled))
            rc = -ETIMEDOUT; /* much has come, but no event */
    }
    mbr__client_leave(s);
    return got ? 0 : rc;
}

int mbr_store_reset(struct mbr_store *s)
{
    struct mbr__client_msg *m;
    int rc = mbr__client_enter(s);

    if (rc < 0)
        return rc;
    m = mbr__client_msg_new(MBR__XS_RESET_WATCHES, MBR__CLIENT_CALLER, 1);
    if (m == NULL)
        return -ENOMEM;
    mbr__client_msg_add(m, "", 1);
    mbr__client_watches_free(s);
    s->era++;
    mbr__client_msg_queue(s, m);
    rc = mbr__client_await(s, &m);
    mbr__client_leave(s);
    mbr__client_msg_free(m);
    return rc;
}
