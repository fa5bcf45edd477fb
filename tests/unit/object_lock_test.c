/* SPDX-License-Identifier: MIT */
/*
 * Locks of blocks, case by case, in one thread that plays all members; and waiting, in two threads
 * whose naps never end by themselves, so that a wake-up that is lost is a test that hangs. All
 * interleavings are tests/model's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "lock_world.h"

#define SET(i) (&members[i].set[0])
#define TRIED  0u /* a deadline */

static bool endless_naps;
static unsigned naps, wakes;

int __real_mbr__futex_wait(uint32_t *word, uint32_t seen, uint32_t bits, uint64_t deadline);
int __wrap_mbr__futex_wait(uint32_t *word, uint32_t seen, uint32_t bits, uint64_t deadline);
void __real_mbr__futex_wake(uint32_t *word, uint32_t bits);
void __wrap_mbr__futex_wake(uint32_t *word, uint32_t bits);

int __wrap_mbr__futex_wait(uint32_t *word, uint32_t seen, uint32_t bits, uint64_t deadline)
{
    __atomic_fetch_add(&naps, 1, __ATOMIC_SEQ_CST);
    return __real_mbr__futex_wait(word, seen, bits, endless_naps ? UINT64_MAX : deadline);
}

void __wrap_mbr__futex_wake(uint32_t *word, uint32_t bits)
{
    __atomic_fetch_add(&wakes, 1, __ATOMIC_SEQ_CST);
    __real_mbr__futex_wake(word, bits);
}

static int setup(void **state)
{
    world_reset();
    endless_naps = false;
    naps = wakes = 0;
    return 0;
}

static int try_read(uint32_t member, uint32_t hold, uint32_t first, uint32_t count)
{
    return mbr__lock_read(SET(member), hold, first, count, TRIED);
}

static int try_write(uint32_t member, uint32_t hold, uint32_t first, uint32_t count)
{
    return mbr__lock_write(SET(member), hold, first, count, 0, 0, TRIED);
}

static void unlock(uint32_t member, uint32_t hold)
{
    mbr__unlock(SET(member), hold);
}

/* ---- who excludes whom ----------------------------------------------------------------------- */

static void many_readers(void **state)
{
    assert_int_equal(try_read(0, 0, 0, 3), 0);
    assert_int_equal(try_read(1, 0, 1, 1), 0);
    assert_int_equal(try_read(1, 1, 0, BLOCKS), 0);
    assert_int_equal(try_write(2, 0, 2, 1), -ETIMEDOUT);
    unlock(1, 1);
    assert_int_equal(try_write(2, 0, 2, 1), -ETIMEDOUT); /* member 0 still reads it */
    unlock(0, 0);
    assert_int_equal(try_write(2, 0, 2, 1), 0);
    unlock(2, 0);
    unlock(1, 0);
    assert_true(nothing_held());
}

static void one_writer(void **state)
{
    assert_int_equal(try_write(0, 0, 1, 3), 0);
    for (uint32_t b = 1; b < 4; b++) {
        assert_int_equal(try_read(1, 0, b, 1), -ETIMEDOUT);
        assert_int_equal(try_write(1, 0, b, 1), -ETIMEDOUT);
        assert_int_equal(try_write(0, 1, b, 1), -ETIMEDOUT); /* nor our own second access */
    }
    assert_int_equal(try_read(1, 0, 0, 1), 0);
    assert_int_equal(try_write(1, 1, 4, BLOCKS - 4), 0);
    unlock(1, 0);
    unlock(1, 1);
    unlock(0, 0);
    assert_true(nothing_held());
    assert_int_equal(try_read(1, 0, 0, BLOCKS), 0);
    unlock(1, 0);
}

