/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous operations, one by one and error by error: begun, waited for, cancelled, told of
 * through a descriptor, ended by leaving, dead after fork; the thread that carries them out, and
 * that none holds up another. Not here: what synchronous ones do (object_bytes_test.c).
 */
#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <membrane/event.h>

#include "object_util.h"

#include <cmocka.h>

static int con, obj;

static int make_object(void **state)
{
    con = HAVE(mbr_container_create("con", -1));
    obj = HAVE(mbr_object_create(con, "x", 4 * MIB));
    return 0;
}

static int drop_object(void **state)
{
    CHECK_INT(mbr_object_destroy(obj), 0);
    CHECK_INT(mbr_container_leave(con), 0);
    return 0;
}

/* Waits for its end and gives it back. */
static int outcome(int operation)
{
    CHECK_INT(mbr_object_opwait(operation, object_in_ms(30000)), 0);
    int status = mbr_object_opstatus(operation);

    CHECK_INT(mbr_object_return(operation), status);
    CHECK_INT(mbr_object_opstatus(operation), -EBADF);
    return status;
}

static void regions_are_checked_at_the_call(void **state)
{
    char byte = 0;

    CHECK_INT(mbr_object_awrite(obj, 4 * MIB, &byte, 1), -ERANGE);
    CHECK_INT(mbr_object_aread(obj, SIZE_MAX, &byte, 2), -ERANGE);
    CHECK_INT(mbr_object_awrite(obj, 0, NULL, 1), -EINVAL);
    CHECK_INT(mbr_object_opdone(0, NULL), -EINVAL);
}

static void written_and_read(void **state)
{
    char *in = malloc(4 * MIB), *out = malloc(4 * MIB);
    uint64_t done = 1;

    CHECK(in != NULL && out != NULL);
    for (uint32_t policy = 0; policy < OBJECT_POLICIES; policy++) {
        int o = HAVE(mbr_object_create_with(con, "y", 4 * MIB, (enum mbr_write_policy)policy));

        stage_fill(in, 4 * MIB, 5);
        int op = HAVE(mbr_object_awrite(o, 1, in + 1, 4 * MIB - 2));

        CHECK_INT(op, 0);
        CHECK_INT(mbr_object_opwait(op, object_in_ms(30000)), 0);
        CHECK_INT(mbr_object_opdone(op, &done), 0);
        CHECK_INT(done, 4 * MIB - 2);
        CHECK_INT(outcome(op), 0);
        op = HAVE(mbr_object_aread(o, 0, out, 4 * MIB));
        CHECK_INT(outcome(op), 0);
        CHECK(out[0] == 0 && out[4 * MIB - 1] == 0 && memcmp(in + 1, out + 1, 4 * MIB - 2) == 0);
        op = HAVE(mbr_object_aread(o, 4 * MIB, out, 0));
        CHECK_INT(outcome(op), 0);
        CHECK_INT(mbr_object_destroy(o), 0);
    }
    free(in);
    free(out);
}

static void numbers_are_the_lowest_free(void **state)
{
    char byte[8];
    int op[4];

    for (int i = 0; i < 4; i++) {
        op[i] = HAVE(mbr_object_aread(obj, 0, &byte[i], 1));
        CHECK_INT(op[i], i);
    }
    CHECK_INT(outcome(2), 0);
    CHECK_INT(outcome(1), 0);
    CHECK_INT(mbr_object_aread(obj, 0, &byte[4], 1), 1);
    CHECK_INT(mbr_object_aread(obj, 0, &byte[5], 1), 2);
    for (int i = 0; i < 4; i++)
        CHECK_INT(outcome(i), 0);
}

