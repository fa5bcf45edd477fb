/* SPDX-License-Identifier: MIT */
/*
 * See database.h. A broken environment is closed and opened anew: after a failed sync LMDB refuses
 * to go on, and what it has mapped may not be what is on the disk.
 */
#include "database.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tools/exits.h"
#include "../tools/say.h"
#include "log.h"
#include "record.h"

#define FORMAT    1u
#define MAP_FIRST ((size_t)64 << 20)

struct database {
    char *dir;
    int lock;
    MDB_env *env; /* NULL: to be opened anew */
    MDB_dbi nodes;
    MDB_dbi meta;
    size_t map;
};

const char *database_error(int rc)
{
    return mdb_strerror(rc);
}

static int fail(const struct database *database, int rc)
{
    if (rc > 0)
        return tool_error_system(rc, "%s", database->dir);
    return tool_error(TOOL_EXIT_NEGATIVE, "another directory, with --state", "%s: %s",
                      database->dir, mdb_strerror(rc));
}

/* ---- meta --------------------------------------------------------------------------------------
 */

static int get_number(const struct database *database, MDB_txn *txn, const char *name,
                      uint64_t *out)
{
    MDB_val key = {strlen(name), (void *)(uintptr_t)name};
    MDB_val value;
    int rc = mdb_get(txn, database->meta, &key, &value);

    if (rc != 0)
        return rc;
    if (value.mv_size != 8)
        return MDB_CORRUPTED;
    *out = record_get64(value.mv_data);
    return 0;
}

static int put_number(const struct database *database, MDB_txn *txn, const char *name,
                      uint64_t number)
{
    unsigned char bytes[8];
    MDB_val key = {strlen(name), (void *)(uintptr_t)name};
    MDB_val value = {sizeof(bytes), bytes};

    record_put64(bytes, number);
    return mdb_put(txn, database->meta, &key, &value, 0);
}

/* A new state gets the format's number; another one's is refused. */
static int check_format(struct database *database, MDB_txn *txn)
{
    uint64_t format;
    int rc = get_number(database, txn, "format", &format);

    if (rc == MDB_NOTFOUND)
        return put_number(database, txn, "format", FORMAT);
    return rc == 0 && format != FORMAT ? MDB_VERSION_MISMATCH : rc;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

/* LMDB closes all its descriptors but one when the process becomes another program. */
static int close_on_exec(MDB_env *env)
{
    int fd;
    int rc = mdb_env_get_fd(env, &fd);

    if (rc == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        rc = errno;
    return rc;
}

/* Pages that the file should have and has not would end the process by SIGBUS. They become holes,
 * which LMDB takes for damage when it needs them. (Those that were given up before they were ever
 * written may be missing from a sound file.) */
static int fill_up(MDB_env *env)
{
    MDB_envinfo info;
    MDB_stat pages;
    struct stat file;
    uint64_t need;
    int fd;
    int rc = mdb_env_get_fd(env, &fd);

    if (rc == 0)
        rc = mdb_env_info(env, &info);
    if (rc == 0)
        rc = mdb_env_stat(env, &pages);
    if (rc != 0)
        return rc;
    if (info.me_last_pgno >= info.me_mapsize / pages.ms_psize)
        return MDB_CORRUPTED;
    need = ((uint64_t)info.me_last_pgno + 1) * pages.ms_psize;
    if (fstat(fd, &file) != 0)
        return errno;
    return (uint64_t)file.st_size >= need || ftruncate(fd, (off_t)need) == 0 ? 0 : errno;
}

static int open_env(struct database *database, const char *dir)
{
    MDB_txn *txn;
    int rc = mdb_env_create(&database->env);

    if (rc != 0)
        return rc;
    rc = mdb_env_set_maxdbs(database->env, 2);
    if (rc == 0)
        rc = mdb_env_set_mapsize(database->env, database->map);
    if (rc == 0)
        rc = mdb_env_open(database->env, dir, MDB_NOTLS, 0600);
    if (rc == 0)
        rc = close_on_exec(database->env);
    if (rc == 0)
        rc = fill_up(database->env);
    if (rc == 0)
        rc = mdb_txn_begin(database->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "nodes", MDB_CREATE, &database->nodes);
        if (rc == 0)
            rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &database->meta);
        if (rc == 0)
            rc = check_format(database, txn);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    if (rc != 0) {
        mdb_env_close(database->env);
        database->env = NULL;
    }
    return rc;
}

/* LMDB lets several processes in; a second membraned must stay out. */
static int lock_dir(struct database *database)
{
    char name[4200];

    if (mkdir(database->dir, 0700) != 0 && errno != EEXIST)
        return tool_error_system(errno, "%s", database->dir);
    (void)snprintf(name, sizeof(name), "%s/membraned.lock", database->dir);
    database->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (database->lock < 0)
        return tool_error_system(errno, "%s", name);
    if (flock(database->lock, LOCK_EX | LOCK_NB) == 0)
        return TOOL_EXIT_OK;
    if (errno == EWOULDBLOCK)
        return tool_error(TOOL_EXIT_NEGATIVE, "another directory, with --state",
                          "%s: in use by another membraned", database->dir);
    return tool_error_system(errno, "%s", name);
}

/* A directory, so that the names of new files survive a power failure, or a file. */
static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? 0 : errno;

    if (fd >= 0)
        (void)close(fd);
    return rc;
}

