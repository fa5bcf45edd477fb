/* SPDX-License-Identifier: MIT */
/*
 * Reads what dump.c has written. Every number is bounded and every name looked up: a stream that
 * was damaged makes an error, never an engine that is wrong inside.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/domain.h"
#include "store/dump.h"
#include "store/job.h"
#include "store/journal.h"
#include "store/lifecycle.h"
#include "store/out.h"
#include "store/tx.h"
#include "store/watch.h"

#define PERMS_MAX MBR__STORE_PAYLOAD_MAX
#define PIECE     ((size_t)65536)

struct in {
    mbr__store_reader *reader;
    void *user;
    struct mbr__store *store;
    int error;                /* the first */
    uint64_t version;         /* of the stream */
    struct mbr__hash charges; /* by their number in the stream, + 1 */
    char name[MBR__STORE_PAYLOAD_MAX + 1];
    char value[MBR__STORE_PAYLOAD_MAX + 1];
    struct mbr__store_perm perms[PERMS_MAX];
};

static bool fail(struct in *in, int error)
{
    if (!in->error)
        in->error = error;
    return false;
}

static bool get_bytes(struct in *in, void *bytes, size_t len)
{
    int error = in->error || len == 0 ? 0 : in->reader(in->user, bytes, len);

    return error ? fail(in, error) : !in->error;
}

/* A number of at most MAX; 0 after an error. */
static uint64_t get(struct in *in, uint64_t max)
{
    unsigned char bytes[8];
    uint64_t number = 0;

    if (!get_bytes(in, bytes, sizeof(bytes)))
        return 0;
    for (unsigned i = 0; i < 8; i++)
        number |= (uint64_t)bytes[i] << (8 * i);
    if (number <= max)
        return number;
    fail(in, -EBADMSG);
    return 0;
}

/* A string of at most MAX bytes into TEXT, with a NUL behind it. */
static size_t get_string(struct in *in, char *text, size_t max)
{
    size_t len = (size_t)get(in, max);

    if (!get_bytes(in, text, len))
        len = 0;
    text[len] = '\0';
    return len;
}

/* Permissions into in->perms. */
static uint32_t get_perms(struct in *in, uint64_t *generation)
{
    uint32_t count;

    *generation = get(in, UINT64_MAX / 2);
    count = (uint32_t)get(in, PERMS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t entry = get(in, 0xffffff);

        in->perms[i].letter = (char)(entry >> 16 & 0x7f);
        in->perms[i].domid = (uint16_t)entry;
        if (!in->error && (!in->perms[i].letter || !strchr("nrwb", in->perms[i].letter)))
            fail(in, -EBADMSG);
    }
    if (count == 0)
        fail(in, -EBADMSG);
    return count;
}

static struct mbr__st_perms *new_perms(struct in *in)
{
    uint64_t generation;
    uint32_t count = get_perms(in, &generation);
    struct mbr__st_perms *perms;

    if (in->error)
        return NULL;
    perms = mbr__st_perms_new(in->perms, count, generation);
    if (!perms)
        fail(in, -ENOMEM);
    return perms;
}

static void get_globals(struct in *in)
{
    struct mbr__store *store = in->store;

    if (get(in, UINT64_MAX) != MBR__ST_DUMP_MAGIC)
        fail(in, -EBADMSG);
    in->version = get(in, UINT64_MAX);
    if (in->version < MBR__ST_DUMP_OLDEST || in->version > MBR__ST_DUMP_VERSION)
        fail(in, -EPROTONOSUPPORT);
    store->tree.generation = get(in, UINT64_MAX / 2);
    store->tree.next_id = get(in, UINT64_MAX / 2);
    store->seq = get(in, UINT64_MAX / 2);
    store->durable = get(in, UINT64_MAX / 2);
    store->tracing = (unsigned)get(in, MBR__ST_LOG_ALL) ^ MBR__ST_LOG_DEFAULT;
    store->stats.requests = get(in, UINT64_MAX);
    store->stats.events = get(in, UINT64_MAX);
    store->stats.coalesced = get(in, UINT64_MAX);
    store->stats.commits = get(in, UINT64_MAX);
    store->stats.conflicts = get(in, UINT64_MAX);
    store->stats.refused = get(in, UINT64_MAX);
    for (unsigned i = 0; i < MBR__STORE_QUOTAS; i++) {
        store->hard[i] = get(in, INT32_MAX);
        store->soft[i] = get(in, INT32_MAX);
        store->peak[i] = get(in, UINT64_MAX);
    }
}

