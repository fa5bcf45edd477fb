/* SPDX-License-Identifier: MIT */
/*
 * The list that membrane doctor makes: who checks something adds a line. doctor.c shows the list,
 * checks.c and memory.c fill it.
 */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL };

struct doctor {
    bool quiet;     /* only what is not in order */
    bool colour;    /* of the verdicts */
    json_t *checks; /* instead of printing; or NULL */
    unsigned count[3];
};

/* One finding. `why` it matters and the `fix` are for warn and fail; either may be "". */
struct finding {
    enum verdict verdict;
    const char *what;
    const char *why;
    const char *fix;
    char value[160];
};

/* Adds it to the list. */
void doctor_add(struct doctor *d, const struct finding *f);

/* Sets the value like printf. */
void finding_value(struct finding *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Kernel, processors, clock, limits, libraries. */
void doctor_check_system(struct doctor *d);
/* Directory of names, shared memory, memory of the machine and of the control group. */
void doctor_check_memory(struct doctor *d);
/* Whether the store's daemon can be reached. */
void doctor_check_daemon(struct doctor *d);

/* Reads the first line of a small file, without its newline. False if there is none. */
bool doctor_read_line(const char *path, char *line, size_t size);

#endif
