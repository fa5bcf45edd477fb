/* SPDX-License-Identifier: MIT */
/* The frame of a program; out.h. How output is lost is as for the tools. */
#include "bench/lib/out.h"

#include <stdio.h>
#include <string.h>

#include "tools/exits.h"
#include "tools/output.h"

int bench_out(const char *program, int (*body)(int argc, char **argv), int argc, char **argv)
{
    int code = output_guard() != 0 ? TOOL_EXIT_LIMIT : body(argc, argv);
    int lost = output_end(stdout);

    if (lost == 0 || code != 0) {
        return code;
    }
    fprintf(stderr, "%s: standard output: %s\n", program, strerror(-lost));
    return tool_exit_of(lost);
}