static void waits_for_who_has_the_blocks(void **state)
{
    char *p, byte = 7, back = 0;
    int access = HAVE(mbr_object_get(obj, 0, 1, &p));
    int op = HAVE(mbr_object_awrite(obj, 0, &byte, 1));
    uint64_t done = 1;

    CHECK_INT(mbr_object_opwait(op, object_in_ms(20)), -ETIMEDOUT);
    CHECK_INT(mbr_object_opstatus(op), MBR_OBJECT_INPROGRESS);
    CHECK_INT(mbr_object_return(op), -EINPROGRESS);
    CHECK_INT(mbr_object_opdone(op, &done), 0);
    CHECK_INT(done, 0);
    CHECK_INT(*p, 0);
    CHECK_INT(mbr_object_put(access), 0);
    CHECK_INT(outcome(op), 0);
    CHECK_INT(mbr_object_read(obj, 0, &back, 1), 0);
    CHECK_INT(back, 7);
}

/* Any number that cannot go on holds up none that can. */
static void none_holds_up_another(void **state)
{
    enum { N = 50 };
    char *p, bytes[2 * N] = {0};
    int access = HAVE(mbr_object_get(obj, 0, 1, &p)), stuck[N];

    for (int i = 0; i < N; i++)
        stuck[i] = HAVE(mbr_object_awrite(obj, (size_t)i, &bytes[i], 1));
    for (int i = 0; i < N; i++)
        CHECK_INT(outcome(HAVE(mbr_object_awrite(obj, MIB + (size_t)i, &bytes[N + i], 1))), 0);
    for (int i = 0; i < N; i++)
        CHECK_INT(mbr_object_opstatus(stuck[i]), MBR_OBJECT_INPROGRESS);
    CHECK_INT(mbr_object_put(access), 0);
    for (int i = 0; i < N; i++)
        CHECK_INT(outcome(stuck[i]), 0);
}

/* Of one process and the same bytes: in the order in which they were begun. */
static void same_bytes_keep_their_order(void **state)
{
    enum { N = 100 };
    static char value[N], seen[N];
    int ops[2 * N];

    for (int i = 0; i < N; i++) {
        value[i] = (char)(i + 1);
        ops[2 * i] = HAVE(mbr_object_awrite(obj, 5, &value[i], 1));
        ops[2 * i + 1] = HAVE(mbr_object_aread(obj, 5, &seen[i], 1));
    }
    for (int i = 0; i < 2 * N; i++)
        CHECK_INT(outcome(ops[i]), 0);
    CHECK(memcmp(value, seen, N) == 0);
}

static void cancelled_before_it_has_begun(void **state)
{
    char *p, byte = 7;
    int access = HAVE(mbr_object_get(obj, 0, 1, &p));
    int op = HAVE(mbr_object_awrite(obj, 0, &byte, 1));
    uint64_t done = 1;

    CHECK_INT(mbr_object_opcancel(op), 0);
    CHECK_INT(mbr_object_opcancel(op), 0);
    CHECK_INT(mbr_object_opwait(op, object_in_ms(30000)), 0);
    CHECK_INT(mbr_object_opcancel(op), 0);
    CHECK_INT(mbr_object_opdone(op, &done), 0);
    CHECK_INT(done, 0);
    CHECK_INT(outcome(op), -ECANCELED);
    CHECK_INT(mbr_object_put(access), 0);
    CHECK_INT(mbr_object_read(obj, 0, &byte, 1), 0);
    CHECK_INT(byte, 0);
}

static void cancelled_too_late(void **state)
{
    char byte = 7;
    int op = HAVE(mbr_object_awrite(obj, 0, &byte, 1));

    CHECK_INT(mbr_object_opwait(op, object_in_ms(30000)), 0);
    CHECK_INT(mbr_object_opcancel(op), -EALREADY);
    CHECK_INT(outcome(op), 0);
    CHECK_INT(mbr_object_opcancel(op), -EBADF);
}

