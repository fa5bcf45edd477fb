/* SPDX-License-Identifier: MIT */
/*
 * The reader of the example in "Paravirtualized Storage Interface", put right: it waits for the
 * object as it waits for the container, reads it in place, without a copy, and says that it has
 * done so.
 */
#include <membrane/objects.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int check(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "reader: %s: %s\n", what, mbr_error_text(result));
        exit(1);
    }
    return result;
}

static void pause_a_moment(void)
{
    const struct timespec moment = {0, 1000000};

    nanosleep(&moment, NULL);
}

/* What is done with the data: here it is seen whether all of it is there. */
static int compute(const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] != (char)(i * 7 + 1))
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "con";
    struct object_attr attr;
    int con, obj, op, wrong;
    char *data;

    while ((con = container_join(name)) == -ENOENT)
        pause_a_moment();
    check(con, "container_join");
    while ((obj = object_join(con, "A")) == -ENOENT)
        pause_a_moment();
    check(obj, "object_join");
    check(object_getattr(obj, &attr), "object_getattr");

    /* Until object_put() nobody writes these bytes. */
    op = check(object_get(obj, 0, attr.size, &data), "object_get");
    wrong = compute(data, attr.size);
    check(object_put(op), "object_put");

    check(object_leave(check(object_create(con, "seen", 1), "object_create")), "object_leave");
    check(container_leave(con), "container_leave"); /* and with it the object */
    printf("reader: %zu bytes, %s\n", attr.size, wrong == 0 ? "all as written" : "WRONG");
    return wrong == 0 ? 0 : 1;
}
