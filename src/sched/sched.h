/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: stackless tasks that cooperate, on one thread. A task is a function that is called
 * when there may be something to do, goes as far as it can, and returns. Between calls it costs
 * nothing: 64 tasks share a page with one waker bit each, a page with a bit set stands in a queue,
 * and the run loop takes the first page and calls its tasks whose bits are set. No number of idle
 * tasks makes it slower.
 *
 * Fairness: a page goes to the end of the queue with the first wake-up in it, and is taken whole.
 * So a task that wakes itself comes after all that were ready before, and from its wake-up to its
 * call a task waits for at most two calls of each other task. A task woken twice before it is
 * called is called once.
 *
 * One instance per thread that wants one; nothing here is safe between threads. Not here: timers
 * (event/timer.h), waiting when no task is ready (event/), stackful fibers.
 *
 * Source: pages of 64 tasks with a word of waker bits are those of Demikernel's scheduler; the
 * queue of pages (it looks at every page in every round) and embedded tasks are ours.
 */
#ifndef MBR_SCHED_SCHED_H
#define MBR_SCHED_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most tasks a scheduler can hold: what leaves 46 bits to count the uses of each slot. */
#define MBR__SCHED_SLOT_BITS 18
#define MBR__SCHED_MAX       (1u << MBR__SCHED_SLOT_BITS)

/* What a poll function returns. */
enum mbr__task_result {
    MBR__TASK_DONE,   /* finished: the scheduler removes it */
    MBR__TASK_PENDING /* to be called again after its next wake-up */
};

/* Embedded in the caller's object, whose memory must stay until the task is removed. */
struct mbr__task {
    enum mbr__task_result (*poll)(struct mbr__task *self);
    struct mbr__sched_page *page; /* NULL while in no scheduler */
    uint64_t bit;                 /* its own one of the page's 64 */
};

/* A slot in use leads to its task, a free one to the next free one. */
union mbr__sched_slot {
    struct mbr__task *task;
    uint32_t next_free;
};

/* 64 slots. Pages never move, so that a task finds its waker bit without its scheduler's help. */
struct mbr__sched_page {
    uint64_t bits;  /* tasks that have been woken */
    uint64_t batch; /* tasks to be called in this turn of the page */
    bool queued;    /* it stands in the queue; its bits may all have been cleared again */
    uint32_t number;
    struct mbr__sched_page *next; /* in the queue */
    struct mbr__sched *sched;
    union mbr__sched_slot slots[64];
    uint64_t generations[64]; /* odd while in use; each adding and each removal adds one */
};

/* Pages point at it: it must not be moved. */
struct mbr__sched {
    struct mbr__sched_page *current; /* the page taken last, or NULL */
    struct mbr__sched_page *head;    /* of the queue */
    struct mbr__sched_page **tail;   /* where the next one is hung up */
    struct mbr__sched_page **pages;  /* all, by number */
    uint32_t page_count;
    uint32_t page_capacity;
    uint32_t made;      /* slots that have been in use at least once: the first ones */
    uint32_t retired;   /* slots whose generations have run out */
    uint32_t free_head; /* the slot freed last */
    uint32_t count;     /* tasks */
    bool running;
};

/* An empty scheduler. Allocates nothing. */
void mbr__sched_init(struct mbr__sched *sched);

/* Removes all tasks, without calling them, and frees the memory. Not from within a poll. */
void mbr__sched_fini(struct mbr__sched *sched);

/*
 * Grows until COUNT tasks fit, so that adding up to this number cannot fail. -ENOSPC above
 * MBR__SCHED_MAX; -ENOMEM, having kept what could be had.
 */
int mbr__sched_reserve(struct mbr__sched *sched, uint32_t count);

/* A task that is in no scheduler. */
void mbr__task_init(struct mbr__task *task, enum mbr__task_result (*poll)(struct mbr__task *self));

/*
 * Adds TASK, initialised and in no scheduler, and wakes it. -ENOMEM, only when growing; -ENOSPC at
 * MBR__SCHED_MAX tasks; then nothing has changed. Also from within a poll.
 */
int mbr__sched_add(struct mbr__sched *sched, struct mbr__task *task);

/*
 * Removes TASK; it is not called again, whatever its waker bit. Harmless if it is in no scheduler.
 * From anywhere, also from within its own poll: the task's memory may then be freed at once, and
 * what that poll returns is ignored.
 */
void mbr__sched_remove(struct mbr__task *task);

/* True if TASK is in a scheduler. */
static inline bool mbr__task_active(const struct mbr__task *task)
{
    return task->page != NULL;
}

/* Private to the functions below: sets a waker bit of PAGE whose slot holds a task. */
static inline void mbr__sched_mark(struct mbr__sched_page *page, uint64_t bit)
{
    struct mbr__sched *sched;

    /* It is about to be called anyway, and will then see what it is woken for. */
    if (page->batch & bit)
        return;
    page->bits |= bit;
    if (page->queued)
        return;
    sched = page->sched;
    page->queued = true;
    page->next = NULL;
    *sched->tail = page;
    sched->tail = &page->next;
}

/* Has TASK called soon. Nothing if it is in no scheduler. */
static inline void mbr__sched_wake(struct mbr__task *task)
{
    if (task->page)
        mbr__sched_mark(task->page, task->bit);
}

/* A name for TASK, which is in a scheduler: not used again after it is removed, and never 0. */
uint64_t mbr__task_id(const struct mbr__task *task);

/* Wakes the task with this name; returns false, and does nothing, if it has been removed. */
bool mbr__sched_wake_id(struct mbr__sched *sched, uint64_t id);

/*
 * Calls up to MAX ready tasks, also such as become ready meanwhile, and returns how many were
 * called: less than MAX if no task is ready any more. Not from within a poll.
 */
size_t mbr__sched_run(struct mbr__sched *sched, size_t max);

/* Calls one ready task, if there is one; returns whether there was. Not from within a poll. */
bool mbr__sched_run_one(struct mbr__sched *sched);

/* True if no task is ready: a caller may then wait for the next event. */
bool mbr__sched_idle(struct mbr__sched *sched);

/* Tasks, ready or not. */
static inline uint32_t mbr__sched_count(const struct mbr__sched *sched)
{
    return sched->count;
}

#endif
