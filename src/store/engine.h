/* SPDX-License-Identifier: MIT */
/*
 * The store engine: a tree of names with permissions, watches, transactions and quotas, spoken to
 * in whole messages of the Xenstore protocol. It does no I/O, starts no thread and keeps no
 * descriptor: a transport (socket, ring, a call in the same process) hands it requests and takes
 * its output, a journal is told what changed. Several engines in one process are fine.
 *
 * The rules of the protocol are those of the C daemon of Xen (xenstored); docs/store.md lists where
 * this differs and why. Where a limit is meant for guests only, it holds for connections without
 * MBR__STORE_PRIVILEGED.
 *
 * Threads: an engine and all its connections belong to one thread at a time. Callbacks run inside
 * the call that causes them, and must not call back into the engine except where it says so.
 * Nothing here blocks. Time is CLOCK_MONOTONIC (base/clock.h), or what the options give.
 *
 * Not here: framing of byte streams and of the shared page, identity of peers, files, processes
 * (all daemon/), the client's side (include/membrane/store.h).
 */
#ifndef MBR_STORE_ENGINE_H
#define MBR_STORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <membrane/base.h>

#include "base/strbuf.h"
#include "store/wire.h"

struct mbr__store;
struct mbr__store_conn;

/* Domain numbers from here on are special; a domain that exists is below (Xen's DOMID_*). */
#define MBR__STORE_DOMID_FIRST_RESERVED 0x7ff0u
#define MBR__STORE_DOMID_SELF           0x7ff0u
#define MBR__STORE_DOMID_ANY            0x7ff5u

/* ---- Durability: what the journal is told, and what a load is fed with. ---- */

struct mbr__store_perm {
    uint16_t domid;
    char letter; /* 'n', 'r', 'w' or 'b'; of the first entry: for every domain not listed */
};

enum mbr__store_change_kind {
    MBR__STORE_PUT = 1,    /* the node ID is now exactly this, its children apart */
    MBR__STORE_REMOVE = 2, /* the node ID and everything beneath it is gone, at once */
    MBR__STORE_PURGE = 3 /* ID lay beneath a removed node: its row is garbage and may be deleted */
};

/*
 * One changed node. ID is never used again after removal and greater than its parent's; the root
 * has ID 1 and parent 0, "@introduceDomain" ID 2 and "@releaseDomain" ID 3, parent 0. Of REMOVE and
 * PURGE only ID is set. The pointers are valid during the callback (or, feeding, during the call).
 */
struct mbr__store_change {
    enum mbr__store_change_kind kind;
    uint64_t id;
    uint64_t parent;
    uint64_t generation;
    const char *name; /* the last component, NAME_LEN bytes; "" for the root; no NUL behind it */
    uint32_t name_len;
    uint32_t value_len;
    const void *value;
    const struct mbr__store_perm *perms;
    uint32_t perm_count; /* at least 1 */
};

/*
 * What one request, one commit, one release of a domain or one slice of background work changed:
 * all of it or nothing of it must survive. SEQ counts batches from 1 on (after a load: from
 * mbr__store_load_begin()'s value on). A batch of nothing but PURGE may be lost without harm.
 */
struct mbr__store_batch {
    uint64_t seq;
    const struct mbr__store_change *changes;
    size_t count;
};

/* ---- Making an engine ---- */

/* The limits of 1.10 in the order of names in quota.c: what a domain without own values gets. */
enum mbr__store_quota {
    MBR__STORE_QUOTA_NODES,             /* "nodes" owned: 1000 */
    MBR__STORE_QUOTA_WATCHES,           /* "watches": 128 */
    MBR__STORE_QUOTA_TRANSACTIONS,      /* "transactions" open: 10 */
    MBR__STORE_QUOTA_OUTSTANDING,       /* "outstanding" requests: 20 */
    MBR__STORE_QUOTA_TRANSACTION_NODES, /* "transaction-nodes" of one transaction: 1024 */
    MBR__STORE_QUOTA_MEMORY,            /* "memory" in bytes: 2621440; soft: 2097152 */
    MBR__STORE_QUOTA_NODE_SIZE,         /* "node-size" in bytes: 2048 */
    MBR__STORE_QUOTA_PATH,              /* "path-max" in bytes: 2048 */
    MBR__STORE_QUOTA_PERMISSIONS,       /* "node-permissions" entries: 5 */
    MBR__STORE_QUOTAS
};