/* What fails has nothing, and has disturbed nobody. */
static void fails_with_nothing_held(void **state)
{
    assert_int_equal(try_read(0, 0, 14, 1), 0);
    assert_int_equal(try_write(1, 0, 10, 8), -ETIMEDOUT);
    unlock(0, 0);
    assert_true(nothing_held());
    assert_int_equal(try_write(0, 0, 14, 1), 0);
    assert_int_equal(try_read(1, 0, 10, 8), -ETIMEDOUT);
    unlock(0, 0);
    assert_true(nothing_held());
}

static void other_objects(void **state)
{
    assert_int_equal(try_write(0, 0, 0, BLOCKS), 0);
    assert_int_equal(mbr__lock_write(&members[1].set[1], 0, 0, BLOCKS, 0, 0, TRIED), 0);
    mbr__unlock(&members[1].set[1], 0);
    unlock(0, 0);
    assert_true(nothing_held());
}

static void pinned_versions_are_no_readers(void **state)
{
    assert_int_equal(try_read(0, 0, 0, 1), 0);
    unlock(0, 0);
    shared.holds[0][0].what = mbr__hold_of(1, 0, 5) | MBR__HOLD_VERSION;
    assert_int_equal(try_write(1, 0, 0, 1), 0);
    unlock(1, 0);
    dead[0] = true;
    bury_member(&members[1].world, 0);
    assert_true(nothing_held());
}

static void inline_way(void **state)
{
    struct mbr__hold *h = &shared.holds[0][2];

    for (int i = 0; i < 3; i++) { /* the first of them sets the bits */
        assert_int_equal(mbr__lock_read_inline(SET(0), h, 2, 11, 2, TRIED), 0);
        assert_int_equal(try_write(1, 0, 12, 1), -ETIMEDOUT);
        mbr__unlock_read(SET(0), h, 11, 2);
        assert_true(nothing_held());
    }
    assert_int_equal(try_write(1, 0, 12, 1), 0);
    assert_int_equal(mbr__lock_read_inline(SET(0), h, 2, 11, 2, TRIED), -ETIMEDOUT);
    unlock(1, 0);
    assert_true(nothing_held());
}

static void versions_grow_with_writes(void **state)
{
    assert_int_equal(try_write(0, 0, 0, 2), 0);
    unlock(0, 0); /* it has not written */
    assert_int_equal(shared.locks[0][0].version, 0);
    assert_int_equal(try_write(0, 0, 0, 2), 0);
    mbr__lock_writing(SET(0), 0);
    unlock(0, 0);
    assert_int_equal(shared.locks[0][0].version, 1);
    assert_int_equal(shared.locks[0][1].version, 1);
    assert_int_equal(shared.locks[0][2].version, 0);
}

static void no_system_call(void **state)
{
    assert_int_equal(try_write(0, 0, 0, BLOCKS), 0);
    unlock(0, 0);
    assert_int_equal(try_read(0, 0, 0, BLOCKS), 0);
    unlock(0, 0);
    assert_int_equal(naps, 0);
    assert_int_equal(wakes, 0);
}

/* ---- the dead -------------------------------------------------------------------------------- */

static void dead_readers(void **state)
{
    assert_int_equal(try_read(0, 0, 0, 2), 0);
    assert_int_equal(try_read(1, 3, 1, 1), 0);
    dead[0] = dead[1] = true;
    assert_int_equal(try_write(2, 0, 0, 2), 0); /* in one go, although it may not wait */
    assert_int_equal(burials, 2);
    unlock(2, 0);
    assert_true(nothing_held());
}

static void dead_writer_that_had_not_begun(void **state)
{
    assert_int_equal(try_write(0, 1, 3, 12), 0);
    dead[0] = true;
    assert_int_equal(try_read(1, 0, 4, 1), 0);
    assert_int_equal(burials, 1);
    unlock(1, 0);
    assert_true(nothing_held());
}

