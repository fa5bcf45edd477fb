/* SPDX-License-Identifier: MIT */
/*
 * Quotas and the fairness of writes. What a domain holds is counted where it begins and ends to
 * hold it, never computed afterwards; the tests recount.
 *
 * Writes: while a transaction is open that a write could make fail, each write of a guest costs a
 * credit. Guests get 200 a second between them, keep at most 10 each, and what they leave goes to
 * a common reserve of at most 1000. A guest in debt is not read until it is out of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "store/domain.h"

#define CREDIT      INT64_C(1000000000) /* one write */
#define RATE        200                 /* writes a second, of all guests */
#define RESERVE_MAX (1000 * CREDIT)

/* What a node, without its bytes, is taken to cost: its structure and its places in two tries. */
#define NODE_COST 112u

static const struct {
    const char *name;
    const char *text;
} quotas[MBR__STORE_QUOTAS] = {
    [MBR__STORE_QUOTA_NODES] = {"nodes", "Nodes a domain may own"},
    [MBR__STORE_QUOTA_WATCHES] = {"watches", "Watches of a domain"},
    [MBR__STORE_QUOTA_TRANSACTIONS] = {"transactions", "Open transactions of a domain"},
    [MBR__STORE_QUOTA_OUTSTANDING] = {"outstanding", "Requests of a domain in flight"},
    [MBR__STORE_QUOTA_TRANSACTION_NODES] = {"transaction-nodes", "Nodes a transaction may touch"},
    [MBR__STORE_QUOTA_MEMORY] = {"memory", "Bytes a domain may make the store hold"},
    [MBR__STORE_QUOTA_NODE_SIZE] = {"node-size", "Bytes of a node: value, permissions, list"},
    [MBR__STORE_QUOTA_PATH] = {"path-max", "Bytes of a path"},
    [MBR__STORE_QUOTA_PERMISSIONS] = {"node-permissions", "Entries in permissions"},
};

const char *mbr__st_quota_name(int what)
{
    return quotas[what].name;
}

const char *mbr__st_quota_text(int what)
{
    return quotas[what].text;
}

int mbr__st_quota_parse(const char *name, size_t len, bool *soft)
{
    static const char prefix[] = "soft-";
    bool is_soft = len > sizeof(prefix) - 1 && memcmp(name, prefix, sizeof(prefix) - 1) == 0;

    if (is_soft) {
        name += sizeof(prefix) - 1;
        len -= sizeof(prefix) - 1;
    }
    for (int i = 0; i < MBR__STORE_QUOTAS; i++) {
        if (strlen(quotas[i].name) != len || memcmp(quotas[i].name, name, len) != 0)
            continue;
        if (is_soft && i != MBR__STORE_QUOTA_MEMORY)
            return -EINVAL;
        *soft = is_soft;
        return i;
    }
    return -EINVAL;
}

uint64_t mbr__st_limit(const struct mbr__store *store, const struct mbr__st_domain *domain,
                       enum mbr__store_quota what)
{
    return domain->hard[what] == UINT64_MAX ? store->hard[what] : domain->hard[what];
}

bool mbr__st_exceeds(const struct mbr__store_conn *conn, enum mbr__store_quota what, uint64_t value)
{
    uint64_t limit;

    if (conn->privileged)
        return false;
    limit = mbr__st_limit(conn->store, conn->domain, what);
    return limit != 0 && value > limit;
}

bool mbr__st_over(const struct mbr__store *store, const struct mbr__st_domain *domain,
                  enum mbr__store_quota what, uint64_t more)
{
    uint64_t limit;

    if (!domain || domain->domid == 0)
        return false;
    limit = mbr__st_limit(store, domain, what);
    return limit != 0 && domain->used[what] + more > limit;
}

static void say(struct mbr__store *store, const char *text)
{
    if (store->options.log)
        store->options.log(store->options.user, MBR_LOG_WARNING, text);
    else
        mbr__log(MBR_LOG_WARNING, "%s", text);
}