/* "Has done a whole number of blocks, from its beginning". */
static void cancelled_half_way(void **state)
{
    const size_t size = 64 * MIB - 10;
    int big = HAVE(mbr_object_create(con, "big", 64 * MIB)), halves = 0;
    char *bytes = malloc(size), *back = malloc(64 * MIB);

    CHECK(bytes != NULL && back != NULL);
    for (unsigned int i = 1; i <= 20; i++) {
        memset(bytes, (int)i, size);
        int op = HAVE(mbr_object_awrite(big, 5, bytes, size));
        uint64_t done = 0, seen = 0;

        while (done < i * 2 * MIB && mbr_object_opstatus(op) == MBR_OBJECT_INPROGRESS)
            CHECK_INT(mbr_object_opdone(op, &done), 0);
        int rc = mbr_object_opcancel(op);

        CHECK_INT(mbr_object_opwait(op, object_in_ms(60000)), 0);
        CHECK_INT(mbr_object_opdone(op, &done), 0);
        CHECK_INT(outcome(op), rc == 0 ? -ECANCELED : 0);
        CHECK(done == size || (done == 0 ? rc == 0 : (done + 5) % MIB == 0));
        CHECK_INT(mbr_object_read(big, 5, back, size), 0);
        while (seen < size && back[seen] == (char)i)
            seen++;
        CHECK_INT(seen, done);
        halves += done > 0 && done < size;
    }
    print_message("%d of 20 were cancelled half-way\n", halves);
    CHECK_INT(object_attr_of(big).torn, 0);
    CHECK_INT(mbr_object_destroy(big), 0);
    free(bytes);
    free(back);
}

static void as_many_as_may_be(void **state)
{
    static char bytes[4097];
    char *p;
    int access = HAVE(mbr_object_get(obj, 0, 1, &p)), n = 0, rc;

    while (n < 4097 && (rc = mbr_object_awrite(obj, 0, &bytes[n], 1)) >= 0) {
        CHECK_INT(rc, n);
        n++;
    }
    CHECK_INT(rc, -EAGAIN);
    CHECK_INT(n, 4096);
    CHECK_INT(mbr_object_put(access), 0);
    while (n > 0)
        CHECK_INT(outcome(--n), 0);
}

static void errors_are_those_of_the_operation(void **state)
{
    char byte = 7;
    int other = HAVE(mbr_object_create(con, "y", 2 * MIB)), op;
    char *p;
    int access = HAVE(mbr_object_get(other, 0, 1, &p));

    op = HAVE(mbr_object_awrite(other, 0, &byte, 1));
    CHECK_INT(mbr_object_leave(other), 0); /* cancels what has not begun, ends the access */
    CHECK_INT(mbr_object_put(access), -EBADF);
    CHECK_INT(mbr_object_opwait(op, 0), 0);
    CHECK_INT(outcome(op), -ECANCELED);
    CHECK_INT(mbr_object_unlink(con, "y"), 0);
}

/* Shrunk between the call and its turn. */
static void region_is_gone_meanwhile(void **state)
{
    int other = HAVE(mbr_object_create(con, "y", 3 * MIB)), op;
    char *p, byte = 7;
    int access = HAVE(mbr_object_get(other, 0, 1, &p));
    static char two[MIB + 10];

    op = HAVE(mbr_object_awrite(other, MIB - 5, two, MIB + 10));
    CHECK_INT(mbr_object_resize_until(other, MIB, object_in_ms(30000)), 0);
    CHECK_INT(mbr_object_put(access), 0);
    CHECK_INT(outcome(op), -ERANGE);
    CHECK_INT(mbr_object_read(other, 0, &byte, 1), 0);
    CHECK_INT(mbr_object_destroy(other), 0);
}

/* ---- the descriptor ---- */

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void descriptor_tells_of_ends(void **state)
{
    int fd = HAVE(mbr_object_opfd());
    char byte[3] = {0};
    bool told[3] = {false};

    CHECK_INT(mbr_object_opfd(), fd);
    CHECK(!readable(fd));
    CHECK_INT(mbr_object_opnext(), -EAGAIN);
    for (int i = 0; i < 3; i++)
        CHECK_INT(mbr_object_awrite(obj, 0, &byte[i], 1), i);
    for (int i = 0; i < 3; i++)
        CHECK_INT(mbr_object_opwait(i, object_in_ms(30000)), 0);
    CHECK(readable(fd));
    CHECK_INT(mbr_object_return(1), 0); /* who has returned it knows */
    for (int i = 0; i < 2; i++) {
        int op = HAVE(mbr_object_opnext());

        CHECK((op == 0 || op == 2) && !told[op]);
        told[op] = true;
    }
    CHECK_INT(mbr_object_opnext(), -EAGAIN);
    CHECK(!readable(fd));
    CHECK_INT(mbr_object_return(0), 0);
    CHECK_INT(mbr_object_return(2), 0);
}

