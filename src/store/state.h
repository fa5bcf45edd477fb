/* SPDX-License-Identifier: MIT */
/*
 * What an engine is made of: the structures that the files of this directory share. Nobody outside
 * it includes this.
 *
 * Not here: what can be done with them (domain.h, out.h, watch.h, tx.h, ...).
 */
#ifndef MBR_STORE_STATE_H
#define MBR_STORE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/slab.h"
#include "store/engine.h"
#include "store/names.h"
#include "store/tree.h"

/* A domain that is known. Domain 0 is one, and no quota holds for it. */
struct mbr__st_domain {
    uint32_t domid;
    uint32_t refs;  /* requests in flight that are charged to it, and itself while it is known */
    uint64_t birth; /* entries in permissions set before are not about this one */
    bool known;     /* false: released, and only kept for the references */
    bool introduced;
    bool dead;                     /* @releaseDomain has been fired for its death */
    struct mbr__st_domain *target; /* whose rights it has as well, or NULL */
    uint32_t features;
    struct mbr__list conns;
    uint32_t conn_count;
    uint32_t stalled_count; /* of them */
    /* What it holds now, and the most it ever did. */
    uint64_t used[MBR__STORE_QUOTAS];
    uint64_t peak[MBR__STORE_QUOTAS];
    /* Its own limits; UINT64_MAX: the engine's. 0: none. */
    uint64_t hard[MBR__STORE_QUOTAS];
    uint64_t soft[MBR__STORE_QUOTAS];
    bool soft_reported;
    bool refusal_reported;
    uint64_t recount_nodes, recount_memory; /* of check.c */
    int64_t credit;                         /* of writes, in 1e-9 */
    uint64_t credit_time;                   /* when it was counted last */
};

/* A request of a guest that somebody has not read all consequences of. */
struct mbr__st_charge {
    struct mbr__st_domain *domain;
    uint32_t refs;
};

/* A mark in a queue: the output up to END is charged to somebody. */
struct mbr__st_mark {
    uint64_t end;
    uint64_t deadline; /* after which it no longer is; MBR__NEVER for replies */
    struct mbr__st_charge *charge;
};

/* From START on, output must wait for the journal. */
struct mbr__st_hold {
    uint64_t start;
    uint64_t seq;
};

/* Changes up to GENERATION are in batches up to SEQ. */
struct mbr__st_batch {
    uint64_t seq;
    uint64_t generation;
};

/* Batches on their way that are told apart; later ones count as the last of them. */
#define MBR__ST_BATCHES 64u

/* An event that is queued at POSITION, for finding its like. */
struct mbr__st_seen {
    uint64_t hash;
    uint64_t position; /* + 1; 0: empty */
};

/* Output of a connection: bytes in positions [head, tail) of an endless stream. */
struct mbr__st_out {
    unsigned char *data;
    size_t capacity;
    size_t begin; /* index of head */
    uint64_t head;
    uint64_t tail;
    struct mbr__st_mark *marks;
    size_t mark_first, mark_count, mark_capacity;
    struct mbr__st_hold *holds;
    size_t hold_first, hold_count, hold_capacity;
    struct mbr__st_seen *seen;
    size_t seen_capacity, seen_count;
    uint64_t first;      /* position + 1 of an event that is queued and not in `seen`; 0: none */
    uint32_t first_size; /* of it */
    uint64_t timed;      /* no mark has a deadline before; MBR__NEVER */
};

struct mbr__store_conn {
    struct mbr__store *store;
    uint64_t id;
    void *user;
    struct mbr__st_domain *domain;
    struct mbr__list of_domain;
    struct mbr__list stalled; /* in store->stalled while it waits for `resume` */
    struct mbr__list timed;   /* in store->timed while marks may time out */
    struct mbr__list held;    /* in store->held while output waits for the journal */
    struct mbr__list watches;
    struct mbr__list transactions;
    uint32_t watch_count;
    uint32_t tx_count;
    uint32_t next_tx;
    bool privileged;
    bool broken;
    bool later; /* waits for mbr__store_control_done() */
    bool told;  /* `output` was called and peek has not found it empty since */
    uint32_t later_req, later_tx;
    struct mbr__st_out out;
};

/* A watch. Its key in the map is CONN_ID, AT and the token, which lie side by side. */
struct mbr__st_watch {
    struct mbr__list of_name;
    struct mbr__list of_conn;
    struct mbr__store_conn *conn;
    uint64_t number; /* in the order of making */
    uint32_t depth;  /* UINT32_MAX: all */
    uint32_t strip;  /* bytes to leave out of paths, since the watch's was relative */
    uint32_t cost;
    bool special;       /* on a name that begins with '@' */
    uint32_t token_len; /* without the NUL, which is there */
    uint64_t conn_id;
    struct mbr__st_name *at;
    char token[];
};

