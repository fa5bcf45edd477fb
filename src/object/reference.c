/* SPDX-License-Identifier: MIT */
/*
 * Regions of objects as messages. membrane/object_reference.h has the contract, reference.h the
 * layout. Numbers that a message leads to are ordinary ones of the process, got by the ordinary
 * functions; what they do not tell, which container and object it is, is looked up here.
 */
#include "object/reference.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <membrane/object_reference.h>

#include "object/object.h"

/* Which container and object a number stands for. */
struct identity {
    uint64_t container[2];
    uint64_t object;
    bool named;
    char container_name[MBR_OBJECT_NAME_MAX + 1];
};

static int identify(int object, struct identity *out)
{
    const struct mbr__object *o;
    struct mbr__handle *h = NULL;
    int rc = mbr__handle_enter(MBR__KIND_OBJECT, object, &h);

    if (rc != 0)
        return rc;
    o = h->what;
    memcpy(out->container, o->c->id, sizeof(out->container));
    memcpy(out->container_name, o->c->name, sizeof(out->container_name));
    out->object = mbr_load_relaxed(&o->entry->id);
    out->named = mbr_load_relaxed(&o->entry->state) != MBR__ENTRY_UNLINKED;
    mbr__handle_exit(h);
    return 0;
}

/* ---- making one ---- */

int mbr_object_refer(int object, size_t offset, size_t size, demi_sgarray_t *sga)
{
    struct mbr__reference r = {.magic = MBR__REFERENCE_MAGIC, .version = MBR__REFERENCE_VERSION};
    struct mbr_object_attr attr;
    struct identity who;
    int rc;

    if (sga == NULL)
        return -EINVAL;
    rc = mbr_object_getattr(object, &attr);
    if (rc == 0)
        rc = identify(object, &who);
    if (rc != 0)
        return rc;
    if (offset > attr.size || size > attr.size - offset)
        return -ERANGE;
    if (!who.named || attr.name[0] == '\0')
        return -ENOENT;
    r.container_bytes = (uint16_t)strnlen(who.container_name, MBR_OBJECT_NAME_MAX);
    r.object_bytes = (uint16_t)strnlen(attr.name, MBR_OBJECT_NAME_MAX);
    memcpy(r.container_id, who.container, sizeof(r.container_id));
    r.object_id = who.object;
    r.object_version = attr.version;
    r.offset = offset;
    r.size = size;

    demi_sgarray_t made = mbr_sga_alloc(sizeof(r) + r.container_bytes + r.object_bytes);

    if (made.sga_buf == NULL)
        return -ENOMEM;
    char *to = made.sga_segs[0].sgaseg_buf;

    memcpy(to, &r, sizeof(r));
    memcpy(to + sizeof(r), who.container_name, r.container_bytes);
    memcpy(to + sizeof(r) + r.container_bytes, attr.name, r.object_bytes);
    *sga = made;
    return 0;
}

/* ---- following one ---- */

struct message {
    struct mbr__reference r;
    char container[MBR_OBJECT_NAME_MAX + 1];
    char object[MBR_OBJECT_NAME_MAX + 1];
};

static bool name_fits(uint16_t bytes)
{
    return bytes > 0 && bytes <= MBR_OBJECT_NAME_MAX;
}

/* Copies it first: the memory of the array may be the peer's, who can change it meanwhile. */
static int parse(const demi_sgarray_t *sga, struct message *m)
{
    const char *from = sga->sga_segs[0].sgaseg_buf;
    size_t length = sga->sga_segs[0].sgaseg_len;

    if (sga->sga_numsegs != 1 || from == NULL || length < sizeof(m->r))
        return -EPROTO;
    memcpy(&m->r, from, sizeof(m->r));
    if (m->r.magic != MBR__REFERENCE_MAGIC || m->r.version != MBR__REFERENCE_VERSION ||
        !name_fits(m->r.container_bytes) || !name_fits(m->r.object_bytes) ||
        length != sizeof(m->r) + m->r.container_bytes + m->r.object_bytes)
        return -EPROTO;
    memset(m->container, 0, sizeof(m->container));
    memset(m->object, 0, sizeof(m->object));
    memcpy(m->container, from + sizeof(m->r), m->r.container_bytes);
    memcpy(m->object, from + sizeof(m->r) + m->r.container_bytes, m->r.object_bytes);
    if (strlen(m->container) != m->r.container_bytes || strlen(m->object) != m->r.object_bytes ||
        m->r.offset > MBR_OBJECT_SIZE_MAX || m->r.size > MBR_OBJECT_SIZE_MAX)
        return -EPROTO;
    return 0;
}

/* A name that nobody can have was made up by the peer. */
static int of_name(int rc)
{
    return rc == -EINVAL || rc == -ENAMETOOLONG ? -EPROTO : rc;
}

/* The object is the one that was meant; the region is got. */
static int get_region(const struct message *m, uint64_t deadline, struct mbr_object_region *out)
{
    struct mbr_object_attr attr;
    struct identity who;
    int rc = identify(out->object, &who);

    if (rc != 0)
        return rc;
    if (memcmp(who.container, m->r.container_id, sizeof(who.container)) != 0 ||
        who.object != m->r.object_id)
        return -ESTALE;
    out->offset = m->r.offset;
    out->size = m->r.size;
    out->access = mbr_object_get_until(out->object, (size_t)m->r.offset, (size_t)m->r.size,
                                       &out->bytes, deadline);
    if (out->access < 0)
        return out->access;
    rc = mbr_object_getattr(out->object, &attr);
    out->changed = rc < 0 || attr.version != m->r.object_version;
    return 0;
}

int mbr_object_follow_until(const demi_sgarray_t *sga, uint64_t deadline_ns,
                            struct mbr_object_region *out)
{
    struct mbr_object_region region = {.access = -1};
    struct message m;
    int rc;

    if (sga == NULL || out == NULL)
        return -EINVAL;
    rc = parse(sga, &m);
    if (rc != 0)
        return rc;
    region.container = of_name(mbr_container_join(m.container));
    if (region.container < 0)
        return region.container;
    region.object = of_name(mbr_object_join(region.container, m.object));
    rc = region.object < 0 ? region.object : get_region(&m, deadline_ns, &region);
    if (rc < 0) {
        (void)mbr_container_leave(region.container); /* and with it the object */
        return rc;
    }
    *out = region;
    return 0;
}

int mbr_object_follow(const demi_sgarray_t *sga, struct mbr_object_region *out)
{
    return mbr_object_follow_until(sga, MBR_FOREVER, out);
}

int mbr_object_unfollow(struct mbr_object_region *region)
{
    int rc;

    if (region == NULL)
        return -EINVAL;
    rc = mbr_object_put(region->access);
    if (rc != 0)
        return rc;
    return mbr_container_leave(region->container); /* and with it the object */
}
