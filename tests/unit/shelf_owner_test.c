/* SPDX-License-Identifier: MIT */
/*
 * The daemon looks through its directory of containers (daemon/shelf_dir.c) while "membrane-owner"
 * files are damaged: each bit turned over, the file cut off after each byte, other things in its
 * place. Such a container is logged and not served, the one beside it is, and it is again what it
 * was when the file is.
 *
 * Not here: calls that fail (shelf_fault_test.c), damage to the other files (object_disk_test.c).
 */
#define MBR_OBJECTS_NO_SHORT_NAMES /* the daemon has names of its own */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "object/crc32c.h"
#include "prop.h"
#include "shelf_scene.h"

#define OWNER_SIZE 276
#define SUM_AT     272

static const struct stored_what damaged = {
    .uid = 1234,
    .group = 77,
    .flags = MBR_CONTAINER_KEPT | MBR_CONTAINER_PERSISTENT | MBR_CONTAINER_CHECKSUMS,
    .policy = MBR_WRITE_VERSIONED,
    .name = "damaged",
};
static const struct stored_what beside = {
    .uid = 99,
    .group = -1,
    .flags = MBR_CONTAINER_KEPT | MBR_CONTAINER_PERSISTENT,
    .name = "beside",
};

static struct shelf *shelf;
static char file[128]; /* of the container that is damaged, the first that was made */
static unsigned char whole[OWNER_SIZE];

/* Without emptying it first, which some file systems take for a reason to wait for the disk. */
static void write_file(const unsigned char *bytes, size_t length)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    assert_int_equal(ftruncate(fd, (off_t)length), 0);
    (void)close(fd);
}

static int begin(void **state)
{
    struct stat st;
    int fd;

    (void)scene_begin(state);
    shelf = scene_open(0);
    scene_end(scene_make(shelf, &damaged));
    scene_end(scene_make(shelf, &beside));
    (void)snprintf(file, sizeof(file), "%s/0000000000000001/membrane-owner", scene_place);
    fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, OWNER_SIZE);
    assert_int_equal(read(fd, whole, sizeof(whole)), OWNER_SIZE);
    (void)close(fd);
    return 0;
}

static int end(void **state)
{
    shelf_close(shelf);
    return scene_clear(state);
}

static void assert_is(const struct stored_what *what, const struct stored_what *as, uint64_t number)
{
    assert_int_equal(what->number, number);
    assert_int_equal(what->uid, as->uid);
    assert_int_equal(what->group, as->group);
    assert_int_equal(what->flags, as->flags);
    assert_int_equal(what->policy, as->policy);
    assert_string_equal(what->name, as->name);
}

static const struct stored_what *found(uint64_t number)
{
    for (unsigned i = 0; i < scene_count; i++) {
        if (stored_what(scene_found[i])->number == number)
            return stored_what(scene_found[i]);
    }
    return NULL;
}

/* What is beside it is served in any case. */
static void scan(void)
{
    const struct stored_what *other;

    assert_int_equal(scene_scan(shelf), TOOL_EXIT_OK);
    other = found(2);
    assert_non_null(other);
    assert_is(other, &beside, 2);
}

static void assert_refused(void)
{
    scan();
    assert_int_equal(scene_count, 1);
    assert_int_equal(scene_lines, 1);
    assert_non_null(strstr(scene_said, "0000000000000001: not served: "));
    scene_free_found();
}

/* Not for another reason than what stands in it. */
static void assert_bad(void)
{
    assert_refused();
    assert_non_null(strstr(scene_said, strerror(EBADMSG)));
}

