/* SPDX-License-Identifier: MIT */
/*
 * membrane-object-turns WHAT N [marked]: does a thing with an object N times and nothing else, to
 * be run under a program that counts; with "marked" it sends itself SIGUSR1 before and after. WHAT:
 * nothing (two empty calls), get-put, read, write (64 bytes each).
 */
#include <membrane/objects.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static int nothing(unsigned long count)
{
    int rc = 0;

    for (unsigned long i = 0; i < count && rc == 0; i++) {
        char *bytes;

        rc = no_put(no_get(object, 64, 64, &bytes));
    }
    return rc;
}

static int get_put(unsigned long count)
{
    int rc = 0;

    for (unsigned long i = 0; i < count && rc == 0; i++) {
        char *bytes;

        rc = mbr_object_put(mbr_object_get(object, 64, 64, &bytes));
    }
    return rc;
}

static int read_some(unsigned long count)
{
    char bytes[64];
    int rc = 0;

    for (unsigned long i = 0; i < count && rc == 0; i++)
        rc = mbr_object_read(object, 64, bytes, sizeof(bytes));
    return rc;
}

static int write_some(unsigned long count)
{
    static const char bytes[64];
    int rc = 0;

    for (unsigned long i = 0; i < count && rc == 0; i++)
        rc = mbr_object_write(object, 64, bytes, sizeof(bytes));
    return rc;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(unsigned long count);
    } things[] = {
        {"nothing", nothing}, {"get-put", get_put}, {"read", read_some}, {"write", write_some}};
    bool marked = argc > 3 && strcmp(argv[3], "marked") == 0;
    int (*fn)(unsigned long count) = NULL;
    char name[64];

    for (size_t i = 0; argc > 2 && i < sizeof(things) / sizeof(things[0]); i++) {
        if (strcmp(argv[1], things[i].name) == 0)
            fn = things[i].fn;
    }
    if (fn == NULL) {
        fputs("usage: membrane-object-turns nothing|get-put|read|write N [marked]\n", stderr);
        return 2;
    }
    (void)snprintf(name, sizeof(name), "turns %d", (int)getpid());
    int container = mbr_container_create(name, -1);
    int rc = container < 0 ? container : mbr_object_create(container, "x", MBR_OBJECT_BLOCK);

    object = rc;
    if (rc >= 0)
        rc = fn(WARM);
    if (marked)
        (void)raise(SIGUSR1);
    if (rc >= 0)
        rc = fn(strtoul(argv[2], NULL, 10));
    if (marked)
        (void)raise(SIGUSR1);
    if (container >= 0)
        (void)mbr_container_leave(container); /* its name goes, too */
    if (rc < 0)
        fprintf(stderr, "membrane-object-turns: %s\n", mbr_error_text(rc));
    return rc < 0 ? 1 : 0;
}
