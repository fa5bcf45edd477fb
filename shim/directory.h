/* SPDX-License-Identifier: MIT */
/*
 * The directory of names, as this process has it open: one handle for all threads. Its descriptor
 * is out of the program's way; a program that closes it all the same costs us a new one.
 */
#ifndef MBR_SHIM_DIRECTORY_H
#define MBR_SHIM_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "latch.h"
#include "shm/names.h"

/* Under this latch: */
extern uint32_t shim_names_latch;
extern struct mbr__names shim_names;

/* Whether it is open now. Each process that comes to use the directory tidies up, so that what
 * killed ones leave there does not pile up. */
bool shim_names_open(void);

/* In a forked child: the parent's handle is useless. */
void shim_names_forked(void);

/* Moves a descriptor of ours up, where programs, which count on low numbers and close them, do not
 * meet it. Returns its number now. */
int shim_move_up(int fd);

#endif
