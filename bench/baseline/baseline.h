/* SPDX-License-Identifier: MIT */
/*
 * The baselines: what the library is compared with in every run. Each is a subject like any other.
 */
#ifndef BENCH_BASELINE_BASELINE_H
#define BENCH_BASELINE_BASELINE_H

#include "bench/lib/subject.h"

/* Kernel pipe, unix stream socket, TCP over loopback; one system call for each message. */
extern const struct bench_subject bench_pipe;
extern const struct bench_subject bench_unix;
extern const struct bench_subject bench_tcp;
/* The unix socket again with 64 KiB user buffers on both sides: what stdio would do. */
extern const struct bench_subject bench_unix_buffered;

/* Two futex words: the bare cost of waking a process and running it. Round trips only. */
extern const struct bench_subject bench_futex;

/* One cache line written in turn, and two with one writer each. Round trips only. */
extern const struct bench_subject bench_line1;
extern const struct bench_subject bench_line2;

/* The hand-tuned rings: the yardstick of our own. */
extern const struct bench_subject bench_tuned[];
extern const size_t bench_tuned_count;

#endif