/* Returned by the control callback: the answer comes later, by mbr__store_control_done(). */
#define MBR__STORE_LATER 1

struct mbr__store_options {
    void *user; /* handed to every callback */

    /*
     * CONN has output that it had not before (visible to mbr__store_conn_peek()). Called once until
     * peek has found the queue empty. May be called for another connection than the one a request
     * came from. May be NULL if the transport looks by itself.
     */
    void (*output)(void *user, struct mbr__store_conn *conn);

    /* CONN, for which mbr__store_request() returned -EBUSY or mbr__store_conn_ready() false, may be
     * offered requests again. May be NULL. */
    void (*resume)(void *user, struct mbr__store_conn *conn);

    /*
     * CONN must be closed: it reads too slowly to be served within its limits (-ENOBUFS), or there
     * was no memory for what it had to be told (-ENOMEM). Its requests return -EPIPE from now on.
     * The transport frees it later, with mbr__store_conn_free(), not inside the callback.
     */
    void (*broken)(void *user, struct mbr__store_conn *conn, int error);

    /*
     * INTRODUCE of DOMID, all checks passed, before anything has changed. AGAIN: the domain is
     * introduced already and its ring must be bound and reset anew. Returns 0, or a negative errno
     * that goes to the client with nothing changed. May call conn_new() and conn_reset(). May be
     * NULL. (A connection made here belongs to a domain that is introduced when the callback
     * returns; the engine has made it known.)
     */
    int (*introduce)(void *user, uint32_t domid, uint64_t gfn, uint32_t port, bool again);

    /* RELEASE of DOMID: its ring must be unmapped. The transport frees its connections later,
     * outside the callback; the engine has already marked them broken without calling `broken`. May
     * be NULL. */
    void (*release)(void *user, uint32_t domid);

    /* RESUME of DOMID, after the checks. 0 or a negative errno for the client. May be NULL. */
    int (*resume_domain)(void *user, uint32_t domid);

    /*
     * CONTROL: ARGV[0] is a subcommand that the engine does not know itself (live-update, logfile,
     * whatever the daemon adds). Returns 0 with the answer in REPLY (empty: "OK"), a negative errno
     * (-EINVAL: no such subcommand), or MBR__STORE_LATER: CONN takes no further request until
     * mbr__store_control_done(). NULL: there are no others.
     */
    int (*control)(void *user, struct mbr__store_conn *conn, int argc, const char *const *argv,
                   struct mbr__strbuf *reply);

    /* What `control help` says of the daemon's subcommands, a line each, or NULL. */
    const char *control_help;

    /*
     * A batch has taken effect in memory. Must copy what it needs; cannot refuse. Replies that
     * acknowledge it or show somebody what it has changed, events about it, and everything behind
     * them, are held until mbr__store_durable() reaches its number: nobody acts on what a crash
     * could undo. NULL: nothing is held.
     */
    void (*journal)(void *user, const struct mbr__store_batch *batch);

    /* One line about a connection's misbehaviour, or `log on` tracing. NULL: base/log.h is used. */
    void (*log)(void *user, enum mbr_log_level level, const char *text);

    /* The time in nanoseconds, monotonic; NULL: mbr__now_ns(). For tests. */
    uint64_t (*now)(void *user);

