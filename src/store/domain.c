/* SPDX-License-Identifier: MIT */
/*
 * Domains and rights. There is one function that decides about permissions, and nothing, the root
 * included, is looked at without it.
 */
#include "store/domain.h"

#include <stdlib.h>

struct mbr__st_domain *mbr__st_domain_find(const struct mbr__store *store, uint32_t domid)
{
    return domid == 0 ? store->dom0 : mbr__hash_get(&store->domains, (uint64_t)domid + 1);
}

struct mbr__st_domain *mbr__st_domain_make(struct mbr__store *store, uint32_t domid)
{
    struct mbr__st_domain *domain = mbr__st_domain_find(store, domid);

    if (domain)
        return domain;
    domain = calloc(1, sizeof(*domain));
    if (!domain)
        return NULL;
    if (mbr__hash_put(&store->domains, (uint64_t)domid + 1, domain)) {
        free(domain);
        return NULL;
    }
    domain->domid = domid;
    domain->refs = 1;
    domain->known = true;
    domain->birth = ++store->tree.generation;
    domain->features = MBR__XS_FEATURES;
    domain->credit = MBR__ST_BURST;
    domain->credit_time = mbr__st_now(store);
    for (unsigned i = 0; i < MBR__STORE_QUOTAS; i++)
        domain->hard[i] = domain->soft[i] = UINT64_MAX;
    mbr__list_init(&domain->conns);
    return domain;
}

void mbr__st_domain_unref(struct mbr__st_domain *domain)
{
    if (domain && --domain->refs == 0)
        free(domain);
}

static unsigned letter_rights(char letter)
{
    switch (letter) {
    case 'r':
        return MBR__ST_READ;
    case 'w':
        return MBR__ST_WRITE;
    case 'b':
        return MBR__ST_READ | MBR__ST_WRITE;
    default:
        return 0;
    }
}

/* Whether DOMAIN is the one that a number in PERMS means. */
static bool is_meant(const struct mbr__st_domain *domain, const struct mbr__st_perms *perms,
                     uint32_t domid)
{
    return domain && domain->known && domain->domid == domid && domain->birth <= perms->generation;
}

unsigned mbr__st_rights(const struct mbr__store_conn *conn, const struct mbr__st_perms *perms)
{
    const struct mbr__st_domain *self = conn->domain;
    const struct mbr__store_perm *entry = perms->entry;

    if (conn->privileged || is_meant(self, perms, entry[0].domid) ||
        is_meant(self->target, perms, entry[0].domid))
        return MBR__ST_READ | MBR__ST_WRITE | MBR__ST_OWN;
    for (uint32_t i = 1; i < perms->count; i++)
        if (entry[i].domid == MBR__STORE_DOMID_ANY || is_meant(self, perms, entry[i].domid) ||
            is_meant(self->target, perms, entry[i].domid))
            return letter_rights(entry[i].letter);
    return letter_rights(entry[0].letter);
}

struct mbr__st_domain *mbr__st_owner(const struct mbr__store *store,
                                     const struct mbr__st_perms *perms)
{
    struct mbr__st_domain *domain = mbr__st_domain_find(store, perms->entry[0].domid);

    return is_meant(domain, perms, perms->entry[0].domid) ? domain : NULL;
}
