/* SPDX-License-Identifier: MIT */
/* The list of the type records that are in this process: see mbr_intf_link in membrane/middl.h. */
#ifndef MBR_TYPES_ANNOUNCE_H
#define MBR_TYPES_ANNOUNCE_H

#include <stdint.h>

#include <membrane/middl.h>

/* Grows with each record that is announced; 0 before the first. Any thread. */
uint64_t mbr__announced(void);

/*
 * Calls EACH for every record now in the list, in the order they came. No record leaves while it
 * runs; EACH must not load or unload anything. Returns what mbr__announced() was.
 */
uint64_t mbr__announced_each(void (*each)(const struct mbr_intf_record *record, void *arg),
                             void *arg);

#endif
