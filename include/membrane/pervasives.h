/* SPDX-License-Identifier: MIT */
/*
 * Pervasives: the record of interfaces that every thread has around it (interface Pervasives), so
 * that they need not be passed to every call. A thread's record is copied to the threads it forks,
 * and may be edited on the way (interface ThreadHooks).
 *
 * The record belongs to whoever installs it, except in threads made here. All fields may be NULL.
 */
#ifndef MEMBRANE_PERVASIVES_H
#define MEMBRANE_PERVASIVES_H

#include <pthread.h>

#include <membrane/base.h>
#include <middl/Pervasives.h>
#include <middl/ThreadHooks.h>

MBR_BEGIN_DECLS

/* The calling thread's record, or NULL. Never blocks. */
MBR_API Pervasives_Rec *mbr_pvs(void);

/*
 * Makes RECORD, which must stay until it is replaced or the thread ends, that of the calling
 * thread; NULL for none. Returns the one before. To be called outside of any TRY if the exns
 * differ, since handlers stay with the chain they were pushed on.
 */
MBR_API Pervasives_Rec *mbr_pvs_set(Pervasives_Rec *record);

/* A field of the calling thread's record, which must be there: PVS(heap). An lvalue. */
#define PVS(field) (mbr_pvs()->field)

/*
 * Fills RECORD with what a thread of a plain program has: the process's heap and type system, and
 * the calling thread's exceptions; the rest is NULL. types is NULL if there is no memory for it.
 */
MBR_API void mbr_pvs_init(Pervasives_Rec *record) __attribute__((nonnull));

/*
 * Appends HOOKS, which must stay for good, to those that are called for each thread made with
 * mbr_pvs_fork: Fork in the parent, with the child's record, then Forked in the child before its
 * entry, both in the order of registration; ExitThread in the dying thread, in reverse. -ENOMEM.
 */
MBR_API int mbr_pvs_register_hooks(ThreadHooks_clp hooks) __attribute__((nonnull));

/*
 * Starts a thread that runs ENTRY(DATA) with a copy of the caller's record, or a plain one if it
 * has none; its exns are the new thread's own. As pthread_create otherwise, ATTRIBUTES may be NULL;
 * the thread is to be joined or detached. -ENOMEM; -EAGAIN, -EINVAL, -EPERM from pthread_create.
 */
MBR_API int mbr_pvs_fork(pthread_t *thread, const pthread_attr_t *attributes,
                         void (*entry)(void *data), void *data) __attribute__((nonnull(1, 3)));

MBR_END_DECLS

#endif
