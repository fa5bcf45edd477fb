/* SPDX-License-Identifier: MIT */
/*
 * The record ring and the park/wake protocol under a weak-memory checker. What runs here is the
 * real code: ring.h, ring.c and wait.c, compiled as C++ with Relacy's atomics in the place of ours
 * (relacy_atomic.hh). Sleeping is a condition variable that only the bell ends, so a lost wake-up
 * is a deadlock.
 *
 * Then every ordering that the code has used is left out in turn, each in every model: at least one
 * must fail, or the ordering is in the list of those that nothing needs, with the reason.
 *
 * Not here: the bell's pipe and epoll (tests/unit/wait_test.c), deaths and sessions
 * (session_test.c).
 */

/* Relacy switches stacks with longjmp(), which the fortified one takes for an attack. */
#undef _FORTIFY_SOURCE

#include <ostream>
#include <relacy/relacy.hpp>

#define MBR_ATOMIC_MODEL "../../tests/model/relacy_atomic.hh"

/* In the place of headers whose own atomics are not our subject. */
#define MBR_SHM_PROC_H
static uint32_t mbr__fork_mark(void)
{
    return 1;
}

#define MBR_BASE_CLOCK_H
#define MBR__NEVER UINT64_MAX
static uint64_t mbr__now_ns(void)
{
    return 0;
}

static uint64_t mbr__ticks(void)
{
    return 0;
}

static uint64_t mbr__ticks_to_ns(uint64_t ticks)
{
    return ticks;
}

#include "event/wait.h"
#include "event/wait_fd.h"
#include "ring/ring.h"
#undef _GNU_SOURCE
#include "../../src/event/wait.c"
#include "../../src/ring/ring.c"

/* ---- what wait.c calls ------------------------------------------------------------------------
 */

size_t mbr__timers_expire(struct mbr__timers *, uint64_t)
{
    return 0;
}

void mbr__spin_won(struct mbr__spin *, uint64_t)
{
}

void mbr__spin_lost(struct mbr__spin *, uint64_t, uint64_t)
{
}

void mbr__waitset_fd_end(struct mbr__waitset *, struct mbr__watch *)
{
}

int mbr__waitset_timer_fd(struct mbr__waitset *, uint64_t)
{
    return 0;
}

void mbr__panic(const char *file, int line, const char *, ...)
{
    fprintf(stderr, "%s:%d: broken invariant\n", file, line);
    abort();
}

/* The pipe behind a wait set: what was rung, and sleeping until something is. */
struct bell {
    rl::mutex lock;
    rl::condition_variable news;
    uint32_t rung[8];
    unsigned count;
};

static bell *bells[2]; /* by "descriptor" */

void mbr__bell_ring(int wake_fd, uint32_t name)
{
    bell *b = bells[wake_fd];

    b->lock.lock($);
    b->rung[b->count++ % 8] = name;
    b->news.notify_one($);
    b->lock.unlock($);
}

/* Sleeps without end unless it may only look. */
int mbr__waitset_collect(struct mbr__waitset *ws, uint64_t deadline)
{
    bell *b = bells[ws->bell];

    b->lock.lock($);
    while (b->count == 0 && deadline != 0)
        b->news.wait(b->lock, $);
    for (unsigned i = 0; i < b->count && ws->ncold > 0; i++) {
        if (ws->rang != NULL)
            ws->rang(ws, b->rung[i]);
        else
            ws->sweep = true;
    }
    b->count = 0;
    b->lock.unlock($);
    return 0;
}

/* ---- what all models have ---------------------------------------------------------------------
 */

