/* SPDX-License-Identifier: MIT */
/*
 * membraned --state when the machine stops: every call by which LMDB changes its file is noted
 * while the daemon's journal writes what an engine has done; then, for every prefix of them, files
 * are made that the disk may hold if power went there, and a store is loaded from each. It must be
 * what was acknowledged, or that and the group that was on its way, whole: so of a transaction all
 * or nothing.
 *
 * What the disk may hold: what was synced, and of the rest anything, by sectors.
 *
 *   stored_crash [FILES for each prefix]
 *
 * Not here: the daemon's process and its death (stored_kill_test.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../daemon/database.h"
#include "../../daemon/journal.h"
#include "../../tools/exits.h"
#include "../../tools/say.h"
#include "../multi/stage.h"
#include "store/job.h"
#include "store/state.h"
#include "store/wire.h"

#define OPS    4000
#define GROUPS 64
#define SECTOR 512u

/* ---- what is noted ----------------------------------------------------------------------------
 */

struct op {
    bool sync;   /* of all before it; else a write: */
    bool direct; /* that is on the disk when it returns */
    uint64_t at;
    size_t length;
    unsigned char *bytes;
};

static struct op ops[OPS];
static unsigned op_count;
static bool noting;

static bool is_data(int fd)
{
    char link[64];
    char path[4096];
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return noting && n > 9 && strcmp(path + n - 9, "/data.mdb") == 0;
}

static void note_write(int fd, const void *bytes, size_t length, uint64_t at)
{
    struct op *op = &ops[op_count];

    if (!is_data(fd))
        return;
    CHECK(op_count < OPS);
    *op = (struct op){.at = at, .length = length, .bytes = malloc(length)};
    op->direct = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    CHECK(op->bytes != NULL);
    memcpy(op->bytes, bytes, length);
    op_count++;
}

static int note_sync(int fd)
{
    if (is_data(fd)) {
        CHECK(op_count < OPS);
        ops[op_count++] = (struct op){.sync = true};
    }
    return 0;
}

/* The library's calls come here: the linker exports what it needs of the program. */
#define TAKEN __attribute__((visibility("default")))

TAKEN ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at)
{
    note_write(fd, bytes, length, (uint64_t)at);
    return syscall(SYS_pwrite64, fd, bytes, length, at);
}

TAKEN ssize_t writev(int fd, const struct iovec *iov, int count)
{
    uint64_t at = (uint64_t)lseek(fd, 0, SEEK_CUR);

    for (int i = 0; i < count; i++) {
        note_write(fd, iov[i].iov_base, iov[i].iov_len, at);
        at += iov[i].iov_len;
    }
    return syscall(SYS_writev, fd, iov, count);
}

TAKEN ssize_t write(int fd, const void *bytes, size_t length)
{
    if (is_data(fd))
        note_write(fd, bytes, length, (uint64_t)lseek(fd, 0, SEEK_CUR));
    return syscall(SYS_write, fd, bytes, length);
}

TAKEN int fdatasync(int fd)
{
    return note_sync(fd);
}

TAKEN int fsync(int fd)
{
    return note_sync(fd);
}

TAKEN int ftruncate(int fd, off_t length)
{
    CHECK(!is_data(fd)); /* it would have to be noted */
    return (int)syscall(SYS_ftruncate, fd, length);
}

/* The file gets its name; until then it is in the directory "new". */
static unsigned named;

TAKEN int rename(const char *from, const char *to)
{
    if (noting) {
        CHECK(named == 0 && op_count > 0 && ops[op_count - 1].sync);
        named = op_count;
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* ---- what the daemon says of an error ---------------------------------------------------------
 */

int tool_error(int code, const char *hint, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, " (%s)\n", hint != NULL ? hint : "");
    return code;
}

int tool_error_system(int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, ": %s\n", strerror(abs(error)));
    return TOOL_EXIT_LIMIT;
}

/* ---- what was acknowledged --------------------------------------------------------------------
 */

static struct {
    char *is;     /* everything, as text */
    unsigned ops; /* noted when it was acknowledged */
} state[GROUPS];

static unsigned state_count;

