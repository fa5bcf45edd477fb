/* SPDX-License-Identifier: MIT */
/*
 * A hostile member of a container: it maps the whole of its memory and scribbles over every shared
 * word there is, at random and with values that nearly make sense, while others do everything that
 * can be done with objects, each call with a deadline. They may get any documented error and wrong
 * bytes; they may not crash, get SIGBUS, reach outside, or hang. The argument is the time in
 * seconds. Not here: members that die (object_kill_test.c).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../conformance/object_util.h"
#include "object/object_shm.h"

#include <cmocka.h>

#define WORKERS 2
#define OBJECTS 3
#define SIZE    (14 * MIB) /* with far locks */

static uint64_t seconds = 20;

/* ---- the hostile member ---- */

/* The container's memory among our own descriptors. */
static int memory_fd(void)
{
    struct stat st;

    for (int fd = 3; fd < 1024; fd++) {
        if (fstat(fd, &st) == 0 && (uint64_t)st.st_size == MBR__OBJ_FILE_SIZE)
            return fd;
    }
    stage_fail(__FILE__, __LINE__, "the container's memory is among the descriptors");
}

struct target {
    uint64_t at, size;
    char *bytes;
};

static struct target targets[] = {
    {0, 4096, NULL},                      /* the header */
    {MBR__OBJ_BUCKETS_AT, 1 << 18, NULL}, /* buckets */
    {MBR__OBJ_ENTRIES_AT, 1 << 16, NULL}, /* objects */
    {MBR__OBJ_MEMBERS_AT, 1 << 17, NULL}, /* the first members: page, holds, joined */
    {MBR__OBJ_MEMBERS_AT + MBR__OBJ_MEMBER_STRIDE, 1 << 17, NULL},
    {MBR__OBJ_MEMBERS_AT + 2 * MBR__OBJ_MEMBER_STRIDE, 1 << 17, NULL},
    {MBR__OBJ_MEMBERS_AT + 3 * MBR__OBJ_MEMBER_STRIDE, 1 << 17, NULL},
    {MBR__OBJ_RANGE, 4096, NULL}, /* near locks */
    {2 * MBR__OBJ_RANGE, 4096, NULL},
    {MBR__OBJ_RANGE + MBR__OBJ_LOCKS_AT, 4096, NULL}, /* far locks */
    {2 * MBR__OBJ_RANGE + MBR__OBJ_LOCKS_AT, 4096, NULL},
    {MBR__OBJ_RANGE + MBR__OBJ_MAPS_AT, 1 << 16, NULL}, /* maps of versions */
    {2 * MBR__OBJ_RANGE + MBR__OBJ_MAPS_AT, 1 << 16, NULL},
    {3 * MBR__OBJ_RANGE + MBR__OBJ_MAPS_AT, 1 << 16, NULL},
};
#define TARGETS (sizeof(targets) / sizeof(targets[0]))

/* A word of it; mostly one that is in use, which is one that is not 0. */
static volatile uint32_t *choose_word(uint64_t *random, const struct target *t)
{
    volatile uint32_t *w = NULL;

    for (int tries = 0; tries < 50; tries++) {
        w = (volatile uint32_t *)(void *)t->bytes + stage_below(random, t->size / 4);
        if (*w != 0)
            break;
    }
    return w;
}

static void scribble(uint64_t *random, const struct target *t)
{
    volatile uint32_t *w = choose_word(random, t);

    switch (stage_below(random, 6)) {
    case 0:
        *w = (uint32_t)stage_random(random);
        break;
    case 1:
        *w = 0;
        break;
    case 2:
        *w = UINT32_MAX;
        break;
    case 3:
        *w += 1;
        break;
    case 4:
        *w ^= 1u << stage_below(random, 32);
        break;
    default:
        *w = (uint32_t)stage_below(random, 20);
        break;
    }
}