/* A ring between thread 0, the producer, and thread 1, each with a wait set of its own. */
template <unsigned BYTES> struct world {
    model::memory memory;
    alignas(64) uint8_t data[2 * BYTES];
    mbr__ring_tx tx;
    mbr__ring_rx rx;
    mbr__ring_rx_shm head;
    mbr__want_shm producer, consumer;
    mbr__waitset ws[2];
    mbr__watch tx_watch, rx_watch, idle[2];
    mbr__want_shm idle_want[2];
    uint64_t idle_word[2];
    bell pipe[2];

    void add_want(const mbr__want_shm *w)
    {
        model::add_word(&w->data, 0);
        model::add_word(&w->space, 0);
        model::add_word(&w->cpu, 0);
        model::add_word(&w->done, 0);
    }

    /* Zero all plain state; it is the same object in each execution. */
    void begin()
    {
        memset(data, 0, sizeof(data));
        memset(&tx_watch, 0, sizeof(tx_watch));
        memset(&rx_watch, 0, sizeof(rx_watch));
        memset(idle, 0, sizeof(idle));
        model::begin(&memory);
        model::add_ring(data, BYTES);
        model::add_word(&head.head, 0);
        add_want(&producer);
        add_want(&consumer);
        for (int i = 0; i < 2; i++) {
            memset(&ws[i], 0, sizeof(ws[i]));
            mbr__list_init(&ws[i].hot);
            mbr__list_init(&ws[i].cold);
            ws[i].bell = i;
            ws[i].fork_mark = 1;
            pipe[i].count = 0;
            bells[i] = &pipe[i];
            model::add_word(&ws[i].interrupted, 0);
            model::add_word(&idle_word[i], 0);
            model::add_word(&idle_want[i].data, 0);
            model::add_word(&idle_want[i].cpu, 0);
        }
        memset(&tx, 0, sizeof(tx));
        tx.data = data;
        tx.mask = BYTES - 1;
        tx.peer = &head;
        tx.peer_want = &consumer;
        memset(&rx, 0, sizeof(rx));
        rx.data = data;
        rx.mask = BYTES - 1;
        rx.shm = &head;
        rx.peer_want = &producer;
    }

    /* ---- the producer ---- */

    static void nothing(mbr__watch *, uint32_t)
    {
    }

    void wake_consumer(uint32_t want)
    {
        if (want != 0)
            mbr__bell_ring(1, 1);
    }

    void wake_producer(uint32_t want)
    {
        if (want != 0)
            mbr__bell_ring(0, 1);
    }

    void watch_space()
    {
        uint64_t seen = tx.head | tx.flags;

        if (mbr__watch_active(&tx_watch))
            mbr__watch_seen(&tx_watch, &head.head, seen);
        else
            mbr__watch_word(&ws[0], &tx_watch, &head.head, seen, &producer, MBR__WANT_SPACE, NULL,
                            nothing);
    }

    /* Record k has k % 3 words, if there is room for them; sleeps or spins until there is. */
    void put(unsigned k, unsigned words, bool sleeps)
    {
        uint64_t *p;

        while ((p = (uint64_t *)mbr__ring_reserve(&tx, words * 8)) == NULL && tx.flags == 0) {
            if (sleeps) {
                watch_space();
                (void)mbr__waitset_wait(&ws[0], MBR__NEVER);
            } else {
                rl::yield(1, $);
            }
        }
        if (p == NULL)
            return; /* the consumer reads no more */
        for (unsigned i = 0; i < words; i++)
            model::payload_write(p + i, 16 * k + i);
        mbr__ring_commit(&tx, words * 8, (uint8_t)(1 + k));
    }

    /* ---- the consumer ---- */

    void watch_data()
    {
        if (mbr__watch_active(&rx_watch))
            mbr__watch_seen(&rx_watch, mbr__ring_next(&rx), mbr__ring_seen(&rx));
        else
            mbr__watch_word(&ws[1], &rx_watch, mbr__ring_next(&rx), mbr__ring_seen(&rx), &consumer,
                            MBR__WANT_DATA, NULL, nothing);
    }

    /* Whether record k, of so many words, is there; checks and releases it. */
    bool take(unsigned k, unsigned words)
    {
        mbr__record rec;
        int r = mbr__ring_peek(&rx, &rec);

        RL_ASSERT(r >= 0);
        if (r == 0)
            return false;
        RL_ASSERT(rec.len == words * 8 && rec.kind == 1 + k);
        for (unsigned i = 0; i < words; i++)
            RL_ASSERT(model::payload_read((const uint64_t *)rec.data + i) == 16 * k + i);
        mbr__ring_release(&rx, &rec);
        return true;
    }
};

/* ---- the ring ---------------------------------------------------------------------------------
 */

/* Both spin. Records of 0 to 2 words, more than two laps of them, singly and in batches. */
struct ring_model : rl::test_suite<ring_model, 2>, world<64> {
    static const unsigned RECORDS = 9;

    void before()
    {
        begin();
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            for (unsigned k = 0; k < RECORDS; k++) {
                put(k, k % 3, false);
                if (k % 2 == 0) /* 0, 1+2, 3+4, ... */
                    (void)mbr__ring_publish(&tx);
            }
            (void)mbr__ring_end(&tx, MBR__RING_END);
            return;
        }
        for (unsigned k = 0; k < RECORDS || rx.flags == 0;) {
            if (take(k, k % 3)) {
                k++;
                (void)mbr__ring_retire(&rx);
            } else {
                RL_ASSERT(rx.flags == 0 || k == RECORDS);
                rl::yield(1, $);
            }
        }
    }
};

