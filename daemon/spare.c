/* SPDX-License-Identifier: MIT */
/*
 * Blocks for unfinished input; see spare.h.
 */
#include "spare.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "server.h"

static_assert(SPARE_BLOCKS == 32, "one bit of `used` each");

int spare_init(struct spare *spare)
{
    spare->used = 0;
    spare->blocks = malloc((size_t)SPARE_BLOCKS * SERVER_INPUT);
    return spare->blocks != NULL ? 0 : -ENOMEM;
}

void spare_fini(struct spare *spare)
{
    free(spare->blocks);
    spare->blocks = NULL;
}

unsigned char *spare_take(struct spare *spare)
{
    unsigned char *block = malloc(SERVER_INPUT);

    for (uint32_t i = 0; block == NULL && spare->blocks != NULL && i < SPARE_BLOCKS; i++) {
        if ((spare->used & (1u << i)) != 0)
            continue;
        spare->used |= 1u << i;
        block = spare->blocks + (size_t)i * SERVER_INPUT;
    }
    return block;
}

void spare_give(struct spare *spare, unsigned char *block)
{
    uintptr_t place = (uintptr_t)block - (uintptr_t)spare->blocks;

    if (place < (size_t)SPARE_BLOCKS * SERVER_INPUT)
        spare->used &= ~(1u << (place / SERVER_INPUT));
    else
        free(block);
}