static void dead_writer_leaves_it_torn(void **state)
{
    assert_int_equal(try_write(0, 1, 3, 2), 0);
    mbr__lock_writing(SET(0), 1);
    dead[0] = true;
    assert_int_equal(try_read(1, 0, 2, 3), -EOWNERDEAD);
    assert_int_equal(try_read(2, 0, 3, 1), -ENOTRECOVERABLE);
    assert_int_equal(try_write(2, 0, 4, 1), -EOWNERDEAD); /* each block, once */
    assert_int_equal(try_write(2, 0, 4, 1), -ENOTRECOVERABLE);
    assert_true(nothing_held());
    assert_int_equal(try_read(1, 0, 0, 3), 0);
    unlock(1, 0);
    assert_int_equal(mbr__lock_repair(SET(1), 0, BLOCKS), 2);
    assert_int_equal(mbr__lock_repair(SET(1), 0, BLOCKS), 0);
    assert_int_equal(try_read(1, 0, 2, 3), 0);
    unlock(1, 0);
    assert_int_equal(shared.locks[0][3].version, 1); /* its bytes have changed */
}

static void written_as_a_whole(void **state)
{
    shared.locks[0][5].torn = 1;
    shared.locks[0][6].torn = 2;
    assert_int_equal(mbr__lock_write(SET(0), 0, 4, 4, 5, 7, TRIED), 0);
    unlock(0, 0); /* it has not written */
    assert_int_equal(shared.locks[0][5].torn, 1);
    assert_int_equal(mbr__lock_write(SET(0), 0, 4, 4, 6, 7, TRIED), -EOWNERDEAD);
    assert_int_equal(mbr__lock_write(SET(0), 0, 4, 4, 5, 7, TRIED), 0);
    mbr__lock_writing(SET(0), 0);
    unlock(0, 0);
    assert_int_equal(try_read(1, 0, 4, 4), 0);
    unlock(1, 0);
}

/* A burial that stops after each of its steps in turn is finished by the next one. Played by
 * freeing some of the words beforehand. */
static void burial_again(void **state)
{
    for (uint32_t done = 0; done <= 3; done++) {
        world_reset();
        assert_int_equal(try_write(0, 0, 1, 3), 0);
        mbr__lock_writing(SET(0), 0);
        dead[0] = true;
        for (uint32_t b = 1; b < 4; b++)
            shared.locks[0][b].torn = 1;
        for (uint32_t b = 1; b < 1 + done; b++)
            shared.locks[0][b].writer = 0;
        assert_int_equal(mbr__lock_repair(SET(1), 1, done), done);
        bury_member(&members[1].world, 0);
        assert_true(nothing_held());
        for (uint32_t b = 1; b < 4; b++)
            assert_int_equal(shared.locks[0][b].torn, b < 1 + done ? 0 : 1);
    }
}

static void slots_are_used_again(void **state)
{
    assert_int_equal(try_write(0, 0, 0, 1), 0);
    dead[0] = true;
    bury_member(&members[1].world, 0);
    dead[0] = false;
    shared.page[0].state = MBR__MEMBER_HERE;
    assert_int_equal(try_read(0, 0, 0, 1), 0);
    assert_int_equal(try_write(1, 0, 0, 1), -ETIMEDOUT);
    unlock(0, 0);
    assert_true(nothing_held());
}

/* ---- what nobody wrote ----------------------------------------------------------------------- */

static void false_words(void **state)
{
    static const uint32_t words[] = {
        UINT32_MAX,
        0x1000,
        0x12345fff,
        2049,                       /* no slot */
        MEMBERS + 1,                /* a slot that was never used */
        4 | 7u << MBR__HOLDER_BITS, /* a free one */
        2 | 7u << MBR__HOLDER_BITS, /* a living member that has nothing */
    };

    shared.page[3].state = MBR__MEMBER_FREE;
    shared.holds[3][0].what = mbr__hold_of(1, 0, BLOCKS);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        shared.locks[0][2].writer = words[i];
        assert_int_equal(try_read(0, 0, 2, 1), 0);
        unlock(0, 0);
        shared.locks[0][2].writer = words[i];
        shared.locks[0][2].next = words[i];
        assert_int_equal(try_write(0, 0, 2, 1), 0);
        unlock(0, 0);
        shared.locks[0][2].next = words[i];
        assert_int_equal(try_read(0, 0, 2, 1), 0);
        unlock(0, 0);
    }
    shared.locks[0][2].readers[0] = shared.locks[0][2].readers[31] = UINT64_MAX;
    assert_int_equal(try_write(0, 0, 2, 1), 0);
    unlock(0, 0);
}