    uint64_t quota[MBR__STORE_QUOTAS]; /* hard; 0: the default above. SET_QUOTA can say unlimited */
    uint64_t out_limit;     /* bytes queued for one privileged connection: 0 means 64 MiB */
    uint64_t event_timeout; /* ns after which an unread event no longer counts against the domain
                             * that caused it: 0 means 20 s */
    bool keep_dead_nodes;   /* do not remove the nodes of released domains (xenstored -K) */
};

/*
 * An engine with domain 0 and the initial tree: "/", "/tool", "/tool/xenstored", and the two
 * special names. OPTIONS is copied. With a journal, the initial tree is reported to it as batch 1
 * at the first call of mbr__store_load_end(), or of conn_new() if nothing is loaded. -ENOMEM,
 * -EINVAL (a quota above INT32_MAX).
 */
int mbr__store_new(const struct mbr__store_options *options, struct mbr__store **store);

/* Frees everything, connections too; calls nothing back. NULL is fine. */
void mbr__store_free(struct mbr__store *store);

/* ---- Connections ---- */

/* CONN is domain 0 itself, or is served as if it were: no permission and no quota stops it. */
#define MBR__STORE_PRIVILEGED 1u

/*
 * A connection of DOMID, which must be known: 0, or mbr__store_domain_add/introduce() was called
 * (-ENOENT). ID names it for live update and must be unused, not 0 (-EEXIST, -EINVAL); USER is the
 * transport's. Relative paths of it mean /local/domain/DOMID/... -ENOMEM.
 */
int mbr__store_conn_new(struct mbr__store *store, uint64_t id, uint32_t domid, uint32_t flags,
                        void *user, struct mbr__store_conn **conn);

/* Ends it: watches, transactions and queued output are gone; no callback. The domain stays (see
 * mbr__store_release()). NULL is fine. Not inside a callback. */
void mbr__store_conn_free(struct mbr__store_conn *conn);

/* As a reconnecting ring does: watches, transactions and queued output are dropped, CONN lives. It
 * is no longer broken. */
void mbr__store_conn_reset(struct mbr__store_conn *conn);

uint64_t mbr__store_conn_id(const struct mbr__store_conn *conn);
uint32_t mbr__store_conn_domid(const struct mbr__store_conn *conn);
bool mbr__store_conn_privileged(const struct mbr__store_conn *conn);
void *mbr__store_conn_user(const struct mbr__store_conn *conn);
void mbr__store_conn_set_user(struct mbr__store_conn *conn, void *user);

/* Walks over all connections in no order: *CURSOR starts at 0, NULL at the end. None may be made or
 * freed on the way. */
struct mbr__store_conn *mbr__store_conn_next(const struct mbr__store *store, size_t *cursor);

/* The connection with this ID, or NULL. */
struct mbr__store_conn *mbr__store_conn_find(const struct mbr__store *store, uint64_t id);

/*
 * Carries out one request: HEADER->len bytes at PAYLOAD, of which nothing is kept. Its reply, which
 * may be an error of the protocol, and the events it causes are queued when this returns.
 *   0        done
 *   -EBUSY   not now: CONN has reached a limit (outstanding requests, memory, write rate) or waits
 *            for a control answer. Nothing has happened; offer the same request again when `resume`
 *            has been called. A transport that gets this stops reading CONN.
 *   -EMSGSIZE  len is above MBR__STORE_PAYLOAD_MAX: a breach of the protocol, nothing has happened
 *   -ENOMEM  there was no memory to queue a reply; nothing has changed. Again later, or close.
 *   -EPIPE   CONN is broken (see there)
 * May be called again for the next request at once, however much output is queued.
 */
int mbr__store_request(struct mbr__store_conn *conn, const struct mbr__store_header *header,
                       const void *payload);

/* Whether mbr__store_request() would not return -EBUSY. */
bool mbr__store_conn_ready(struct mbr__store_conn *conn);

/* The daemon's answer to a control call that was put off with MBR__STORE_LATER: ERROR 0 and TEXT
 * (NUL-terminated, cut at 4096 bytes; NULL or "": "OK"), or a negative errno. Ignored if CONN waits
 * for none. -ENOMEM: again later. */
