/* SPDX-License-Identifier: MIT */
/*
 * Constructors of shared objects put their records here, before main() and at dlopen(). Nothing is
 * looked at, so nothing can fail.
 */
#include "types/announce.h"

#include <pthread.h>

#include "base/atomic.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* What the last node points to, so that a node with a next pointer is one that is in the list. */
static struct mbr_intf_node end;
static struct mbr_intf_node *first = &end;
static struct mbr_intf_node **last = &first;
static uint64_t announced;

void mbr_intf_link(struct mbr_intf_node *node)
{
    pthread_mutex_lock(&lock);
    if (!node->next) {
        node->next = &end;
        *last = node;
        last = &node->next;
        /* Pairs with the load below: who sees the number finds the node, under the lock. */
        mbr_store_release(&announced, announced + 1);
    }
    pthread_mutex_unlock(&lock);
}

void mbr_intf_unlink(struct mbr_intf_node *node)
{
    pthread_mutex_lock(&lock);
    for (struct mbr_intf_node **at = &first; *at != &end; at = &(*at)->next) {
        if (*at != node)
            continue;
        *at = node->next;
        if (last == &node->next)
            last = at;
        node->next = NULL;
        break;
    }
    pthread_mutex_unlock(&lock);
}

uint64_t mbr__announced(void)
{
    return mbr_load_acquire(&announced);
}

uint64_t mbr__announced_each(void (*each)(const struct mbr_intf_record *record, void *arg),
                             void *arg)
{
    uint64_t count;

    pthread_mutex_lock(&lock);
    for (const struct mbr_intf_node *node = first; node != &end; node = node->next)
        each(node->record, arg);
    count = announced;
    pthread_mutex_unlock(&lock);
    return count;
}
