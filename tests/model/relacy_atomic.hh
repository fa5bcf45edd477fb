/* SPDX-License-Identifier: MIT */
/*
 * Takes the place of base/atomic.h's operations under Relacy, which runs threads step by step under
 * the C11 memory model: a load may return any value that the orderings allow, an unordered access
 * to plain data is an error, and threads that all wait are a deadlock.
 *
 * The code under test keeps its plain words. What they are is known by their address: each word
 * that a test has registered is a Relacy atomic, and the ring's data is cells that are both an
 * atomic (for headers) and a plain variable (for payload), so that a header which overwrites what
 * is still being read is a race, and a payload taken for a header is noticed.
 *
 * Every ordering stronger than relaxed has a name, "function operation", so that a test can leave
 * it out and see that the model notices: a seeded mutant. Included by way of MBR_ATOMIC_MODEL,
 * after relacy/relacy.hpp.
 */
#ifndef MBR_TESTS_RELACY_ATOMIC_HH
#define MBR_TESTS_RELACY_ATOMIC_HH

#include <stdint.h>
#include <stdio.h>
#include <string.h>

namespace model
{

const unsigned WORDS_MAX = 24;
const unsigned CELLS_MAX = 16;
const unsigned SITES_MAX = 64;
const unsigned SITE_NAME = 64;
const uint64_t POISON = UINT64_C(0xeedeadeedeadee); /* what a payload is, read as a header */

/* ---- orderings ------------------------------------------------------------------------------- */

/* Plain arrays: containers would take their memory from Relacy's heap. */
static char sites[SITES_MAX][SITE_NAME];
static unsigned nsites;
static const char *weakened = ""; /* the one that is left out */

static bool is_weak(const char *function, const char *operation)
{
    char name[SITE_NAME];
    unsigned i = 0;

    snprintf(name, sizeof(name), "%s %s", function, operation);
    while (i < nsites && strcmp(sites[i], name) != 0)
        i++;
    if (i == nsites && nsites < SITES_MAX)
        strcpy(sites[nsites++], name);
    return strcmp(weakened, name) == 0;
}

static rl::memory_order order(rl::memory_order mo, const char *function, const char *operation)
{
    return is_weak(function, operation) ? rl::mo_relaxed : mo;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Part of a test object, made anew for each execution. */
struct memory {
    const volatile void *address[WORDS_MAX];
    rl::atomic<uint64_t> word[WORDS_MAX];
    unsigned nwords;
    const uint8_t *data; /* the ring's, seen twice in a row */
    unsigned cells;      /* of 8 bytes */
    rl::atomic<uint64_t> cell[CELLS_MAX];
    rl::var<uint64_t> payload[CELLS_MAX];
};

static memory *current; /* of the execution under way */

/* All following calls are for this memory, which knows nothing yet. */
static void begin(memory *m)
{
    current = m;
    m->nwords = 0;
    m->data = NULL;
    m->cells = 0;
}

static void add_word(const volatile void *p, uint64_t value)
{
    RL_ASSERT(current->nwords < WORDS_MAX);
    current->address[current->nwords] = p;
    current->word[current->nwords++].store(value, rl::mo_relaxed, $);
}

static void add_ring(const uint8_t *data, unsigned bytes)
{
    current->data = data;
    current->cells = bytes / 8;
    RL_ASSERT(current->cells <= CELLS_MAX);
    for (unsigned i = 0; i < current->cells; i++)
        current->cell[i].store(0, rl::mo_relaxed, $);
}

static bool is_data(const volatile void *p)
{
    const uint8_t *at = (const uint8_t *)p;

    return current->data != NULL && at >= current->data && at < current->data + 16 * current->cells;
}

static unsigned cell_of(const volatile void *p)
{
    return (unsigned)((const uint8_t *)p - current->data) / 8 % current->cells;
}

/* The word at this address. One that is not registered would be a hole in the model. */
static rl::atomic<uint64_t> &word_at(const volatile void *p)
{
    unsigned i = 0;

    if (is_data(p))
        return current->cell[cell_of(p)];
    while (i < current->nwords && current->address[i] != p)
        i++;
    RL_ASSERT(i < current->nwords);
    return current->word[i];
}

template <typename T> static T load(const T *p, rl::memory_order mo)
{
    uint64_t value = word_at(p).load(mo, $);

    RL_ASSERT(!is_data(p) || value != POISON);
    return (T)value;
}

template <typename T> static void store(T *p, uint64_t value, rl::memory_order mo)
{
    if (is_data(p))
        current->payload[cell_of(p)]($) = value; /* whoever reads payload there sees it change */
    word_at(p).store(value, mo, $);
}

static void fence(const char *function)
{
    if (!is_weak(function, "fence_full"))
        rl::atomic_thread_fence(rl::mo_seq_cst, $);
}

template <typename T> static bool cas(T *p, T *expected, uint64_t desired)
{
    uint64_t value = *expected;
    bool done = word_at(p).compare_exchange_strong(value, desired, rl::mo_acq_rel, $);

    *expected = (T)value;
    return done;
}

/* What users of a ring do with a record's bytes. */
static void payload_write(void *p, uint64_t value)
{
    current->payload[cell_of(p)]($) = value;
    current->cell[cell_of(p)].store(POISON, rl::mo_relaxed, $);
}

static uint64_t payload_read(const void *p)
{
    return current->payload[cell_of(p)]($);
}

} // namespace model

#define mbr_load_relaxed(p)     model::load((p), rl::mo_relaxed)
#define mbr_store_relaxed(p, v) model::store((p), (uint64_t)(v), rl::mo_relaxed)
#define mbr_load_acquire(p)     model::load((p), model::order(rl::mo_acquire, __func__, "load_acquire"))
#define mbr_store_release(p, v) \
    model::store((p), (uint64_t)(v), model::order(rl::mo_release, __func__, "store_release"))
#define mbr_fence_full()    model::fence(__func__)
#define mbr_fetch_add(p, v) model::word_at(p).fetch_add((uint64_t)(v), rl::mo_acq_rel, $)
#define mbr_fetch_or(p, v)  model::word_at(p).fetch_or((uint64_t)(v), rl::mo_acq_rel, $)
#define mbr_fetch_and(p, v) model::word_at(p).fetch_and((uint64_t)(v), rl::mo_acq_rel, $)
#define mbr_exchange(p, v) \
    model::word_at(p).exchange((uint64_t)(v), model::order(rl::mo_acq_rel, __func__, "exchange"), $)
#define mbr_cas(p, e, d) model::cas((p), (e), (uint64_t)(d))
#define mbr_cpu_relax()  rl::yield(1, $)
#define mbr_prefetch_write(p) ((void)(p))
#define mbr_cpu_gap(p)   (rl::yield(1, $), (p))

#endif