static int fired;

static void on_ends(struct mbr_watch *w, uint32_t events)
{
    int op;

    (void)events;
    while ((op = mbr_object_opnext()) >= 0) {
        CHECK_INT(mbr_object_return(op), 0);
        fired++;
    }
    if (fired == 20)
        mbr_watch_end(w);
}

static void descriptor_in_a_wait_set(void **state)
{
    struct mbr_waitset *ws = NULL;
    struct mbr_watch w = {.data = NULL};
    static char bytes[20];

    fired = 0;
    CHECK_INT(mbr_waitset_new(&ws), 0);
    CHECK_INT(mbr_watch_fd(ws, &w, HAVE(mbr_object_opfd()), POLLIN, on_ends), 0);
    for (size_t i = 0; i < 20; i++)
        (void)HAVE(mbr_object_awrite(obj, i * 10, &bytes[i], 1));
    while (fired < 20)
        CHECK(mbr_waitset_wait(ws, UINT64_C(30000000000)) > 0);
    mbr_waitset_free(ws);
}

/* ---- the thread ---- */

/* Threads of this process called "mbr-object". */
static int workers(void)
{
    DIR *d = opendir("/proc/self/task");
    struct dirent *e;
    int count = 0;

    CHECK(d != NULL);
    while ((e = readdir(d)) != NULL) {
        char path[300], name[32] = "";
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
        f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (f == NULL)
            continue;
        count += fgets(name, sizeof(name), f) != NULL && strcmp(name, "mbr-object\n") == 0;
        (void)fclose(f);
    }
    (void)closedir(d);
    return count;
}

static void thread_comes_and_goes(void **state)
{
    char byte = 1;

    CHECK_INT(workers(), 0);
    CHECK_INT(outcome(HAVE(mbr_object_awrite(obj, 0, &byte, 1))), 0);
    CHECK_INT(outcome(HAVE(mbr_object_awrite(obj, 0, &byte, 1))), 0);
    CHECK_INT(workers(), 1);
    int again = HAVE(mbr_container_join("con"));

    CHECK_INT(mbr_container_leave(again), 0);
    CHECK_INT(workers(), 1);
    int op = HAVE(mbr_object_awrite(obj, 0, &byte, 1));

    CHECK_INT(mbr_object_destroy(obj), 0);
    CHECK_INT(mbr_container_leave(con), 0);
    CHECK_INT(workers(), 0);
    CHECK_INT(mbr_object_opwait(op, 0), 0); /* it can be asked for still */
    int rc = mbr_object_return(op);

    CHECK(rc == 0 || rc == -ECANCELED);
    make_object(NULL);
}

static void no_signal_reaches_the_thread(void **state)
{
    char byte = 1, line[256], blocked[64] = "";
    DIR *d;
    struct dirent *e;

    CHECK_INT(outcome(HAVE(mbr_object_awrite(obj, 0, &byte, 1))), 0);
    d = opendir("/proc/self/task");
    CHECK(d != NULL);
    while ((e = readdir(d)) != NULL) {
        char path[300];
        FILE *f;
        bool it = false;

        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
        f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
        while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
            it = it || strcmp(line, "Name:\tmbr-object\n") == 0;
            if (it)
                (void)sscanf(line, "SigBlk: %63s", blocked);
        }
        if (f != NULL)
            (void)fclose(f);
    }
    (void)closedir(d);
    unsigned long long mask = strtoull(blocked, NULL, 16);

    CHECK((mask & 1ull << (SIGINT - 1)) != 0 && (mask & 1ull << (SIGTERM - 1)) != 0 &&
          (mask & 1ull << (SIGUSR1 - 1)) != 0);
}

/* ThreadSanitizer ends a child that starts a thread. */
#if defined(__SANITIZE_THREAD__)
#define NO_THREADS_IN_CHILDREN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NO_THREADS_IN_CHILDREN 1
#endif
#endif
#ifndef NO_THREADS_IN_CHILDREN
#define NO_THREADS_IN_CHILDREN 0
#endif