/* The same slot and block, but another attempt. */
static void false_word_beside_a_true_hold(void **state)
{
    assert_int_equal(try_write(1, 0, 2, 1), 0);
    shared.locks[0][2].writer += 1u << MBR__HOLDER_BITS;
    assert_int_equal(try_read(0, 0, 2, 1), 0);
    unlock(0, 0);
    unlock(1, 0);
    assert_true(nothing_held());
}

static void false_holds(void **state)
{
    assert_int_equal(try_write(0, 0, 0, BLOCKS), 0);
    shared.holds[0][0].what = UINT64_MAX & ~MBR__HOLD_VERSION;
    unlock(0, 0);
    shared.holds[0][0].what = UINT64_MAX & ~(MBR__HOLD_VERSION | MBR__HOLD_WRITE);
    unlock(0, 0);
    shared.holds[0][1].what =
        mbr__hold_of(1, 0xffff, 0x1ffff) | MBR__HOLD_WRITE | MBR__HOLD_WRITING;
    shared.holds[0][2].what = mbr__hold_of(1, 0xffff, 0x1ffff);
    shared.page[0].holds = UINT32_MAX;
    dead[0] = true;
    bury_member(&members[1].world, 0);
    for (uint32_t b = 0; b < BLOCKS; b++)
        shared.locks[0][b].torn = 7;
    assert_int_equal(try_read(1, 0, 0, 1), -ENOTRECOVERABLE);
    assert_int_equal(mbr__lock_repair(SET(1), 0, BLOCKS), BLOCKS);
}

/* ---- waiting --------------------------------------------------------------------------------- */

struct job {
    uint32_t member;
    bool write;
    uint32_t first, count;
    int result;
    uint32_t went; /* set when it has the blocks */
};

static void *run(void *arg)
{
    struct job *j = arg;

    j->result = j->write ? mbr__lock_write(SET(j->member), 0, j->first, j->count, 0, 0, MBR__NEVER)
                         : mbr__lock_read(SET(j->member), 0, j->first, j->count, MBR__NEVER);
    mbr_store_release(&j->went, 1);
    unlock(j->member, 0);
    return NULL;
}

/* Until `n` naps have begun, and the futex is probably slept on; if it is not yet, the word it
 * compares tells. */
static void until_asleep(unsigned n)
{
    while (__atomic_load_n(&naps, __ATOMIC_SEQ_CST) < n)
        mbr_cpu_relax();
}

static void woken(bool have_write, bool want_write)
{
    struct job j = {.member = 1, .write = want_write, .first = 0, .count = BLOCKS};
    pthread_t thread;

    endless_naps = true;
    for (uint32_t b = 0; b < BLOCKS; b++) {
        naps = 0;
        j.went = 0;
        assert_int_equal(have_write ? try_write(0, 0, b, 1) : try_read(0, 0, b, 1), 0);
        assert_int_equal(pthread_create(&thread, NULL, run, &j), 0);
        until_asleep(1);
        assert_int_equal(mbr_load_acquire(&j.went), 0);
        unlock(0, 0);
        pthread_join(thread, NULL);
        assert_int_equal(j.result, 0);
    }
    assert_true(nothing_held());
}

static void writer_wakes_writer(void **state)
{
    woken(true, true);
}

static void writer_wakes_reader(void **state)
{
    woken(true, false);
}

static void reader_wakes_writer(void **state)
{
    woken(false, true);
}

