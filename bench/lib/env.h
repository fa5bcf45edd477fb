/* SPDX-License-Identifier: MIT */
/*
 * The environment block that goes with every set of figures: what must be known to compare them
 * with others, or to see why they must not be compared. Values that this system does not tell are
 * empty strings or negative numbers.
 */
#ifndef BENCH_LIB_ENV_H
#define BENCH_LIB_ENV_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct bench_env {
    char when[32];        /* UTC, ISO 8601 */
    char kernel[96];      /* sysname release machine */
    char cpu_model[96];   /* first of /proc/cpuinfo */
    char governor[32];    /* of CPU 0; empty where there is no cpufreq */
    char clocksource[32]; /* current_clocksource */
    char compiler[128];   /* of the bench, with its optimisation */
    char commit[64];      /* git describe of the tree the program lies in */
    char mitigations[160];
    char shmem_huge[64]; /* transparent_hugepage/shmem_enabled, the chosen value */
    double load[3];
    int cpus_online;
    int cpus_allowed;
    bool hypervisor; /* the CPU says that it is virtual */
    bool tsc_steady; /* constant_tsc and nonstop_tsc */
};

/* Collects everything. Takes a few milliseconds (it may run git once); never fails. */
void bench_env_read(struct bench_env *env);

/* The block as a JSON object; NULL when there is no memory. The caller owns the reference. */
json_t *bench_env_json(const struct bench_env *env);

/* Three lines for people. */
void bench_env_print(const struct bench_env *env, FILE *out);

#endif
