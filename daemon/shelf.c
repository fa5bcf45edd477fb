/* SPDX-License-Identifier: MIT */
/*
 * The queue and the thread; see shelf.h.
 */
#include "shelf.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "../tools/exits.h"
#include "../tools/say.h"
#include "shelf_impl.h"

#define PATIENCE_S 10

/* ---- the thread -------------------------------------------------------------------------------
 */

static void finish(struct shelf *shelf, struct desk *desk)
{
    static const uint64_t one = 1;

    mbr__list_push_back(&shelf->finished, &desk->node);
    if (write(shelf->event, &one, sizeof(one)) < 0)
        (void)0; /* the counter is full: it is readable */
}

/* With the mutex. */
static struct desk *next(struct shelf *shelf)
{
    struct mbr__list *node;

    while ((node = mbr__list_pop_front(&shelf->queue)) == NULL && !shelf->stop)
        (void)pthread_cond_wait(&shelf->work, &shelf->mutex);
    if (node == NULL || shelf->stop) {
        if (node != NULL)
            mbr__list_push_front(&shelf->queue, node);
        return NULL;
    }
    return mbr__container_of(node, struct desk, node);
}

static void *run(void *argument)
{
    struct shelf *shelf = argument;
    struct desk *desk;

    (void)pthread_setname_np(pthread_self(), "membraned-disk");
    (void)pthread_mutex_lock(&shelf->mutex);
    while ((desk = next(shelf)) != NULL) {
        shelf->working = true;
        (void)pthread_mutex_unlock(&shelf->mutex);
        shelf_work(desk);
        (void)pthread_mutex_lock(&shelf->mutex);
        shelf->working = false;
        finish(shelf, desk);
        (void)pthread_cond_signal(&shelf->idle);
    }
    (void)pthread_mutex_unlock(&shelf->mutex);
    return NULL;
}

/* Signals are the loop's. */
int shelf_start(struct shelf *shelf)
{
    sigset_t all;
    sigset_t before;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&shelf->thread, NULL, run, shelf);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return tool_error_system(rc, "the disk's thread");
    shelf->started = true;
    return TOOL_EXIT_OK;
}

void shelf_stop(struct shelf *shelf)
{
    struct mbr__list *node;

    if (!shelf->started)
        return;
    (void)pthread_mutex_lock(&shelf->mutex);
    shelf->stop = true;
    (void)pthread_cond_signal(&shelf->work);
    (void)pthread_mutex_unlock(&shelf->mutex);
    (void)pthread_join(shelf->thread, NULL);
    shelf->started = false;
    while ((node = mbr__list_pop_front(&shelf->queue)) != NULL) {
        mbr__container_of(node, struct desk, node)->answer.status = -ECANCELED;
        mbr__list_push_back(&shelf->finished, node);
    }
}

/* ---- the queue --------------------------------------------------------------------------------
 */

void shelf_submit(struct shelf *shelf, struct desk *desk)
{
    desk->busy = true;
    desk->answer = (struct mbr__broker_disk_reply){.seq = desk->asked.seq};
    (void)pthread_mutex_lock(&shelf->mutex);
    mbr__list_push_back(&shelf->queue, &desk->node);
    (void)pthread_cond_signal(&shelf->work);
    (void)pthread_mutex_unlock(&shelf->mutex);
}

struct desk *shelf_finished(struct shelf *shelf)
{
    struct mbr__list *node;
    struct desk *desk;
    uint64_t count;

    (void)pthread_mutex_lock(&shelf->mutex);
    node = mbr__list_pop_front(&shelf->finished);
    if (node == NULL && read(shelf->event, &count, sizeof(count)) < 0)
        (void)0; /* it was 0 already */
    (void)pthread_mutex_unlock(&shelf->mutex);
    if (node == NULL)
        return NULL;
    desk = mbr__container_of(node, struct desk, node);
    desk->busy = false;
    return desk;
}

int shelf_descriptor(const struct shelf *shelf)
{
    return shelf->event;
}

bool shelf_wait(struct shelf *shelf)
{
    struct timespec until;
    bool idle;
    int rc = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    (void)pthread_mutex_lock(&shelf->mutex);
    while ((shelf->working || !mbr__list_empty(&shelf->queue)) && rc == 0)
        rc = pthread_cond_timedwait(&shelf->idle, &shelf->mutex, &until);
    idle = !shelf->working && mbr__list_empty(&shelf->queue);
    (void)pthread_mutex_unlock(&shelf->mutex);
    return idle;
}

/* ---- desks and containers ---------------------------------------------------------------------
 */

struct desk *desk_new(struct stored *stored)
{
    struct desk *desk = calloc(1, sizeof(*desk));

    if (desk == NULL)
        return NULL;
    desk->stored = stored;
    desk->lent = desk->fds[0] = desk->fds[1] = desk->memory = -1;
    mbr__list_init(&desk->node);
    return desk;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void desk_close_fds(struct desk *desk)
{
    close_fd(&desk->fds[0]);
    close_fd(&desk->fds[1]);
}

void desk_free(struct desk *desk)
{
    if (desk->write != NULL)
        mbr__disk_abandon(desk->stored->disk, desk->write);
    desk_close_fds(desk);
    close_fd(&desk->lent);
    close_fd(&desk->memory);
    free(desk);
}

struct stored *stored_new(struct shelf *shelf, const struct stored_what *what)
{
    struct stored *stored = calloc(1, sizeof(*stored));

    if (stored == NULL)
        return NULL;
    stored->shelf = shelf;
    stored->what = *what;
    return stored;
}

void stored_free(struct stored *stored)
{
    if (stored == NULL)
        return;
    mbr__disk_close(stored->disk);
    free(stored);
}

void stored_replace(struct stored *known, struct stored *found)
{
    known->bytes = found->bytes;
    stored_free(found);
}

const struct stored_what *stored_what(const struct stored *stored)
{
    return &stored->what;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

void shelf_close(struct shelf *shelf)
{
    struct shelf_owner *owner;
    size_t cursor = 0;

    if (shelf == NULL)
        return;
    shelf_stop(shelf);
    while ((owner = mbr__hash_next(&shelf->owners, &cursor)) != NULL)
        free(owner);
    mbr__hash_fini(&shelf->owners);
    close_fd(&shelf->event);
    close_fd(&shelf->dir);
    (void)pthread_cond_destroy(&shelf->work);
    (void)pthread_cond_destroy(&shelf->idle);
    (void)pthread_mutex_destroy(&shelf->mutex);
    free(shelf->block);
    free(shelf->path);
    free(shelf);
}
