/* SPDX-License-Identifier: MIT */
/*
 * What tests of the daemon's shelf (daemon/shelf.h) share: a directory of their own, what was
 * logged, and requests carried out in the test's own thread.
 *
 * Include after cmocka.h, in one file of a test program that is linked with daemon/shelf*.c: the
 * messages of the tool and the daemon's log are here.
 */
#ifndef MBR_TESTS_SHELF_SCENE_H
#define MBR_TESTS_SHELF_SCENE_H

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../daemon/container.h"
#include "../../daemon/log.h"
#include "../../daemon/shelf_impl.h"
#include "../../tools/exits.h"
#include "../../tools/say.h"
#include "disk_model.h"

#define SCENE_FOUND 8

static char scene_scratch[] = "/tmp/mbr-shelf.XXXXXX";
static char scene_place[64]; /* the shelf's */
static char scene_said[1024];
static unsigned scene_lines; /* logged */
static struct stored *scene_found[SCENE_FOUND];
static unsigned scene_count;

/* ---- what the daemon has elsewhere ----------------------------------------------------------- */

bool container_user_privileged(uid_t uid)
{
    (void)uid;
    return false;
}

void log_line(enum mbr_log_level level, const char *format, ...)
{
    va_list args;

    (void)level;
    va_start(args, format);
    (void)vsnprintf(scene_said, sizeof(scene_said), format, args);
    va_end(args);
    scene_lines++;
}

int tool_error(int code, const char *hint, const char *format, ...)
{
    va_list args;

    (void)hint;
    va_start(args, format);
    (void)vsnprintf(scene_said, sizeof(scene_said), format, args);
    va_end(args);
    return code;
}

int tool_error_system(int error, const char *format, ...)
{
    va_list args;

    (void)error;
    va_start(args, format);
    (void)vsnprintf(scene_said, sizeof(scene_said), format, args);
    va_end(args);
    return TOOL_EXIT_LIMIT;
}

/* ---- the shelf ------------------------------------------------------------------------------- */

static inline struct shelf *scene_open(uint64_t limit)
{
    struct shelf *shelf = NULL;

    assert_int_equal(shelf_open(scene_place, limit, &shelf), TOOL_EXIT_OK);
    return shelf;
}

static inline void scene_take(void *user, struct stored *stored)
{
    (void)user;
    assert_true(scene_count < SCENE_FOUND);
    scene_found[scene_count++] = stored;
}

/* Finds all that is served; those of the last time have ended. */
static inline int scene_scan(struct shelf *shelf)
{
    scene_count = scene_lines = 0;
    scene_said[0] = '\0';
    return shelf_scan(shelf, scene_take, NULL);
}

static inline void scene_free_found(void)
{
    while (scene_count > 0)
        stored_free(scene_found[--scene_count]);
}

static inline unsigned scene_entries(void)
{
    DIR *dir = opendir(scene_place);
    struct dirent *entry;
    unsigned n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(dir);
    return n;
}

static inline int scene_do(struct desk *desk, enum desk_job job)
{
    desk->job = job;
    desk->answer = (struct mbr__broker_disk_reply){.seq = desk->asked.seq};
    shelf_work(desk);
    return desk->answer.status;
}

static inline int scene_ask(struct desk *desk, struct mbr__broker_disk request, const char *name)
{
    desk->asked = request;
    (void)snprintf(desk->name, sizeof(desk->name), "%s", name != NULL ? name : "");
    return scene_do(desk, DESK_DISK);
}

/* A container with its directory, and a desk of it. */
static inline struct desk *scene_make(struct shelf *shelf, const struct stored_what *what)
{
    struct stored *stored = stored_new(shelf, what);
    struct desk *desk = stored != NULL ? desk_new(stored) : NULL;

    assert_non_null(desk);
    assert_int_equal(scene_do(desk, DESK_MAKE), 0);
    return desk;
}

static inline void scene_end(struct desk *desk)
{
    struct stored *stored = desk->stored;

    desk_free(desk);
    stored_free(stored);
}

/* ---- the directory --------------------------------------------------------------------------- */

static inline int scene_begin(void **state)
{
    (void)state;
    (void)snprintf(scene_place, sizeof(scene_place), "%s/shelf", scene_scratch);
    return 0;
}

static inline int scene_clear(void **state)
{
    (void)state;
    model_remove_tree(scene_place);
    return 0;
}

static inline int scene_group_begin(void **state)
{
    (void)state;
    return mkdtemp(scene_scratch) != NULL ? 0 : -1;
}

static inline int scene_group_end(void **state)
{
    (void)state;
    model_remove_tree(scene_scratch);
    return 0;
}

#endif
