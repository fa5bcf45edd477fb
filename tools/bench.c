/* SPDX-License-Identifier: MIT */
/*
 * membrane bench: the short comparison of bench/lib/quick.h with the pipe of this library. The full
 * set of benchmarks, with its goals, is ./dev bench.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include <membrane/base.h>

#include "bench/lib/quick.h"
#include "bench/lib/run.h"
#include "exits.h"
#include "say.h"
#include "stop.h"
#include "subjects.h"
#include "units.h"
#include "verbs.h"

#define MIB            (UINT64_C(1) << 20)
#define RUNS_DEMO      3
#define RUNS_DEFAULT   5
#define BUDGET_DEMO_NS (7 * TOOL_SECOND)
#define BUDGET_EACH_NS (3 * TOOL_SECOND) /* for each repetition */

/* The line is redrawn with escape sequences, so only where these are understood. */
static FILE *progress_stream(const struct tool_args *args)
{
    const char *term = getenv("TERM");
    bool fits = isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0;

    return fits && !tool_given(args, OPT_QUIET) ? stderr : NULL;
}

static int read_options(const struct tool_args *args, struct bench_quick_options *options)
{
    bool demo = tool_given(args, OPT_DEMO);
    uint64_t runs;
    uint64_t size;
    int code = tool_number(args, OPT_RUNS, demo ? RUNS_DEMO : RUNS_DEFAULT, 1, 100, &runs);

    if (code == TOOL_EXIT_OK)
        code = tool_size(args, OPT_SIZE, MIB, 64, 16 * MIB, &size);
    if (code != TOOL_EXIT_OK)
        return code;
    if (size % 8 != 0)
        return tool_error(TOOL_EXIT_USAGE, "a multiple of 8", "--size %s: not a multiple of 8",
                          args->value[OPT_SIZE]);
    options->runs = (unsigned)runs;
    options->stream_size = size;
    options->budget_ns = demo ? BUDGET_DEMO_NS : runs * BUDGET_EACH_NS;
    options->progress = progress_stream(args);
    return TOOL_EXIT_OK;
}

static int run(const struct bench_quick_options *options, FILE *out, json_t *object)
{
    int rc;

    tool_stop_catch();
    tool_stop_hook(bench_run_cancel);
    rc = bench_quick_table(out, object, tool_subjects, TOOL_SUBJECTS, options);
    tool_stop_hook(NULL);
    if (rc == -EINTR)
        return tool_error(TOOL_EXIT_NEGATIVE, NULL, "interrupted; the figures are partial");
    if (rc == -EIO)
        return tool_error(TOOL_EXIT_NEGATIVE, "membrane doctor",
                          "the pipe could not be measured; the reason is below the table");
    return rc < 0 ? tool_error_library(rc, "measuring") : TOOL_EXIT_OK;
}

static int run_json(const struct bench_quick_options *options)
{
    json_t *object = json_pack("{s:s}", "version", MBR_VERSION_STRING);
    FILE *nowhere = object != NULL ? fopen("/dev/null", "we") : NULL;
    int code;
    json_t *error;

    if (nowhere == NULL) {
        code = object == NULL ? tool_error_system(ENOMEM, "--json")
                              : tool_error_system(errno, "/dev/null");
        json_decref(object);
        return code;
    }
    code = run(options, nowhere, object);
    (void)fclose(nowhere);
    error = tool_error_json();
    if (error != NULL)
        (void)json_object_set_new(object, "error", error);

    int lost = tool_print_json(object, stdout);

    return code != TOOL_EXIT_OK ? code : lost;
}

int tool_bench(const struct tool_args *args)
{
    struct bench_quick_options options = {0};
    int code = read_options(args, &options);

    if (code != TOOL_EXIT_OK)
        return code;
    code = tool_given(args, OPT_JSON) ? run_json(&options) : run(&options, stdout, NULL);
    return tool_stop_exit(code);
}