int mbr__store_control_done(struct mbr__store_conn *conn, int error, const char *text);

/* ---- Output ---- */

/*
 * What CONN may be sent now, in exact order, whole messages: up to two pieces in IOV, number
 * returned (0: nothing). What waits for mbr__store_durable() is not shown. Valid until the next
 * call with this engine.
 */
int mbr__store_conn_peek(struct mbr__store_conn *conn, struct iovec iov[2]);

/* The first N bytes of what peek showed are sent; N may end inside a message. Gives back what they
 * were charged with, which may call `resume` for this or another connection. */
void mbr__store_conn_consume(struct mbr__store_conn *conn, size_t n);

/* Bytes queued, shown or held. */
size_t mbr__store_conn_queued(const struct mbr__store_conn *conn);

/* ---- Domains ---- */

/* Makes DOMID known without introducing it: it may own nodes and have connections. Harmless if it
 * is known. -EINVAL: 0 or not below MBR__STORE_DOMID_FIRST_RESERVED; -ENOMEM. */
int mbr__store_domain_add(struct mbr__store *store, uint32_t domid);

/* As INTRODUCE without the callback: fires @introduceDomain unless it was introduced. Errors as
 * before. */
int mbr__store_introduce(struct mbr__store *store, uint32_t domid);

/*
 * As RELEASE without the callback: fires @releaseDomain, breaks its connections (without `broken`;
 * the caller frees them), ends their watches and transactions, makes its nodes and its entries in
 * permissions void at once and removes them in slices (mbr__store_work()). -ENOENT: not known;
 * -EINVAL: domain 0.
 */
int mbr__store_release(struct mbr__store *store, uint32_t domid);

/* DOMID has died or shut down and is not released yet: fires @releaseDomain, once until RESUME or
 * RELEASE. -ENOENT. */
int mbr__store_domain_dead(struct mbr__store *store, uint32_t domid);

bool mbr__store_domain_known(const struct mbr__store *store, uint32_t domid);
bool mbr__store_domain_introduced(const struct mbr__store *store, uint32_t domid);

/* What the store offers DOMID: MBR__XS_FEATURE_*; 0 if it is not known. */
uint32_t mbr__store_domain_features(const struct mbr__store *store, uint32_t domid);

/* Connections of DOMID, broken ones too; 0 if it is unknown. */
uint32_t mbr__store_domain_conns(const struct mbr__store *store, uint32_t domid);

/* Walks over the known domains but 0, in no order; false at the end. *CURSOR starts at 0. */
bool mbr__store_domain_next(const struct mbr__store *store, size_t *cursor, uint32_t *domid);

/* ---- Time and background work ---- */

/*
 * Works off at most about BUDGET nodes of removed subtrees and of released domains (1000 take less
 * than a millisecond), and whatever is due by the clock: throttled connections that may go on,
 * events that have timed out. True if more work is left: call again soon, after other clients had
 * their turn.
 */
bool mbr__store_work(struct mbr__store *store, unsigned budget);

/* When mbr__store_work() should be called next for the clock's sake; MBR__NEVER: not at all. */
uint64_t mbr__store_deadline(const struct mbr__store *store);

/* ---- Durability ---- */

/* All batches up to SEQ will survive: what waited for them is shown, with `output` for each
 * connection that has something new. */
void mbr__store_durable(struct mbr__store *store, uint64_t seq);

/* The number of the last batch reported to the journal; 0 before the first. */
uint64_t mbr__store_last_seq(const struct mbr__store *store);