/* Who waits to read is let in by the writer that leaves, before another one can be. */
static void reader_is_granted(void **state)
{
    struct job j = {.member = 1, .write = false, .first = 2, .count = 1};
    pthread_t thread;

    assert_int_equal(try_write(0, 0, 2, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, run, &j), 0);
    until_asleep(1);
    while (mbr_load_acquire(&shared.holds[1][0].what) !=
           (mbr__hold_of(1, 2, 0) | MBR__HOLD_WAITING))
        mbr_cpu_relax();
    unlock(0, 0);
    assert_true((mbr_load_acquire(&shared.holds[1][0].what) & MBR__HOLD_WAITING) == 0);
    pthread_join(thread, NULL);
    assert_int_equal(j.result, 0);
    assert_true(nothing_held());
}

/* Once a writer waits, no new reader gets in. */
static void writer_is_not_passed(void **state)
{
    struct job j = {.member = 1, .write = true, .first = 2, .count = 1};
    pthread_t thread;

    assert_int_equal(try_read(0, 0, 2, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, run, &j), 0);
    until_asleep(1);
    assert_int_equal(try_read(2, 0, 2, 1), -ETIMEDOUT);
    assert_int_equal(mbr_load_acquire(&j.went), 0);
    unlock(0, 0);
    pthread_join(thread, NULL);
    assert_int_equal(j.result, 0);
    assert_true(nothing_held());
}

/* Who was killed with the block wakes nobody: the sleepers look. */
static void death_is_noticed(void **state)
{
    struct job j = {.member = 1, .write = true, .first = 0, .count = 3};
    pthread_t thread;

    for (uint32_t write = 0; write < 2; write++) {
        world_reset();
        naps = 0;
        j.went = 0;
        assert_int_equal(write ? try_write(0, 0, 2, 1) : try_read(0, 0, 2, 1), 0);
        assert_int_equal(pthread_create(&thread, NULL, run, &j), 0);
        until_asleep(1);
        __atomic_store_n(&dead[0], true, __ATOMIC_RELEASE);
        pthread_join(thread, NULL);
        assert_int_equal(j.result, 0);
        assert_int_equal(burials, 1);
    }
}

static void deadlines(void **state)
{
    assert_int_equal(try_write(0, 0, 2, 1), 0);
    for (uint64_t ns = 1; ns <= 10000000; ns *= 10) {
        uint64_t deadline = mbr__deadline_ns(ns);

        assert_int_equal(mbr__lock_read(SET(1), 0, 0, 3, deadline), -ETIMEDOUT);
        assert_true(mbr__now_ns() >= deadline);
        deadline = mbr__deadline_ns(ns);
        assert_int_equal(mbr__lock_write(SET(1), 0, 0, 3, 0, 0, deadline), -ETIMEDOUT);
        assert_true(mbr__now_ns() >= deadline);
    }
    unlock(0, 0);
    assert_true(nothing_held());
}

/* ---- the mutex ------------------------------------------------------------------------------- */

static int lock_mutex(uint32_t member, uint64_t deadline, uint32_t *gone)
{
    return mbr__shm_lock(&members[member].world, &shared.mutex, deadline, gone);
}

static void mutex_excludes(void **state)
{
    uint32_t gone = 99;

    assert_int_equal(lock_mutex(0, TRIED, &gone), 0);
    assert_int_equal(lock_mutex(1, TRIED, &gone), -ETIMEDOUT);
    uint64_t deadline = mbr__deadline_ns(6000000);

    assert_int_equal(lock_mutex(1, deadline, &gone), -ETIMEDOUT);
    assert_true(mbr__now_ns() >= deadline);
    mbr__shm_unlock(&members[0].world, &shared.mutex);
    assert_int_equal(lock_mutex(1, TRIED, &gone), 0);
    mbr__shm_unlock(&members[1].world, &shared.mutex);
    assert_int_equal(gone, 99);
}

