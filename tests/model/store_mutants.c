/* SPDX-License-Identifier: MIT */
/*
 * Faults for the model to find; see store_mutants.h.
 */
#include "store_mutants.h"

#include <stdlib.h>
#include <string.h>

#include "store/node.h"
#include "store/out.h"
#include "store/tx.h"
#include "store/watch.h"
#include "store_run.h"

enum mutant mutant;

const char *const mutant_names[MUTANTS] = {
    [MUTANT_NONE] = "none",
    [MUTANT_READS_DO_NOT_CONFLICT] = "reads do not conflict",
    [MUTANT_WRITES_DO_NOT_CONFLICT] = "writes do not conflict",
    [MUTANT_COMMIT_ALWAYS] = "nothing conflicts",
    [MUTANT_REPLY_FIRST] = "own events after the answer",
    [MUTANT_DEAF_TO_ITSELF] = "no own events",
    [MUTANT_TOLD_TWICE] = "equal events are told again",
    [MUTANT_GONE_IS_NOT_TOLD] = "what went with a node is not told",
    [MUTANT_TOLD_TO_STRANGERS] = "events for those who may not know",
    [MUTANT_UPDATE_LOSES_A_WATCH] = "a live update loses a watch",
    [MUTANT_UPDATE_LOSES_OUTPUT] = "a live update spoils output",
    [MUTANT_UPDATE_FORGETS_READS] = "a live update forgets reads",
    [MUTANT_RESET_LEAVES_WATCHES] = "a reset leaves watches",
    [MUTANT_RESET_LEAVES_A_TRANSACTION] = "a reset leaves transactions",
};

/* ---- who asks, and what is going on ---- */

static struct mbr__store_conn *asker;
static bool restoring;
static bool spoilt;

int __real_mbr__store_request(struct mbr__store_conn *conn, const struct mbr__store_header *header,
                              const void *payload);
int __wrap_mbr__store_request(struct mbr__store_conn *conn, const struct mbr__store_header *header,
                              const void *payload);

int __wrap_mbr__store_request(struct mbr__store_conn *conn, const struct mbr__store_header *header,
                              const void *payload)
{
    int rc;

    asker = conn;
    rc = __real_mbr__store_request(conn, header, payload);
    asker = NULL;
    return rc;
}

/* ---- commits ---- */

static void overlook(struct mbr__st_tx *tx, bool changed, bool unchanged)
{
    struct mbr__list *at;

    mbr__list_for_each (at, &tx->accesses) {
        struct mbr__st_access *access = mbr__container_of(at, struct mbr__st_access, link);

        if (access->modified ? changed : unchanged)
            access->shadowed = true;
    }
}

int __real_mbr__st_tx_commit(struct mbr__st_tx *tx);
int __wrap_mbr__st_tx_commit(struct mbr__st_tx *tx);

int __wrap_mbr__st_tx_commit(struct mbr__st_tx *tx)
{
    if (mutant == MUTANT_READS_DO_NOT_CONFLICT || mutant == MUTANT_COMMIT_ALWAYS)
        overlook(tx, false, true);
    if (mutant == MUTANT_WRITES_DO_NOT_CONFLICT || mutant == MUTANT_COMMIT_ALWAYS)
        overlook(tx, true, false);
    return __real_mbr__st_tx_commit(tx);
}

/* ---- events ---- */

void __real_mbr__st_out_event(struct mbr__store_conn *conn, const struct mbr__st_watch *watch,
                              const char *path, size_t path_len, bool coalesce);
void __wrap_mbr__st_out_event(struct mbr__store_conn *conn, const struct mbr__st_watch *watch,
                              const char *path, size_t path_len, bool coalesce);

static struct {
    struct mbr__store_conn *conn;
    const struct mbr__st_watch *watch;
    char path[64];
} late[16];
static unsigned late_count;

static void say_late(void)
{
    for (unsigned i = 0; i < late_count; i++)
        __real_mbr__st_out_event(late[i].conn, late[i].watch, late[i].path, strlen(late[i].path),
                                 true);
    late_count = 0;
    run_after_request = NULL;
}

void __wrap_mbr__st_out_event(struct mbr__store_conn *conn, const struct mbr__st_watch *watch,
                              const char *path, size_t path_len, bool coalesce)
{
    bool own = coalesce && conn == asker; /* the first event of a watch is not meant */

    if (own && mutant == MUTANT_DEAF_TO_ITSELF)
        return;
    if (own && mutant == MUTANT_REPLY_FIRST && late_count < 16 && path_len < 64) {
        late[late_count].conn = conn;
        late[late_count].watch = watch;
        memcpy(late[late_count].path, path, path_len);
        late[late_count++].path[path_len] = '\0';
        run_after_request = say_late;
        return;
    }
    __real_mbr__st_out_event(conn, watch, path, path_len, coalesce && mutant != MUTANT_TOLD_TWICE);
}