/*
 * Loading, into an engine in which nothing has happened since mbr__store_new(): begin; feed every
 * PUT in ascending order of ID; end. The initial tree is replaced by what is fed; if nothing is, it
 * stays, and is reported. SEQ is that of the last batch that was durable.
 *
 * begin: -EINVAL: too late, or begun already; -ENOMEM.
 *
 * feed: -ENOENT: its parent is not there (it lay beneath a removed node, or its row is lost): the
 * caller deletes the row and goes on; -EINVAL: no such node can exist (name, length, permissions,
 * order, kind); -EEXIST; -ENOMEM.
 *
 * end: -EINVAL: not begun; -ENOMEM: again later. What belonged to domains that are not known is
 * removed, in slices, as at their release, and so reported to the journal. Domains that shall live
 * on must be added before begin.
 */
int mbr__store_load_begin(struct mbr__store *store, uint64_t seq);
int mbr__store_load_feed(struct mbr__store *store, const struct mbr__store_change *put);
int mbr__store_load_end(struct mbr__store *store);

/*
 * The tree as it is now, kept while the engine goes on: making one costs nothing. `next` visits
 * parents before children, then the two special names (depth 0), and says 1, with a PUT and the
 * depth of the node (root: 0) in DEPTH; 0 at the end. An engine must outlive its snapshots.
 */
struct mbr__store_snapshot;
int mbr__store_snapshot_new(struct mbr__store *store, struct mbr__store_snapshot **snapshot);
int mbr__store_snapshot_next(struct mbr__store_snapshot *snapshot, struct mbr__store_change *put,
                             uint32_t *depth);
void mbr__store_snapshot_free(struct mbr__store_snapshot *snapshot);

/* ---- Live update ---- */

/* Takes LENGTH bytes of the stream; a negative errno ends the dump with it. */
typedef int mbr__store_writer(void *user, const void *data, size_t length);
/* Gives exactly LENGTH bytes of the stream, or a negative errno. */
typedef int mbr__store_reader(void *user, void *data, size_t length);

/*
 * Writes everything: tree, quotas, domains, connections with queued output (held output too),
 * who is charged for it, which events in it make equal ones superfluous, watches, open
 * transactions, unfinished removals. What a transport has read but not yet offered is its own to
 * keep. Connections of released domains, which only wait to be closed, are left out, and charges to
 * them.
 *
 * Errors: the writer's. The engine is unchanged.
 */
int mbr__store_dump(struct mbr__store *store, mbr__store_writer *writer, void *user);

/*
 * Restores it, or what the version before has written, into a new engine, made with the same
 * callbacks and in which nothing has happened. Connections come with USER NULL: find them by id,
 * set their user, and free those whose descriptor is lost. Control calls that were put off still
 * wait: mbr__store_control_done(). `output` is not called; peek at each. The stream is checked as
 * input from a stranger is: -EBADMSG; -EPROTONOSUPPORT: another version; the reader's error;
 * -ENOMEM. After an error the engine is only good for mbr__store_free().
 */
int mbr__store_restore(struct mbr__store *store, mbr__store_reader *reader, void *user);

/* ---- What it holds ---- */

struct mbr__store_stats {
    uint64_t nodes; /* reachable ones */
    uint64_t watches;
    uint64_t connections;
    uint64_t domains;      /* with domain 0 */
    uint64_t transactions; /* open */
    uint64_t requests;     /* since the start, or since the first start before live updates */
    uint64_t events;       /* queued; coalesced ones are not counted */
    uint64_t coalesced;
    uint64_t commits;
    uint64_t conflicts; /* commits that ended with EAGAIN */
    uint64_t refused;   /* requests that a quota has stopped */
    uint64_t memory;    /* bytes of nodes, versions and values */
    uint64_t removals;  /* subtrees and domains still being worked off */
};

void mbr__store_get_stats(const struct mbr__store *store, struct mbr__store_stats *stats);

/* What the store holds, in lines, and one for each domain with what it is charged: into TEXT, which
 * should take MBR__STORE_REPORT_MAX bytes and has an error if it does not. */
#define MBR__STORE_REPORT_MAX ((size_t)8 << 20)
void mbr__store_report(struct mbr__store *store, struct mbr__strbuf *text);

#endif
