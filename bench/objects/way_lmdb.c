/* SPDX-License-Identifier: MIT */
/*
 * LMDB on tmpfs, as fast as it goes: a writable map, nothing synced, values written straight into
 * the map, and a reader's transaction that is renewed.
 */
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>

#include "bench/objects/way.h"

static char where[256];
static MDB_env *env;
static MDB_dbi dbi;
static MDB_txn *reading;

static int error_of(int rc)
{
    return rc == 0 ? 0 : rc > 0 ? -rc : -EIO; /* its own are negative */
}

static int start(const char *directory)
{
    (void)snprintf(where, sizeof(where), "%s", directory);
    return 0;
}

static void stop(void)
{
}

static int open_env(void)
{
    MDB_txn *txn;
    int rc = mdb_env_create(&env);

    if (rc == 0)
        rc = mdb_env_set_mapsize(env, (size_t)256 << 20);
    if (rc == 0)
        rc = mdb_env_open(env, where, MDB_WRITEMAP | MDB_NOSYNC | MDB_NOMETASYNC | MDB_NORDAHEAD,
                          0600);
    if (rc == 0)
        rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &dbi);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    reading = NULL;
    return error_of(rc);
}

static int store(unsigned int key, const char *bytes)
{
    MDB_val k = {sizeof(key), &key}, v = {WAY_BYTES, NULL};
    MDB_txn *txn;
    int rc = mdb_txn_begin(env, NULL, 0, &txn);

    if (rc != 0)
        return error_of(rc);
    rc = mdb_put(txn, dbi, &k, &v, MDB_RESERVE);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return error_of(rc);
    }
    memcpy(v.mv_data, bytes, WAY_BYTES);
    return error_of(mdb_txn_commit(txn));
}

static int fetch(unsigned int key, uint64_t *sum)
{
    MDB_val k = {sizeof(key), &key}, v;
    int rc =
        reading == NULL ? mdb_txn_begin(env, NULL, MDB_RDONLY, &reading) : mdb_txn_renew(reading);

    if (rc == 0)
        rc = mdb_get(reading, dbi, &k, &v);
    if (rc == 0)
        *sum += way_sum(v.mv_data, v.mv_size);
    if (reading != NULL)
        mdb_txn_reset(reading);
    return error_of(rc);
}

const struct way way_lmdb = {"LMDB on tmpfs", start, stop, open_env, store, fetch};