/* All nodes with what they have. Freed by the caller. */
static char *describe(struct mbr__store *store)
{
    struct mbr__st_walker *walker = &store->count_walker;
    struct mbr__st_node *node = store->tree.root;
    size_t size;
    char *text;
    FILE *out = open_memstream(&text, &size);

    CHECK(out != NULL);
    mbr__st_jobs_settle(store);
    mbr__st_walker_start(walker, node);
    for (; node != NULL; node = mbr__st_walker_next(walker, UINT64_MAX)) {
        (void)fprintf(out, "%u %.*s=%.*s", walker->depth, (int)node->name_len, node->name,
                      (int)node->value_len, mbr__st_value(node));
        for (uint32_t i = 0; i < node->perms->count; i++)
            (void)fprintf(out, " %c%u", node->perms->entry[i].letter, node->perms->entry[i].domid);
        (void)fputc('\n', out);
    }
    CHECK(fclose(out) == 0);
    return text;
}

static void acknowledge(struct mbr__store *store)
{
    CHECK(state_count < GROUPS);
    state[state_count].is = describe(store);
    state[state_count++].ops = op_count;
}

/* ---- lives ------------------------------------------------------------------------------------
 */

struct life {
    struct journal *journal;
    struct mbr__store *store;
    struct mbr__store_conn *conn;
};

static void on_journal(void *user, const struct mbr__store_batch *batch)
{
    journal_append(((struct life *)user)->journal, batch);
}

static void begin(struct life *life, const char *dir)
{
    struct mbr__store_options options = {.user = life, .journal = on_journal};

    CHECK_INT(journal_open(dir, &life->journal), 0);
    CHECK_INT(mbr__store_new(&options, &life->store), 0);
    CHECK_INT(journal_start(life->journal, life->store, false), 0);
    CHECK_INT(mbr__store_conn_new(life->store, 1, 0, MBR__STORE_PRIVILEGED, NULL, &life->conn), 0);
}

static void end(struct life *life)
{
    journal_close(life->journal);
    mbr__store_free(life->store);
}

/* One request, with '|' for NUL. */
static void ask(struct life *life, uint32_t type, uint32_t tx, const char *text)
{
    struct mbr__store_header header = {.type = type, .tx_id = tx, .len = (uint32_t)strlen(text)};
    char payload[MBR__STORE_PAYLOAD_MAX];

    CHECK(header.len <= sizeof(payload));
    for (uint32_t i = 0; i < header.len; i++)
        payload[i] = text[i] == '|' ? '\0' : text[i];
    CHECK_INT(mbr__store_request(life->conn, &header, payload), 0);
}

static void flush_group(struct life *life)
{
    struct iovec iov[2];
    struct mbr__store_header header;
    int pieces;

    CHECK(journal_flush(life->journal));
    acknowledge(life->store);
    /* Nothing of what the program does is refused. */
    while ((pieces = mbr__store_conn_peek(life->conn, iov)) > 0) {
        CHECK(iov[0].iov_len >= MBR__STORE_HEADER_SIZE);
        mbr__store_header_parse(&header, iov[0].iov_base);
        CHECK(header.type != MBR__XS_ERROR);
        mbr__store_conn_consume(life->conn, MBR__STORE_HEADER_SIZE + header.len);
    }
}

/* Writes, removals, permissions, transactions that touch many nodes, and groups of all of them. */
static void work(struct life *life, unsigned round)
{
    char text[600];
    uint32_t tx = round * 3 + 1;

    (void)snprintf(text, sizeof(text), "/w/%u|%0*u", round, 500, round);
    ask(life, MBR__XS_WRITE, 0, text);
    flush_group(life);
    for (uint32_t t = 0; t < 3; t++) {
        ask(life, MBR__XS_TRANSACTION_START, 0, "|");
        for (unsigned i = 0; i < 25; i++) {
            (void)snprintf(text, sizeof(text), "/t/%u/%u|%u %0*u", t, i, round, 100, i);
            ask(life, MBR__XS_WRITE, tx + t, text);
        }
        (void)snprintf(text, sizeof(text), "/t/%u/%u|", t, round);
        ask(life, MBR__XS_RM, tx + t, text);
        ask(life, MBR__XS_TRANSACTION_END, tx + t, t == 1 ? "F|" : "T|");
        if (t != 1)
            flush_group(life);
    }
    ask(life, MBR__XS_SET_PERMS, 0, "/t/0|n0|r1|");
    flush_group(life);
    ask(life, MBR__XS_RM, 0, round % 2 ? "/t|" : "/w|");
    ask(life, MBR__XS_MKDIR, 0, "/last|");
    flush_group(life);
}

