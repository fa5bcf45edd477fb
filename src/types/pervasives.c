/* SPDX-License-Identifier: MIT */
/* The thread's record of pervasives, and threads that inherit it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <membrane/heap.h>
#include <membrane/pervasives.h>
#include <membrane/typesystem.h>

#include "base/atomic.h"
#include "types/exn.h"
#include "types/exn_closure.h"

static _Thread_local Pervasives_Rec *current MBR__EXN_TLS;

Pervasives_Rec *mbr_pvs(void)
{
    return current;
}

Pervasives_Rec *mbr_pvs_set(Pervasives_Rec *record)
{
    Pervasives_Rec *before = current;

    current = record;
    return before;
}

void mbr_pvs_init(Pervasives_Rec *record)
{
    memset(record, 0, sizeof(*record));
    record->heap = mbr_heap_process();
    record->types = mbr_typesystem_process();
    record->exns = mbr__exn_own_closure();
}

/* ---- which exceptions a thread has ---- */

struct mbr__exn_chain *mbr__exn_current(void)
{
    ExnSupport_clp exns = current ? current->exns : NULL;

    return exns && mbr__exn_is_ours(exns) ? mbr__exn_chain_of(exns) : &mbr__exn_own;
}

void mbr__exn_raise_elsewhere(const struct mbr__exn *exn)
{
    ExnSupport_clp exns = current ? current->exns : NULL;

    if (exns && !mbr__exn_is_ours(exns))
        ExnSupport_Raise(exns, (void *)(uintptr_t)exn->id, exn->args, exn->file, exn->line,
                         exn->func);
}

/* ---- hooks ---- */

/* Hooks are added, never removed: the list is walked without the lock. */
struct hook {
    ThreadHooks_clp hooks;
    struct hook *next;
    struct hook *prev;
};

static pthread_mutex_t hooks_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hook *first_hook;
static struct hook *last_hook;

int mbr_pvs_register_hooks(ThreadHooks_clp hooks)
{
    struct hook *hook = calloc(1, sizeof(*hook));

    if (!hook)
        return -ENOMEM;
    hook->hooks = hooks;
    pthread_mutex_lock(&hooks_lock);
    hook->prev = last_hook;
    /* Pairs with the loads below: who finds the hook finds its fields. */
    mbr_store_release(last_hook ? &last_hook->next : &first_hook, hook);
    mbr_store_release(&last_hook, hook);
    pthread_mutex_unlock(&hooks_lock);
    return 0;
}

static void call_fork(Pervasives_Rec *record)
{
    for (struct hook *h = mbr_load_acquire(&first_hook); h; h = mbr_load_acquire(&h->next))
        ThreadHooks_Fork(h->hooks, record);
}

static void call_forked(void)
{
    for (struct hook *h = mbr_load_acquire(&first_hook); h; h = mbr_load_acquire(&h->next))
        ThreadHooks_Forked(h->hooks);
}

static void call_exit(void)
{
    for (struct hook *h = mbr_load_acquire(&last_hook); h; h = h->prev)
        ThreadHooks_ExitThread(h->hooks);
}

/* ---- threads ---- */

struct start {
    Pervasives_Rec record;
    void (*entry)(void *data);
    void *data;
};

/* Also when the thread ends by pthread_exit or is cancelled. */
static void end_thread(void *arg)
{
    call_exit();
    current = NULL;
    free(arg);
}

static void *run_thread(void *arg)
{
    struct start *start = arg;

    pthread_cleanup_push(end_thread, start);
    /* The record may have been given other exceptions by a hook; the parent's are not ours. */
    if (!start->record.exns)
        start->record.exns = mbr__exn_own_closure();
    current = &start->record;
    call_forked();
    start->entry(start->data);
    pthread_cleanup_pop(1);
    return NULL;
}

int mbr_pvs_fork(pthread_t *thread, const pthread_attr_t *attributes, void (*entry)(void *data),
                 void *data)
{
    struct start *start = malloc(sizeof(*start));
    int error;

    if (!start)
        return -ENOMEM;
    if (current)
        start->record = *current;
    else
        mbr_pvs_init(&start->record);
    start->record.exns = NULL;
    start->entry = entry;
    start->data = data;
    call_fork(&start->record);
    error = pthread_create(thread, attributes, run_thread, start);
    if (error != 0)
        free(start);
    return -error;
}
