/* SPDX-License-Identifier: MIT */
/*
 * The heap over malloc. A header before each node keeps it in a list, so that Purge can find it,
 * and ends with the closure.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <membrane/heap.h>

#include "base/assert.h"
#include "base/list.h"

struct head {
    struct mbr__list link;
    size_t size; /* of the node */
    Heap_clp heap;
};

_Static_assert(sizeof(struct head) % 16 == 0, "nodes are aligned as malloc's are");
_Static_assert(offsetof(struct head, heap) + sizeof(Heap_clp) == sizeof(struct head),
               "the closure is the word before the node");

#define NODE_MAX (PTRDIFF_MAX - sizeof(struct head))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mbr__list nodes = {&nodes, &nodes};
static Heap_cl heap;

static void *add(struct head *head, size_t size)
{
    if (!head)
        return NULL;
    head->size = size;
    head->heap = &heap;
    pthread_mutex_lock(&lock);
    mbr__list_push_back(&nodes, &head->link);
    pthread_mutex_unlock(&lock);
    return head + 1;
}

/* Takes the node's head out of the list. */
static struct head *take(void *p)
{
    struct head *head = (struct head *)p - 1;

    MBR_ASSERT_STATE(head->heap == &heap, "node %p is not of the process's heap, or freed", p);
    head->heap = NULL;
    pthread_mutex_lock(&lock);
    mbr__list_del(&head->link);
    pthread_mutex_unlock(&lock);
    return head;
}

static void *process_malloc(Heap_clp self, Heap_Size size)
{
    (void)self;
    return size > NODE_MAX ? NULL : add(malloc(sizeof(struct head) + size), size);
}

static void process_free(Heap_clp self, void *p)
{
    (void)self;
    if (p)
        free(take(p));
}

static void *process_calloc(Heap_clp self, Heap_Size nmemb, Heap_Size size)
{
    (void)self;
    if (size > 0 && nmemb > NODE_MAX / size)
        return NULL;
    return add(calloc(1, sizeof(struct head) + nmemb * size), nmemb * size);
}

static void *process_realloc(Heap_clp self, void *p, Heap_Size size)
{
    size_t kept;
    void *moved;

    if (!p)
        return process_malloc(self, size);
    kept = ((struct head *)p - 1)->size;
    moved = process_malloc(self, size);
    if (!moved)
        return NULL;
    memcpy(moved, p, kept < size ? kept : size);
    process_free(self, p);
    return moved;
}

static Heap_clp process_purge(Heap_clp self)
{
    struct mbr__list *node;

    pthread_mutex_lock(&lock);
    node = nodes.next;
    mbr__list_init(&nodes);
    while (node != &nodes) {
        struct head *head = mbr__container_of(node, struct head, link);

        node = node->next;
        free(head);
    }
    pthread_mutex_unlock(&lock);
    return self;
}

static void process_destroy(Heap_clp self)
{
    (void)process_purge(self);
}

static void process_check(Heap_clp self, bool checkFreeBlocks)
{
    (void)checkFreeBlocks;
    pthread_mutex_lock(&lock);
    for (struct mbr__list *node = nodes.next; node != &nodes; node = node->next) {
        struct head *head = mbr__container_of(node, struct head, link);

        MBR_ASSERT_STATE(head->heap == self && node->next->prev == node,
                         "node %p of the process's heap was overwritten", (void *)(head + 1));
    }
    pthread_mutex_unlock(&lock);
}

static const Heap_op process_ops = {
    .Malloc = process_malloc,
    .Free = process_free,
    .Calloc = process_calloc,
    .Realloc = process_realloc,
    .Purge = process_purge,
    .Destroy = process_destroy,
    .Check = process_check,
};

static Heap_cl heap = {&process_ops, NULL};

Heap_clp mbr_heap_process(void)
{
    return &heap;
}
