/* SPDX-License-Identifier: MIT */
/*
 * Buffers, the writing thread and group commit; see journal.h. What is done with LMDB is in
 * database.c.
 *
 * When a transaction is on the disk, those who waited for it are answered and soon ask again. So
 * the next one waits for about as many batches as there were, though never longer than a quarter of
 * what the last one took: without that, half of the clients would always just miss it.
 */
#include "journal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "../tools/exits.h"
#include "../tools/say.h"
#include "base/clock.h"
#include "database.h"
#include "log.h"
#include "record.h"

#define BUFFER_FIRST ((size_t)1 << 20)
#define BUFFER_MOST  ((size_t)64 << 20) /* of what waits for the disk, before everything waits */
#define LINGER_MAX   UINT64_C(1000000)
#define RETRY_NS     200000000L
#define PATIENCE_S   10

struct buffer {
    unsigned char *data;
    size_t length;
    size_t capacity;
    uint64_t last_seq;
    unsigned batches;
};

struct journal {
    struct database *database;
    struct mbr__store *store;
    int event;
    bool started;
    bool exhausted; /* a batch could not be kept: nothing is acknowledged any more */

    /* The loop's. */
    struct buffer filling;
    uint64_t told;
    unsigned expected;
    uint64_t linger_until;

    /* Both sides', under the mutex. */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    pthread_cond_t idle;
    struct buffer writing;
    bool busy; /* `writing` is the thread's */
    bool stop;
    uint64_t done;
    uint64_t took; /* ns of the last transaction */
    unsigned done_batches;
};

/* ---- the thread --------------------------------------------------------------------------------
 */

/* Sleeps before another attempt; false if there is no point in one. Called with the mutex. */
static bool wait_to_retry(struct journal *journal)
{
    struct timespec until;

    if (journal->stop)
        return false;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += RETRY_NS;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    (void)pthread_cond_timedwait(&journal->work, &journal->mutex, &until);
    return true;
}

/* Writes the buffer; false if the daemon ends before that has succeeded. */
static bool write_out(struct journal *journal)
{
    bool complained = false;

    for (;;) {
        int rc = database_write(journal->database, journal->writing.data, journal->writing.length,
                                journal->writing.last_seq);

        if (rc == 0) {
            if (complained)
                log_info("the state can be written again");
            return true;
        }
        if (!complained)
            log_error("the state cannot be written, clients wait: %s", database_error(rc));
        complained = true;
        (void)pthread_mutex_lock(&journal->mutex);

        bool again = wait_to_retry(journal);

        (void)pthread_mutex_unlock(&journal->mutex);
        if (!again)
            return false;
    }
}

static void report(struct journal *journal, bool written, uint64_t took)
{
    static const uint64_t one = 1;

    (void)pthread_mutex_lock(&journal->mutex);
    if (written)
        journal->done = journal->writing.last_seq;
    journal->done_batches = journal->writing.batches;
    journal->took = took;
    journal->busy = false;
    (void)pthread_cond_signal(&journal->idle);
    (void)pthread_mutex_unlock(&journal->mutex);
    if (write(journal->event, &one, sizeof(one)) < 0)
        (void)0; /* the counter is full: it is readable */
}

static void *run(void *argument)
{
    struct journal *journal = argument;

    (void)pthread_mutex_lock(&journal->mutex);
    for (;;) {
        while (!journal->busy && !journal->stop)
            (void)pthread_cond_wait(&journal->work, &journal->mutex);
        if (!journal->busy)
            break;
        (void)pthread_mutex_unlock(&journal->mutex);

        uint64_t begin = mbr__now_ns();
        bool written = write_out(journal);

        report(journal, written, mbr__now_ns() - begin);
        (void)pthread_mutex_lock(&journal->mutex);
    }
    (void)pthread_mutex_unlock(&journal->mutex);
    return NULL;
}

/* ---- opening and closing -----------------------------------------------------------------------
 */