/* How wild it is: words for each pause; told by the argument. */
static void be_hostile(struct stage_actor *parent, void *arg)
{
    uint64_t random = *(const uint64_t *)arg, rate = 1 + stage_below(&random, 40);
    bool spare_header = stage_below(&random, 2) != 0;
    int con = HAVE(mbr_container_join("con")), fd = memory_fd();

    (void)con;
    for (size_t i = 0; i < TARGETS; i++) {
        targets[i].bytes = mmap(NULL, targets[i].size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                                (off_t)targets[i].at);
        CHECK(targets[i].bytes != MAP_FAILED);
    }
    stage_say(parent, 0);
    while (!stage_peek(parent)) {
        for (uint64_t i = 0; i < rate; i++) {
            size_t t = stage_below(&random, TARGETS);

            if (t != 0 || !spare_header)
                scribble(&random, &targets[t]);
        }
        /* And the bytes of the file: no one can be robbed of what he has mapped. */
        if (stage_below(&random, 50) == 0)
            (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            (off_t)targets[stage_below(&random, TARGETS)].at, 4096);
        CHECK(ftruncate(fd, 4096) < 0);
        (void)sched_yield();
    }
}

/* ---- who works on ---- */

static const int typed[] = {
    EBADF,      EPERM,           EINVAL,   EMFILE,    ENFILE, ENOMEM,     EPROTO,
    EEXIST,     ENOENT,          EALREADY, ETIMEDOUT, ENOSPC, EFBIG,      ERANGE,
    EOWNERDEAD, ENOTRECOVERABLE, EUSERS,   ECANCELED, EAGAIN, EOPNOTSUPP,
};

static void check_typed(const char *what, int rc)
{
    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        if (rc >= 0 || rc == -typed[i])
            return;
    }
    stage_fail_int(__FILE__, __LINE__, what, rc, 0);
}

#define TRY(call) try_call(#call, (call))

static uint64_t calls, failures; /* of this process */

static int try_call(const char *what, int rc)
{
    check_typed(what, rc);
    calls++;
    failures += rc < 0;
    return rc;
}

struct worker {
    uint64_t random;
    char *bytes;
};

static uint64_t soon(void)
{
    return object_in_ms(5);
}

/* Reads all of what was got, and writes some: nothing of it may lie outside. */
static void use(struct worker *w, int object, size_t offset, size_t size, bool edit)
{
    char *p = NULL;
    int access = edit ? TRY(mbr_object_edit_until(object, offset, size, &p, soon()))
                      : TRY(mbr_object_get_until(object, offset, size, &p, soon()));

    if (access < 0)
        return;
    memcpy(w->bytes, p, size);
    if (edit)
        memset(p, 1, size);
    (void)TRY(mbr_object_put(access));
}

static void work_on(struct worker *w, int object)
{
    struct mbr_object_attr attr;
    size_t offset = stage_below(&w->random, SIZE), size = 1 + stage_below(&w->random, 2 * MIB);
    int op;

    if (offset + size > SIZE)
        size = SIZE - offset;
    switch (stage_below(&w->random, 8)) {
    case 0:
        (void)TRY(mbr_object_write_until(object, offset, w->bytes, size, soon()));
        break;
    case 1:
        (void)TRY(mbr_object_read_until(object, offset, w->bytes, size, soon()));
        break;
    case 2:
        use(w, object, offset, size, false);
        break;
    case 3:
        use(w, object, offset, size, true);
        break;
    case 4:
        (void)TRY(mbr_object_getattr(object, &attr));
        (void)TRY(mbr_object_repair(object, offset, size));
        break;
    case 5:
        op = TRY(mbr_object_aread(object, offset, w->bytes, size));
        if (op < 0)
            break;
        if (TRY(mbr_object_opwait(op, soon())) < 0)
            (void)TRY(mbr_object_opcancel(op));
        CHECK_INT(mbr_object_opwait(op, object_in_ms(20000)), 0);
        (void)TRY(mbr_object_return(op));
        break;
    case 6:
        (void)TRY(mbr_object_resize_until(object, SIZE - stage_below(&w->random, 2) * MIB, soon()));
        break;
    default:
        (void)TRY(mbr_object_rename(object, stage_below(&w->random, 2) != 0 ? "o 7" : "o 8"));
        break;
    }
}