static void child_begins_anew(void **state)
{
    char *p, byte = 7;
    int access = HAVE(mbr_object_get(obj, 0, 1, &p));
    int op = HAVE(mbr_object_awrite(obj, 0, &byte, 1));
    int fd = HAVE(mbr_object_opfd());
    pid_t pid = fork();

    if (pid == 0) {
        uint64_t done;
        int c, o, mine;

        CHECK_INT(mbr_object_opstatus(op), -EPERM);
        CHECK_INT(mbr_object_opcancel(op), -EPERM);
        CHECK_INT(mbr_object_opdone(op, &done), -EPERM);
        CHECK_INT(mbr_object_opwait(op, 0), -EPERM);
        CHECK_INT(mbr_object_return(op), -EPERM);
        CHECK_INT(mbr_object_opnext(), -EPERM);
        CHECK_INT(mbr_object_awrite(obj, 0, &byte, 1), -EPERM);
        c = HAVE(mbr_container_join("con"));
        o = HAVE(mbr_object_join(c, "x"));
        if (NO_THREADS_IN_CHILDREN == 0)
            CHECK_INT(outcome(HAVE(mbr_object_awrite(o, MIB, &byte, 1))), 0);
        mine = HAVE(mbr_object_opfd());
        CHECK(!readable(mine));
        CHECK_INT(mbr_container_leave(c), 0);
        _exit(0);
    }
    int status = 1;

    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
    CHECK(!readable(fd));
    CHECK_INT(mbr_object_put(access), 0);
    CHECK_INT(outcome(op), 0);
}

/* Waiters of other processes are not passed over for ever, nor are we. */
static void write_half_the_time(struct stage_actor *parent, void *arg)
{
    int o = HAVE(mbr_object_join(HAVE(mbr_container_join("con")), "x"));
    uint64_t rounds = 0;

    while (!stage_peek(parent)) {
        CHECK_INT(object_put_key(o, 0, MIB, rounds++, MBR_FOREVER), 0);
    }
    (void)stage_hear(parent);
}

static void progress_beside_busy_writers(void **state)
{
    struct stage_actor writers[2];
    char *out = malloc(MIB);

    CHECK(out != NULL);
    for (int i = 0; i < 2; i++)
        stage_spawn(&writers[i], write_half_the_time, NULL);
    for (int i = 0; i < 50; i++) {
        CHECK_INT(outcome(HAVE(mbr_object_aread(obj, 0, out, MIB))), 0);
        CHECK_INT(outcome(HAVE(mbr_object_awrite(obj, 0, out, MIB))), 0);
    }
    for (int i = 0; i < 2; i++) {
        stage_say(&writers[i], 0);
        stage_join_ok(&writers[i]);
    }
    free(out);
}

static int run(int argc, char **argv)
{
#define WITH_OBJECT(f) cmocka_unit_test_setup_teardown(f, make_object, drop_object)
    const struct CMUnitTest tests[] = {
        WITH_OBJECT(regions_are_checked_at_the_call),
        WITH_OBJECT(written_and_read),
        WITH_OBJECT(numbers_are_the_lowest_free),
        WITH_OBJECT(waits_for_who_has_the_blocks),
        WITH_OBJECT(none_holds_up_another),
        WITH_OBJECT(same_bytes_keep_their_order),
        WITH_OBJECT(cancelled_before_it_has_begun),
        WITH_OBJECT(cancelled_too_late),
        WITH_OBJECT(cancelled_half_way),
        WITH_OBJECT(as_many_as_may_be),
        WITH_OBJECT(errors_are_those_of_the_operation),
        WITH_OBJECT(region_is_gone_meanwhile),
        WITH_OBJECT(descriptor_tells_of_ends),
        WITH_OBJECT(descriptor_in_a_wait_set),
        WITH_OBJECT(thread_comes_and_goes),
        WITH_OBJECT(no_signal_reaches_the_thread),
        WITH_OBJECT(child_begins_anew),
        WITH_OBJECT(progress_beside_busy_writers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