static int sync_directory(const char *dir)
{
    return sync_path(dir, O_RDONLY | O_DIRECTORY);
}

/* ---- a new one: made aside, so that power may go meanwhile ---- */

static void remove_aside(const char *dir)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char path[4200];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

/* LMDB cannot open what was written half: a whole file, and on the disk, gets the name. */
static int make_aside(struct database *database, const char *dir, const char *data)
{
    char made[4200];
    int rc;

    (void)snprintf(made, sizeof(made), "%s/data.mdb", dir);
    rc = mkdir(dir, 0700) == 0 ? open_env(database, dir) : errno;
    if (rc != 0)
        return rc;
    mdb_env_close(database->env);
    database->env = NULL;
    rc = sync_path(made, O_RDWR);
    if (rc == 0 && rename(made, data) != 0)
        rc = errno;
    return rc;
}

/* Makes the environment if it is not there. */
static int make_env(struct database *database)
{
    char dir[4096];
    char data[4200];
    struct stat file;
    int rc;

    (void)snprintf(data, sizeof(data), "%s/data.mdb", database->dir);
    if (stat(data, &file) == 0) /* LMDB takes an empty one for a new one */
        return file.st_size > 0 ? 0 : MDB_INVALID;
    if (errno != ENOENT)
        return errno;
    if (snprintf(dir, sizeof(dir), "%s/new", database->dir) >= (int)sizeof(dir))
        return ENAMETOOLONG;
    remove_aside(dir); /* of a start that came to nothing */
    rc = make_aside(database, dir, data);
    remove_aside(dir);
    return rc;
}

int database_open(const char *dir, struct database **out)
{
    struct database *database = calloc(1, sizeof(*database));
    int code;
    int rc;

    if (database == NULL)
        return tool_error_system(ENOMEM, "%s", dir);
    database->lock = -1;
    database->map = MAP_FIRST;
    database->dir = strdup(dir);
    code = database->dir != NULL ? lock_dir(database) : tool_error_system(ENOMEM, "%s", dir);
    if (code == TOOL_EXIT_OK) {
        rc = make_env(database);
        if (rc == 0)
            rc = open_env(database, dir);
        if (rc == 0)
            rc = sync_directory(dir);
        if (rc != 0)
            code = fail(database, rc);
    }
    if (code != TOOL_EXIT_OK) {
        database_close(database);
        return code;
    }
    *out = database;
    return TOOL_EXIT_OK;
}

void database_close(struct database *database)
{
    if (database == NULL)
        return;
    if (database->env != NULL)
        mdb_env_close(database->env);
    if (database->lock >= 0)
        (void)close(database->lock);
    free(database->dir);
    free(database);
}

/* ---- loading -----------------------------------------------------------------------------------
 */

static void put_key(unsigned char out[8], uint64_t id)
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(id >> (56 - 8 * i));
}

