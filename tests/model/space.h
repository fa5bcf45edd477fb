/* SPDX-License-Identifier: MIT */
/*
 * All states of a few processes that share memory: a model checker for real code.
 *
 * The code under test is compiled with space_atomic.h, so that each look at shared memory, each
 * read-modify-write and each fence is a point where others may go on first. Its stores go through a
 * store buffer, as on x86: what a process has stored is seen by itself at once and by the others
 * some time later, in order. A process is a coroutine; a state is the shared memory, the stacks
 * and the buffers. The walk is depth-first, goes on from a state that was saved, and turns back
 * where it has been before; so it ends although the code has loops, and there is no bound on how
 * often processes change.
 *
 * A process may be killed at each point, as often as a case allows: what lies in its buffer is lost
 * (that it was killed after a store is the state in which the store has left the buffer). A sleeper
 * wakes when it is woken; its sleep ends by itself only when nobody can go on (and in a case where
 * nobody was killed that is an error: a lost wake-up), or, in restless cases, at any time. A nap is
 * a sleep that is meant to end by itself: a case with a clock has those end first that began so,
 * and the clock goes on.
 *
 * Not here: what the processes do and what must hold (lock_test.c, version_test.c, back_test.c);
 * orderings that only weaker processors have.
 */
#ifndef MBR_TESTS_SPACE_H
#define MBR_TESTS_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPACE_ACTORS 4
#define SPACE_STORES 4 /* that a buffer holds */
#define SPACE_IDLE   3 /* ends of sleep in a row, when nobody can go on, without progress */

struct space_case {
    const char *name;
    int actors;
    void (*reset)(void);
    void (*run)(int actor);
    void (*killed)(int actor); /* after it was killed */
    uint8_t kills;             /* in one run */
    bool restless;
    uint32_t idle;   /* instead of SPACE_IDLE, if not 0 */
    uint64_t *clock; /* goes on when nobody else does, to when the next nap ends; or NULL */
    /* What happens of itself, one kind for each actor there is; or NULL. */
    bool (*may_happen)(int kind);
    void (*happen)(int kind);
    bool mortal[SPACE_ACTORS];
    bool last[SPACE_ACTORS]; /* starts when all others have ended */
};

/* All memory that processes share and all that the checks remember; set before exploring. */
struct space_range {
    void *at;
    size_t size; /* a multiple of 8; 0 ends the list */
};
extern const struct space_range *space_memory;
/* Whether others look at this word or change it: a store to it goes through the buffer, and what is
 * done to it is a point. `label` is the code's expression; NULL for a store. */
extern bool (*space_is_shared)(const void *word, const char *label);

struct space_tally {
    uint64_t states, transitions;
    uint32_t deepest;
    bool complete; /* false: `limit` states were seen, and there are more */
    bool violated;
};

/* Walks through all states, up to `limit`, and stops at the first violation, which it prints. */
struct space_tally space_explore(const struct space_case *c, uint64_t limit);

/* ---- inside of an actor ---------------------------------------------------------------------- */

int space_self(void);
void space_point(const char *label);
/* Waits until ready(actor). */
void space_block(const char *label, bool (*ready)(int actor));
/* The same, or until the clock says `until`. Whether it is ready. */
bool space_nap(const char *label, bool (*ready)(int actor), uint64_t until);
void space_progress(void);
void space_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool space_is_killed(int actor);
bool space_is_asleep(int actor);
/* Whether its sleep has ever ended by itself since space_wake_up(). */
bool space_napped(int actor);
void space_wake_up(int actor);

int space_futex_wait(uint32_t *word, uint32_t seen, uint32_t bits);
void space_futex_wake(uint32_t *word, uint32_t bits);

uint64_t space_load(const void *word, size_t size, const char *label);
void space_store(void *word, size_t size, uint64_t value);
void space_fence(void);
enum space_op { SPACE_ADD, SPACE_OR, SPACE_AND, SPACE_SET };
uint64_t space_rmw(void *word, size_t size, enum space_op op, uint64_t value, const char *label);
uint64_t space_cas(void *word, size_t size, uint64_t expected, uint64_t desired, const char *label);

#endif
