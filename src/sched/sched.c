/* SPDX-License-Identifier: MIT */
/*
 * Pages, slots and the run loop. Wake-ups collect in a page's `bits`; when its turn comes they move
 * to its `batch`, which the loop works off, so wake-ups during its calls are for a later turn. That
 * alone makes the scheduler fair.
 */
#include "sched/sched.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

#define PAGE_SLOTS  64u
#define FIRST_PAGES 4u
#define NO_SLOT     UINT32_MAX
/* A task with this generation is the last in its slot: the next would be named like the first. */
#define LAST_GENERATION (UINT64_MAX >> MBR__SCHED_SLOT_BITS)

void mbr__sched_init(struct mbr__sched *sched)
{
    *sched = (struct mbr__sched){.free_head = NO_SLOT};
    sched->tail = &sched->head;
}

static uint32_t slot_of(const struct mbr__task *task)
{
    return task->page->number * PAGE_SLOTS + (uint32_t)__builtin_ctzll(task->bit);
}

static union mbr__sched_slot *slot_at(const struct mbr__sched *sched, uint32_t slot)
{
    return &sched->pages[slot / PAGE_SLOTS]->slots[slot % PAGE_SLOTS];
}

static uint64_t *generation_at(const struct mbr__sched *sched, uint32_t slot)
{
    return &sched->pages[slot / PAGE_SLOTS]->generations[slot % PAGE_SLOTS];
}

void mbr__sched_fini(struct mbr__sched *sched)
{
    MBR_ASSERT(!sched->running);
    for (uint32_t slot = 0; slot < sched->made; slot++)
        if (*generation_at(sched, slot) & 1)
            slot_at(sched, slot)->task->page = NULL;
    for (uint32_t i = 0; i < sched->page_count; i++)
        free(sched->pages[i]);
    free(sched->pages);
    mbr__sched_init(sched);
}

static int add_page(struct mbr__sched *sched)
{
    struct mbr__sched_page *page;

    if (sched->page_count == sched->page_capacity) {
        uint32_t capacity = sched->page_capacity ? sched->page_capacity * 2 : FIRST_PAGES;
        struct mbr__sched_page **pages =
            realloc(sched->pages, capacity * sizeof(struct mbr__sched_page *));

        if (!pages)
            return -ENOMEM;
        sched->pages = pages;
        sched->page_capacity = capacity;
    }
    page = calloc(1, sizeof(*page));
    if (!page)
        return -ENOMEM;
    page->sched = sched;
    page->number = sched->page_count;
    sched->pages[sched->page_count++] = page;
    return 0;
}

int mbr__sched_reserve(struct mbr__sched *sched, uint32_t count)
{
    if (count > MBR__SCHED_MAX - sched->retired)
        return -ENOSPC;
    while (sched->page_count * PAGE_SLOTS - sched->retired < count) {
        int error = add_page(sched);

        if (error)
            return error;
    }
    return 0;
}

/* A free slot: the one freed last, else a new one. */
static int take_slot(struct mbr__sched *sched, uint32_t *slot)
{
    int error;

    if (sched->free_head != NO_SLOT) {
        *slot = sched->free_head;
        sched->free_head = slot_at(sched, *slot)->next_free;
        return 0;
    }
    /* All slots are in use or retired, those in use being as many as the tasks. */
    error = mbr__sched_reserve(sched, sched->count + 1);
    if (error)
        return error;
    *slot = sched->made++;
    return 0;
}

void mbr__task_init(struct mbr__task *task, enum mbr__task_result (*poll)(struct mbr__task *self))
{
    *task = (struct mbr__task){.poll = poll};
}

int mbr__sched_add(struct mbr__sched *sched, struct mbr__task *task)
{
    uint32_t slot = NO_SLOT;
    int error;

    MBR_ASSERT(!task->page);
    error = take_slot(sched, &slot);
    if (error)
        return error;
    slot_at(sched, slot)->task = task;
    *generation_at(sched, slot) += 1;
    sched->count++;
    task->page = sched->pages[slot / PAGE_SLOTS];
    task->bit = 1ull << slot % PAGE_SLOTS;
    mbr__sched_mark(task->page, task->bit);
    return 0;
}