static void mutex_of_the_dead(void **state)
{
    uint32_t gone = 99;

    assert_int_equal(lock_mutex(2, TRIED, &gone), 0);
    dead[2] = true;
    assert_int_equal(lock_mutex(1, TRIED, &gone), -EOWNERDEAD);
    assert_int_equal(gone, 2);
    assert_int_equal(lock_mutex(0, TRIED, &gone), -ETIMEDOUT);
    mbr__shm_unlock(&members[1].world, &shared.mutex);
    shared.mutex.word = 0xfff; /* nobody's name */
    assert_int_equal(lock_mutex(0, TRIED, &gone), 0);
}

/* A word that names a living member who does not have it: scribbled, or the slot was used again. */
static void mutex_that_nobody_has(void **state)
{
    uint32_t gone = 99;

    for (uint32_t count = 0; count < 3; count++) {
        shared.mutex.word = mbr__holder(2, count << MBR__MUTEX_TICKET_BITS | count);
        assert_int_equal(lock_mutex(1, TRIED, &gone), -EOWNERDEAD);
        assert_int_equal(gone, 2);
        assert_int_equal(lock_mutex(2, TRIED, &gone), -ETIMEDOUT);
        mbr__shm_unlock(&members[1].world, &shared.mutex);
    }
    assert_int_equal(lock_mutex(2, TRIED, &gone), 0);
    dead[2] = true; /* and is buried before anybody wants the mutex */
    bury_member(&members[0].world, 2);
    dead[2] = false;
    memset(shared.page[2].tickets, 0, sizeof(shared.page[2].tickets));
    memset(members[2].world.own, 0, sizeof(members[2].world.own));
    shared.page[2].state = MBR__MEMBER_HERE;
    assert_int_equal(lock_mutex(1, MBR__NEVER, &gone), -EOWNERDEAD);
    mbr__shm_unlock(&members[1].world, &shared.mutex);
    assert_int_equal(lock_mutex(2, TRIED, &gone), 0);
    mbr__shm_unlock(&members[2].world, &shared.mutex);
    for (uint32_t i = 0; i < MBR__MUTEX_TICKETS; i++) {
        assert_int_equal(shared.page[1].tickets[i], 0);
        assert_int_equal(shared.page[2].tickets[i], 0);
    }
}

/* Somebody has written the word, and the ticket for it: of a member that lives, and is that. */
static void mutex_and_ticket_scribbled(void **state)
{
    uint32_t word = mbr__holder(1, 5u << MBR__MUTEX_TICKET_BITS | 300);
    uint32_t gone = 99;

    shared.mutex.word = word;
    shared.page[1].tickets[300] = word;
    assert_int_equal(lock_mutex(2, TRIED, &gone), -ETIMEDOUT);
    assert_int_equal(lock_mutex(1, TRIED, &gone), 0); /* which knows better */
    shared.mutex.word = word;
    mbr__shm_unlock(&members[1].world, &shared.mutex);
    for (uint32_t i = 0; i < MBR__MUTEX_TICKETS; i++)
        assert_int_equal(members[1].world.own[i].word, 0);
    shared.mutex.word = word;
    shared.page[1].tickets[7] = 99;
    for (uint32_t i = 0; i < MBR__MUTEX_TICKETS; i++) {
        struct mbr__shm_mutex other = {0};

        assert_int_equal(mbr__shm_lock(&members[1].world, &other, TRIED, &gone), 0);
        mbr__shm_unlock(&members[1].world, &other);
    }
    for (uint32_t i = 0; i < MBR__MUTEX_TICKETS; i++)
        assert_int_equal(shared.page[1].tickets[i], 0);
    assert_int_equal(lock_mutex(2, TRIED, &gone), -EOWNERDEAD); /* in the end others do, too */
    mbr__shm_unlock(&members[2].world, &shared.mutex);
}

