/* SPDX-License-Identifier: MIT */
/*
 * Persistent containers when the machine stops: the calls that change files are noted while a
 * container is changed at random; then, for every prefix of them, files are made that the disk may
 * hold if power went there, and opened. What is found must be what was acknowledged, or that and
 * the change that was under way.
 *
 * What the disk may hold: what was synced; of the rest anything. Writes may be missing, or there by
 * sectors, or as zeroes; names in the directory come in their order, up to anywhere. What was on
 * its way when a sync failed may be missing for ever, whatever is synced later. Calls fail at
 * random, too: then the change that failed counts as under way until another has been made.
 *
 * Recovery is noted like everything else and power goes in it as well.
 *
 *   object_disk_crash [ROUNDS]
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../unit/disk_model.h"
#include "../unit/prop.h"
#include "object/disk_state.h"

#define FILES  64   /* that a round may make */
#define OPS    4000 /* that a round may note */
#define SECTOR 512u

/* ---- what is noted --------------------------------------------------------------------------- */

enum op_kind { MAKE, WRITE, SIZE, PUNCH, SYNC, SYNC_FAILED, RENAME, UNLINK, DIR_SYNC, DIR_FAILED };

struct op {
    enum op_kind kind;
    int file; /* a number; of MAKE the one that the name is from now on */
    const char *name;
    const char *to;
    uint64_t at;
    uint64_t length;
    unsigned char *bytes;
};

struct notes {
    struct op op[OPS];
    int count;
};

static struct notes *noting; /* NULL: nothing is noted */
static int file_of_fd[1024]; /* + 1; 0 none of ours */
static const char *names[4] = {MBR__DISK_JOURNAL, MBR__DISK_JOURNAL_NEW, MBR__DISK_BLOCKS,
                               MBR__DISK_SET};
static int file_of_name[4]; /* + 1; 0 there is none */
static int files;           /* made so far */
static uint64_t chance;     /* state of the random numbers */
static uint32_t failing;    /* one call in so many fails; 0 none */
static bool rest_fails;     /* of a write that was cut short */

static uint32_t draw(uint32_t limit)
{
    return (uint32_t)(prop_random(&chance) % limit);
}

static uint32_t choose_draw(void *state, uint32_t limit)
{
    (void)state;
    return draw(limit);
}

