/* SPDX-License-Identifier: MIT */
/*
 * Meeting. Side A creates, side B opens and greets. Idle channels are proved to work before they
 * are left idle: a channel that was never joined would be idle for another reason.
 */
#include "bench/membrane/meet.h"

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define GREETING_BYTES 8u
#define IDLE_CAPACITY  4096u /* where the interface lets us choose */
/* Each idle channel may take two descriptors of its creator; the rest is for everything else. */
#define DESCRIPTORS(idle) (2u * (idle) + 256u)

struct meeting {
    char dir[256];
};

static int write_config(const char *path, size_t capacity)
{
    FILE *file = fopen(path, "we");

    if (file == NULL) {
        return -errno;
    }
    (void)fprintf(file, "catmem:\n  capacity: %zu\n", capacity);
    return fclose(file) == 0 ? 0 : -errno;
}

static int set_environment(const struct meeting *meeting, const struct bench_case *bc)
{
    char names[sizeof(meeting->dir) + 16];
    char config[sizeof(meeting->dir) + 16];

    (void)snprintf(names, sizeof(names), "%s/names", meeting->dir);
    (void)snprintf(config, sizeof(config), "%s/config.yaml", meeting->dir);
    (void)unsetenv("MEMBRANE_CAPACITY");
    if (setenv("MEMBRANE_DIR", names, 1) != 0 || setenv("LIBOS", "catmem", 1) != 0 ||
        setenv("CONFIG_PATH", config, 1) != 0) {
        return -errno;
    }
    return write_config(config, bench_ring_bytes(bc));
}

/* On tmpfs, where names usually are; on a disk a thousand of them take seconds. */
static const char *temporary(void)
{
    const char *tmp = getenv("TMPDIR");

    if (access("/dev/shm", W_OK | X_OK) == 0) {
        return "/dev/shm";
    }
    return tmp != NULL && tmp[0] == '/' ? tmp : "/tmp";
}

int bench_meet_start(const struct bench_subject *self, const struct bench_case *bc, void **shared)
{
    struct meeting *meeting = malloc(sizeof(*meeting));
    int result = 0;

    (void)self;
    if (meeting == NULL) {
        return -ENOMEM;
    }
    (void)snprintf(meeting->dir, sizeof(meeting->dir), "%.200s/membrane-bench.XXXXXX", temporary());
    if (mkdtemp(meeting->dir) == NULL) {
        result = -errno;
        free(meeting);
        return result;
    }
    result = set_environment(meeting, bc);
    if (result != 0) {
        bench_meet_stop(meeting);
        return result;
    }
    *shared = meeting;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)remove(path);
    return 0;
}

/* Also what a killed side has left behind. */
void bench_meet_stop(void *shared)
{
    struct meeting *meeting = shared;

    (void)nftw(meeting->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    free(meeting);
}

/* ---- introducing ---- */

static int allow_descriptors(unsigned idle)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return -errno;
    }
    if (limit.rlim_cur < DESCRIPTORS(idle)) {
        limit.rlim_cur = DESCRIPTORS(idle) < limit.rlim_max ? DESCRIPTORS(idle) : limit.rlim_max;
        return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : -errno;
    }
    return 0;
}

/* As short a message as any; it has arrived in the ring, if nowhere else, when this returns. */
static int greet(const struct bench_calls *calls, void *lib, int qd)
{
    demi_sgarray_t sga = calls->alloc(GREETING_BYTES);
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int result = sga.sga_numsegs == 1 ? 0 : -ENOMEM;

    if (result == 0) {
        memset(sga.sga_segs[0].sgaseg_buf, 0, GREETING_BYTES);
        result = calls->push(lib, qd, &sga, &qt);
    }
    if (result == 0) {
        result = calls->wait(lib, qt, &qr);
    }
    (void)calls->free(&sga);
    return result;
}

static int hear(const struct bench_calls *calls, void *lib, int qd)
{
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int result = calls->pop(lib, qd, &qt);

    if (result == 0) {
        result = calls->wait(lib, qt, &qr);
    }
    if (result != 0) {
        return result;
    }
    result = qr.qr_value.sga.sga_segs[0].sgaseg_len == GREETING_BYTES ? 0 : -EBADMSG;
    (void)calls->free(&qr.qr_value.sga);
    return result;
}

/* The other side is just creating it. */
static int open_soon(const struct bench_calls *calls, void *lib, const char *name, int *qd)
{
    int result;

    while ((result = calls->open(lib, name, qd)) == -ENOENT) {
        (void)sched_yield();
    }
    return result;
}

/* Channel number i of side A: created, and something in it. */
static int make_idle(const struct bench_calls *calls, void *lib, unsigned i)
{
    char name[32];
    int qd;
    int result;

    (void)snprintf(name, sizeof(name), "idle.%u", i);
    result = calls->create(lib, name, IDLE_CAPACITY, &qd);
    return result != 0 ? result : greet(calls, lib, qd);
}

/* The same on side B: opened, emptied, and a pop left pending. */
static int join_idle(const struct bench_calls *calls, void *lib, unsigned i, demi_qtoken_t *qt)
{
    char name[32];
    int qd;
    int result;

    (void)snprintf(name, sizeof(name), "idle.%u", i);
    result = open_soon(calls, lib, name, &qd);
    if (result == 0) {
        result = hear(calls, lib, qd);
    }
    return result != 0 ? result : calls->pop(lib, qd, qt);
}

static int meet_as_a(const struct bench_calls *calls, void *lib, const struct bench_case *bc,
                     struct bench_met *met)
{
    int result = calls->create(lib, "busy", bench_ring_bytes(bc), &met->qd);

    for (unsigned i = 0; i < bc->idle && result == 0; i++) {
        result = make_idle(calls, lib, i);
    }
    return result != 0 ? result : hear(calls, lib, met->qd);
}

static int meet_as_b(const struct bench_calls *calls, void *lib, const struct bench_case *bc,
                     struct bench_met *met)
{
    int result = open_soon(calls, lib, "busy", &met->qd);

    for (unsigned i = 0; i < bc->idle && result == 0; i++) {
        result = join_idle(calls, lib, i, &met->tokens[i + 1]);
        met->count++;
    }
    /* Last, so that side A goes on when all is in place. */
    return result != 0 ? result : greet(calls, lib, met->qd);
}

int bench_meet(const struct bench_calls *calls, void *lib, enum bench_side side,
               const struct bench_case *bc, struct bench_met *met)
{
    int result = bc->idle != 0 ? allow_descriptors(bc->idle) : 0;

    *met = (struct bench_met){.count = 1};
    met->tokens = calloc(bc->idle + 1, sizeof(*met->tokens));
    met->sga = calls->alloc(bc->size);
    if (met->tokens == NULL || met->sga.sga_numsegs != 1) {
        result = -ENOMEM;
    }
    if (result == 0) {
        result = (side == BENCH_A ? meet_as_a : meet_as_b)(calls, lib, bc, met);
    }
    if (result != 0) {
        bench_part(calls, met);
    }
    return result;
}

void bench_part(const struct bench_calls *calls, struct bench_met *met)
{
    if (met->sga.sga_numsegs == 1) {
        (void)calls->free(&met->sga);
    }
    free(met->tokens);
}