static void init_sync(struct journal *journal)
{
    pthread_condattr_t attributes;

    (void)pthread_mutex_init(&journal->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&journal->work, &attributes);
    (void)pthread_cond_init(&journal->idle, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

static bool make_buffer(struct buffer *buffer)
{
    buffer->data = malloc(BUFFER_FIRST);
    buffer->capacity = BUFFER_FIRST;
    return buffer->data != NULL;
}

int journal_open(const char *dir, struct journal **out)
{
    struct journal *journal = calloc(1, sizeof(*journal));
    int code;

    if (journal == NULL)
        return tool_error_system(ENOMEM, "%s", dir);
    init_sync(journal);
    journal->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (journal->event < 0 || !make_buffer(&journal->filling) || !make_buffer(&journal->writing))
        code = tool_error_system(journal->event < 0 ? errno : ENOMEM, "%s", dir);
    else
        code = database_open(dir, &journal->database);
    if (code != TOOL_EXIT_OK) {
        journal_close(journal);
        return code;
    }
    *out = journal;
    return TOOL_EXIT_OK;
}

static void stop_thread(struct journal *journal)
{
    if (!journal->started)
        return;
    (void)pthread_mutex_lock(&journal->mutex);
    journal->stop = true;
    (void)pthread_cond_signal(&journal->work);
    (void)pthread_mutex_unlock(&journal->mutex);
    (void)pthread_join(journal->thread, NULL);
    journal->started = false;
}

void journal_close(struct journal *journal)
{
    if (journal == NULL)
        return;
    stop_thread(journal);
    database_close(journal->database);
    if (journal->event >= 0)
        (void)close(journal->event);
    (void)pthread_cond_destroy(&journal->work);
    (void)pthread_cond_destroy(&journal->idle);
    (void)pthread_mutex_destroy(&journal->mutex);
    free(journal->filling.data);
    free(journal->writing.data);
    free(journal);
}

/* Signals are the loop's. */
static int start_thread(struct journal *journal)
{
    sigset_t all;
    sigset_t before;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&journal->thread, NULL, run, journal);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return tool_error_system(rc, "the journal's thread");
    journal->started = true;
    return TOOL_EXIT_OK;
}

int journal_start(struct journal *journal, struct mbr__store *store, bool resumed)
{
    int code = TOOL_EXIT_OK;

    journal->store = store;
    if (!resumed)
        code = database_load(journal->database, store);
    journal->done = mbr__store_last_seq(store);
    journal->told = journal->done;
    return code == TOOL_EXIT_OK ? start_thread(journal) : code;
}

/* ---- filling -----------------------------------------------------------------------------------
 */

/* Waits until the thread has nothing to do. */
static void wait_idle(struct journal *journal)
{
    (void)pthread_mutex_lock(&journal->mutex);
    while (journal->busy)
        (void)pthread_cond_wait(&journal->idle, &journal->mutex);
    (void)pthread_mutex_unlock(&journal->mutex);
}

/* Gives the filled buffer to the thread, which is idle. */
static void hand_over(struct journal *journal)
{
    struct buffer empty = journal->writing;

    empty.length = 0;
    empty.batches = 0;
    (void)pthread_mutex_lock(&journal->mutex);
    journal->writing = journal->filling;
    journal->busy = true;
    (void)pthread_cond_signal(&journal->work);
    (void)pthread_mutex_unlock(&journal->mutex);
    journal->filling = empty;
}

static bool grow(struct buffer *buffer, size_t length)
{
    size_t capacity = buffer->capacity;
    unsigned char *data;

    while (capacity - buffer->length < length)
        capacity *= 2;
    if (capacity == buffer->capacity)
        return true;
    data = realloc(buffer->data, capacity);
    if (data == NULL)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

/* Room for one more batch of LENGTH bytes. Beyond the most, or without memory, the disk is waited
 * for: that is slow, and bounded. */
static bool make_room(struct journal *journal, size_t length)
{
    if (journal->filling.length + length <= BUFFER_MOST && grow(&journal->filling, length))
        return true;
    if (!journal->started)
        return grow(&journal->filling, length);
    wait_idle(journal);
    if (journal->filling.length != 0) {
        hand_over(journal);
        wait_idle(journal);
    }
    return grow(&journal->filling, length);
}

static unsigned char *put_change(unsigned char *at, const struct mbr__store_change *change)
{
    size_t size = record_size(change);

    *at = (unsigned char)change->kind;
    record_put64(at + 1, change->id);
    record_put32(at + 9, (uint32_t)size);
    if (size != 0)
        record_pack(at + RECORD_FRAME, change);
    return at + RECORD_FRAME + size;
}

void journal_append(struct journal *journal, const struct mbr__store_batch *batch)
{
    unsigned char *at;
    size_t length = 0;

    for (size_t i = 0; i < batch->count; i++)
        length += RECORD_FRAME + record_size(&batch->changes[i]);
    if (journal->exhausted || !make_room(journal, length)) {
        journal->exhausted = true;
        return;
    }
    at = journal->filling.data + journal->filling.length;
    for (size_t i = 0; i < batch->count; i++)
        at = put_change(at, &batch->changes[i]);
    journal->filling.length += length;
    journal->filling.last_seq = batch->seq;
    journal->filling.batches++;
}

/* ---- turns -------------------------------------------------------------------------------------
 */

int journal_descriptor(const struct journal *journal)
{
    return journal->event;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void journal_collect(struct journal *journal)
{
    uint64_t done;
    uint64_t took;
    unsigned batches;

    (void)pthread_mutex_lock(&journal->mutex);
    done = journal->done;
    took = journal->took;
    batches = journal->done_batches;
    (void)pthread_mutex_unlock(&journal->mutex);
    if (done == journal->told)
        return;
    journal->told = done;
    journal->expected = batches + journal->filling.batches;
    journal->linger_until = mbr__now_ns() + least(took / 4, LINGER_MAX);
    mbr__store_durable(journal->store, done);
}

static bool is_busy(struct journal *journal)
{
    bool busy;

    (void)pthread_mutex_lock(&journal->mutex);
    busy = journal->busy;
    (void)pthread_mutex_unlock(&journal->mutex);
    return busy;
}

bool journal_turn(struct journal *journal)
{
    if (journal->exhausted) {
        log_error("no memory for the journal: ending, with everything acknowledged on disk");
        return false;
    }
    if (journal->filling.batches == 0 || is_busy(journal))
        return true;
    if (journal->filling.batches < journal->expected && mbr__now_ns() < journal->linger_until)
        return true;
    hand_over(journal);
    return true;
}

uint64_t journal_deadline(const struct journal *journal)
{
    /* While the thread is at work it will ring; otherwise what has gathered lingers. */
    if (journal->filling.batches == 0)
        return MBR__NEVER;
    return is_busy((struct journal *)(uintptr_t)journal) ? MBR__NEVER : journal->linger_until;
}

/* As wait_idle(), but gives up on a disk that fails. */
static bool idle_in_time(struct journal *journal)
{
    struct timespec until;
    bool busy;
    int rc = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    (void)pthread_mutex_lock(&journal->mutex);
    while (journal->busy && rc == 0)
        rc = pthread_cond_timedwait(&journal->idle, &journal->mutex, &until);
    busy = journal->busy;
    (void)pthread_mutex_unlock(&journal->mutex);
    return !busy;
}

bool journal_flush(struct journal *journal)
{
    bool flushed = idle_in_time(journal);

    if (flushed && journal->filling.length != 0 && !journal->exhausted) {
        hand_over(journal);
        flushed = idle_in_time(journal);
    }
    journal_collect(journal);
    return flushed && !journal->exhausted;
}
