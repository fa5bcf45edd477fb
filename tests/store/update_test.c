/* SPDX-License-Identifier: MIT */
/*
 * What a live update must carry over and no client sees at once: which events make equal ones
 * superfluous, and to whom it is charged that somebody has not read. Also which versions of the
 * stream are read.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "local.h"
#include "store/domain.h"

/* Events that wait for WHO, which are read. */
static unsigned events(struct local *local, char who)
{
    unsigned count = 0;

    while (local_next(local, who)[0] == '@')
        count++;
    return count;
}

static void start(struct local *local)
{
    assert_int_equal(local_init(local, NULL), 0);
    assert_string_equal(local_ask(local, 'A', MBR__XS_WRITE, 0, "/x|"), "OK|");
    assert_string_equal(local_ask(local, 'A', MBR__XS_SET_PERMS, 0, "/x|b0|"), "OK|");
    assert_string_equal(local_ask(local, 'B', MBR__XS_WATCH, 0, "/x|t|"), "OK|");
    assert_int_equal(events(local, 'B'), 1);
}

static void write_to(struct local *local, char who, const char *path)
{
    assert_string_equal(local_ask(local, who, MBR__XS_WRITE, 0, path), "OK|");
}

static void end(struct local *local)
{
    local_check(local);
    local_fini(local);
}

static void equal_events_stay_one(void **state)
{
    struct local local;

    start(&local);
    write_to(&local, 'A', "/x|1"); /* alone in its queue */
    assert_int_equal(local_update(&local), 0);
    write_to(&local, 'A', "/x|2");
    assert_int_equal(events(&local, 'B'), 1);
    write_to(&local, 'A', "/x|3");
    write_to(&local, 'A', "/x/y|1"); /* among others */
    write_to(&local, 'A', "/x/z|1");
    assert_int_equal(local_update(&local), 0);
    for (unsigned i = 0; i < 3; i++) {
        write_to(&local, 'A', "/x/z|2");
        write_to(&local, 'A', "/x|4");
        write_to(&local, 'A', "/x/y|2");
    }
    assert_int_equal(events(&local, 'B'), 3);
    write_to(&local, 'A', "/x|5"); /* what was read does not count */
    assert_int_equal(events(&local, 'B'), 1);
    end(&local);
}

static uint64_t outstanding(const struct local *local)
{
    return mbr__st_domain_find(local->store, 1)->used[MBR__STORE_QUOTA_OUTSTANDING];
}

static void what_is_unread_stays_charged(void **state)
{
    struct local local;

    start(&local);
    write_to(&local, 'a', "/x/1|");
    write_to(&local, 'a', "/x/2|");
    assert_int_equal(outstanding(&local), 2);
    assert_int_equal(local_update(&local), 0);
    assert_int_equal(outstanding(&local), 2);
    write_to(&local, 'a', "/x/3|");
    assert_int_equal(outstanding(&local), 3);
    assert_int_equal(local_update(&local), 0);
    assert_int_equal(events(&local, 'B'), 3);
    assert_int_equal(outstanding(&local), 0);
    end(&local);
}

/* One request, of which several have something to read, is charged once, until the last has. */
static void a_request_is_charged_once(void **state)
{
    struct local local;

    start(&local);
    assert_string_equal(local_ask(&local, 'C', MBR__XS_WATCH, 0, "/x|t|"), "OK|");
    assert_int_equal(events(&local, 'C'), 1);
    write_to(&local, 'a', "/x/1|");
    assert_int_equal(local_update(&local), 0);
    assert_int_equal(outstanding(&local), 1);
    assert_int_equal(events(&local, 'B'), 1);
    assert_int_equal(outstanding(&local), 1);
    assert_int_equal(events(&local, 'C'), 1);
    assert_int_equal(outstanding(&local), 0);
    end(&local);
}

static void a_charge_ends_in_time(void **state)
{
    struct local local;

    start(&local);
    write_to(&local, 'a', "/x/1|");
    assert_int_equal(local_update(&local), 0);
    assert_true(mbr__store_deadline(local.store) != UINT64_MAX);
    local.now += UINT64_C(19000000000);
    (void)mbr__store_work(local.store, 10);
    assert_int_equal(outstanding(&local), 1);
    local.now += UINT64_C(2000000000);
    (void)mbr__store_work(local.store, 10);
    assert_int_equal(outstanding(&local), 0);
    end(&local);
}

/* The limit holds over an update, and who had reached it goes on when it is read. */
static void a_full_domain_stays_full(void **state)
{
    struct local local;

    start(&local);
    for (char path[] = "/x/a|"; path[3] < 'a' + 20; path[3]++)
        write_to(&local, 'a', path);
    assert_int_equal(local_update(&local), 0);
    assert_int_equal(local_send(&local, 'a', MBR__XS_WRITE, 0, "/x/more|"), -EBUSY);
    assert_int_equal(events(&local, 'B'), 20);
    write_to(&local, 'a', "/x/more|");
    end(&local);
}

/* ---- The stream's version ---- */

struct stream {
    unsigned char bytes[65536];
    size_t length, at;
};

static int into(void *user, const void *data, size_t length)
{
    struct stream *stream = user;

    if (length > sizeof(stream->bytes) - stream->length)
        return -ENOSPC;
    memcpy(stream->bytes + stream->length, data, length);
    stream->length += length;
    return 0;
}

static int out_of(void *user, void *data, size_t length)
{
    struct stream *stream = user;

    if (length > stream->length - stream->at)
        return -EBADMSG;
    memcpy(data, stream->bytes + stream->at, length);
    stream->at += length;
    return 0;
}

/* What reading a store without connections as of VERSION says. */
static int read_version(unsigned char version)
{
    static struct stream stream;
    struct mbr__store_options options = {0};
    struct mbr__store *from;
    struct mbr__store *to;
    int error;

    stream.length = stream.at = 0;
    assert_int_equal(mbr__store_new(&options, &from), 0);
    assert_int_equal(mbr__store_new(&options, &to), 0);
    assert_int_equal(mbr__store_dump(from, into, &stream), 0);
    stream.bytes[8] = version; /* behind the magic number */
    error = mbr__store_restore(to, out_of, &stream);
    mbr__store_free(from);
    mbr__store_free(to);
    return error;
}

static void streams_of_this_version_and_the_last_are_read(void **state)
{
    assert_int_equal(read_version(0), -EPROTONOSUPPORT);
    assert_int_equal(read_version(1), 0);
    assert_int_equal(read_version(2), 0);
    assert_int_equal(read_version(3), -EPROTONOSUPPORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_events_stay_one),
        cmocka_unit_test(what_is_unread_stays_charged),
        cmocka_unit_test(a_request_is_charged_once),
        cmocka_unit_test(a_charge_ends_in_time),
        cmocka_unit_test(a_full_domain_stays_full),
        cmocka_unit_test(streams_of_this_version_and_the_last_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
