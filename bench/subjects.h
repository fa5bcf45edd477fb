/* SPDX-License-Identifier: MIT */
/*
 * What `membrane-bench` measures: the table of all subjects, the cases, and the goals that the
 * library has set itself. To add a subject, add it to bench_subjects in subjects.c; to have it
 * judged, add a line to bench_goals.
 */
#ifndef BENCH_SUBJECTS_H
#define BENCH_SUBJECTS_H

#include "bench/lib/subject.h"

/* All subjects, in the order of the tables; the last one is NULL. */
extern const struct bench_subject *const bench_subjects[];

/* The subject of that name, or NULL. */
const struct bench_subject *bench_subject_find(const char *name);

/* A case that every subject that can do it is measured in. */
struct bench_standard_case {
    struct bench_case bc;  /* without times */
    const char *yardstick; /* the subject that ratios are taken to, where no goal says otherwise */
    bool quick;            /* also measured with --quick */
};

extern const struct bench_standard_case bench_cases[];
extern const size_t bench_case_count;

enum bench_goal_kind {
    BENCH_RATIO_AT_MOST,  /* figure / figure of `against` */
    BENCH_RATIO_AT_LEAST, /* the same */
    BENCH_RATE_AT_LEAST,  /* messages a second */
    BENCH_LATER_AT_MOST,  /* nanoseconds after `against` */
};

struct bench_goal {
    const char *subject; /* goals of subjects that are not in the table are not judged */
    const char *bc;      /* the case, by its name */
    enum bench_goal_kind kind;
    double limit;
    /* A subject, or a pattern (* ?): the worst of the ratios to those that match counts. NULL where
     * the kind needs none. */
    const char *against;
    const char *against_case; /* NULL: the same case */
};

extern const struct bench_goal bench_goals[];
extern const size_t bench_goal_count;

#endif
