/* SPDX-License-Identifier: MIT */
/*
 * The subjects of the library itself, from its bare ring up to the Demikernel API. The pipes are
 * measured through the shared libraries, as programs use them; only the bare rings reach inside.
 */
#ifndef BENCH_MEMBRANE_MEMBRANE_H
#define BENCH_MEMBRANE_MEMBRANE_H

#include "bench/lib/subject.h"

/* The record ring alone: without notification; with it; with it and one fence for each record. */
extern const struct bench_subject bench_ring;
extern const struct bench_subject bench_ring_armed;
extern const struct bench_subject bench_ring_each;

/* Pipes through the native interface: in place (waiting in the library, or by looking again), and
 * with push, pop and wait. */
extern const struct bench_subject bench_place;
extern const struct bench_subject bench_place_poll;
extern const struct bench_subject bench_copy;

/* Messages lent to the peer: only their ends touched, or all of them. */
extern const struct bench_subject bench_reference;
extern const struct bench_subject bench_reference_touched;

#ifdef BENCH_WITH_DEMI
/* Pipes through the demi_* calls: waiting for one token, for any of all pending ones, or for
 * whatever comes next. */
extern const struct bench_subject bench_demi;
extern const struct bench_subject bench_demi_any;
extern const struct bench_subject bench_demi_next;

/* Sockets through the demi_* calls, and whole connections beside those of the kernel. */
extern const struct bench_subject bench_catnap;
extern const struct bench_subject bench_catloop;
extern const struct bench_subject bench_catloop_connect;
extern const struct bench_subject bench_tcp_connect;
#endif

#endif
