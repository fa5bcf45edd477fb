/* SPDX-License-Identifier: MIT */
/* What dead processes leave in the directory of names, and removing it; mbr_gc() in
 * <membrane/queue.h> is the front. */
#ifndef MBR_CATMEM_GC_H
#define MBR_CATMEM_GC_H

#include "shm/names.h"

/* Removes some of it, as a newcomer's contribution: bounded work, errors ignored. */
void mbr__gc_some(struct mbr__names *n);

#endif
