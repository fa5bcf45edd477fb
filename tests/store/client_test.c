/* SPDX-License-Identifier: MIT */
/*
 * The client library's contract, against the daemon and against a store in this process: the same
 * cases, since the promise is the same. With the argument "embedded" or "daemon".
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <membrane/event.h>
#include <membrane/store.h>

#include "daemon_util.h"

#define MS UINT64_C(1000000)

static bool embedded;
static struct daemon_util daemon_of_test;
static struct mbr_store *s;     /* domain 0 */
static struct mbr_store *other; /* domain 0, too */

static struct mbr_store *open_one(void)
{
    struct mbr_store *store = NULL;

    if (!embedded)
        assert_int_equal(mbr_store_open(daemon_of_test.socket, NULL, &store), 0);
    else if (s == NULL)
        assert_int_equal(mbr_store_open_embedded(NULL, &store), 0);
    else
        assert_int_equal(mbr_store_open_again(s, 0, &store), 0);
    return store;
}

static int setup(void **state)
{
    s = NULL;
    s = open_one();
    other = open_one();
    return 0;
}

static int teardown(void **state)
{
    if (s != NULL && !embedded)
        (void)mbr_store_rm(s, 0, "/t");
    mbr_store_close(other);
    mbr_store_close(s);
    s = other = NULL;
    return 0;
}

static void put(const char *path, const char *value)
{
    assert_int_equal(mbr_store_write(s, 0, path, value, strlen(value)), 0);
}