/* A domain; its target, which may come later in the stream, into TARGETS by number. */
static void get_domain(struct in *in, uint32_t *targets)
{
    uint32_t domid = (uint32_t)get(in, MBR__STORE_DOMID_FIRST_RESERVED - 1);
    struct mbr__st_domain *domain;

    if (in->error || domid == 0 || mbr__st_domain_find(in->store, domid)) {
        fail(in, -EBADMSG);
        return;
    }
    domain = mbr__st_domain_make(in->store, domid);
    if (!domain) {
        fail(in, -ENOMEM);
        return;
    }
    domain->birth = get(in, UINT64_MAX / 2);
    domain->introduced = get(in, 1);
    domain->dead = get(in, 1);
    domain->features = (uint32_t)get(in, MBR__XS_FEATURES);
    targets[domid] = (uint32_t)get(in, MBR__STORE_DOMID_FIRST_RESERVED - 1);
    for (unsigned i = 0; i < MBR__STORE_QUOTAS; i++) {
        domain->hard[i] = get(in, UINT64_MAX);
        domain->soft[i] = get(in, UINT64_MAX);
        domain->peak[i] = get(in, UINT64_MAX);
    }
}

static void set_targets(struct mbr__store *store, const uint32_t *targets)
{
    struct mbr__st_domain *domain;
    size_t cursor = 0;

    while ((domain = mbr__hash_next(&store->domains, &cursor))) {
        struct mbr__st_domain *target = mbr__st_domain_find(store, targets[domain->domid]);

        if (!target || target->domid == 0 || target == domain)
            continue;
        target->refs++;
        domain->target = target;
    }
}

static void get_domains(struct in *in)
{
    uint64_t count = get(in, MBR__STORE_DOMID_FIRST_RESERVED);
    uint64_t generation = in->store->tree.generation;
    uint32_t *targets = calloc(MBR__STORE_DOMID_FIRST_RESERVED, sizeof(*targets));

    if (!targets) {
        fail(in, -ENOMEM);
        return;
    }
    for (uint64_t i = 0; i < count && !in->error; i++)
        get_domain(in, targets);
    set_targets(in->store, targets);
    free(targets);
    in->store->tree.generation = generation; /* making domains has counted */
}

static void get_specials(struct in *in)
{
    for (unsigned i = 0; i < MBR__ST_SPECIALS && !in->error; i++) {
        struct mbr__st_special *special = &in->store->special[i];
        uint64_t generation = get(in, UINT64_MAX / 2);
        struct mbr__st_perms *perms = new_perms(in);

        if (!perms)
            return;
        mbr__st_perms_unref(special->perms);
        special->perms = perms;
        special->generation = generation;
    }
}

static void get_node(struct in *in)
{
    struct mbr__store_change put = {.kind = MBR__STORE_PUT};
    uint64_t perms_generation;
    int error;

    put.id = get(in, UINT64_MAX / 2);
    put.parent = get(in, UINT64_MAX / 2);
    put.generation = get(in, UINT64_MAX / 2);
    put.name_len = (uint32_t)get_string(in, in->name, MBR__STORE_ABS_PATH_MAX);
    put.value_len = (uint32_t)get_string(in, in->value, MBR__STORE_PAYLOAD_MAX);
    put.perm_count = get_perms(in, &perms_generation);
    put.name = in->name;
    put.value = in->value;
    put.perms = in->perms;
    if (in->error)
        return;
    if (put.id == 2 || put.id == 3) {
        fail(in, -EBADMSG);
        return;
    }
    error = mbr__st_load_node(in->store, &put, perms_generation);
    if (error)
        fail(in, error == -ENOMEM ? error : -EBADMSG);
}

static void get_tree(struct in *in)
{
    uint64_t count;

    get_specials(in);
    count = get(in, UINT64_MAX / 2);
    for (uint64_t i = 0; i < count && !in->error; i++)
        get_node(in);
    if (in->store->tree.count != count)
        fail(in, -EBADMSG);
}

static void get_reaps(struct in *in)
{
    uint64_t count = get(in, UINT32_MAX);

    for (uint64_t i = 0; i < count && !in->error; i++) {
        uint32_t domid = (uint32_t)get(in, MBR__STORE_DOMID_FIRST_RESERVED - 1);
        bool any = get(in, 1);
        uint64_t before = get(in, UINT64_MAX / 2);
        struct mbr__st_job *job = in->error ? NULL : mbr__st_job_new();

        if (!job)
            fail(in, -ENOMEM);
        else
            mbr__st_job_reap(in->store, job, domid, any, before);
    }
}

