/* SPDX-License-Identifier: MIT */
/*
 * Gets and puts a region a given number of times, for object_cost.sh, which counts instructions.
 *
 *   object_cost_main none|one|two|deep|many|late TIMES
 *
 * none: calls functions of two instructions instead, so that the loop itself can be subtracted.
 * one: a region in one block. two: over the border of two. deep: in a block whose lock is not among
 * the near ones. many: as one, with 200 accesses open. late: as one, of an object whose number is
 * above 256. Prints the number of pairs. Exit status 77
 * if it was built so that its instructions say nothing: unoptimised, or with a sanitizer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <membrane/objects.h>

#include "countable.h"

/* Called with all their arguments although they do nothing. (clang has no noipa.) */
#if __has_attribute(noipa)
#define NOT_SEEN_THROUGH __attribute__((noipa))
#else
#define NOT_SEEN_THROUGH __attribute__((noinline))
#endif

NOT_SEEN_THROUGH static int no_get(int object, size_t offset, size_t size, char **buf)
{
    return 0;
}

NOT_SEEN_THROUGH static int no_put(int access)
{
    return 0;
}

static size_t offset_of(const char *kind)
{
    if (strcmp(kind, "two") == 0)
        return MBR_OBJECT_BLOCK - 50;
    return strcmp(kind, "deep") == 0 ? 15 * MBR_OBJECT_BLOCK : 100;
}

int main(int argc, char **argv)
{
    unsigned long pairs = 0;
    size_t offset;
    int object;
    char *p;

    if (UNFIT)
        return 77;
    if (argc != 3)
        return 2;
    object = mbr_object_create(mbr_container_create("cost", -1), "o", 16 * MBR_OBJECT_BLOCK);
    if (object < 0)
        return 1;
    for (int i = 0; strcmp(argv[1], "many") == 0 && i < 200; i++) {
        if (mbr_object_get(object, 0, 1, &p) < 0)
            return 1;
    }
    for (int i = 0; strcmp(argv[1], "late") == 0 && i < 300; i++) {
        if ((object = mbr_object_join(0, "o")) < 0)
            return 1;
    }
    offset = offset_of(argv[1]);
    if (strcmp(argv[1], "none") == 0) {
        for (unsigned long n = strtoul(argv[2], NULL, 10); n != 0; n--)
            pairs += no_put(no_get(object, offset, 100, &p)) == 0;
        printf("%lu\n", pairs);
        return 0;
    }
    for (unsigned long n = strtoul(argv[2], NULL, 10); n != 0; n--)
        pairs += mbr_object_put(mbr_object_get(object, offset, 100, &p)) == 0;
    printf("%lu\n", pairs);
    return 0;
}