/* Even the word that the next attempt will be made with. */
static void mutex_scribbled_with_the_next(void **state)
{
    uint32_t gone = 99;

    shared.page[1].nonce = 3;
    shared.mutex.word = mbr__holder(1, 3u << MBR__MUTEX_TICKET_BITS);
    assert_int_equal(lock_mutex(1, TRIED, &gone), 0);
    assert_int_equal(lock_mutex(2, TRIED, &gone), -ETIMEDOUT);
    mbr__shm_unlock(&members[1].world, &shared.mutex);
    assert_int_equal(lock_mutex(2, TRIED, &gone), 0);
    mbr__shm_unlock(&members[2].world, &shared.mutex);
}

/* A process that has all its tickets in use waits for one, and no longer than it may. */
static void mutex_without_a_ticket(void **state)
{
    uint32_t gone;

    for (uint32_t i = 0; i < MBR__MUTEX_TICKETS; i++)
        members[1].world.own[i].word = 1;
    assert_int_equal(lock_mutex(1, TRIED, &gone), -ETIMEDOUT);
    assert_int_equal(lock_mutex(1, mbr__deadline_ns(3000000), &gone), -ETIMEDOUT);
    members[1].world.own[7].word = 0;
    assert_int_equal(lock_mutex(1, TRIED, &gone), 0);
    mbr__shm_unlock(&members[1].world, &shared.mutex);
}

static uint64_t counted;

static void *count(void *arg)
{
    uint32_t member = *(uint32_t *)arg;
    uint32_t gone;

    for (int i = 0; i < 20000; i++) {
        if (lock_mutex(member, MBR__NEVER, &gone) != 0)
            return arg;
        counted++;
        mbr__shm_unlock(&members[member].world, &shared.mutex);
    }
    return NULL;
}

static void mutex_between_threads(void **state)
{
    uint32_t who[MEMBERS] = {0, 1, 2, 2}; /* two of them of one member */
    pthread_t threads[MEMBERS];
    void *failed;

    endless_naps = true;
    counted = 0;
    for (uint32_t i = 0; i < MEMBERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, &who[i]), 0);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(counted, MEMBERS * 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(many_readers, setup),
        cmocka_unit_test_setup(one_writer, setup),
        cmocka_unit_test_setup(fails_with_nothing_held, setup),
        cmocka_unit_test_setup(other_objects, setup),
        cmocka_unit_test_setup(pinned_versions_are_no_readers, setup),
        cmocka_unit_test_setup(inline_way, setup),
        cmocka_unit_test_setup(versions_grow_with_writes, setup),
        cmocka_unit_test_setup(no_system_call, setup),
        cmocka_unit_test_setup(dead_readers, setup),
        cmocka_unit_test_setup(dead_writer_that_had_not_begun, setup),
        cmocka_unit_test_setup(dead_writer_leaves_it_torn, setup),
        cmocka_unit_test_setup(written_as_a_whole, setup),
        cmocka_unit_test_setup(burial_again, setup),
        cmocka_unit_test_setup(slots_are_used_again, setup),
        cmocka_unit_test_setup(false_words, setup),
        cmocka_unit_test_setup(false_word_beside_a_true_hold, setup),
        cmocka_unit_test_setup(false_holds, setup),
        cmocka_unit_test_setup(writer_wakes_writer, setup),
        cmocka_unit_test_setup(writer_wakes_reader, setup),
        cmocka_unit_test_setup(reader_wakes_writer, setup),
        cmocka_unit_test_setup(reader_is_granted, setup),
        cmocka_unit_test_setup(writer_is_not_passed, setup),
        cmocka_unit_test_setup(death_is_noticed, setup),
        cmocka_unit_test_setup(deadlines, setup),
        cmocka_unit_test_setup(mutex_excludes, setup),
        cmocka_unit_test_setup(mutex_of_the_dead, setup),
        cmocka_unit_test_setup(mutex_that_nobody_has, setup),
        cmocka_unit_test_setup(mutex_and_ticket_scribbled, setup),
        cmocka_unit_test_setup(mutex_scribbled_with_the_next, setup),
        cmocka_unit_test_setup(mutex_without_a_ticket, setup),
        cmocka_unit_test_setup(mutex_between_threads, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
