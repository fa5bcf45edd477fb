/* SPDX-License-Identifier: MIT */
/*
 * membrane-object-turns WHAT N [marked] (bench/lib/things.h): nothing (two empty calls), get-put,
 * read, write (64 bytes each) of an object.
 */
#include <membrane/objects.h>
#include <unistd.h>

#include "bench/lib/things.h"

#define WARM 1000u

static int object;

/* Each with a loop of its own. What a loop and two calls of functions that do nothing cost is
 * counted as well, to be subtracted. */
static __attribute__((noinline)) int no_get(int number, size_t offset, size_t size, char **buf)
{
    __asm__ volatile("" ::"r"(number), "r"(offset), "r"(size), "r"(buf) : "memory");
    return 0;
}

static __attribute__((noinline)) int no_put(int number)
{
    __asm__ volatile("" ::"r"(number) : "memory");
    return 0;
}

static int nothing(uint64_t count)
{
    int rc = 0;

    for (uint64_t i = 0; i < count && rc == 0; i++) {
        char *bytes;

        rc = no_put(no_get(object, 64, 64, &bytes));
    }
    return rc;
}

static int get_put(uint64_t count)
{
    int rc = 0;

    for (uint64_t i = 0; i < count && rc == 0; i++) {
        char *bytes;

        rc = mbr_object_put(mbr_object_get(object, 64, 64, &bytes));
    }
    return rc;
}

static int read_some(uint64_t count)
{
    char bytes[64];
    int rc = 0;

    for (uint64_t i = 0; i < count && rc == 0; i++)
        rc = mbr_object_read(object, 64, bytes, sizeof(bytes));
    return rc;
}

static int write_some(uint64_t count)
{
    static const char bytes[64];
    int rc = 0;

    for (uint64_t i = 0; i < count && rc == 0; i++)
        rc = mbr_object_write(object, 64, bytes, sizeof(bytes));
    return rc;
}

/* Warm, and then between the marks. */
static int turns(int (*way)(uint64_t count), uint64_t count)
{
    int rc = way(WARM);

    bench_mark();
    if (rc == 0)
        rc = way(count);
    bench_mark();
    return rc;
}

static int do_nothing(uint64_t count)
{
    return turns(nothing, count);
}

static int do_get_put(uint64_t count)
{
    return turns(get_put, count);
}

static int do_read(uint64_t count)
{
    return turns(read_some, count);
}

static int do_write(uint64_t count)
{
    return turns(write_some, count);
}

static const struct bench_thing things[] = {
    {"nothing", "a loop with two calls that do nothing", do_nothing},
    {"get-put", "accesses to 64 bytes, begun and ended", do_get_put},
    {"read", "64 bytes copied out", do_read},
    {"write", "64 bytes copied in", do_write},
};

#define PROGRAM "membrane-object-turns"

int main(int argc, char **argv)
{
    struct bench_order order;
    char name[64];
    int container;
    int rc;

    if (!bench_ordered(PROGRAM, things, sizeof(things) / sizeof(things[0]), argc, argv, &order))
        return BENCH_EXIT_USAGE;
    (void)snprintf(name, sizeof(name), "turns %d", (int)getpid());
    container = mbr_container_create(name, -1);
    object = container < 0 ? container : mbr_object_create(container, "x", MBR_OBJECT_BLOCK);
    rc = object < 0 ? object : order.thing->run(order.count);
    if (container >= 0)
        (void)mbr_container_leave(container); /* its name goes, too */
    return bench_done(PROGRAM, &order, rc);
}
