/* SPDX-License-Identifier: MIT */
/*
 * Blocks of SERVER_INPUT bytes for what was received and cannot be taken yet. A few are set aside
 * at start and given out when the system has no memory left, so that a connection which needs one
 * then is kept instead of closed. They take address space; pages only once they are used.
 */
#ifndef DAEMON_SPARE_H
#define DAEMON_SPARE_H

#include <stdint.h>

#define SPARE_BLOCKS 32u

/* Zeroed: none are set aside. */
struct spare {
    unsigned char *blocks;
    uint32_t used; /* a bit for each */
};

/* 0 or -ENOMEM. */
int spare_init(struct spare *spare);

/* Every block was given back before. */
void spare_fini(struct spare *spare);

/* A block, or NULL when neither the system nor the reserve has one. */
unsigned char *spare_take(struct spare *spare);

/* Gives it back; NULL is fine. */
void spare_give(struct spare *spare, unsigned char *block);

#endif