/* ---- Transactions ---- */

/* The names in the list of WORK. What is found there besides its name is never looked at. */
static bool get_names(struct in *in, struct mbr__st_node *work)
{
    struct mbr__st_heap *heap = &in->store->tree.heap;
    uint64_t last = 0;
    uint64_t id;

    while ((id = get(in, UINT64_MAX / 2)) != 0) {
        size_t len = get_string(in, in->name, MBR__STORE_ABS_PATH_MAX);
        struct mbr__st_node *child;

        if (in->error || id <= last || !mbr__st_name_valid(in->name, len) ||
            mbr__st_node_child(heap, work, in->name, len))
            return fail(in, -EBADMSG);
        child = mbr__st_node_new(heap, in->name, len, 0, work->perms);
        if (!child)
            return fail(in, -ENOMEM);
        child->id = last = id;
        if (mbr__st_node_attach(heap, work, child)) {
            mbr__st_node_free(heap, child);
            return fail(in, -ENOMEM);
        }
    }
    return !in->error;
}

/* A transaction's own version of the node at store->path, with one reference. */
static struct mbr__st_node *get_work(struct in *in)
{
    const struct mbr__st_path *path = &in->store->path;
    struct mbr__st_heap *heap = &in->store->tree.heap;
    unsigned last = path->count ? path->count - 1 : 0;
    uint64_t id = get(in, UINT64_MAX / 2);
    uint64_t generation = get(in, UINT64_MAX / 2);
    uint32_t value_len = (uint32_t)get_string(in, in->value, MBR__STORE_PAYLOAD_MAX);
    struct mbr__st_perms *perms = new_perms(in);
    struct mbr__st_node *work;

    if (!perms)
        return NULL;
    work = path->count ? mbr__st_node_new(heap, path->text + path->part[last].at,
                                          path->part[last].len, value_len, perms)
                       : mbr__st_node_new(heap, "", 0, value_len, perms);
    mbr__st_perms_unref(perms);
    if (!work) {
        fail(in, -ENOMEM);
        return NULL;
    }
    memcpy(mbr__st_value(work), in->value, value_len);
    work->id = id;
    work->generation = generation;
    work->refs = 1;
    (void)get_names(in, work);
    return work;
}

static void set_flags(struct mbr__st_access *access, uint64_t flags)
{
    access->modified = flags & MBR__ST_DUMP_MODIFIED;
    access->value_set = flags & MBR__ST_DUMP_VALUE_SET;
    access->perms_set = flags & MBR__ST_DUMP_PERMS_SET;
    access->fire = flags & MBR__ST_DUMP_FIRE;
    access->shadowed = flags & MBR__ST_DUMP_SHADOWED;
    access->opaque = flags & MBR__ST_DUMP_OPAQUE;
}

/* What the transaction began with is what is living, or it will fail and does not need it. */
static void take_living(struct in *in, struct mbr__st_access *access, uint64_t flags, bool doomed)
{
    struct mbr__store *store = in->store;
    struct mbr__st_node *live;

    mbr__st_tree_walk(&store->tree, &store->path, &store->walk);
    live = store->walk.found == store->path.count ? store->walk.node[store->walk.found] : NULL;
    if (!live && (flags & (MBR__ST_DUMP_BASE | MBR__ST_DUMP_DEEP)) && !doomed)
        fail(in, -EBADMSG);
    if (live && (flags & MBR__ST_DUMP_BASE))
        access->base = live;
    if (live && (flags & MBR__ST_DUMP_DEEP))
        access->deep = live;
    if ((flags & MBR__ST_DUMP_WORK) && !(flags & MBR__ST_DUMP_OWN))
        access->work = access->base;
    mbr__st_ref(&store->tree.heap, mbr__st_leaf(access->base));
    mbr__st_ref(&store->tree.heap, mbr__st_leaf(access->deep));
    mbr__st_ref(&store->tree.heap, mbr__st_leaf(access->work));
}

