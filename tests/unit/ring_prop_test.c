/* SPDX-License-Identifier: MIT */
/*
 * The record ring against a model that is a list of records and three numbers: any sequence of
 * reserve, commit, publish, peek, release, retire, arming, and of consumers that come and go, does
 * what the list says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "prop.h"
#include "ring_pair.h"

#define CAPACITY UINT64_C(4096)
#define KEYS     1024 /* more than records fit */

struct model {
    uint32_t len[KEYS]; /* by key modulo KEYS */
    uint8_t kind[KEYS];
    uint64_t committed, published, released, retired; /* how many records so far */
    uint64_t out;                                     /* bytes from retired to committed */
    uint64_t held;            /* bytes from retired to released: given back at the next retire */
    uint32_t arming, armings; /* the wish shown now, 0 none; the last one's number */
    bool answered;            /* the wish shown now has been answered */
    bool attached;
};

static struct ring_pair pair;

/* Mostly small records, some that fill most of the ring. */
static uint32_t choose_len(struct prop *p)
{
    switch (prop_choose(p, 8)) {
    case 0:
        return prop_choose(p, (uint32_t)CAPACITY + 16);
    case 1:
        return (uint32_t)mbr__ring_largest(CAPACITY) - prop_choose(p, 24);
    case 2:
        return 0;
    default:
        return prop_choose(p, 300);
    }
}

static bool commit(struct prop *p, struct model *m)
{
    uint32_t len = choose_len(p);
    uint8_t kind = (uint8_t)(1 + prop_choose(p, 254));
    uint64_t size = mbr__record_size(len);
    uint64_t room = CAPACITY - 8 - m->out;
    void *to = mbr__ring_reserve(&pair.tx, len);

    PROP_CHECK(p, (to != NULL) == (size <= room));
    if (to == NULL)
        return true;
    len -= prop_choose(p, len + 1); /* less than was reserved */
    ring_fill(to, len, m->committed);
    mbr__ring_commit(&pair.tx, len, kind);
    m->len[m->committed % KEYS] = len;
    m->kind[m->committed % KEYS] = kind;
    m->committed++;
    m->out += mbr__record_size(len);
    return true;
}

static bool publish(struct prop *p, struct model *m)
{
    bool news = m->published < m->committed;
    bool rings = news && m->attached && m->arming != 0 && !m->answered;
    uint32_t want = mbr__ring_publish(&pair.tx);

    PROP_CHECK(p, want == (rings ? m->arming : 0));
    m->published = m->committed;
    m->answered |= rings;
    return true;
}

static bool take(struct prop *p, struct model *m)
{
    struct mbr__record rec = {0};
    int r = mbr__ring_peek(&pair.rx, &rec);
    uint64_t key = m->released;

    PROP_CHECK(p, r == (m->released < m->published));
    PROP_CHECK(p, mbr__ring_has_record(&pair.rx) == (r == 1));
    if (r == 0)
        return true;
    PROP_CHECK(p, rec.len == m->len[key % KEYS] && rec.kind == m->kind[key % KEYS]);
    PROP_CHECK(p, ring_is(rec.data, rec.len, key));
    if (prop_choose(p, 4) == 0)
        return true; /* only looked */
    mbr__ring_release(&pair.rx, &rec);
    m->released++;
    m->held += mbr__record_size(rec.len);
    return true;
}

static bool retire(struct prop *p, struct model *m)
{
    PROP_CHECK(p, mbr__ring_retire(&pair.rx) == 0);
    m->retired = m->released;
    m->out -= m->held;
    m->held = 0;
    PROP_CHECK(p, mbr__ring_refresh(&pair.tx) == CAPACITY - 8 - m->out);
    PROP_CHECK(p, !pair.tx.broken);
    return true;
}

static bool arm(struct prop *p, struct model *m)
{
    m->arming = prop_choose(p, 3) == 0 ? 0 : ++m->armings; /* never the same number again */
    m->answered = false;
    mbr_store_relaxed(&pair.consumer_page->want.data, m->arming);
    return true;
}

/* The consumer goes, having retired; perhaps records are published without it; another comes. */
static bool change_consumer(struct prop *p, struct model *m)
{
    if (!retire(p, m))
        return false;
    uint64_t start = pair.rx.head;

    mbr__ring_tx_detach(&pair.tx);
    m->attached = false;
    for (uint32_t n = prop_choose(p, 4); n > 0; n--) {
        if (!commit(p, m) || !publish(p, m))
            return false;
    }
    m->arming = 0;
    m->answered = false;
    mbr_store_relaxed(&pair.consumer_page->want.data, 0u);
    mbr__ring_rx_init(&pair.rx, pair.rx.data, CAPACITY, pair.rx.shm, pair.rx.peer_want, start);
    PROP_CHECK(p, mbr__ring_tx_attach(&pair.tx, &ring_page(&pair.seen_consumer)->rx,
                                      &ring_page(&pair.seen_consumer)->want, start) == 0);
    m->attached = true;
    return true;
}

static bool like_a_list(struct prop *p)
{
    struct model m = {.attached = true};
    bool ok = true;

    ring_pair_init(&pair, CAPACITY);
    while (ok && prop_more(p)) {
        switch (prop_choose(p, 12)) {
        case 0:
        case 1:
        case 2:
            ok = commit(p, &m);
            break;
        case 3:
        case 4:
            ok = publish(p, &m);
            break;
        case 5:
            ok = retire(p, &m);
            break;
        case 6:
            ok = arm(p, &m);
            break;
        case 7:
            ok = prop_choose(p, 8) != 0 || change_consumer(p, &m);
            break;
        default:
            ok = take(p, &m);
            break;
        }
    }
    ring_pair_fini(&pair);
    return ok;
}

/* Any bytes at all in the ring: nothing that is shown lies outside of it, and every walk ends. */
static bool any_bytes(struct prop *p)
{
    const uint8_t *data;
    bool ok = true;

    ring_pair_init(&pair, CAPACITY);
    data = mbr__region_body(&pair.seen_producer);
    for (uint64_t at = 0; at < CAPACITY; at += 8) {
        uint64_t word = prop_choose(p, 4) == 0 ? 0 : prop_choose(p, 5000);

        word |= (uint64_t)(prop_choose(p, 40) == 0 ? MBR__RECORD_END : 1 + prop_choose(p, 3)) << 32;
        if (prop_choose(p, 50) == 0)
            word = (uint64_t)prop_choose(p, UINT32_MAX) << 32 | prop_choose(p, UINT32_MAX);
        memcpy(pair.tx.data + at, &word, 8);
    }
    for (int i = 0; ok && i < 2000; i++) {
        struct mbr__record rec = {0};
        int r = mbr__ring_peek(&pair.rx, &rec);

        if (r <= 0)
            break;
        ok = (const uint8_t *)rec.data >= data + 8 &&
             (const uint8_t *)rec.data + rec.len <= data + 2 * CAPACITY;
        mbr__ring_release(&pair.rx, &rec);
    }
    ring_pair_fini(&pair);
    if (!ok)
        snprintf(p->failure, sizeof(p->failure), "a record lies outside of the ring");
    return ok;
}

static void model_of_the_ring(void **state)
{
    prop_run("like_a_list", like_a_list, 1500);
}

static void bytes_of_a_stranger(void **state)
{
    prop_run("any_bytes", any_bytes, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_of_the_ring),
        cmocka_unit_test(bytes_of_a_stranger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