/* The soft limit stops nothing; it is said once when it is passed, and once when all is well. */
static void watch_soft(struct mbr__store *store, struct mbr__st_domain *domain)
{
    uint64_t limit = domain->soft[MBR__STORE_QUOTA_MEMORY];
    char text[96];
    bool over;

    if (limit == UINT64_MAX)
        limit = store->soft[MBR__STORE_QUOTA_MEMORY];
    over = limit != 0 && domain->used[MBR__STORE_QUOTA_MEMORY] > limit;
    if (over == domain->soft_reported)
        return;
    domain->soft_reported = over;
    snprintf(text, sizeof(text), "domain %u %s its soft memory quota", domain->domid,
             over ? "exceeds" : "is again below");
    say(store, text);
}

void mbr__st_use(struct mbr__store *store, struct mbr__st_domain *domain,
                 enum mbr__store_quota what, int64_t more)
{
    if (!domain)
        return;
    domain->used[what] += (uint64_t)more;
    MBR_ASSERT_STATE((int64_t)domain->used[what] >= 0, "domain %u, %s", domain->domid,
                     quotas[what].name);
    if (domain->used[what] > domain->peak[what])
        domain->peak[what] = domain->used[what];
    if (domain->domid == 0)
        return; /* no quota holds for it */
    if (domain->used[what] > store->peak[what])
        store->peak[what] = domain->used[what];
    if (what == MBR__STORE_QUOTA_MEMORY)
        watch_soft(store, domain);
}

int mbr__st_refuse(struct mbr__store_conn *conn, enum mbr__store_quota what, int error)
{
    char text[96];

    conn->store->stats.refused++;
    if (!conn->domain->refusal_reported) {
        conn->domain->refusal_reported = true; /* one line for each domain, or it fills the log */
        snprintf(text, sizeof(text), "domain %u has reached its quota of %s", conn->domain->domid,
                 quotas[what].name);
        say(conn->store, text);
    }
    return error;
}

uint64_t mbr__st_node_cost(const struct mbr__st_node *node)
{
    return NODE_COST + node->name_len + node->value_len +
           (uint64_t)node->perms->count * sizeof(struct mbr__store_perm);
}

uint64_t mbr__st_node_extent(uint32_t perm_count, uint64_t value_len, uint64_t list_len)
{
    return 24 + 8 * (uint64_t)perm_count + value_len + list_len;
}

void mbr__st_charge_node(struct mbr__store *store, const struct mbr__st_node *node, int sign)
{
    struct mbr__st_domain *owner = mbr__st_owner(store, node->perms);

    if (!owner)
        return;
    mbr__st_use(store, owner, MBR__STORE_QUOTA_NODES, sign);
    mbr__st_use(store, owner, MBR__STORE_QUOTA_MEMORY, sign * (int64_t)mbr__st_node_cost(node));
}

/* What COUNT guests have earned since WHEN at RATE, at most MAX. */
static int64_t earned(uint64_t since, uint64_t now, uint64_t guests, int64_t max)
{
    uint64_t elapsed = now > since ? now - since : 0;

    if (guests == 0)
        guests = 1;
    if (elapsed >= (uint64_t)max / RATE * guests)
        return max;
    return (int64_t)(elapsed * RATE / guests);
}

/* Brings the credit of DOMAIN up to date; what it cannot keep goes to the reserve. */
static void count_credit(struct mbr__store *store, struct mbr__st_domain *domain, uint64_t now)
{
    int64_t more = earned(domain->credit_time, now, store->domains.count, RESERVE_MAX);

    domain->credit_time = now;
    domain->credit += more;
    if (domain->credit > MBR__ST_BURST) {
        store->reserve += domain->credit - MBR__ST_BURST;
        domain->credit = MBR__ST_BURST;
    } else if (domain->credit < 0) {
        int64_t gift = store->reserve < -domain->credit ? store->reserve : -domain->credit;

        domain->credit += gift;
        store->reserve -= gift;
    }
    if (store->reserve > RESERVE_MAX)
        store->reserve = RESERVE_MAX;
}

void mbr__st_debit(struct mbr__store_conn *conn, uint32_t others)
{
    if (conn->privileged || others == 0)
        return;
    count_credit(conn->store, conn->domain, mbr__st_now(conn->store));
    conn->domain->credit -= CREDIT;
}

uint64_t mbr__st_credit_at(struct mbr__store *store, struct mbr__st_domain *domain)
{
    uint64_t now;

    if (domain->credit >= 0)
        return 0;
    now = mbr__st_now(store);
    count_credit(store, domain, now);
    if (domain->credit >= 0)
        return 0;
    return now + (uint64_t)(-domain->credit) / RATE * store->domains.count + 1;
}
