/* SPDX-License-Identifier: MIT */
/* What the files of the demi API share: the calling thread's instance. */
#ifndef MBR_DEMI_DEMI_H
#define MBR_DEMI_DEMI_H

#include <stdbool.h>

#include <membrane/queue.h>

/* The calling thread's instance, or NULL before demi_init(). */
struct mbr_libos *demi_this(void);
/* Whether it has no sockets. */
bool demi_is_memory(void);

#endif
