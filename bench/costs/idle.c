/* SPDX-License-Identifier: MIT */
/*
 * Counting idle pipes. One process creates, others open; each counts itself before and after, and
 * sends both to the program that asked. Not counted: what the kernel keeps for an open file.
 */
#include "bench/costs/idle.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <membrane/queue.h>

#include "bench/membrane/meet.h"

#define MESSAGE_BYTES 8u
#define INODES        256u

/* ---- counting ourselves ---- */

static int64_t count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int64_t count = -3; /* ".", ".." and the one that reads */

    if (dir == NULL) {
        return 0;
    }
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count;
}

/* "Anonymous:    1234 kB" of a file in /proc, in bytes. */
static int64_t read_field(const char *path, const char *field)
{
    FILE *file = fopen(path, "re");
    char line[256];
    long long kib = 0;

    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, field, strlen(field)) == 0) {
            kib = strtoll(line + strlen(field), NULL, 10);
            break;
        }
    }
    (void)fclose(file);
    return kib * 1024;
}

struct file {
    uint64_t inode;
    int64_t end;
};

/* A mapping of a memfd: the file reaches at least to its end. */
static void note_file(struct file *file, size_t *count, uint64_t inode, int64_t end)
{
    for (size_t i = 0; i < *count; i++) {
        if (file[i].inode == inode) {
            file[i].end = end > file[i].end ? end : file[i].end;
            return;
        }
    }
    if (*count < INODES) {
        file[(*count)++] = (struct file){inode, end};
    }
}

/* "FROM-TO rwxs OFFSET MAJOR:MINOR INODE PATH", numbers but the inode's in base 16. */
static void note_mapping(struct file *file, size_t *count, const char *line)
{
    char *at;
    uint64_t from = strtoull(line, &at, 16);
    uint64_t to = strtoull(at + (*at == '-'), &at, 16);
    const char *rights = at + strspn(at, " ");
    uint64_t offset = strtoull(rights + strcspn(rights, " "), &at, 16);
    const char *device = at + strspn(at, " ");
    uint64_t inode = strtoull(device + strcspn(device, " "), NULL, 10);

    if (rights[0] != '\0' && rights[1] == 'w') {
        note_file(file, count, inode, (int64_t)(offset + to - from));
    }
}

/* Bytes of the files behind writable mappings of memfds; they are allocated whole when they are
 * made, and every one of them is mapped to its end. */
static int64_t count_shared(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    struct file file[INODES];
    size_t count = 0;
    int64_t bytes = 0;
    char line[512];

    if (maps == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (strstr(line, "/memfd:membrane") != NULL) {
            note_mapping(file, &count, line);
        }
    }
    (void)fclose(maps);
    for (size_t i = 0; i < count; i++) {
        bytes += file[i].end;
    }
    return bytes;
}

static struct costs_holdings count(void)
{
    return (struct costs_holdings){
        .descriptors = count_descriptors(),
        .shared = count_shared(),
        .anonymous = read_field("/proc/self/smaps_rollup", "Anonymous:"),
        .tables = read_field("/proc/self/status", "VmPTE:"),
    };
}

/* ---- the processes ---- */

struct report {
    int64_t creator; /* which end */
    struct costs_holdings before, empty, after;
};

struct channel {
    int report[2];
    int end[2]; /* closed by the asking program when all may go */
};

static const char *name_of(unsigned i, char *name, size_t size)
{
    (void)snprintf(name, size, "idle.%u", i);
    return name;
}

static int say(struct mbr_libos *l, int qd)
{
    demi_sgarray_t sga = mbr_sga_alloc(MESSAGE_BYTES);
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int result = mbr_push(l, qd, &sga, &qt);

    if (result == 0) {
        result = bench_native_calls.wait(l, qt, &qr);
    }
    (void)mbr_sga_free(&sga);
    return result;
}

static int hear(struct mbr_libos *l, int qd)
{
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int result = mbr_pop(l, qd, 0, &qt);

    if (result == 0) {
        result = bench_native_calls.wait(l, qt, &qr);
    }
    return result != 0 ? result : mbr_sga_free(&qr.qr_value.sga);
}

/* A pipe that comes and goes, so that what an instance makes once is there. */
static int warm_up(struct mbr_libos *l)
{
    char name[32];
    int qd[2];
    int result;

    (void)snprintf(name, sizeof(name), "warm.%d", (int)getpid());
    result = mbr_pipe_create(l, name, NULL, &qd[0]);
    if (result == 0) {
        result = mbr_pipe_open(l, name, NULL, &qd[1]);
    }
    if (result == 0) {
        result = say(l, qd[1]);
    }
    if (result == 0) {
        result = hear(l, qd[0]);
    }
    if (result == 0) {
        result = mbr_close(l, qd[1]);
    }
    return result != 0 ? result : mbr_close(l, qd[0]);
}

static int open_soon(struct mbr_libos *l, const char *name, int *qd)
{
    int result;

    while ((result = mbr_pipe_open(l, name, NULL, qd)) == -ENOENT) {
        (void)sched_yield();
    }
    return result;
}