static uint64_t get_key(const unsigned char in[8])
{
    uint64_t id = 0;

    for (int i = 0; i < 8; i++)
        id = id << 8 | in[i];
    return id;
}

/* One row. A node whose parent is gone lay beneath a removed one: its row goes now. */
static int feed(struct mbr__store *store, MDB_cursor *cursor, const MDB_val *key,
                const MDB_val *value, struct mbr__store_perm *perms)
{
    struct mbr__store_change change;
    int rc;

    if (key->mv_size != 8 || record_parse(value->mv_data, value->mv_size, perms, &change) != 0)
        return MDB_CORRUPTED;
    change.id = get_key(key->mv_data);
    rc = mbr__store_load_feed(store, &change);
    if (rc == -ENOENT)
        return mdb_cursor_del(cursor, 0);
    if (rc == -ENOMEM)
        return ENOMEM;
    return rc == 0 ? 0 : MDB_CORRUPTED;
}

static int feed_all(struct database *database, MDB_txn *txn, struct mbr__store *store)
{
    struct mbr__store_perm *perms = malloc(RECORD_PERMS_MAX * sizeof(*perms));
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = perms != NULL ? mdb_cursor_open(txn, database->nodes, &cursor) : ENOMEM;

    if (rc == 0) {
        while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
            rc = feed(store, cursor, &key, &value, perms);
            if (rc != 0)
                break;
        }
        mdb_cursor_close(cursor);
    }
    free(perms);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int load(struct database *database, MDB_txn *txn, struct mbr__store *store)
{
    uint64_t seq;
    int rc = get_number(database, txn, "seq", &seq);

    if (rc == MDB_NOTFOUND)
        return 0; /* nothing was ever written */
    if (rc != 0)
        return rc;
    rc = -mbr__store_load_begin(store, seq);
    if (rc == 0)
        rc = feed_all(database, txn, store);
    if (rc != 0)
        return rc;
    rc = mbr__store_load_end(store);
    return rc == -ENOMEM ? ENOMEM : rc != 0 ? MDB_CORRUPTED : 0;
}

int database_load(struct database *database, struct mbr__store *store)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(database->env, NULL, 0, &txn);

    if (rc == 0) {
        rc = load(database, txn, store);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    return rc == 0 ? TOOL_EXIT_OK : fail(database, rc);
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static int apply(struct database *database, MDB_txn *txn, const unsigned char *data, size_t length)
{
    unsigned char id[8];
    MDB_val key = {sizeof(id), id};

    for (size_t at = 0; at < length;) {
        uint32_t size = record_get32(data + at + 9);
        int rc;

        put_key(id, record_get64(data + at + 1));
        if (data[at] == MBR__STORE_PUT) {
            MDB_val value = {size, (void *)(uintptr_t)(data + at + RECORD_FRAME)};

            rc = mdb_put(txn, database->nodes, &key, &value, 0);
        } else {
            rc = mdb_del(txn, database->nodes, &key, NULL);
            if (rc == MDB_NOTFOUND)
                rc = 0; /* purged before, or removed with an ancestor that the last start met */
        }
        if (rc != 0)
            return rc;
        at += RECORD_FRAME + size;
    }
    return 0;
}

static int try_write(struct database *database, const unsigned char *data, size_t length,
                     uint64_t seq)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(database->env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    rc = apply(database, txn, data, length);
    if (rc == 0)
        rc = put_number(database, txn, "seq", seq);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

int database_write(struct database *database, const unsigned char *data, size_t length,
                   uint64_t seq)
{
    int rc = 0;

    if (database->env == NULL)
        rc = open_env(database, database->dir);
    if (rc == 0)
        rc = try_write(database, data, length, seq);
    while (rc == MDB_MAP_FULL) {
        MDB_envinfo info;

        if (mdb_env_info(database->env, &info) == 0)
            database->map = info.me_mapsize;
        database->map *= 2;
        rc = mdb_env_set_mapsize(database->env, database->map);
        if (rc == 0)
            rc = try_write(database, data, length, seq);
    }
    if (rc != 0 && database->env != NULL) {
        mdb_env_close(database->env);
        database->env = NULL;
    }
    return rc;
}
