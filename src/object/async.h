/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous operations as the rest of src/object sees them: what ends them when a number is
 * given back, and what ends their thread. The functions for users are in membrane/objects.h.
 *
 * Not here: how they are carried out (async_worker.c) and kept (async_ops.h).
 */
#ifndef MBR_OBJECT_ASYNC_H
#define MBR_OBJECT_ASYNC_H

/*
 * Ends the operations that were begun through the object's number: those that have not begun end as
 * cancelled, the one that is carried out is waited for. To be called when no more can be begun
 * through it, and before the number is given back; the caller holds no lock that reading or writing
 * an object takes. Costs a load when the process never began an operation.
 */
void mbr__async_end_object(int object);

/*
 * The process has given back its last container: ends the thread, if there is one. Operations that
 * have ended can still be asked for. Returns when the thread is gone, so that a test, or who is
 * about to unload the library, may rely on it.
 */
void mbr__async_last_left(void);

#endif