static void assert_served(void)
{
    scan();
    assert_int_equal(scene_count, 2);
    assert_int_equal(scene_lines, 0);
    assert_is(found(1), &damaged, 1);
    scene_free_found();
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void test_each_bit(void **state)
{
    unsigned char bytes[OWNER_SIZE];

    (void)state;
    assert_served();
    for (unsigned bit = 0; bit < 8 * OWNER_SIZE; bit++) {
        memcpy(bytes, whole, OWNER_SIZE);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        write_file(bytes, OWNER_SIZE);
        assert_bad();
    }
    write_file(whole, OWNER_SIZE);
    assert_served();
}

static void test_each_byte(void **state)
{
    unsigned char bytes[OWNER_SIZE];

    (void)state;
    for (unsigned i = 0; i < OWNER_SIZE; i++) {
        memcpy(bytes, whole, OWNER_SIZE);
        bytes[i] = (unsigned char)~bytes[i];
        write_file(bytes, OWNER_SIZE);
        assert_bad();
    }
    write_file(whole, OWNER_SIZE);
    assert_served();
}

/* Cut off, and filled up with zeroes as some file systems do after a crash. */
static void test_each_truncation(void **state)
{
    unsigned char bytes[OWNER_SIZE];

    (void)state;
    for (unsigned length = 0; length < OWNER_SIZE; length++) {
        write_file(whole, length);
        assert_refused();
        memset(bytes, 0, OWNER_SIZE);
        memcpy(bytes, whole, length);
        if (memcmp(bytes, whole, OWNER_SIZE) == 0)
            continue;
        write_file(bytes, OWNER_SIZE);
        assert_bad();
    }
    write_file(whole, OWNER_SIZE);
    assert_served();
}

/* What stands behind it was not written by the daemon. */
static void test_longer(void **state)
{
    unsigned char bytes[OWNER_SIZE + 4096] = {0};

    (void)state;
    memcpy(bytes, whole, OWNER_SIZE);
    write_file(bytes, OWNER_SIZE + 1);
    assert_bad();
    write_file(bytes, sizeof(bytes));
    assert_bad();
    assert_false(shelf_unread(shelf)); /* that does not pass */
    write_file(whole, OWNER_SIZE);
    assert_served();
}

/* Every second time behind the right magic. */
static void test_other_bytes(void **state)
{
    unsigned char bytes[OWNER_SIZE];
    uint32_t x = 1;

    (void)state;
    for (int round = 0; round < 500; round++) {
        for (unsigned i = 0; i < OWNER_SIZE; i++) {
            x = x * 1103515245u + 12345u;
            bytes[i] = (unsigned char)(x >> 16);
        }
        if (round % 2)
            memcpy(bytes, whole, 8);
        write_file(bytes, OWNER_SIZE);
        assert_bad();
    }
}

/* ---- what the daemon would not write, with the right checksum -------------------------------- */

static void put32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static void write_sealed(unsigned char bytes[OWNER_SIZE])
{
    put32(bytes + SUM_AT, mbr__crc32c(0, bytes, SUM_AT));
    write_file(bytes, OWNER_SIZE);
}

static void test_fields(void **state)
{
    static const struct {
        unsigned at;
        uint32_t value;
    } cases[] = {
        {8, 0}, /* version */
        {8, 2},
        {16, UINT32_C(1) << 31}, /* group */
        {16, 0xfffffffe},
        {20, 0}, /* flags */
        {20, MBR_CONTAINER_KEPT},
        {20, MBR_CONTAINER_PERSISTENT},
        {20, 0xffffffff},
        {24, MBR_WRITE_VERSIONED + 1}, /* policy */
        {24, 0xffffffff},
        {28, 0}, /* length of the name */
        {28, 8}, /* one more than there is: a NUL in it */
        {28, 241},
        {28, 0xffffffff},
        {32, 0x2f2f2f2f}, /* the name */
        {32, 0},
        {32, 0xffffffff},
    };
    unsigned char bytes[OWNER_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy(bytes, whole, OWNER_SIZE);
        put32(bytes + cases[i].at, cases[i].value);
        write_sealed(bytes);
        assert_refused();
    }
    memcpy(bytes, whole, OWNER_SIZE);
    write_sealed(bytes);
    assert_served();
}

/* ---- other things in its place --------------------------------------------------------------- */

static void test_no_plain_file(void **state)
{
    char aside[160];

    (void)state;
    (void)snprintf(aside, sizeof(aside), "%s.aside", file);
    assert_int_equal(rename(file, aside), 0);
    assert_refused();
    assert_int_equal(symlink("membrane-owner.aside", file), 0);
    assert_refused();
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_refused();
    assert_int_equal(rmdir(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_refused();
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rename(aside, file), 0);
    assert_int_equal(chmod(file, 0620), 0);
    assert_refused();
    assert_int_equal(chmod(file, 0600), 0);
    assert_served();
}

static void put(const char *name, bool directory)
{
    char path[160];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", scene_place, name);
    if (directory) {
        assert_int_equal(mkdir(path, 0700), 0);
        return;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

/* Names of containers: a file of such a name is said to be none; others are not looked at, but for
 * what was being made or removed. */
static void test_other_names(void **state)
{
    static const char *const others[] = {"0000000000000000",  "0123",  "000000000000000A",
                                         "00000000000000011", "new-1", "lost+found"};

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        put(others[i], i % 2);
    put("new-0000000000000007", true);
    put("old-0000000000000008", true);
    put("old-0000000000000008/membrane-owner", false);
    put("old-0000000000000008/membrane-blocks", false);
    assert_served();
    assert_int_equal(scene_entries(), 2 + sizeof(others) / sizeof(others[0]));
    put("0000000000000009", false);
    scan();
    assert_int_equal(scene_count, 2);
    assert_int_equal(scene_lines, 1);
    assert_non_null(strstr(scene_said, "0000000000000009: not served: "));
    scene_free_found();
}

/* After the last number there is no other: one with number 0 would not be found again. */
static void test_last_number(void **state)
{
    struct stored *stored = stored_new(shelf, &damaged);
    struct desk *desk = stored != NULL ? desk_new(stored) : NULL;
    unsigned entries;

    (void)state;
    assert_non_null(desk);
    put("ffffffffffffffff", true);
    entries = scene_entries();
    scan();
    assert_int_equal(scene_count, 2);
    assert_int_equal(scene_lines, 1);
    scene_free_found();
    assert_int_equal(scene_do(desk, DESK_MAKE), -ENOSPC);
    assert_int_equal(scene_entries(), entries);
    scene_end(desk);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
    const struct CMUnitTest tests[] = {
        T(test_each_bit),    T(test_each_byte),   T(test_each_truncation),
        T(test_longer),      T(test_other_bytes), T(test_no_plain_file),
        T(test_other_names), T(test_last_number), T(test_fields),
    };

    return cmocka_run_group_tests(tests, scene_group_begin, scene_group_end);
}
