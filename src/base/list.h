/* SPDX-License-Identifier: MIT */
/*
 * An intrusive doubly linked list, circular through its head. The nodes are embedded in the
 * caller's objects: no allocation, O(1) removal from anywhere. For one thread; never for shared
 * memory, since a peer could make the links point anywhere.
 *
 * Not here: ownership (removing a node frees nothing) and counting.
 */
#ifndef MBR_BASE_LIST_H
#define MBR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A head, or a node. A node that is in no list points to itself. */
struct mbr__list {
    struct mbr__list *next;
    struct mbr__list *prev;
};

/* The object of TYPE whose MEMBER is at PTR; PTR of another type than MEMBER's does not compile. */
#define mbr__container_of(ptr, type, member)                               \
    __extension__({                                                        \
        const __typeof__(((type *)0)->member) *mbr__member = (ptr);        \
        (type *)((char *)(uintptr_t)mbr__member - offsetof(type, member)); \
    })

/* Makes HEAD an empty list, or a node one that is in no list. */
static inline void mbr__list_init(struct mbr__list *head)
{
    head->next = head;
    head->prev = head;
}

/* True for an empty list. Of a node: true if it is in no list. */
static inline bool mbr__list_empty(const struct mbr__list *head)
{
    return head->next == head;
}

/* NODE must be in no list; it need not be initialised. */
static inline void mbr__list_push_back(struct mbr__list *head, struct mbr__list *node)
{
    node->next = head;
    node->prev = head->prev;
    head->prev->next = node;
    head->prev = node;
}

static inline void mbr__list_push_front(struct mbr__list *head, struct mbr__list *node)
{
    /* Before the first node is behind the head: the same insertion from the other side. */
    mbr__list_push_back(head->next, node);
}

/* Takes NODE out of its list. Harmless for an initialised node that is in none. */
static inline void mbr__list_del(struct mbr__list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    mbr__list_init(node);
}

/* The first node, or NULL. */
static inline struct mbr__list *mbr__list_first(const struct mbr__list *head)
{
    return head->next == head ? NULL : head->next;
}

/* The node behind NODE, or NULL at the end. To delete while walking, ask for the next one first. */
static inline struct mbr__list *mbr__list_next(const struct mbr__list *head,
                                               const struct mbr__list *node)
{
    return node->next == head ? NULL : node->next;
}

/* Takes out the first node and returns it, or NULL. */
static inline struct mbr__list *mbr__list_pop_front(struct mbr__list *head)
{
    struct mbr__list *node = mbr__list_first(head);

    if (node)
        mbr__list_del(node);
    return node;
}

/* NODE walks over the list; it must not be deleted on the way. */
#define mbr__list_for_each(node, head) \
    for ((node) = (head)->next; (node) != (head); (node) = (node)->next)

/* As before, and NODE, but no other, may be deleted: AFTER holds its successor meanwhile. */
#define mbr__list_for_each_safe(node, after, head)                        \
    for ((node) = (head)->next, (after) = (node)->next; (node) != (head); \
         (node) = (after), (after) = (node)->next)

#endif