/* ---- what the disk may hold -------------------------------------------------------------------
 */

static char image_dir[600];

static void put(int fd, const struct op *op, uint64_t *random, bool all)
{
    for (size_t at = 0; at < op->length; at += SECTOR) {
        size_t length = op->length - at < SECTOR ? op->length - at : SECTOR;

        if (all || stage_random(random) % 2 == 0)
            CHECK(pwrite(fd, op->bytes + at, length, (off_t)(op->at + at)) == (ssize_t)length);
    }
}

/*
 * The file, power going in operation STOP: what was synced before, and of the rest nothing (HOW 0),
 * all (1), or what chance has it.
 */
static void make_image(unsigned stop, unsigned how, uint64_t *random)
{
    char path[700];
    unsigned synced = 0;
    bool new = stop < named;
    int fd;

    for (unsigned i = 0; i < stop; i++)
        if (ops[i].sync)
            synced = i;
    (void)mkdir(image_dir, 0700);
    (void)snprintf(path, sizeof(path), "%s/new", image_dir);
    if (new)
        (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%s%s/data.mdb", image_dir, new ? "/new" : "");
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    for (unsigned i = 0; i <= stop && i < op_count; i++) {
        bool there = i < synced || (ops[i].direct && i < stop);

        if (!ops[i].sync && (there || how > 0))
            put(fd, &ops[i], random, there || how == 1);
    }
    (void)close(fd);
}

static void check_image(unsigned stop)
{
    struct mbr__store_options options = {0};
    struct mbr__store *store;
    struct database *database;
    unsigned last = 0;
    char *is;

    while (last + 1 < state_count && state[last + 1].ops <= stop)
        last++;
    CHECK_INT(database_open(image_dir, &database), 0);
    CHECK_INT(mbr__store_new(&options, &store), 0);
    CHECK_INT(database_load(database, store), 0);
    is = describe(store);
    if (strcmp(is, state[last].is) != 0 &&
        (last + 1 == state_count || strcmp(is, state[last + 1].is) != 0)) {
        fprintf(stderr, "power goes in operation %u: state %u is not there, but\n%s", stop, last,
                is);
        CHECK(false);
    }
    free(is);
    mbr__store_free(store);
    database_close(database);
    stage_remove_tree(image_dir);
}

static int run(int argc, char **argv)
{
    unsigned each = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 3;
    uint64_t random = stage_seed();
    char dir[600];
    struct life life;

    (void)snprintf(dir, sizeof(dir), "%s/state", stage_dir());
    (void)snprintf(image_dir, sizeof(image_dir), "%s/image", stage_dir());
    noting = true;
    begin(&life, dir);
    acknowledge(life.store);
    for (unsigned round = 0; round < 3; round++)
        work(&life, round);
    end(&life);
    begin(&life, dir);
    for (unsigned round = 0; round < 2; round++)
        work(&life, round);
    end(&life);
    noting = false;
    CHECK(state_count > 20 && op_count > 2 * state_count);
    for (unsigned stop = 0; stop <= op_count; stop++)
        for (unsigned how = 0; how < each; how++) {
            make_image(stop, how, &random);
            check_image(stop);
        }
    printf("%u groups, %u operations, %u files\n", state_count, op_count, (op_count + 1) * each);
    for (unsigned i = 0; i < op_count; i++)
        free(ops[i].bytes);
    for (unsigned i = 0; i < state_count; i++)
        free(state[i].is);
    return 0;
}

int main(int argc, char **argv)
{
    return stage_main(argc > 1 ? 1200 : 100, argc, argv, run);
}
