/* SPDX-License-Identifier: MIT */
/*
 * The two descriptors that each side of a kernel baseline has, and whole-message reads and writes
 * on them. Private to the baselines.
 */
#ifndef BENCH_BASELINE_FDS_H
#define BENCH_BASELINE_FDS_H

#include "bench/lib/subject.h"

/* What the keeper makes; in[] and out[] are equal for sockets. */
struct bench_fds {
    int in[2]; /* by side */
    int out[2];
};

/* The subjects' config. */
struct bench_fds_kind {
    /* Fills in all four; on failure nothing stays open. Negative errno. */
    int (*make)(const struct bench_case *bc, struct bench_fds *fds);
};

int bench_make_pipes(const struct bench_case *bc, struct bench_fds *fds);
int bench_make_unix(const struct bench_case *bc, struct bench_fds *fds);
int bench_make_tcp(const struct bench_case *bc, struct bench_fds *fds);

/* Waits on non-blocking descriptors by trying again. -EPIPE at end of file, else -errno. */
int bench_write_all(int fd, const char *from, size_t size, struct bench_probe *probe);
int bench_read_all(int fd, char *to, size_t size, struct bench_probe *probe);

#endif
