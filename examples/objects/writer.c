/* SPDX-License-Identifier: MIT */
/*
 * The writer of the example in "Paravirtualized Storage Interface", put right: what it writes
 * appears under its name only when it is complete, and nothing is destroyed before the reader has
 * seen it.
 *
 *     cc -o writer writer.c -lmembrane
 *     ./writer con 5000000 &
 *     ./reader con
 */
#include <membrane/objects.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int check(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "writer: %s: %s\n", what, mbr_error_text(result));
        exit(1);
    }
    return result;
}

static void pause_a_moment(void)
{
    const struct timespec moment = {0, 1000000};

    nanosleep(&moment, NULL);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "con";
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 5000000;
    char *payload = malloc(size);
    int con, obj, seen;

    if (payload == NULL)
        return 1;
    for (size_t i = 0; i < size; i++)
        payload[i] = (char)(i * 7 + 1);

    con = check(container_create(name, -1), "container_create");
    obj = check(object_create(con, "A, unfinished", size), "object_create");
    check(object_write(obj, 0, payload, size), "object_write");
    /* From here on a reader that looks for "A" finds it, whole. */
    check(object_rename(obj, "A"), "object_rename");

    /* object_destroy() waits for those who have joined, not for those who will: the reader says
     * that it has been here by an object of its own. */
    while ((seen = object_join(con, "seen")) == -ENOENT)
        pause_a_moment();
    check(seen, "object_join");
    check(object_destroy(seen), "object_destroy");
    check(object_destroy(obj), "object_destroy");
    check(container_destroy(con), "container_destroy"); /* waits until the reader has left */
    free(payload);
    printf("writer: %zu bytes were read\n", size);
    return 0;
}
