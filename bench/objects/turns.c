/* SPDX-License-Identifier: MIT */
/*
 * membrane-object-turns WHAT N [marked]: does a thing with an object N times and nothing else, to
 * be run under a program that counts; with "marked" it sends itself SIGUSR1 before and after. WHAT:
 * get-put, read, write (64 bytes each).
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

static int get_put(void)
{
    char *bytes;
    int access = mbr_object_get(object, 64, 64, &bytes);

    return access < 0 ? access : mbr_object_put(access);
}

static int read_some(void)
{
    char bytes[64];

    return mbr_object_read(object, 64, bytes, sizeof(bytes));
}

static int write_some(void)
{
    static const char bytes[64];

    return mbr_object_write(object, 64, bytes, sizeof(bytes));
}

static int times(int (*fn)(void), unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        int rc = fn();

        if (rc < 0)
            return rc;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(void);
    } things[] = {{"get-put", get_put}, {"read", read_some}, {"write", write_some}};
    bool marked = argc > 3 && strcmp(argv[3], "marked") == 0;
    int (*fn)(void) = NULL;
    char name[64];

    for (size_t i = 0; argc > 2 && i < sizeof(things) / sizeof(things[0]); i++) {
        if (strcmp(argv[1], things[i].name) == 0)
            fn = things[i].fn;
    }
    if (fn == NULL) {
        fputs("usage: membrane-object-turns get-put|read|write N [marked]\n", stderr);
        return 2;
    }
    (void)snprintf(name, sizeof(name), "turns %d", (int)getpid());
    int rc = mbr_container_create(name, -1);

    if (rc >= 0)
        rc = mbr_object_create(rc, "x", MBR_OBJECT_BLOCK);
    object = rc;
    if (rc >= 0)
        rc = times(fn, WARM);
    if (marked)
        (void)raise(SIGUSR1);
    if (rc >= 0)
        rc = times(fn, strtoul(argv[2], NULL, 10));
    if (marked)
        (void)raise(SIGUSR1);
    if (rc < 0)
        fprintf(stderr, "membrane-object-turns: %s\n", mbr_error_text(rc));
    return rc < 0 ? 1 : 0;
}