static void work_once(struct worker *w, int con)
{
    struct mbr_container_attr attr;
    char name[MBR_OBJECT_NAME_MAX + 1];
    uint64_t cursor = 0;
    int object, rc = 0;

    (void)snprintf(name, sizeof(name), "o %d", (int)stage_below(&w->random, OBJECTS));
    object = TRY(mbr_object_join(con, name));
    if (object < 0)
        object = TRY(mbr_object_create_with(
            con, name, SIZE, (enum mbr_write_policy)stage_below(&w->random, OBJECT_POLICIES)));
    for (int i = 0; object >= 0 && i < 20; i++)
        work_on(w, object);
    for (int i = 0; i < 100 && rc >= 0; i++) {
        rc = TRY(mbr_container_list(con, &cursor, name));
        if (rc == 0)
            break;
    }
    (void)TRY(mbr_container_getattr(con, &attr));
    if (object >= 0 && stage_below(&w->random, 8) == 0 &&
        TRY(mbr_object_destroy_until(object, soon())) == 0)
        return;
    if (object >= 0)
        (void)TRY(mbr_object_leave(object));
    if (stage_below(&w->random, 8) == 0)
        (void)TRY(mbr_object_unlink(con, name));
}

static void be_worker(struct stage_actor *parent, void *arg)
{
    struct worker w = {.random = *(const uint64_t *)arg, .bytes = malloc(SIZE)};
    int con = HAVE(mbr_container_join("con"));

    CHECK(w.bytes != NULL);
    stage_say(parent, 0);
    while (!stage_peek(parent)) {
        work_once(&w, con);
        if (stage_below(&w.random, 10) == 0) { /* once more through the door */
            int again = TRY(mbr_container_join("con"));

            if (again >= 0)
                (void)TRY(mbr_container_leave(again));
        }
    }
    (void)TRY(mbr_container_leave(con));
    stage_say(parent, calls << 32 | failures);
    free(w.bytes);
}

static void others_work_on(void **state)
{
    uint64_t random = stage_seed(), end = object_now() + seconds * UINT64_C(1000000000);
    uint64_t all = 0, failed = 0, containers = 0;

    while (object_now() < end) {
        struct stage_actor hostile, workers[WORKERS];
        uint64_t seeds[WORKERS + 1];
        int con = HAVE(mbr_container_create("con", -1));

        for (int i = 0; i <= WORKERS; i++)
            seeds[i] = stage_random(&random);
        for (int i = 0; i < WORKERS; i++) {
            stage_spawn(&workers[i], be_worker, &seeds[i]);
            (void)stage_hear(&workers[i]);
        }
        stage_spawn(&hostile, be_hostile, &seeds[WORKERS]);
        (void)stage_hear(&hostile);
        uint64_t until = object_now() + UINT64_C(400000000);

        while (object_now() < until)
            (void)sched_yield();
        for (int i = 0; i < WORKERS; i++) {
            stage_say(&workers[i], 0);
            uint64_t n = stage_hear(&workers[i]);

            all += n >> 32;
            failed += n & UINT32_MAX;
            stage_join_ok(&workers[i]);
        }
        stage_say(&hostile, 0);
        stage_join_ok(&hostile);
        if (TRY(mbr_container_destroy_until(con, object_in_ms(50))) != 0)
            (void)TRY(mbr_container_leave(con));
        /* The name is free again, whatever the memory says. */
        containers++;
    }
    print_message("%llu containers, %llu calls, %llu failed\n", (unsigned long long)containers,
                  (unsigned long long)all, (unsigned long long)failed);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(others_work_on)};

    if (argc > 1)
        seconds = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main((unsigned int)(argc > 1 ? strtoul(argv[1], NULL, 10) + 100 : 60), argc, argv,
                      run);
}