/* The end publishes what was held back, and nothing is behind it. */
struct end_model : rl::test_suite<end_model, 2>, world<64> {
    void before()
    {
        begin();
    }

    void thread(unsigned index)
    {
        unsigned k = 0;

        if (index == 0) {
            put(0, 1, false);
            put(1, 2, false);
            (void)mbr__ring_end(&tx, MBR__RING_FLAGS);
            return;
        }
        while (rx.flags == 0) {
            if (take(k, k + 1))
                k++;
            else
                rl::yield(1, $);
        }
        RL_ASSERT(k == 2);
    }
};

/* A consumer that stops reading is noticed, by the word that each push looks at; and what it has
 * released before is free. */
struct refuse_model : rl::test_suite<refuse_model, 2>, world<64> {
    void before()
    {
        begin();
    }

    void thread(unsigned index)
    {
        if (index == 1) {
            while (!take(0, 1))
                rl::yield(1, $);
            (void)mbr__ring_refuse(&rx, &consumer, MBR__RING_END);
            return;
        }
        put(0, 1, false);
        (void)mbr__ring_publish(&tx);
        while (!mbr__ring_done(&tx))
            rl::yield(1, $);
        (void)mbr__ring_refresh(&tx);
        RL_ASSERT(tx.flags == MBR__RING_END && tx.head == tx.tail);
    }
};

/* ---- parking ----------------------------------------------------------------------------------
 */

/* The consumer parks whenever it finds nothing. HOW says what it parks with. */
enum how { PLAINLY, CHILLED, CHILLED_UNNAMED, FOREIGN };

template <how HOW> struct data_model : rl::test_suite<data_model<HOW>, 2>, world<64> {
    static const unsigned RECORDS = 2;
    static data_model *self;

    static void rang(mbr__waitset *waits, uint32_t)
    {
        mbr__watch_heat(waits, &self->rx_watch);
    }

    void before()
    {
        this->begin();
        self = this;
        if (HOW == CHILLED)
            this->ws[1].rang = rang;
        for (int i = 0; i < 2 && (HOW == CHILLED || HOW == CHILLED_UNNAMED); i++)
            mbr__watch_word(&this->ws[1], &this->idle[i], &this->idle_word[i], 0,
                            &this->idle_want[i], MBR__WANT_DATA, NULL, this->nothing);
    }

    void sleep()
    {
        mbr__waitset *waits = &this->ws[1];

        this->watch_data();
        if (HOW == CHILLED || HOW == CHILLED_UNNAMED) /* the next miss is one too many */
            this->rx_watch.misses = LOOKS_TO_COLD;
        if (HOW != FOREIGN) {
            (void)mbr__waitset_wait(waits, MBR__NEVER);
            return;
        }
        if (mbr__waitset_prepare(waits) == 0)
            (void)mbr__waitset_collect(waits, MBR__NEVER); /* the foreign loop's sleep */
        (void)mbr__waitset_poll(waits, false);
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            for (unsigned k = 0; k < RECORDS; k++) {
                this->put(k, 1, false);
                this->wake_consumer(mbr__ring_publish(&this->tx));
            }
            this->wake_consumer(mbr__ring_end(&this->tx, MBR__RING_END));
            return;
        }
        for (unsigned k = 0; k < RECORDS || this->rx.flags == 0;) {
            if (this->take(k, 1))
                k++;
            else if (this->rx.flags == 0)
                sleep();
        }
    }
};

template <how HOW> data_model<HOW> *data_model<HOW>::self;

/* A ring that holds one record: the producer parks for space and the consumer for data. */
struct space_model : rl::test_suite<space_model, 2>, world<32> {
    static const unsigned RECORDS = 3;

    void before()
    {
        begin();
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            for (unsigned k = 0; k < RECORDS; k++) {
                put(k, 1, true);
                wake_consumer(mbr__ring_publish(&tx));
            }
            return;
        }
        for (unsigned k = 0; k < RECORDS;) {
            if (take(k, 1)) {
                k++;
                wake_producer(mbr__ring_retire(&rx));
            } else {
                watch_data();
                (void)mbr__waitset_wait(&ws[1], MBR__NEVER);
            }
        }
    }
};

/* A producer that waits for space learns that there will be none. */
struct refuse_park_model : rl::test_suite<refuse_park_model, 2>, world<32> {
    void before()
    {
        begin();
    }