static void get_access(struct in *in, struct mbr__st_tx *tx)
{
    struct mbr__store *store = in->store;
    size_t len = get_string(in, in->name, MBR__STORE_ABS_PATH_MAX);
    uint64_t flags = get(in, MBR__ST_DUMP_ALL);
    uint64_t cost = get(in, UINT32_MAX);
    struct mbr__st_access *access;
    struct mbr__st_name *name;

    if (in->error || in->name[0] != '/' || strlen(in->name) != len ||
        mbr__st_path_parse(&store->path, 0, in->name, len, UINT64_MAX)) {
        fail(in, -EBADMSG);
        return;
    }
    name = mbr__st_names_find(&tx->names, &store->path);
    if (name && name->data) {
        fail(in, -EBADMSG);
        return;
    }
    access = mbr__st_tx_restore_access(tx);
    if (!access) {
        fail(in, -ENOMEM);
        return;
    }
    access->cost = cost;
    set_flags(access, flags);
    take_living(in, access, flags, tx->error != 0);
    if (flags & MBR__ST_DUMP_OLD_PERMS)
        access->old_perms = new_perms(in);
    if (flags & MBR__ST_DUMP_OWN)
        access->work = get_work(in);
}

/* What is never compared must lie beneath something that the transaction removes. */
static bool is_shadowed(const struct mbr__st_access *access)
{
    for (const struct mbr__st_name *name = access->at->parent; name; name = name->parent) {
        const struct mbr__st_access *above = name->data;

        if (above && above->opaque)
            return true;
    }
    return false;
}

static void check_shadows(struct in *in, struct mbr__st_tx *tx)
{
    struct mbr__list *at;

    mbr__list_for_each (at, &tx->accesses) {
        const struct mbr__st_access *access = mbr__container_of(at, struct mbr__st_access, link);

        if (access->shadowed && !is_shadowed(access))
            fail(in, -EBADMSG);
    }
}

static void get_tx(struct in *in, struct mbr__store_conn *conn)
{
    uint32_t id = (uint32_t)get(in, UINT32_MAX);
    int error = -(int)get(in, 4095);
    uint64_t cost = get(in, UINT64_MAX / 4);
    int64_t nodes = (int64_t)get(in, UINT64_MAX);
    uint64_t count = get(in, UINT32_MAX);
    struct mbr__st_tx *tx;

    if (in->error || id == 0 || mbr__st_tx_find(conn, id)) {
        fail(in, -EBADMSG);
        return;
    }
    if (mbr__st_tx_start(conn, &tx)) {
        fail(in, -ENOMEM);
        return;
    }
    tx->id = id;
    tx->error = error;
    tx->nodes = nodes;
    mbr__st_use(in->store, conn->domain, MBR__STORE_QUOTA_MEMORY, (int64_t)(cost - tx->cost));
    tx->cost = cost;
    for (uint64_t i = 0; i < count && !in->error; i++)
        get_access(in, tx);
    check_shadows(in, tx);
}

/* ---- Connections ---- */

static void get_watch(struct in *in, struct mbr__store_conn *conn)
{
    struct mbr__st_path *path = &in->store->path;
    size_t len = get_string(in, in->name, MBR__STORE_ABS_PATH_MAX);
    uint64_t strip = get(in, MBR__ST_PREFIX_MAX);
    uint32_t depth = (uint32_t)get(in, UINT32_MAX);
    size_t token_len = get_string(in, in->value, MBR__STORE_PAYLOAD_MAX);
    struct mbr__st_watch *watch;
    int error;

    if (in->error || (in->name[0] != '/' && in->name[0] != '@') || strlen(in->name) != len ||
        strlen(in->value) != token_len || (strip != 0 && strip >= len) ||
        mbr__st_path_parse(path, 0, in->name, len, UINT64_MAX)) {
        fail(in, -EBADMSG);
        return;
    }
    path->relative = (uint32_t)strip;
    error = mbr__st_watch_add(conn, path, in->value, depth, &watch);
    if (error)
        fail(in, error == -ENOMEM ? error : -EBADMSG);
}

static void get_events(struct in *in, struct mbr__store_conn *conn, size_t len)
{
    uint64_t count = get(in, len);

    for (uint64_t i = 0; i < count && !in->error; i++) {
        uint64_t start = get(in, len);
        int error = in->error ? 0 : mbr__st_out_restore_event(conn, start);

        if (error)
            fail(in, error);
    }
}

