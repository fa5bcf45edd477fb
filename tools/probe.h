/* SPDX-License-Identifier: MIT */
/*
 * What the kernel offers, found out by trying: version numbers lie (backports, containers,
 * seccomp). Each probe leaves nothing behind.
 */
#ifndef TOOLS_PROBE_H
#define TOOLS_PROBE_H

#include <stdbool.h>

struct tool_probe {
    const char *name;    /* NULL ends the table */
    const char *why;     /* what membrane does with it, or what is lost without it */
    const char *fix;     /* what to do about it */
    bool needed;         /* without it nothing works; otherwise something is slower or weaker */
    int (*try_it)(void); /* 0 it is there, or a negative errno */
};

extern const struct tool_probe tool_probes[];

#endif