    void thread(unsigned index)
    {
        if (index == 1) {
            wake_producer(mbr__ring_refuse(&rx, &consumer, MBR__RING_END));
            return;
        }
        put(0, 1, true);
        (void)mbr__ring_publish(&tx);
        put(1, 1, true); /* there is no room */
        RL_ASSERT(tx.flags == MBR__RING_END);
    }
};

/* An interruption ends a sleep, or a loop of looks. */
template <bool SLEEPS>
struct interrupt_model : rl::test_suite<interrupt_model<SLEEPS>, 2>, world<64> {
    rl::var<int> told;

    void before()
    {
        this->begin();
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            told($) = 1;
            mbr__waitset_interrupt(&this->ws[1]);
            return;
        }
        if (SLEEPS)
            RL_ASSERT(mbr__waitset_wait(&this->ws[1], MBR__NEVER) == -EINTR);
        while (!SLEEPS && mbr__waitset_wait(&this->ws[1], 0) != -EINTR)
            rl::yield(1, $);
        RL_ASSERT(told($) == 1); /* what was done before the interruption is seen after it */
    }
};

/* ---- all of them ------------------------------------------------------------------------------
 */

/* What Relacy says, as far as it fits. It has taken over the heap, so this must not use it. */
struct report : std::streambuf {
    char text[1 << 16];

    void clear()
    {
        memset(text, 0, sizeof(text));
        setp(text, text + sizeof(text) - 1);
    }
};

static report said;

/* True if no execution fails; `said` says why one did. */
template <typename T> static bool passes(unsigned executions)
{
    rl::test_params params;
    std::ostream stream(&said);

    said.clear();
    params.iteration_count = executions;
    params.output_stream = &stream;
    params.progress_stream = &stream;
    params.progress_output_period = 1000000;
    params.execution_depth_limit = 20000;
    return rl::simulate<T>(params);
}

struct model_case {
    const char *name;
    bool (*passes)(unsigned executions);
};

static const model_case cases[] = {
    {"ring", passes<ring_model>},
    {"end", passes<end_model>},
    {"refuse", passes<refuse_model>},
    {"park for data", passes<data_model<PLAINLY>>},
    {"park with a cold word", passes<data_model<CHILLED>>},
    {"park with a cold word, unnamed bells", passes<data_model<CHILLED_UNNAMED>>},
    {"park in a foreign loop", passes<data_model<FOREIGN>>},
    {"park for space", passes<space_model>},
    {"park and be refused", passes<refuse_park_model>},
    {"interrupt a sleep", passes<interrupt_model<true>>},
    {"interrupt a loop of looks", passes<interrupt_model<false>>},
};

const unsigned CASES = sizeof(cases) / sizeof(cases[0]);

/* Orderings that no model needs. */
static const struct {
    const char *site;
    const char *reason;
} unneeded[] = {
    {"ready load_acquire", "says only that a look is due; the look loads again, with acquire"},
    {"park load_acquire", "says only not to sleep; the exchange that takes it acquires"},
    {"mbr__waitset_prepare load_acquire", "the same"},
};

static const char *reason_for(const char *site)
{
    for (unsigned i = 0; i < sizeof(unneeded) / sizeof(unneeded[0]); i++) {
        if (strcmp(unneeded[i].site, site) == 0)
            return unneeded[i].reason;
    }
    return NULL;
}

/* The name of a model that fails without this ordering, or NULL. */
static const char *who_needs(const char *site, unsigned executions)
{
    const char *found = NULL;

    model::weakened = site;
    for (unsigned i = 0; i < CASES && found == NULL; i++) {
        if (!cases[i].passes(executions))
            found = cases[i].name;
    }
    model::weakened = "";
    return found;
}

int main(int argc, char **argv)
{
    unsigned executions = argc > 1 ? (unsigned)atoi(argv[1]) : 5000;
    int failed = 0;

    for (unsigned i = 0; i < CASES; i++) {
        bool ok = cases[i].passes(executions);

        printf("%s %s\n", ok ? "ok    " : "FAILED", cases[i].name);
        if (!ok)
            printf("%s\n", said.text);
        failed += !ok;
    }
    for (unsigned i = 0; i < model::nsites; i++) {
        const char *reason = reason_for(model::sites[i]);
        const char *found = who_needs(model::sites[i], executions);

        if ((found == NULL) != (reason != NULL))
            failed++;
        printf("%s without %s: %s\n", (found == NULL) == (reason != NULL) ? "ok    " : "FAILED",
               model::sites[i],
               found != NULL    ? found
               : reason != NULL ? reason
                                : "nobody fails");
    }
    return failed == 0 ? 0 : 1;
}