static int index_of(const char *name)
{
    for (int i = 0; i < 4; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    return -1;
}

static void note(struct op op)
{
    if (noting == NULL)
        return;
    assert_true(noting->count < OPS);
    noting->op[noting->count++] = op;
}

static int file_at(int fd)
{
    return fd >= 0 && fd < 1024 ? file_of_fd[fd] - 1 : -1;
}

/* Failures come in bursts: the calls that mend one fail, too. */
static bool fails(void)
{
    static bool burst;

    if (noting == NULL || failing == 0)
        return false;
    burst = draw(burst ? 2 : failing) == 0;
    if (!burst)
        return false;
    errno = draw(2) ? EIO : ENOSPC;
    return true;
}

/* ---- wrapped calls --------------------------------------------------------------------------- */

int __real_openat(int dir, const char *name, int flags, int mode);
int __wrap_openat(int dir, const char *name, int flags, int mode);
int __real_close(int fd);
int __wrap_close(int fd);
ssize_t __real_pwrite(int fd, const void *bytes, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t n, off_t at);
int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __real_fallocate(int fd, int mode, off_t at, off_t length);
int __wrap_fallocate(int fd, int mode, off_t at, off_t length);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __real_renameat(int a, const char *from, int b, const char *to);
int __wrap_renameat(int a, const char *from, int b, const char *to);
int __real_unlinkat(int dir, const char *name, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags);

int __wrap_openat(int dir, const char *name, int flags, int mode)
{
    int i = index_of(name);
    int fd;

    if (i >= 0 && fails())
        return -1;
    fd = __real_openat(dir, name, flags, mode);
    if (fd < 0 || i < 0 || noting == NULL)
        return fd;
    assert_true(fd < 1024);
    if (file_of_name[i] == 0) {
        assert_true(files < FILES);
        file_of_name[i] = ++files;
        note((struct op){.kind = MAKE, .file = files - 1, .name = names[i]});
    }
    file_of_fd[fd] = file_of_name[i];
    return fd;
}

int __wrap_close(int fd)
{
    if (fd >= 0 && fd < 1024)
        file_of_fd[fd] = 0;
    return __real_close(fd);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    struct op op = {.kind = WRITE, .file = file_at(fd), .at = (uint64_t)at, .length = n};
    ssize_t done;

    if (rest_fails || fails()) {
        if (rest_fails || n < 2) {
            rest_fails = false;
            errno = ENOSPC;
            return -1;
        }
        rest_fails = true;
        op.length = n = 1 + draw((uint32_t)n - 1);
    }
    done = __real_pwrite(fd, bytes, n, at);
    if (op.file < 0 || noting == NULL)
        return done;
    assert_int_equal(done, n);
    op.bytes = malloc(n);
    assert_non_null(op.bytes);
    memcpy(op.bytes, bytes, n);
    note(op);
    return done;
}

int __wrap_ftruncate(int fd, off_t size)
{
    if (fails())
        return -1;
    if (file_at(fd) >= 0)
        note((struct op){.kind = SIZE, .file = file_at(fd), .at = (uint64_t)size});
    return size == lseek(fd, 0, SEEK_END) ? 0 : __real_ftruncate(fd, size);
}

int __wrap_fallocate(int fd, int mode, off_t at, off_t length)
{
    if (fails())
        return -1;
    if (file_at(fd) >= 0)
        note((struct op){
            .kind = PUNCH, .file = file_at(fd), .at = (uint64_t)at, .length = (uint64_t)length});
    return __real_fallocate(fd, mode, at, length);
}

static int sync_of(int fd)
{
    bool bad = fails();

    if (file_at(fd) >= 0)
        note((struct op){.kind = bad ? SYNC_FAILED : SYNC, .file = file_at(fd)});
    else
        note((struct op){.kind = bad ? DIR_FAILED : DIR_SYNC});
    return bad ? -1 : 0;
}

int __wrap_fsync(int fd)
{
    return sync_of(fd);
}

int __wrap_fdatasync(int fd)
{
    return sync_of(fd);
}

int __wrap_renameat(int a, const char *from, int b, const char *to)
{
    if (fails())
        return -1;
    note((struct op){.kind = RENAME, .name = names[index_of(from)], .to = names[index_of(to)]});
    file_of_name[index_of(to)] = file_of_name[index_of(from)];
    file_of_name[index_of(from)] = 0;
    /* Some file systems write out at once a file that replaces another, which takes its time. */
    (void)__real_unlinkat(b, to, 0);
    return __real_renameat(a, from, b, to);
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
    int i = index_of(name);
    int err;

    if (fails())
        return -1;
    err = __real_unlinkat(dir, name, flags);
    if (err == 0 && i >= 0) {
        note((struct op){.kind = UNLINK, .name = names[i]});
        file_of_name[i] = 0;
    }
    return err;
}

/* ---- what the disk may hold ------------------------------------------------------------------ */

enum fate { THERE, MAYBE };

static bool is_name_op(const struct op *op)
{
    return op->kind == MAKE || op->kind == RENAME || op->kind == UNLINK;
}

static bool ends(const struct op *sync, const struct op *op, bool failed)
{
    if (is_name_op(op))
        return sync->kind == (failed ? DIR_FAILED : DIR_SYNC);
    return sync->kind == (failed ? SYNC_FAILED : SYNC) && sync->file == op->file;
}

/* Whether op number I is on the disk for sure when power goes before op number END. */
static enum fate fate_of(const struct notes *n, int i, int end)
{
    for (int k = i + 1; k < end; k++) {
        if (ends(&n->op[k], &n->op[i], true))
            return MAYBE;
        if (ends(&n->op[k], &n->op[i], false))
            return THERE;
    }
    return MAYBE;
}

static struct op copy_part(const struct op *op, uint64_t from, uint64_t to)
{
    struct op part = *op;

    part.at = op->at + from;
    part.length = to - from;
    part.bytes = malloc(to - from);
    assert_non_null(part.bytes);
    memcpy(part.bytes, op->bytes + from, to - from);
    return part;
}

static void add(struct notes *out, struct op op)
{
    assert_true(out->count < OPS);
    out->op[out->count++] = op;
}

/* A write of which some sectors have come, or zeroes in their place. */
static void add_torn(struct notes *out, const struct op *op)
{
    uint64_t step = SECTOR;

    /* Of large ones, larger pieces: there is a limit to what can be noted. */
    while (op->length / step > 8)
        step *= 2;
    for (uint64_t at = 0; at < op->length;) {
        uint64_t next = (op->at + at) / step * step + step - op->at;
        struct op part;

        next = next < op->length ? next : op->length;
        part = copy_part(op, at, next);
        at = next;
        switch (draw(4)) {
        case 0:
            memset(part.bytes, 0, part.length);
            add(out, part);
            break;
        case 1:
            free(part.bytes);
            break;
        default:
            add(out, part);
        }
    }
}

enum mode { ALL, NONE, TORN, MODES };

static void add_op(struct notes *out, const struct op *op, enum mode how)
{
    if (how == NONE || (how == TORN && op->kind != WRITE && draw(2)))
        return;
    if (op->kind != WRITE)
        add(out, *op);
    else if (how == TORN && draw(3) != 0)
        add_torn(out, op);
    else if (how == ALL || draw(2))
        add(out, copy_part(op, 0, op->length));
}

/* The calls whose effects the disk has when power goes before number END. */
static void survive(const struct notes *n, int end, enum mode how, struct notes *out)
{
    bool names_come = true;

    out->count = 0;
    for (int i = 0; i < end; i++) {
        const struct op *op = &n->op[i];
        enum fate fate;

        if (op->kind > PUNCH && !is_name_op(op))
            continue;
        fate = fate_of(n, i, end);
        if (!is_name_op(op)) {
            add_op(out, op, fate == THERE ? ALL : how);
            continue;
        }
        /* Names come in their order: none after the first that has not, unless synced since. */
        if (fate == MAYBE && (how == NONE || (how == TORN && draw(3) == 0)))
            names_come = false;
        if (fate == THERE || names_come)
            add(out, *op);
    }
    for (int f = 0; f < FILES; f++)
        add(out, (struct op){.kind = SYNC, .file = f});
    add(out, (struct op){.kind = DIR_SYNC});
}

static void free_notes(struct notes *n)
{
    for (int i = 0; i < n->count; i++)
        free(n->op[i].bytes);
    n->count = 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static char scratch[] = "/tmp/membrane-crash-XXXXXX";
static char place[64];

static void apply_name(const struct op *op, int by_name[4])
{
    int i = index_of(op->name);

    if (op->kind == RENAME && by_name[i] != 0)
        by_name[index_of(op->to)] = by_name[i];
    by_name[i] = op->kind == MAKE ? op->file + 1 : 0;
}

static int open_number(int dir, int file)
{
    char name[24];
    int fd;

    snprintf(name, sizeof(name), "file-%d", file);
    fd = __real_openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void apply_bytes(int dir, const struct op *op)
{
    int fd = open_number(dir, op->file);

    if (op->kind == WRITE)
        assert_int_equal(__real_pwrite(fd, op->bytes, op->length, (off_t)op->at), op->length);
    else if (op->kind == SIZE)
        assert_int_equal(__real_ftruncate(fd, (off_t)op->at), 0);
    else
        assert_int_equal(__real_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                          (off_t)op->at, (off_t)op->length),
                         0);
    __real_close(fd);
}

/* Makes the directory that these calls leave, and the tables of what is noted to fit it. */
static void make_place(const struct notes *n)
{
    char from[24];
    int dir;

    model_remove_tree(place);
    assert_int_equal(mkdir(place, 0700), 0);
    dir = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    memset(file_of_name, 0, sizeof(file_of_name));
    for (int i = 0; i < n->count; i++) {
        if (is_name_op(&n->op[i]))
            apply_name(&n->op[i], file_of_name);
        else if (n->op[i].kind <= PUNCH)
            apply_bytes(dir, &n->op[i]);
    }
    for (int i = 0; i < 4; i++) {
        if (file_of_name[i] == 0)
            continue;
        __real_close(open_number(dir, file_of_name[i] - 1));
        snprintf(from, sizeof(from), "file-%d", file_of_name[i] - 1);
        assert_int_equal(__real_renameat(dir, from, dir, names[i]), 0);
    }
    for (int f = 0; f < FILES; f++) {
        snprintf(from, sizeof(from), "file-%d", f);
        (void)__real_unlinkat(dir, from, 0);
    }
    __real_close(dir);
}

/* ---- a round --------------------------------------------------------------------------------- */

#define STEPS 24

/* What may be found when power goes before call number `end` (and not before the last one's). */
struct state {
    int end;
    int count;
    struct model may[STEPS + 2];
};

static struct state states[STEPS + 4];
static int state_count;
static struct notes main_notes;
static struct notes left;
static struct notes left_again;

static void begin_state(const struct model *m)
{
    struct state *s = &states[state_count++];

    s->count = 1;
    s->may[0] = *m;
}

/* One change: while it runs the old may be found, what failed since, and the new. */
static void change(struct mbr__disk *d, struct model *m)
{
    struct model_step step = model_choose(m, choose_draw, NULL);
    struct state *s = &states[state_count - 1];
    int err;

    s->may[s->count] = *m;
    model_apply(&s->may[s->count], &step);
    s->count++;
    err = model_run(d, &step);
    rest_fails = false;
    if (err < 0)
        return; /* nothing has changed for us; the disk may know better until the next change */
    *m = s->may[s->count - 1];
    assert_true(model_same(d, m, false));
    s->end = noting->count;
    begin_state(m);
}

static bool one_of(struct mbr__disk *d, const struct state *s)
{
    for (int i = 0; i < s->count; i++) {
        if (model_same(d, &s->may[i], true))
            return true;
    }
    return false;
}

static const uint64_t set[2] = {11, 12};

/* Opens what is left: it must be one of the states, and go on working. */
static void check_left(const struct state *s, bool may_be_empty, bool go_on)
{
    struct mbr__disk *d = NULL;
    int err = mbr__disk_open(place, MBR__JOURNAL_CHECKSUMS, set, &d);

    if (err < 0)
        fail_msg("cannot be opened: %d", err);
    if (!one_of(d, s) && !(may_be_empty && mbr__disk_catalog(d)->by_id.count == 0))
        fail_msg("holds what was never so");
    if (go_on) {
        assert_int_equal(mbr__disk_create(d, 1000000, "after", 5, 0), 0);
        mbr__disk_close(d);
        assert_int_equal(mbr__disk_open(place, 0, set, &d), 0);
        assert_non_null(mbr__catalog_find(mbr__disk_catalog(d), "after", 5));
    }
    mbr__disk_close(d);
}

/* Power goes again while what is left is being opened. */
static void crash_in_recovery(const struct state *s, bool may_be_empty)
{
    struct mbr__disk *d = NULL;
    int before = left.count;
    int end;

    noting = &left;
    if (mbr__disk_open(place, MBR__JOURNAL_CHECKSUMS, set, &d) < 0)
        fail_msg("cannot be opened");
    noting = NULL;
    mbr__disk_close(d);
    end = before + (int)draw((uint32_t)(left.count - before) + 1);
    survive(&left, end, (enum mode)draw(MODES), &left_again);
    make_place(&left_again);
    check_left(s, may_be_empty, false);
    free_notes(&left_again);
}

static void check_prefix(const struct state *s, int end, bool may_be_empty)
{
    for (int how = 0; how < MODES + 2; how++) {
        enum mode mode = how < MODES ? (enum mode)how : TORN;
        int made = files;

        survive(&main_notes, end, mode, &left);
        make_place(&left);
        if (draw(4) == 0)
            crash_in_recovery(s, may_be_empty);
        else
            check_left(s, may_be_empty, draw(8) == 0);
        free_notes(&left);
        files = made;
    }
}

static void record(struct model *m)
{
    struct mbr__disk *d;

    model_remove_tree(place);
    assert_int_equal(mkdir(place, 0700), 0);
    memset(file_of_name, 0, sizeof(file_of_name));
    files = 0;
    state_count = 0;
    noting = &main_notes;
    failing = 0;
    assert_int_equal(mbr__disk_open(place, MBR__JOURNAL_CHECKSUMS, set, &d), 0);
    failing = draw(2) == 0 ? 12 : 0;
    begin_state(m);
    for (int i = 0; i < STEPS; i++)
        change(d, m);
    failing = 0;
    states[state_count - 1].end = noting->count + 1;
    noting = NULL;
    mbr__disk_close(d);
}

static void round_of(uint64_t seed)
{
    struct model m = {0};
    int begun;
    int at = 0;

    chance = seed;
    record(&m);
    /* The first journal with its name on the disk: before that there may be nothing. */
    for (begun = 0; main_notes.op[begun].kind != DIR_SYNC; begun++)
        ;
    for (int end = 0; end <= main_notes.count; end++) {
        while (end >= states[at].end && at + 1 < state_count)
            at++;
        check_prefix(&states[at], end, end <= begun);
    }
    free_notes(&main_notes);
}

static uint64_t rounds = 3;

static void power_may_go_anywhere(void **state)
{
    uint64_t first = prop_setting("MBR_PROP_SEED", 1);

    for (uint64_t seed = first; seed < first + rounds; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        round_of(seed);
    }
}

static int make_scratch(void **state)
{
    if (mkdtemp(scratch) == NULL)
        return -1;
    snprintf(place, sizeof(place), "%s/d", scratch);
    return 0;
}

static int remove_scratch(void **state)
{
    model_remove_tree(scratch);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(power_may_go_anywhere)};

    if (argc > 1)
        rounds = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests_name("object_disk_crash", tests, make_scratch, remove_scratch);
}
