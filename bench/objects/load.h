/* SPDX-License-Identifier: MIT */
/*
 * What is done with objects while time is taken. Each function works for `span` nanoseconds and
 * returns a rate (a second), or a negative errno. Not here: judging (main.c), values that are
 * handed over (way.h).
 */
#ifndef BENCH_OBJECTS_LOAD_H
#define BENCH_OBJECTS_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* get and put of one block by `readers` processes on CPUs of their own, of one object or of one
 * each; the rate of the slowest. */
double load_readers(int readers, bool apart, uint64_t span);

/* Copies of `size` bytes between memory of our own and shared memory: by objects, and by memcpy to
 * and from memory of the same kind. Bytes a second. */
enum load_copy_way { LOAD_WRITE, LOAD_READ, LOAD_MEMCPY_IN, LOAD_MEMCPY_OUT };
int load_copy_begin(size_t size);
double load_copy(enum load_copy_way way, uint64_t span);
void load_copy_end(void);

/* Two containers: one with 10 objects and 2 members, one with so many. */
enum load_step { LOAD_CREATE, LOAD_JOIN, LOAD_MISS, LOAD_MEMBER };
int load_crowd_begin(int objects, int members);
double load_crowd(bool crowd, enum load_step step, uint64_t span);
void load_crowd_end(void);

#endif