/* One mark, behind the one that ended at BEFORE. */
static uint64_t get_mark(struct in *in, struct mbr__store_conn *conn, uint64_t before, size_t len)
{
    uint64_t end = get(in, len);
    uint64_t deadline = get(in, UINT64_MAX);
    uint64_t number = get(in, UINT32_MAX) + 1;
    uint32_t domid = (uint32_t)get(in, UINT16_MAX);
    struct mbr__st_domain *domain = in->error ? NULL : mbr__st_domain_find(in->store, domid);
    struct mbr__st_charge *known = in->error ? NULL : mbr__hash_get(&in->charges, number);
    struct mbr__st_charge *charge = known;

    if (!domain || end <= before || (known && known->domain != domain)) {
        fail(in, -EBADMSG);
        return end;
    }
    if (mbr__st_out_restore_mark(conn, end, deadline, domain, &charge) ||
        (!known && mbr__hash_put(&in->charges, number, charge)))
        fail(in, -ENOMEM);
    return end;
}

static void get_output(struct in *in, struct mbr__store_conn *conn)
{
    size_t len = (size_t)get(in, UINT32_MAX);
    uint64_t holds, marks;

    /* In pieces: memory is taken for what is really there. */
    for (size_t left = len; left > 0 && !in->error;) {
        size_t part = left < PIECE ? left : PIECE;
        unsigned char *at = mbr__st_out_restore(conn, part);

        if (!at)
            fail(in, -ENOMEM);
        else
            (void)get_bytes(in, at, part);
        left -= part;
    }
    holds = get(in, UINT32_MAX);
    for (uint64_t i = 0; i < holds && !in->error; i++) {
        uint64_t start = get(in, len);
        uint64_t seq = get(in, in->store->seq);

        if (!in->error && mbr__st_out_restore_hold(conn, start, seq))
            fail(in, -ENOMEM);
    }
    if (in->version < 2)
        return;
    get_events(in, conn, len);
    marks = get(in, len);
    for (uint64_t i = 0, end = 0; i < marks && !in->error; i++)
        end = get_mark(in, conn, end, len);
}

static void get_conn(struct in *in)
{
    uint64_t id = get(in, UINT64_MAX);
    uint32_t domid = (uint32_t)get(in, UINT16_MAX);
    uint64_t flags = get(in, 7);
    struct mbr__store_conn *conn;
    uint32_t next_tx;
    uint64_t count;
    int error;

    if (in->error)
        return;
    /* Privileged while it is put together: quotas may be lower than what it holds. */
    error = mbr__store_conn_new(in->store, id, domid, MBR__STORE_PRIVILEGED, NULL, &conn);
    if (error) {
        fail(in, error == -ENOMEM ? error : -EBADMSG);
        return;
    }
    next_tx = (uint32_t)get(in, UINT32_MAX);
    conn->later_req = (uint32_t)get(in, UINT32_MAX);
    conn->later_tx = (uint32_t)get(in, UINT32_MAX);
    get_output(in, conn);
    count = get(in, UINT32_MAX);
    for (uint64_t i = 0; i < count && !in->error; i++)
        get_watch(in, conn);
    count = get(in, UINT32_MAX);
    for (uint64_t i = 0; i < count && !in->error; i++)
        get_tx(in, conn);
    conn->next_tx = next_tx;
    conn->broken = flags & MBR__ST_DUMP_BROKEN;
    conn->later = flags & MBR__ST_DUMP_LATER;
    if (!(flags & MBR__ST_DUMP_PRIVILEGED)) {
        conn->privileged = false;
        mbr__st_use(in->store, conn->domain, MBR__STORE_QUOTA_MEMORY,
                    (int64_t)mbr__store_conn_queued(conn));
    }
}

static int restore(struct in *in)
{
    struct mbr__store *store = in->store;
    uint64_t generation;
    uint64_t count;

    get_globals(in);
    generation = store->tree.generation;
    get_domains(in);
    get_tree(in);
    mbr__st_load_abandon(store);
    store->started = true; /* the journal knows all this */
    mbr__st_journal_settle(store);
    get_reaps(in);
    count = get(in, UINT32_MAX);
    for (uint64_t i = 0; i < count && !in->error; i++)
        get_conn(in);
    if (get(in, UINT64_MAX) != MBR__ST_DUMP_END || generation < store->tree.generation)
        fail(in, -EBADMSG);
    return in->error;
}

int mbr__store_restore(struct mbr__store *store, mbr__store_reader *reader, void *user)
{
    struct in *in;
    int error = mbr__store_load_begin(store, 0);

    if (error)
        return error;
    in = malloc(sizeof(*in));
    if (!in)
        return -ENOMEM;
    in->reader = reader;
    in->user = user;
    in->store = store;
    in->error = 0;
    mbr__hash_init(&in->charges);
    error = restore(in);
    mbr__hash_fini(&in->charges);
    free(in);
    return error;
}