void mbr__sched_remove(struct mbr__task *task)
{
    struct mbr__sched_page *page = task->page;
    struct mbr__sched *sched;
    uint64_t *generation;
    uint32_t slot;

    if (!page)
        return;
    sched = page->sched;
    slot = slot_of(task);
    generation = generation_at(sched, slot);
    MBR_ASSERT_STATE((*generation & 1) && slot_at(sched, slot)->task == task,
                     "slot %u holds another task", slot);
    /* The page stays in the queue even if that was its last bit: its turn will be an empty one. */
    page->bits &= ~task->bit;
    page->batch &= ~task->bit;
    task->page = NULL;
    sched->count--;
    if (*generation == LAST_GENERATION) {
        *generation = 0;
        sched->retired++;
        return;
    }
    *generation += 1;
    slot_at(sched, slot)->next_free = sched->free_head;
    sched->free_head = slot;
}

uint64_t mbr__task_id(const struct mbr__task *task)
{
    uint32_t slot;

    MBR_ASSERT(task->page);
    slot = slot_of(task);
    return *generation_at(task->page->sched, slot) << MBR__SCHED_SLOT_BITS | slot;
}

bool mbr__sched_wake_id(struct mbr__sched *sched, uint64_t id)
{
    uint32_t slot = (uint32_t)(id & (MBR__SCHED_MAX - 1));
    uint64_t generation = id >> MBR__SCHED_SLOT_BITS;

    /* Even generations are those of free slots: no task was ever called so. */
    if (slot >= sched->made || !(generation & 1) || *generation_at(sched, slot) != generation)
        return false;
    mbr__sched_mark(sched->pages[slot / PAGE_SLOTS], 1ull << slot % PAGE_SLOTS);
    return true;
}

/* Begins the turn of the next page with a bit set, and returns it; NULL if there is none. */
static inline struct mbr__sched_page *take_page(struct mbr__sched *sched)
{
    struct mbr__sched_page *page;

    while ((page = sched->head) != NULL) {
        sched->head = page->next;
        if (!sched->head)
            sched->tail = &sched->head;
        sched->current = page;
        page->queued = false;
        page->batch = page->bits;
        page->bits = 0;
        if (page->batch)
            return page;
    }
    return NULL;
}

/* The page whose turn it is, with something in its batch; NULL if no task is ready. */
static struct mbr__sched_page *ready_page(struct mbr__sched *sched)
{
    if (sched->current && sched->current->batch)
        return sched->current;
    return take_page(sched);
}

bool mbr__sched_idle(struct mbr__sched *sched)
{
    return !ready_page(sched);
}

/* Calls the first task in the batch of PAGE. */
static inline void call_first(struct mbr__sched_page *page)
{
    uint32_t index = (uint32_t)__builtin_ctzll(page->batch);
    uint64_t generation = page->generations[index];
    struct mbr__task *task = page->slots[index].task;

    page->batch &= page->batch - 1;
    /* A task that has removed itself may be freed, and its slot taken by another: the generation
     * tells, without a look at the task. */
    if (task->poll(task) == MBR__TASK_DONE && page->generations[index] == generation)
        mbr__sched_remove(task);
}

size_t mbr__sched_run(struct mbr__sched *sched, size_t max)
{
    struct mbr__sched_page *page;
    size_t left = max;

    MBR_ASSERT(!sched->running);
    sched->running = true;
    page = ready_page(sched);
    while (page && left > 0) {
        call_first(page);
        left--;
        if (!page->batch)
            page = take_page(sched);
    }
    sched->running = false;
    return max - left;
}

bool mbr__sched_run_one(struct mbr__sched *sched)
{
    return mbr__sched_run(sched, 1) == 1;
}
