/* SPDX-License-Identifier: MIT */
/* Connections with a region that waits for the other end; offers.h says why they are counted. */
#include "offers.h"

#include <string.h>
#include <sys/resource.h>

#define MOST  512u /* at a time, ... */
#define SHARE 8ul  /* ... and no more than this part of the descriptors the process may have */

static struct shim_conn *places[MOST];
static uint32_t next_place;

static uint32_t how_many(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / SHARE >= MOST)
        return MOST;
    return limit.rlim_cur < 2 * SHARE ? 1 : (uint32_t)(limit.rlim_cur / SHARE);
}

/* It may have died meanwhile, or be another one by now, which then has a region of its own. */
static bool hold(struct shim_conn *c)
{
    uint32_t refs = mbr_load_relaxed(&c->object.refs);

    while (refs > 0) {
        if (mbr_cas(&c->object.refs, &refs, refs + 1))
            return true;
    }
    return false;
}

struct shim_conn *shim_offers_add(struct shim_conn *c)
{
    struct shim_conn *old;

    c->offer = next_place++ % how_many();
    old = mbr_exchange(&places[c->offer], c);
    return old != NULL && old != c && hold(old) ? old : NULL;
}

void shim_offers_remove(struct shim_conn *c)
{
    struct shim_conn *want = c;

    (void)mbr_cas(&places[c->offer], &want, (struct shim_conn *)NULL);
}

void shim_offers_forked(void)
{
    memset(places, 0, sizeof(places));
}