static void expect(struct mbr_store *store, const char *path, const char *value)
{
    char *found = NULL;
    size_t length = 0;

    assert_int_equal(mbr_store_read(store, 0, path, &found, &length), 0);
    assert_string_equal(found, value);
    assert_int_equal(length, strlen(value));
    free(found);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void reads_what_was_written(void **state)
{
    put("/t/a/b", "value");
    expect(other, "/t/a/b", "value");
    expect(other, "/t/a", "");
    put("/t/a/b", "");
    expect(other, "/t/a/b", "");
}

static void keeps_every_byte(void **state)
{
    char value[256];
    char *found = NULL;
    size_t length = 0;

    for (int i = 0; i < 256; i++)
        value[i] = (char)i;
    assert_int_equal(mbr_store_write(s, 0, "/t/bytes", value, sizeof(value)), 0);
    assert_int_equal(mbr_store_read(s, 0, "/t/bytes", &found, &length), 0);
    assert_int_equal(length, sizeof(value));
    assert_memory_equal(found, value, sizeof(value));
    assert_int_equal(found[length], 0);
    free(found);
}

static void takes_the_longest_and_no_longer(void **state)
{
    char *value = calloc(1, 5000);
    size_t most = MBR_STORE_PAYLOAD_MAX - sizeof("/t/x");
    char *found = NULL;
    size_t length = 0;

    memset(value, 'x', 4999);
    assert_int_equal(mbr_store_write(s, 0, "/t/x", value, most), 0);
    assert_int_equal(mbr_store_read(s, 0, "/t/x", &found, &length), 0);
    assert_int_equal(length, most);
    free(found);
    assert_int_equal(mbr_store_write(s, 0, "/t/x", value, most + 1), -E2BIG);
    assert_int_equal(mbr_store_write(s, 0, "/t/x", value, SIZE_MAX), -E2BIG);
    value[0] = '/';
    assert_int_equal(mbr_store_mkdir(s, 0, value), -E2BIG);
    free(value);
}

static void makes_and_removes(void **state)
{
    assert_int_equal(mbr_store_mkdir(s, 0, "/t/d/e"), 0);
    assert_int_equal(mbr_store_mkdir(s, 0, "/t/d/e"), 0);
    assert_int_equal(mbr_store_exists(other, 0, "/t/d/e"), 1);
    assert_int_equal(mbr_store_exists(other, 0, "/t/d/f"), 0);
    assert_int_equal(mbr_store_rm(s, 0, "/t/d"), 0);
    assert_int_equal(mbr_store_exists(other, 0, "/t/d/e"), 0);
    assert_int_equal(mbr_store_rm(s, 0, "/t/d"), 0);
    assert_int_equal(mbr_store_rm(s, 0, "/t/none/below"), -ENOENT);
    assert_int_equal(mbr_store_rm(s, 0, "/"), -EINVAL);
}

static void tells_what_is_wrong(void **state)
{
    char *value = NULL;
    char **names = NULL;
    size_t count = 77;

    assert_int_equal(mbr_store_read(s, 0, "/t/none", &value, NULL), -ENOENT);
    assert_int_equal(mbr_store_read(s, 0, "//", &value, NULL), -EINVAL);
    assert_int_equal(mbr_store_read(s, 0, "/t/", &value, NULL), -EINVAL);
    assert_int_equal(mbr_store_read(s, 0, "/t b", &value, NULL), -EINVAL);
    assert_int_equal(mbr_store_read(s, 0, "", &value, NULL), -EINVAL);
    assert_int_equal(mbr_store_list(s, 0, "/t/none", &names, &count), -ENOENT);
    assert_null(value);
    assert_null(names);
    assert_int_equal(count, 77);
}

static void refuses_nonsense(void **state)
{
    struct mbr_store_options bad = {.size = 1};
    struct mbr_store_options flags = {.size = sizeof(flags), .flags = 1u << 20};
    struct mbr_store_request r = {.size = 4};
    struct mbr_store_perm perm = {0, 9};
    struct mbr_store *out = NULL;
    struct mbr_store_watcher *watch = NULL;
    char *value = NULL;
    char **names = NULL;
    size_t count = 0;
    uint64_t tx = 0;

    assert_int_equal(mbr_store_open_embedded(NULL, NULL), -EINVAL);
    assert_int_equal(mbr_store_open_embedded(&bad, &out), -EINVAL);
    assert_int_equal(mbr_store_open_embedded(&flags, &out), -EINVAL);
    assert_int_equal(mbr_store_open("/nowhere", NULL, NULL), -EINVAL);
    assert_int_equal(mbr_store_open("/nowhere/store", NULL, &out), -ENOENT);
    assert_int_equal(mbr_store_open("", NULL, &out), -ENOENT);
    assert_int_equal(mbr_store_open_fd(-1, NULL, &out), -EBADF);
    assert_int_equal(mbr_store_open_fd(0, NULL, NULL), -EINVAL);
    assert_int_equal(mbr_store_read(NULL, 0, "/", &value, NULL), -EINVAL);
    assert_int_equal(mbr_store_read(s, 0, NULL, &value, NULL), -EINVAL);
    assert_int_equal(mbr_store_read(s, 0, "/", NULL, NULL), -EINVAL);
    assert_int_equal(mbr_store_write(s, 0, "/t/x", NULL, 1), -EINVAL);
    assert_int_equal(mbr_store_list(s, 0, "/", NULL, &count), -EINVAL);
    assert_int_equal(mbr_store_list(s, 0, "/", &names, NULL), -EINVAL);
    assert_int_equal(mbr_store_set_perms(s, 0, "/", NULL, 0), -EINVAL);
    assert_int_equal(mbr_store_set_perms(s, 0, "/", NULL, 1), -EINVAL);
    assert_int_equal(mbr_store_set_perms(s, 0, "/", &perm, 1), -EINVAL);
    assert_int_equal(mbr_store_begin(s, NULL), -EINVAL);
    assert_int_equal(mbr_store_end(s, 0, 1), -ENOENT);
    assert_int_equal(mbr_store_transact(s, NULL, NULL, 0), -EINVAL);
    assert_int_equal(mbr_store_read(s, UINT64_C(1) << 32, "/", &value, NULL), -ECONNRESET);
    assert_int_equal(mbr_store_watch(s, NULL, 0, NULL, NULL, &watch), -EINVAL);
    assert_int_equal(mbr_store_watch(s, "/t", 0, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(mbr_store_watch_start(s, "/t", 0, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(mbr_store_next_event(s, 0, NULL), -EINVAL);
    assert_int_equal(mbr_store_control(s, NULL, 0, &value, NULL), -EINVAL);
    assert_int_equal(mbr_store_control(s, NULL, 1, &value, NULL), -EINVAL);
    assert_int_equal(mbr_store_submit(s, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(mbr_store_submit(s, &r, NULL, NULL), -EINVAL);
    r = (struct mbr_store_request){.size = sizeof(r), .op = (enum mbr_store_op)9999};
    assert_int_equal(mbr_store_submit(s, &r, NULL, NULL), -EINVAL);
    r.op = (enum mbr_store_op)4; /* a watch is none of these */
    assert_int_equal(mbr_store_submit(s, &r, NULL, NULL), -EINVAL);
    assert_int_equal(mbr_store_set_timeout(s, 0), -EINVAL);
    assert_int_equal(mbr_store_process(NULL), -EINVAL);
    assert_int_equal(mbr_store_fd(NULL), -EINVAL);
    assert_int_equal(mbr_store_open_again(NULL, 0, &out), -EINVAL);
    if (!embedded)
        assert_int_equal(mbr_store_open_again(s, 0, &out), -ENOTSUP);
    mbr_store_close(NULL);
    mbr_store_unwatch(NULL);
    assert_null(out);
    assert_null(value);
    assert_null(names);
    assert_int_equal(tx, 0);
}

static void lists_children(void **state)
{
    char **names = NULL;
    size_t count = 0;

    put("/t/l/one", "");
    put("/t/l/two", "");
    assert_int_equal(mbr_store_list(s, 0, "/t/l", &names, &count), 0);
    assert_int_equal(count, 2);
    assert_null(names[2]);
    assert_true(strcmp(names[0], "one") == 0 || strcmp(names[1], "one") == 0);
    free(names);
    assert_int_equal(mbr_store_list(s, 0, "/t/l/one", &names, &count), 0);
    assert_int_equal(count, 0);
    free(names);
}

static void on_result(struct mbr_store *store, void *arg, const struct mbr_store_result *r)
{
    int *left = arg;

    assert_int_equal(r->error, 0);
    (*left)--;
}

static void fill(const char *directory, int count)
{
    int left = 0;

    for (int i = 0; i < count; i++) {
        char path[64];
        struct mbr_store_request r = {.size = sizeof(r), .op = MBR_STORE_OP_MKDIR, .path = path};

        (void)snprintf(path, sizeof(path), "%s/child-%06d", directory, i);
        left++;
        assert_int_equal(mbr_store_submit(s, &r, on_result, &left), 0);
    }
    while (left > 0)
        assert_true(mbr_store_wait(s, 20000 * MS) > 0);
}

static void lists_more_than_a_message_holds(void **state)
{
    enum { COUNT = 5000 };
    bool *seen = calloc(COUNT, sizeof(*seen));
    char **names = NULL;
    size_t count = 0;

    fill("/t/wide", COUNT);
    assert_int_equal(mbr_store_list(s, 0, "/t/wide", &names, &count), 0);
    assert_int_equal(count, COUNT);
    for (size_t i = 0; i < count; i++) {
        int number = atoi(names[i] + strlen("child-"));

        assert_in_range(number, 0, COUNT - 1);
        assert_false(seen[number]);
        seen[number] = true;
    }
    free(names);
    free(seen);
}

/* ---- permissions ----------------------------------------------------------------------------- */

static void sets_permissions(void **state)
{
    const struct mbr_store_perm perms[] = {
        {0, MBR_STORE_NONE}, {7, MBR_STORE_READ}, {8, MBR_STORE_WRITE}, {9, MBR_STORE_BOTH}};
    struct mbr_store_perm *found = NULL;
    size_t count = 0;

    put("/t/p", "");
    assert_int_equal(mbr_store_set_perms(s, 0, "/t/p", perms, 4), 0);
    assert_int_equal(mbr_store_get_perms(other, 0, "/t/p", &found, &count), 0);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(found[i].domid, perms[i].domid);
        assert_int_equal(found[i].access, perms[i].access);
    }
    free(found);
}

static void permissions_are_text(void **state)
{
    static const char *const good[] = {"n0", "r5", "w32751", "b7"};
    static const char *const bad[] = {"", "x1", "r", "r-1", "r1x", "r99999", "1r", "r 1"};
    struct mbr_store_perm perm;
    char text[MBR_STORE_PERM_TEXT];

    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(mbr_store_perm_parse(good[i], &perm), 0);
        assert_int_equal(mbr_store_perm_text(&perm, text, sizeof(text)), 0);
        assert_string_equal(text, good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(mbr_store_perm_parse(bad[i], &perm), -EINVAL);
    assert_int_equal(mbr_store_perm_parse(NULL, &perm), -EINVAL);
    assert_int_equal(mbr_store_perm_text(&perm, text, 2), -EINVAL);
    perm.access = 4;
    assert_int_equal(mbr_store_perm_text(&perm, text, sizeof(text)), -EINVAL);
}

/* ---- transactions ---------------------------------------------------------------------------- */

static void commits_and_drops(void **state)
{
    uint64_t tx;

    put("/t/tx", "old");
    assert_int_equal(mbr_store_begin(s, &tx), 0);
    assert_int_equal(mbr_store_write(s, tx, "/t/tx", "new", 3), 0);
    expect(other, "/t/tx", "old");
    assert_int_equal(mbr_store_end(s, tx, 0), 0);
    expect(other, "/t/tx", "old");
    assert_int_equal(mbr_store_end(s, tx, 1), -ENOENT);
    assert_int_equal(mbr_store_begin(s, &tx), 0);
    assert_int_equal(mbr_store_write(s, tx, "/t/tx", "new", 3), 0);
    assert_int_equal(mbr_store_end(s, tx, 1), 0);
    expect(other, "/t/tx", "new");
}

static void conflicts_are_told(void **state)
{
    char *value = NULL;
    uint64_t tx;

    put("/t/tx", "old");
    assert_int_equal(mbr_store_begin(s, &tx), 0);
    assert_int_equal(mbr_store_read(s, tx, "/t/tx", &value, NULL), 0);
    free(value);
    assert_int_equal(mbr_store_write(other, 0, "/t/tx", "theirs", 6), 0);
    assert_int_equal(mbr_store_write(s, tx, "/t/tx", "mine", 4), 0);
    assert_int_equal(mbr_store_end(s, tx, 1), -EAGAIN);
    expect(s, "/t/tx", "theirs");
}

struct counting {
    int attempts;
    int disturb; /* so many times */
    int result;
};

static int count_up(struct mbr_store *store, uint64_t tx, void *arg)
{
    struct counting *c = arg;
    char *value = NULL;
    char text[16];
    int rc = mbr_store_read(store, tx, "/t/n", &value, NULL);

    c->attempts++;
    if (rc < 0)
        return rc;
    (void)snprintf(text, sizeof(text), "%d", atoi(value) + 1);
    free(value);
    if (c->attempts <= c->disturb)
        assert_int_equal(mbr_store_write(other, 0, "/t/n", "10", 2), 0);
    rc = mbr_store_write(store, tx, "/t/n", text, strlen(text));
    return rc < 0 ? rc : c->result;
}

static void transact_tries_again(void **state)
{
    struct counting c = {.disturb = 3};

    put("/t/n", "0");
    assert_int_equal(mbr_store_transact(s, count_up, &c, MBR_FOREVER), 0);
    assert_int_equal(c.attempts, 4);
    expect(s, "/t/n", "11");
}

static void transact_ends(void **state)
{
    struct counting once = {.disturb = 1};
    struct counting always = {.disturb = INT32_MAX};
    struct counting refusing = {.result = -ENOTEMPTY};

    put("/t/n", "0");
    assert_int_equal(mbr_store_transact(s, count_up, &once, 0), -EAGAIN);
    assert_int_equal(once.attempts, 1);
    assert_int_equal(mbr_store_transact(s, count_up, &always, 20 * MS), -EAGAIN);
    assert_true(always.attempts > 1);
    expect(s, "/t/n", "10");
    assert_int_equal(mbr_store_transact(s, count_up, &refusing, MBR_FOREVER), -ENOTEMPTY);
    assert_int_equal(refusing.attempts, 1);
    expect(s, "/t/n", "10");
    assert_int_equal(mbr_store_rm(s, 0, "/t/n"), 0);
    assert_int_equal(mbr_store_transact(s, count_up, &once, MBR_FOREVER), -ENOENT);
}

static void transactions_belong_to_their_handle(void **state)
{
    char *value = NULL;
    uint64_t tx;

    assert_int_equal(mbr_store_begin(s, &tx), 0);
    assert_int_equal(mbr_store_read(other, tx, "/", &value, NULL), -ENOENT);
    assert_int_equal(mbr_store_read(s, tx + (UINT64_C(1) << 32), "/", &value, NULL), -ECONNRESET);
    assert_int_equal(mbr_store_reset(s), 0);
    assert_int_equal(mbr_store_read(s, tx, "/", &value, NULL), -ECONNRESET);
    assert_int_equal(mbr_store_end(s, tx, 1), -ECONNRESET);
}

/* ---- watches --------------------------------------------------------------------------------- */

#define NOTES 64

static struct {
    char path[NOTES][128];
    int error[NOTES];
    void *arg[NOTES];
    size_t count;
} notes;

static void note(struct mbr_store *store, const struct mbr_store_event *e)
{
    assert_in_range(notes.count, 0, NOTES - 1);
    notes.error[notes.count] = e->error;
    notes.arg[notes.count] = e->arg;
    (void)snprintf(notes.path[notes.count++], sizeof(notes.path[0]), "%s", e->path);
}

/* Waits for exactly these events, a NULL behind the last, in this order. */
static void expect_notes(struct mbr_store *store, const char *const paths[])
{
    size_t n = 0;

    while (paths[n] != NULL)
        n++;
    while (notes.count < n) {
        if (mbr_store_wait(store, 20000 * MS) < 0)
            fail_msg("%zu events instead of %zu", notes.count, n);
    }
    (void)mbr_store_process(store);
    assert_int_equal(notes.count, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(notes.path[i], paths[i]);
        assert_int_equal(notes.error[i], 0);
    }
    notes.count = 0;
}

static void watches_call(void **state)
{
    struct mbr_store_watcher *w = NULL;
    int mark;

    notes.count = 0;
    put("/t/w", "");
    assert_int_equal(mbr_store_watch(s, "/t/w", MBR_STORE_ALL_DEPTHS, note, &mark, &w), 0);
    assert_int_equal(notes.count, 0); /* nothing is called from within other calls */
    expect_notes(s, (const char *const[]){"/t/w", NULL});
    assert_ptr_equal(notes.arg[0], &mark);
    assert_int_equal(mbr_store_write(other, 0, "/t/w/x/y", "1", 1), 0);
    assert_int_equal(mbr_store_write(other, 0, "/t/outside", "1", 1), 0);
    assert_int_equal(mbr_store_write(other, 0, "/t/w", "1", 1), 0);
    expect_notes(s, (const char *const[]){"/t/w/x/y", "/t/w", NULL});
    assert_int_equal(mbr_store_rm(other, 0, "/t/w/x"), 0);
    expect_notes(s, (const char *const[]){"/t/w/x", NULL});
    mbr_store_unwatch(w);
    assert_int_equal(mbr_store_write(other, 0, "/t/w", "2", 1), 0);
    assert_int_equal(mbr_store_exists(s, 0, "/t/w"), 1); /* its events would be here by now */
    assert_int_equal(mbr_store_process(s), 0);
    assert_int_equal(notes.count, 0);
}

static void expect_event(struct mbr_store *store, struct mbr_store_watcher *w, const char *path)
{
    struct mbr_store_event e;

    assert_int_equal(mbr_store_next_event(store, 20000 * MS, &e), 0);
    assert_string_equal(e.path, path);
    assert_int_equal(e.error, 0);
    assert_ptr_equal(e.watch, w);
}

static void no_event(struct mbr_store *store)
{
    struct mbr_store_event e;

    /* An answer comes behind all events that were caused before its question was asked. */
    assert_true(mbr_store_exists(store, 0, "/") >= 0);
    assert_int_equal(mbr_store_next_event(store, 0, &e), -ETIMEDOUT);
}

static void watches_are_polled(void **state)
{
    struct mbr_store_watcher *w = NULL;

    put("/t/w", "");
    assert_int_equal(mbr_store_watch(s, "/t/w", MBR_STORE_ALL_DEPTHS, NULL, NULL, &w), 0);
    expect_event(s, w, "/t/w");
    no_event(s);
    put("/t/w/a", "1");
    put("/t/w/b", "1");
    put("/t/w/a", "2"); /* equal to one that waits */
    expect_event(s, w, "/t/w/a");
    expect_event(s, w, "/t/w/b");
    no_event(s);
    put("/t/w/a", "3");
    expect_event(s, w, "/t/w/a");
    mbr_store_unwatch(w);
    no_event(s);
}

static void watches_know_depth(void **state)
{
    struct mbr_store_watcher *node = NULL;
    struct mbr_store_watcher *one = NULL;

    put("/t/w", "");
    assert_int_equal(mbr_store_watch(s, "/t/w", 0, NULL, NULL, &node), 0);
    expect_event(s, node, "/t/w");
    put("/t/w/a", "");
    no_event(s);
    put("/t/w", "1");
    expect_event(s, node, "/t/w");
    mbr_store_unwatch(node);
    assert_int_equal(mbr_store_watch(s, "/t/w", 1, NULL, NULL, &one), 0);
    expect_event(s, one, "/t/w");
    put("/t/w/a", "");
    expect_event(s, one, "/t/w/a");
    put("/t/w/a/b", "");
    no_event(s);
    mbr_store_unwatch(one);
}

static void watches_root_and_relative(void **state)
{
    struct mbr_store_watcher *root = NULL;
    struct mbr_store_watcher *relative = NULL;

    assert_int_equal(mbr_store_watch(s, "/", 1, NULL, NULL, &root), 0);
    expect_event(s, root, "/");
    assert_int_equal(mbr_store_watch(s, "t-rel", MBR_STORE_ALL_DEPTHS, NULL, NULL, &relative), 0);
    expect_event(s, relative, "t-rel");
    put("/t-top", "1");
    expect_event(s, root, "/t-top");
    put("t-rel/x", "1");
    expect_event(s, relative, "t-rel/x");
    assert_int_equal(mbr_store_exists(s, 0, "/local/domain/0/t-rel/x"), 1);
    mbr_store_unwatch(root);
    mbr_store_unwatch(relative);
    assert_int_equal(mbr_store_rm(s, 0, "/t-top"), 0);
    assert_int_equal(mbr_store_rm(s, 0, "t-rel"), 0);
}

static void watches_are_refused(void **state)
{
    struct mbr_store_watcher *w = NULL;

    notes.count = 0;
    assert_int_equal(mbr_store_watch(s, "/t//w", MBR_STORE_ALL_DEPTHS, NULL, NULL, &w), -EINVAL);
    assert_int_equal(mbr_store_watch(s, "/t//w", 3, NULL, NULL, &w), -EINVAL);
    assert_null(w);
    assert_int_equal(mbr_store_watch_start(s, "/t//w", 3, note, NULL, &w), 0);
    assert_true(mbr_store_wait(s, 20000 * MS) > 0);
    assert_int_equal(notes.count, 1);
    assert_int_equal(notes.error[0], -EINVAL);
    assert_string_equal(notes.path[0], "/t//w");
    notes.count = 0;
    mbr_store_unwatch(w);
}

static void watches_start_without_waiting(void **state)
{
    struct mbr_store_watcher *w[20];

    for (int i = 0; i < 20; i++)
        assert_int_equal(mbr_store_watch_start(s, "/t/w", MBR_STORE_ALL_DEPTHS, NULL, NULL, &w[i]),
                         0);
    for (int i = 0; i < 20; i++)
        expect_event(s, w[i], "/t/w");
    put("/t/w", "x");
    for (int i = 0; i < 10; i++)
        mbr_store_unwatch(w[i]); /* with its event waiting, or not yet here */
    for (int i = 10; i < 20; i++)
        expect_event(s, w[i], "/t/w");
    no_event(s);
    assert_int_equal(mbr_store_reset(s), 0);
    put("/t/w", "y");
    no_event(s);
}

/* More events than may wait become one, for the watched path. */
static void too_many_events_become_one(void **state)
{
    struct mbr_store_watcher *w = NULL;
    struct mbr_store_event e;
    size_t count = 0;
    bool whole = false;

    put("/t/flood", "");
    assert_int_equal(mbr_store_watch(s, "/t/flood", MBR_STORE_ALL_DEPTHS, NULL, NULL, &w), 0);
    expect_event(s, w, "/t/flood");
    fill("/t/flood", 6000);
    while (mbr_store_next_event(s, 0, &e) == 0) {
        count++;
        whole |= strcmp(e.path, "/t/flood") == 0;
    }
    assert_true(whole);
    assert_in_range(count, 1, 4096);
    put("/t/flood/after", "");
    expect_event(s, w, "/t/flood/after");
    mbr_store_unwatch(w);
}

static void many_watches(void **state)
{
    enum { COUNT = 2000 };
    static struct mbr_store_watcher *w[COUNT];
    char path[64];

    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(path, sizeof(path), "/t/many/%d", i);
        assert_int_equal(mbr_store_watch_start(s, path, MBR_STORE_ALL_DEPTHS, NULL, NULL, &w[i]),
                         0);
    }
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(path, sizeof(path), "/t/many/%d", i);
        expect_event(s, w[i], path);
    }
    for (int i = 0; i < COUNT; i += 100) {
        (void)snprintf(path, sizeof(path), "/t/many/%d", i);
        put(path, "x");
        expect_event(s, w[i], path);
    }
    for (int i = 0; i < COUNT; i++)
        mbr_store_unwatch(w[i]);
    no_event(s);
}

/* ---- without blocking ------------------------------------------------------------------------ */

struct ordered {
    int next;
    bool wrong;
};

struct numbered {
    struct ordered *all;
    int number;
};

static void in_order(struct mbr_store *store, void *arg, const struct mbr_store_result *r)
{
    struct numbered *n = arg;
    char expected[16];

    (void)snprintf(expected, sizeof(expected), "%d", n->number);
    n->all->wrong |= n->number != n->all->next++;
    if (n->number % 2 != 0)
        n->all->wrong |= r->error != 0 || strcmp(r->data, expected) != 0;
}

static void requests_are_pipelined(void **state)
{
    enum { COUNT = 4000 };
    static struct numbered n[COUNT];
    struct ordered all = {0};
    char value[16];

    for (int i = 0; i < COUNT; i++) {
        struct mbr_store_request r = {.size = sizeof(r), .path = "/t/pipe"};

        n[i] = (struct numbered){&all, i};
        (void)snprintf(value, sizeof(value), "%d", i + 1);
        r.op = i % 2 == 0 ? MBR_STORE_OP_WRITE : MBR_STORE_OP_READ;
        r.value = value;
        r.length = strlen(value);
        assert_int_equal(mbr_store_submit(s, &r, in_order, &n[i]), 0);
    }
    while (all.next < COUNT)
        assert_true(mbr_store_wait(s, 20000 * MS) > 0);
    assert_false(all.wrong);
}

static struct {
    int error;
    char data[64];
    size_t length;
    uint64_t tx;
    int calls;
} last;

static void keep_last(struct mbr_store *store, void *arg, const struct mbr_store_result *r)
{
    last.error = r->error;
    last.tx = r->tx;
    last.length = r->length;
    last.calls++;
    memcpy(last.data, r->data, r->length < 60 ? r->length + 1 : 60);
}

static void ask(struct mbr_store_request r)
{
    r.size = sizeof(r);
    assert_int_equal(mbr_store_submit(s, &r, keep_last, NULL), 0);
    last.calls = 0;
    while (last.calls == 0)
        assert_true(mbr_store_wait(s, 20000 * MS) > 0);
}

static void every_request_without_blocking(void **state)
{
    static const struct mbr_store_perm perms[] = {{0, MBR_STORE_READ}, {3, MBR_STORE_BOTH}};
    static const char *const words[] = {"help"};
    uint64_t tx;

    ask((struct mbr_store_request){
        .op = MBR_STORE_OP_WRITE, .path = "/t/a", .value = "v", .length = 1});
    assert_int_equal(last.error, 0);
    ask((struct mbr_store_request){.op = MBR_STORE_OP_READ, .path = "/t/a"});
    assert_string_equal(last.data, "v");
    ask((struct mbr_store_request){.op = MBR_STORE_OP_MKDIR, .path = "/t/b"});
    ask((struct mbr_store_request){.op = MBR_STORE_OP_LIST, .path = "/t"});
    assert_int_equal(last.length, 4);
    ask((struct mbr_store_request){
        .op = MBR_STORE_OP_SET_PERMS, .path = "/t/a", .perms = perms, .count = 2});
    assert_int_equal(last.error, 0);
    ask((struct mbr_store_request){.op = MBR_STORE_OP_GET_PERMS, .path = "/t/a"});
    assert_int_equal(last.length, 6);
    assert_memory_equal(last.data, "r0\0b3", 6);
    ask((struct mbr_store_request){.op = MBR_STORE_OP_BEGIN});
    assert_int_equal(last.error, 0);
    tx = last.tx;
    assert_int_not_equal(tx, 0);
    ask((struct mbr_store_request){.op = MBR_STORE_OP_RM, .path = "/t/b", .tx = tx});
    assert_int_equal(last.error, 0);
    ask((struct mbr_store_request){.op = MBR_STORE_OP_COMMIT, .tx = tx});
    assert_int_equal(last.error, 0);
    assert_int_equal(mbr_store_exists(s, 0, "/t/b"), 0);
    ask((struct mbr_store_request){.op = MBR_STORE_OP_BEGIN});
    tx = last.tx;
    ask((struct mbr_store_request){.op = MBR_STORE_OP_DROP, .tx = tx});
    assert_int_equal(last.error, 0);
    ask((struct mbr_store_request){.op = MBR_STORE_OP_DOMAIN_PATH, .domid = 12});
    assert_string_equal(last.data, "/local/domain/12");
    ask((struct mbr_store_request){.op = MBR_STORE_OP_IS_INTRODUCED, .domid = 12});
    assert_string_equal(last.data, "F");
    ask((struct mbr_store_request){.op = MBR_STORE_OP_CONTROL, .words = words, .count = 1});
    assert_int_equal(last.error, 0);
    ask((struct mbr_store_request){.op = MBR_STORE_OP_RELEASE, .domid = 12});
    assert_int_equal(last.error, -ENOENT);
}

/* Answers come to those who wait for them, in whatever order they wait. */
static void blocking_and_not_mix(void **state)
{
    struct mbr_store_request r = {
        .size = sizeof(r), .op = MBR_STORE_OP_WRITE, .path = "/t/mix", .value = "1", .length = 1};

    last.calls = 0;
    assert_int_equal(mbr_store_submit(s, &r, keep_last, NULL), 0);
    expect(s, "/t/mix", "1");
    assert_int_equal(last.calls, 0);
    assert_int_equal(mbr_store_process(s), 1);
    assert_int_equal(last.calls, 1);
    assert_int_equal(mbr_store_submit(s, &r, NULL, NULL), 0);
    assert_int_equal(mbr_store_wait(s, 20000 * MS), 1);
    assert_int_equal(mbr_store_wait(s, 0), -ETIMEDOUT);
    assert_int_equal(mbr_store_process(s), 0);
}

static bool readable(int fd, int ms)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, ms) == 1;
}

static void descriptor_tells(void **state)
{
    struct mbr_store_watcher *w = NULL;
    struct mbr_store_event e;
    int fd = mbr_store_fd(s);

    assert_true(fd >= 0);
    assert_int_equal(mbr_store_fd(s), fd);
    notes.count = 0;
    put("/t/fd", "");
    assert_int_equal(mbr_store_watch(s, "/t/fd", 0, note, NULL, &w), 0);
    while (notes.count == 0) {
        assert_true(readable(fd, 20000));
        (void)mbr_store_process(s);
    }
    assert_false(readable(fd, 0));
    assert_int_equal(mbr_store_write(other, 0, "/t/fd", "x", 1), 0);
    assert_true(readable(fd, 20000));
    /* A blocking call takes the event from the socket; the descriptor must say so all the same. */
    expect(s, "/t/fd", "x");
    assert_true(readable(fd, 20000));
    assert_int_equal(mbr_store_process(s), 1);
    assert_int_equal(notes.count, 2);
    assert_false(readable(fd, 0));
    mbr_store_unwatch(w);
    assert_int_equal(mbr_store_watch(s, "/t/fd", 0, NULL, NULL, &w), 0);
    expect(s, "/t/fd", "x");
    assert_true(readable(fd, 20000)); /* one that is polled for */
    assert_int_equal(mbr_store_next_event(s, 0, &e), 0);
    while (readable(fd, 0))
        (void)mbr_store_process(s); /* the answer to the end of the first watch */
    mbr_store_unwatch(w);
}

static void on_fd(struct mbr_watch *w, uint32_t events)
{
    assert_true(mbr_store_process(w->data) >= 0);
}

static void lives_in_a_wait_set(void **state)
{
    struct mbr_waitset *ws = NULL;
    struct mbr_watch fd = {.data = s};
    struct mbr_store_watcher *w = NULL;

    notes.count = 0;
    assert_int_equal(mbr_waitset_new(&ws), 0);
    assert_int_equal(mbr_watch_fd(ws, &fd, mbr_store_fd(s), EPOLLIN, on_fd), 0);
    assert_int_equal(mbr_store_watch_start(s, "/t/ws", 0, note, NULL, &w), 0);
    while (notes.count < 1)
        assert_true(mbr_waitset_wait(ws, 20000 * MS) > 0);
    assert_int_equal(mbr_store_write(other, 0, "/t/ws", "x", 1), 0);
    while (notes.count < 2)
        assert_true(mbr_waitset_wait(ws, 20000 * MS) > 0);
    assert_int_equal(mbr_waitset_wait(ws, 0), -ETIMEDOUT);
    mbr_watch_end(&fd);
    mbr_waitset_free(ws);
    mbr_store_unwatch(w);
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static void use_the_handle(struct mbr_store *store, void *arg, const struct mbr_store_result *r)
{
    const struct mbr_store_request next = {
        .size = sizeof(next), .op = MBR_STORE_OP_READ, .path = "/t/cb"};
    int *calls = arg;

    assert_int_equal(mbr_store_process(store), -EBUSY);
    assert_int_equal(mbr_store_wait(store, 0), -EBUSY);
    assert_int_equal(mbr_store_write(store, 0, "/t/cb", "from within", 11), 0);
    expect(store, "/t/cb", "from within");
    if (++*calls < 5)
        assert_int_equal(mbr_store_submit(store, &next, use_the_handle, arg), 0);
}

static void callbacks_use_the_handle(void **state)
{
    const struct mbr_store_request r = {.size = sizeof(r), .op = MBR_STORE_OP_READ, .path = "/"};
    int calls = 0;

    assert_int_equal(mbr_store_submit(s, &r, use_the_handle, &calls), 0);
    while (calls < 5)
        assert_true(mbr_store_wait(s, 20000 * MS) > 0);
}

static void close_it(struct mbr_store *store, void *arg, const struct mbr_store_result *r)
{
    int *calls = arg;

    if (++*calls == 1) {
        assert_int_equal(r->error, 0);
        mbr_store_close(store);
        assert_int_equal(mbr_store_exists(store, 0, "/"), -ENOTCONN);
    } else {
        assert_true(r->error == 0 || r->error == -ECANCELED);
    }
}

static void callbacks_close_the_handle(void **state)
{
    const struct mbr_store_request r = {.size = sizeof(r), .op = MBR_STORE_OP_READ, .path = "/"};
    struct mbr_store *third = open_one();
    int calls = 0;

    for (int i = 0; i < 10; i++)
        assert_int_equal(mbr_store_submit(third, &r, close_it, &calls), 0);
    assert_true(mbr_store_wait(third, 20000 * MS) > 0);
    assert_int_equal(calls, 10);
}

static void end_it(struct mbr_store *store, const struct mbr_store_event *e)
{
    struct mbr_store_watcher **w = e->arg;

    mbr_store_unwatch(*w);
    assert_string_equal(e->path, "/t/self"); /* valid for as long as the call lasts */
    *w = NULL;
}

static void callbacks_end_watches(void **state)
{
    struct mbr_store_watcher *w = NULL;

    assert_int_equal(mbr_store_watch(s, "/t/self", 0, end_it, &w, &w), 0);
    while (w != NULL)
        assert_true(mbr_store_wait(s, 20000 * MS) > 0);
    put("/t/self", "x");
    assert_true(mbr_store_exists(s, 0, "/") >= 0);
    (void)mbr_store_process(s);
}

static void canceled(struct mbr_store *store, void *arg, const struct mbr_store_result *r)
{
    int *calls = arg;

    assert_true(r->error == -ECANCELED || r->error == 0);
    ++*calls;
}

static void closing_cancels(void **state)
{
    const struct mbr_store_request r = {.size = sizeof(r), .op = MBR_STORE_OP_READ, .path = "/"};
    struct mbr_store *third = open_one();
    struct mbr_store_watcher *w = NULL;
    int calls = 0;

    assert_int_equal(mbr_store_watch_start(third, "/t", 0, note, NULL, &w), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(mbr_store_submit(third, &r, canceled, &calls), 0);
    notes.count = 0;
    mbr_store_close(third);
    assert_int_equal(calls, 100);
    assert_int_equal(notes.count, 0);
}

/* ---- domains --------------------------------------------------------------------------------- */

static void control_answers(void **state)
{
    static const char *const help[] = {"help"};
    static const char *const none[] = {"no-such-command"};
    char *text = NULL;
    size_t length = 0;

    assert_int_equal(mbr_store_control(s, help, 1, &text, &length), 0);
    assert_int_equal(strlen(text), length - (text[length - 1] == '\0'));
    assert_non_null(strstr(text, "check"));
    free(text);
    text = NULL;
    assert_int_equal(mbr_store_control(s, none, 1, &text, &length), -EINVAL);
    assert_null(text);
}

static void domains_have_paths(void **state)
{
    char *path = NULL;

    assert_int_equal(mbr_store_domain_path(s, 5, &path), 0);
    assert_string_equal(path, "/local/domain/5");
    free(path);
    assert_int_equal(mbr_store_domain_introduced(s, 5), 0);
    assert_int_equal(mbr_store_domain_introduced(s, 0), 1);
    assert_int_equal(mbr_store_domain_release(s, 5), -ENOENT);
    assert_int_equal(mbr_store_domain_release(s, 0), -EINVAL);
    assert_int_equal(mbr_store_domain_resume(s, 5), -ENOENT);
}

static void features_and_quotas(void **state)
{
    char **names = NULL;
    size_t count = 0;
    uint64_t before = 0;
    uint64_t value = 0;
    uint32_t bits = 0;

    assert_int_equal(mbr_store_get_features(s, MBR_STORE_SELF, &bits), 0);
    assert_int_equal(mbr_store_quota_names(s, &names, &count), 0);
    assert_true(count > 3);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(mbr_store_get_quota(s, MBR_STORE_DEFAULT, names[i], &value), 0);
    free(names);
    assert_int_equal(mbr_store_get_quota(s, MBR_STORE_DEFAULT, "nodes", &before), 0);
    assert_int_equal(mbr_store_set_quota(s, MBR_STORE_DEFAULT, "nodes", 1234), 0);
    assert_int_equal(mbr_store_get_quota(s, MBR_STORE_DEFAULT, "nodes", &value), 0);
    assert_int_equal(value, 1234);
    assert_int_equal(mbr_store_set_quota(s, MBR_STORE_DEFAULT, "nodes", before), 0);
    assert_int_not_equal(mbr_store_get_quota(s, MBR_STORE_DEFAULT, "no-such-quota", &value), 0);
}

/* A guest in this process: what it may not see it cannot even guess. */
static void guests_are_confined(void **state)
{
    const struct mbr_store_perm readable_by_7[] = {{0, MBR_STORE_NONE}, {7, MBR_STORE_READ}};
    struct mbr_store_watcher *released = NULL;
    struct mbr_store *guest = NULL;
    struct mbr_store *twin = NULL;
    char *value = NULL;

    if (!embedded) {
        print_message("guests: only of an embedded store\n");
        return;
    }
    put("/t/secret", "x");
    put("/t/open", "y");
    assert_int_equal(mbr_store_open_again(s, 7, &guest), 0);
    assert_int_equal(mbr_store_open_again(guest, 7, &twin), 0);
    /* Now that there is a domain 7: rights for one that is not known are void. */
    assert_int_equal(mbr_store_set_perms(s, 0, "/t/open", readable_by_7, 2), 0);
    assert_int_equal(mbr_store_domain_introduced(s, 7), 1);
    assert_int_equal(mbr_store_read(guest, 0, "/t/secret", &value, NULL), -EACCES);
    assert_int_equal(mbr_store_read(guest, 0, "/t/none", &value, NULL), -EACCES);
    expect(guest, "/t/open", "y");
    assert_int_equal(mbr_store_write(guest, 0, "/t/open", "z", 1), -EACCES);
    assert_int_equal(mbr_store_domain_introduce(guest, 9, 1, 1), -EACCES);
    assert_int_equal(
        mbr_store_watch(s, "@releaseDomain", MBR_STORE_ALL_DEPTHS, NULL, NULL, &released), 0);
    expect_event(s, released, "@releaseDomain");
    mbr_store_close(guest);
    assert_int_equal(mbr_store_domain_introduced(s, 7), 1);
    mbr_store_close(twin);
    assert_int_equal(mbr_store_domain_introduced(s, 7), 0);
    expect_event(s, released, "@releaseDomain");
    mbr_store_unwatch(released);
    assert_int_equal(mbr_store_open_again(s, 0x7ff0, &guest), -EINVAL);
}

static void reset_or_done(struct mbr_store *store, void *arg, const struct mbr_store_result *r)
{
    ++*(int *)arg;
    assert_true(r->error == -ENOENT || r->error == -EACCES || r->error == -ECONNRESET);
}

/* A guest that is released while it has a handle: its calls say so, and nothing else happens. */
static void guests_are_released(void **state)
{
    struct mbr_store *guest = NULL;
    int calls = 0;
    const struct mbr_store_request r = {.size = sizeof(r), .op = MBR_STORE_OP_READ, .path = "x"};

    if (!embedded)
        return;
    assert_int_equal(mbr_store_open_again(s, 8, &guest), 0);
    assert_int_equal(mbr_store_submit(guest, &r, reset_or_done, &calls), 0);
    assert_int_equal(mbr_store_domain_release(s, 8), 0);
    assert_int_not_equal(mbr_store_exists(guest, 0, "x"), 0);
    assert_int_equal(mbr_store_exists(guest, 0, "x"), -ENOTCONN);
    mbr_store_close(guest);
    assert_int_equal(calls, 1);
}

/* ---- processes and paths --------------------------------------------------------------------- */

static void dead_after_fork(void **state)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        int rc = mbr_store_exists(s, 0, "/");

        if (mbr_store_process(s) != -EPERM || mbr_store_fd(s) != -EPERM)
            _exit(2);
        mbr_store_close(s);
        _exit(rc == -EPERM ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    put("/t/after", "fork");
    expect(s, "/t/after", "fork");
}

static void knows_where_to_look(void **state)
{
    char path[128];

    assert_int_equal(setenv("XENSTORED_PATH", "/some/where", 1), 0);
    assert_int_equal(mbr_store_path(path, sizeof(path)), 0);
    assert_string_equal(path, "/some/where");
    assert_int_equal(mbr_store_path(path, 11), -ENAMETOOLONG);
    assert_int_equal(mbr_store_path(path, 12), 0);
    assert_int_equal(mbr_store_path(NULL, 12), -EINVAL);
    if (!embedded) {
        struct mbr_store *third = NULL;

        assert_int_equal(setenv("XENSTORED_PATH", daemon_of_test.socket, 1), 0);
        assert_int_equal(mbr_store_open(NULL, NULL, &third), 0);
        mbr_store_close(third);
    }
    if (!embedded && getenv("STORE_TEST_SOCKET") == NULL) {
        struct mbr_store *third = NULL;

        /* The daemon's socket for containers is there, and of another kind. */
        (void)snprintf(path, sizeof(path), "%s.objects", daemon_of_test.socket);
        assert_int_equal(mbr_store_open(path, NULL, &third), -ENOTSOCK);
    }
    assert_int_equal(unsetenv("XENSTORED_PATH"), 0);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/user/1", 1), 0);
    assert_int_equal(mbr_store_path(path, sizeof(path)), 0);
    assert_string_equal(path,
                        geteuid() == 0 ? "/run/membrane/store" : "/run/user/1/membrane/store");
}

int main(int argc, char **argv)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(reads_what_was_written),
        CASE(keeps_every_byte),
        CASE(takes_the_longest_and_no_longer),
        CASE(makes_and_removes),
        CASE(tells_what_is_wrong),
        CASE(refuses_nonsense),
        CASE(lists_children),
        CASE(lists_more_than_a_message_holds),
        CASE(sets_permissions),
        CASE(permissions_are_text),
        CASE(commits_and_drops),
        CASE(conflicts_are_told),
        CASE(transact_tries_again),
        CASE(transact_ends),
        CASE(transactions_belong_to_their_handle),
        CASE(watches_call),
        CASE(watches_are_polled),
        CASE(watches_know_depth),
        CASE(watches_root_and_relative),
        CASE(watches_are_refused),
        CASE(watches_start_without_waiting),
        CASE(too_many_events_become_one),
        CASE(many_watches),
        CASE(requests_are_pipelined),
        CASE(every_request_without_blocking),
        CASE(blocking_and_not_mix),
        CASE(descriptor_tells),
        CASE(lives_in_a_wait_set),
        CASE(callbacks_use_the_handle),
        CASE(callbacks_close_the_handle),
        CASE(callbacks_end_watches),
        CASE(closing_cancels),
        CASE(control_answers),
        CASE(domains_have_paths),
        CASE(features_and_quotas),
        CASE(guests_are_confined),
        CASE(guests_are_released),
        CASE(dead_after_fork),
        CASE(knows_where_to_look),
    };
    const char *elsewhere = getenv("STORE_TEST_SOCKET"); /* another daemon of this protocol */
    int failed;

    embedded = argc < 2 || strcmp(argv[1], "daemon") != 0;
    if (!embedded && elsewhere != NULL) {
        (void)snprintf(daemon_of_test.socket, sizeof(daemon_of_test.socket), "%s", elsewhere);
    } else if (!embedded && !daemon_util_init(&daemon_of_test, false)) {
        puts("skipped: membraned is not built");
        return 77;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (elsewhere == NULL)
        daemon_util_fini(&daemon_of_test);
    return failed;
}
