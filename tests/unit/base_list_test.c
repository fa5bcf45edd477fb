/* SPDX-License-Identifier: MIT */
/* The intrusive list against an array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"
#include "prop.h"

#define ITEMS 32

struct item {
    int before;
    struct mbr__list node;
};

struct model {
    struct item *order[ITEMS];
    size_t count;
};

static void model_insert(struct model *m, size_t at, struct item *item)
{
    memmove(&m->order[at + 1], &m->order[at], (m->count - at) * sizeof(m->order[0]));
    m->order[at] = item;
    m->count++;
}

static void model_delete(struct model *m, const struct item *item)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->order[i] != item)
            continue;
        m->count--;
        memmove(&m->order[i], &m->order[i + 1], (m->count - i) * sizeof(m->order[0]));
        return;
    }
}

static bool check_order(struct prop *p, struct mbr__list *head, const struct model *m)
{
    struct mbr__list *node = mbr__list_first(head);
    struct mbr__list *walker;
    size_t i = 0;

    PROP_CHECK(p, mbr__list_empty(head) == (m->count == 0));
    for (; node; node = mbr__list_next(head, node), i++)
        PROP_CHECK(p, i < m->count && mbr__container_of(node, struct item, node) == m->order[i]);
    PROP_CHECK(p, i == m->count);
    mbr__list_for_each (walker, head)
        PROP_CHECK(p, walker == &m->order[m->count - i--]->node);
    return true;
}

static bool step(struct prop *p, struct mbr__list *head, struct model *m, struct item *item)
{
    struct mbr__list *first = mbr__list_first(head);

    switch (prop_choose(p, 4)) {
    case 0:
        if (!mbr__list_empty(&item->node))
            break;
        mbr__list_push_back(head, &item->node);
        model_insert(m, m->count, item);
        break;
    case 1:
        if (!mbr__list_empty(&item->node))
            break;
        mbr__list_push_front(head, &item->node);
        model_insert(m, 0, item);
        break;
    case 2:
        /* Also of a node that is in no list. */
        mbr__list_del(&item->node);
        PROP_CHECK(p, mbr__list_empty(&item->node));
        model_delete(m, item);
        break;
    default:
        PROP_CHECK(p, mbr__list_pop_front(head) == first);
        if (m->count)
            model_delete(m, m->order[0]);
    }
    return check_order(p, head, m);
}

static bool list_like_model(struct prop *p)
{
    struct item items[ITEMS];
    struct model m = {.count = 0};
    struct mbr__list head;

    mbr__list_init(&head);
    for (size_t i = 0; i < ITEMS; i++)
        mbr__list_init(&items[i].node);
    while (prop_more(p))
        if (!step(p, &head, &m, &items[prop_choose(p, ITEMS)]))
            return false;
    return true;
}

static void behaves_like_its_model(void **state)
{
    prop_run("list_like_model", list_like_model, 200);
}

static void can_be_emptied_on_the_way(void **state)
{
    struct mbr__list head, nodes[5], *node, *after;
    size_t met = 0;

    mbr__list_init(&head);
    for (size_t i = 0; i < 5; i++)
        mbr__list_push_back(&head, &nodes[i]);
    mbr__list_for_each_safe (node, after, &head) {
        assert_ptr_equal(node, &nodes[met]);
        mbr__list_del(node);
        met++;
    }
    assert_int_equal(met, 5);
    assert_true(mbr__list_empty(&head));
    assert_null(mbr__list_pop_front(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_like_its_model),
        cmocka_unit_test(can_be_emptied_on_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