/* What a transaction knows of one path. Hangs on a name of the transaction. */
struct mbr__st_access {
    struct mbr__list link; /* in the order of first access */
    struct mbr__st_name *at;
    struct mbr__st_node *base; /* as first seen, one reference; NULL: it was not there */
    struct mbr__st_node *work; /* as it is for the transaction, one reference; NULL: not there */
    struct mbr__st_node *deep; /* one reference: must still be exactly this, with all beneath it */
    struct mbr__st_perms *old_perms; /* before they were changed first, one reference */
    uint64_t cost;
    bool modified;
    bool value_set;
    bool perms_set;
    bool fire;
    bool shadowed; /* lies beneath something the transaction has removed: never compared */
    bool opaque;   /* the transaction has removed it once: nothing living beneath it is visible */
    /* While it is being committed: */
    bool created;
    struct mbr__st_node *removed; /* one reference */
    struct mbr__st_job *job;
};

struct mbr__st_tx {
    struct mbr__list of_conn;
    struct mbr__store_conn *conn;
    uint32_t id;
    int error; /* it can only fail, with this */
    struct mbr__st_names names;
    struct mbr__list accesses;
    uint32_t count;
    uint64_t cost;
    int64_t nodes;              /* that its domain will own more, of a guest's transaction */
    struct mbr__st_access near; /* the first one, which most have; the others have own memory */
};

/* Work to be done in slices. */
struct mbr__st_job {
    struct mbr__list link;
    struct mbr__st_node *top; /* one reference */
    bool reap;                /* else: uncharge what is beneath TOP, inclusive */
    bool any;                 /* reap all domains that are not known, else: */
    uint32_t domid;
    uint64_t before; /* permissions set before this generation */
    bool started;
};

struct mbr__st_special {
    struct mbr__st_perms *perms;
    uint64_t generation;
};

enum { MBR__ST_INTRODUCE, MBR__ST_RELEASE, MBR__ST_SPECIALS };

struct mbr__st_load;

struct mbr__store {
    struct mbr__store_options options;
    struct mbr__st_tree tree;
    struct mbr__st_special special[MBR__ST_SPECIALS];
    struct mbr__hash conns;   /* by id */
    struct mbr__hash domains; /* by domid + 1 */
    struct mbr__st_domain *dom0;
    struct mbr__st_names watch_names;
    struct mbr__st_names special_names; /* the watched ones that begin with '@' */
    struct mbr__bytes_map watches;
    uint64_t watch_number;
    struct mbr__list purges;
    struct mbr__list reaps;
    struct mbr__list stalled;
    struct mbr__list timed;
    struct mbr__list held;
    uint64_t hard[MBR__STORE_QUOTAS];
    uint64_t soft[MBR__STORE_QUOTAS];
    uint64_t peak[MBR__STORE_QUOTAS];
    uint32_t open_tx;
    int64_t reserve; /* of write credit */
    uint64_t reserve_time;
    uint64_t seq;
    uint64_t durable;
    uint64_t settled; /* no change up to this generation waits for the journal */
    struct mbr__st_batch batches[MBR__ST_BATCHES]; /* a circle of those above */
    unsigned batch_first, batch_count;
    struct mbr__store_change *changes;
    size_t change_count, change_capacity;
    bool started;     /* a connection was made: nothing can be loaded any more */
    unsigned tracing; /* of the bits below */
    struct mbr__st_load *load;
    struct mbr__slab charges;
    struct mbr__st_charge *charge; /* of the request being carried out, or NULL */
    struct mbr__store_stats stats;
    /* Scratch. */
    struct mbr__st_path path;
    struct mbr__st_walk walk; /* of path, in the living tree */
    struct mbr__st_walk view; /* of path, as a transaction has it: not for mbr__st_tree_walk() */
    struct mbr__st_walker purge_walker; /* of the first job of each kind */
    struct mbr__st_walker reap_walker;
    struct mbr__st_path job_path;
    struct mbr__st_walk job_walk;
    struct mbr__st_name *fired[MBR__ST_DEPTH_MAX + 2];
    struct mbr__list *cursor[MBR__ST_DEPTH_MAX + 2];
    bool hidden[MBR__ST_DEPTH_MAX + 1];                  /* beside view */
    struct mbr__st_name *touched[MBR__ST_DEPTH_MAX + 1]; /* too: the transaction's names */
    const struct mbr__st_name *walked; /* in a commit: the one whose path is in `path`, or NULL */
    struct mbr__st_walker count_walker;
    struct mbr__st_node *below[MBR__ST_DEPTH_MAX + 2];
    char text[MBR__STORE_ABS_PATH_MAX + 64];
    char text2[MBR__STORE_ABS_PATH_MAX + 64];
};

/* What `control log` sets: whether anything is logged, and the switches of xenstored in its order,
 * of which only that of requests has something to log here. */
enum {
    MBR__ST_LOG_ON = 1,
    MBR__ST_LOG_OBJ = 2,
    MBR__ST_LOG_IO = 4,
    MBR__ST_LOG_ALL = 63,
    MBR__ST_LOG_DEFAULT = MBR__ST_LOG_OBJ | MBR__ST_LOG_IO
};

static inline uint64_t mbr__st_now(const struct mbr__store *store)
{
    return store->options.now ? store->options.now(store->options.user) : mbr__now_ns();
}

#endif