static int make_ends(struct mbr_libos *l, bool creator, unsigned from, unsigned count, int *qd)
{
    char name[32];
    int result = 0;

    for (unsigned i = 0; i < count && result == 0; i++) {
        (void)name_of(from + i, name, sizeof(name));
        result = creator ? mbr_pipe_create(l, name, NULL, &qd[i]) : open_soon(l, name, &qd[i]);
    }
    return result;
}

static int each(struct mbr_libos *l, int (*act)(struct mbr_libos *l, int qd), unsigned count,
                const int *qd)
{
    int result = 0;

    for (unsigned i = 0; i < count && result == 0; i++) {
        result = act(l, qd[i]);
    }
    return result;
}

/* Long enough for the other side to fall asleep; if it does not, it needs no waking, and that
 * descriptor is missing from the count. */
static void nap(void)
{
    const struct timespec time = {.tv_nsec = 200000000};

    (void)nanosleep(&time, NULL);
}

/* Openers speak first, because that makes them known; then each side lets the other one sleep. */
static int use_ends(struct mbr_libos *l, bool creator, unsigned count, const int *qd)
{
    int result = each(l, creator ? hear : say, count, qd);

    if (creator && result == 0) {
        nap();
        result = each(l, say, count, qd);
    }
    if (result == 0) {
        result = each(l, hear, count, qd);
    }
    if (!creator && result == 0) {
        nap();
        result = each(l, say, count, qd);
    }
    return result;
}

/* A pop stays pending on each. */
static int leave_idle(struct mbr_libos *l, int qd)
{
    demi_qtoken_t qt;

    return mbr_pop(l, qd, 0, &qt);
}

static int live(bool creator, unsigned from, unsigned pipes, struct report *report)
{
    int *qd = calloc(pipes, sizeof(*qd));
    struct mbr_libos *l = NULL;
    int result;

    if (qd == NULL) {
        return -ENOMEM;
    }
    report->creator = creator;
    report->before = count();
    result = mbr_libos_open("catmem", NULL, &l);
    if (result == 0) {
        result = warm_up(l);
    }
    report->empty = count();
    if (result == 0) {
        result = make_ends(l, creator, from, pipes, qd);
    }
    if (result == 0) {
        result = use_ends(l, creator, pipes, qd);
    }
    if (result == 0) {
        result = each(l, leave_idle, pipes, qd);
    }
    report->after = count();
    free(qd);
    return result;
}

/* The instance is not closed: the other ends are counting themselves. */
static _Noreturn void be(struct channel *channel, bool creator, unsigned from, unsigned pipes)
{
    struct report report = {0};
    char byte;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)close(channel->end[1]);
    (void)close(channel->report[0]);
    if (live(creator, from, pipes, &report) == 0) {
        (void)!write(channel->report[1], &report, sizeof(report)); /* less than PIPE_BUF: whole */
    }
    (void)close(channel->report[1]);
    (void)!read(channel->end[0], &byte, 1);
    _exit(0);
}

/* ---- asking ---- */

static void add(struct costs_holdings *sum, const struct costs_holdings *from,
                const struct costs_holdings *to)
{
    sum->descriptors += to->descriptors - from->descriptors;
    sum->shared += to->shared - from->shared;
    sum->anonymous += to->anonymous - from->anonymous;
    sum->tables += to->tables - from->tables;
}

static void divide(struct costs_holdings *sum, int64_t by)
{
    sum->descriptors = (2 * sum->descriptors + by) / (2 * by); /* rounded */
    sum->shared /= by;
    sum->anonymous /= by;
    sum->tables /= by;
}

/* Each process' report. -EIO when one has failed. */
static int collect(int fd, unsigned processes, struct costs_idle *out)
{
    for (unsigned i = 0; i < processes; i++) {
        struct report report;

        if (read(fd, &report, sizeof(report)) != (ssize_t)sizeof(report)) {
            return -EIO;
        }
        add(report.creator ? &out->creator : &out->opener, &report.empty, &report.after);
        if (report.creator) {
            add(&out->instance, &report.before, &report.empty);
        }
    }
    return 0;
}

int costs_idle(unsigned pipes, unsigned peers, struct costs_idle *out)
{
    struct costs_idle sum = {0};
    struct channel channel;
    unsigned made = 0;
    int result = 0;

    if (pipe(channel.report) != 0) {
        return -errno;
    }
    if (pipe(channel.end) != 0) {
        result = -errno;
        (void)close(channel.report[0]);
        (void)close(channel.report[1]);
        return result;
    }
    for (; made <= peers && result == 0; made++) {
        pid_t pid = fork();
        bool creator = made == 0;

        if (pid == 0) {
            be(&channel, creator, creator ? 0 : (made - 1) * (pipes / peers),
               creator ? pipes : pipes / peers);
        }
        result = pid < 0 ? -errno : 0;
    }
    (void)close(channel.report[1]);
    (void)close(channel.end[0]);
    if (result == 0) {
        result = collect(channel.report[0], peers + 1, &sum);
    }
    (void)close(channel.end[1]);
    (void)close(channel.report[0]);
    while (made-- > 0) {
        (void)wait(NULL);
    }
    if (result == 0) {
        divide(&sum.creator, pipes);
        divide(&sum.opener, pipes);
        *out = sum;
    }
    return result;
}