void __real_mbr__st_fire(struct mbr__store *store, const struct mbr__st_fire *fire);
void __wrap_mbr__st_fire(struct mbr__store *store, const struct mbr__st_fire *fire);

void __wrap_mbr__st_fire(struct mbr__store *store, const struct mbr__st_fire *fire)
{
    static const struct mbr__store_perm all = {0, 'b'};
    struct mbr__st_fire other = *fire;
    struct mbr__st_perms *perms = NULL;

    if (mutant == MUTANT_TOLD_TO_STRANGERS) {
        perms = mbr__st_perms_new(&all, 1, UINT64_MAX);
        other.perms = perms;
    }
    __real_mbr__st_fire(store, &other);
    mbr__st_perms_unref(perms);
}

void __real_mbr__st_fire_removal(struct mbr__store *store, const char *path, size_t len,
                                 unsigned depth, struct mbr__st_name *name,
                                 struct mbr__st_node *top, const struct mbr__st_perms *parent);
void __wrap_mbr__st_fire_removal(struct mbr__store *store, const char *path, size_t len,
                                 unsigned depth, struct mbr__st_name *name,
                                 struct mbr__st_node *top, const struct mbr__st_perms *parent);

void __wrap_mbr__st_fire_removal(struct mbr__store *store, const char *path, size_t len,
                                 unsigned depth, struct mbr__st_name *name,
                                 struct mbr__st_node *top, const struct mbr__st_perms *parent)
{
    const struct mbr__st_fire fire = {path, len, name, depth, false, top->perms, parent, NULL};

    if (mutant == MUTANT_GONE_IS_NOT_TOLD)
        __real_mbr__st_fire(store, &fire);
    else
        __real_mbr__st_fire_removal(store, path, len, depth, name, top, parent);
}

/* ---- live update ---- */

static void overlook_all(struct mbr__store *store)
{
    struct mbr__store_conn *conn;
    size_t cursor = 0;

    while ((conn = mbr__store_conn_next(store, &cursor)) != NULL) {
        struct mbr__list *at;

        mbr__list_for_each (at, &conn->transactions)
            overlook(mbr__container_of(at, struct mbr__st_tx, of_conn), false, true);
    }
}

int __real_mbr__store_restore(struct mbr__store *store, mbr__store_reader *reader, void *user);
int __wrap_mbr__store_restore(struct mbr__store *store, mbr__store_reader *reader, void *user);

int __wrap_mbr__store_restore(struct mbr__store *store, mbr__store_reader *reader, void *user)
{
    int rc;

    restoring = true;
    spoilt = false;
    rc = __real_mbr__store_restore(store, reader, user);
    restoring = false;
    if (rc == 0 && mutant == MUTANT_UPDATE_FORGETS_READS)
        overlook_all(store);
    return rc;
}

int __real_mbr__st_watch_add(struct mbr__store_conn *conn, const struct mbr__st_path *path,
                             const char *token, uint32_t depth, struct mbr__st_watch **out);
int __wrap_mbr__st_watch_add(struct mbr__store_conn *conn, const struct mbr__st_path *path,
                             const char *token, uint32_t depth, struct mbr__st_watch **out);

int __wrap_mbr__st_watch_add(struct mbr__store_conn *conn, const struct mbr__st_path *path,
                             const char *token, uint32_t depth, struct mbr__st_watch **out)
{
    if (restoring && !spoilt && mutant == MUTANT_UPDATE_LOSES_A_WATCH) {
        spoilt = true;
        *out = NULL;
        return 0;
    }
    return __real_mbr__st_watch_add(conn, path, token, depth, out);
}

unsigned char *__real_mbr__st_out_restore(struct mbr__store_conn *conn, size_t len);
unsigned char *__wrap_mbr__st_out_restore(struct mbr__store_conn *conn, size_t len);

unsigned char *__wrap_mbr__st_out_restore(struct mbr__store_conn *conn, size_t len)
{
    static unsigned char nowhere[1 << 16];

    if (mutant == MUTANT_UPDATE_LOSES_OUTPUT && len <= sizeof(nowhere))
        return nowhere;
    return __real_mbr__st_out_restore(conn, len);
}

/* ---- reset ---- */

void __real_mbr__st_watch_del_all(struct mbr__store_conn *conn);
void __wrap_mbr__st_watch_del_all(struct mbr__store_conn *conn);

void __wrap_mbr__st_watch_del_all(struct mbr__store_conn *conn)
{
    if (!(run_resetting && mutant == MUTANT_RESET_LEAVES_WATCHES))
        __real_mbr__st_watch_del_all(conn);
}

void __real_mbr__st_tx_free_all(struct mbr__store_conn *conn);
void __wrap_mbr__st_tx_free_all(struct mbr__store_conn *conn);

void __wrap_mbr__st_tx_free_all(struct mbr__store_conn *conn)
{
    if (!(run_resetting && mutant == MUTANT_RESET_LEAVES_A_TRANSACTION))
        __real_mbr__st_tx_free_all(conn);
}
