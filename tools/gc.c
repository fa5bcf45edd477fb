/* SPDX-License-Identifier: MIT */
/*
 * membrane gc: what dead processes have left in the directory of names.
 */
#include <limits.h>
#include <stdio.h>

#include <jansson.h>

#include <membrane/queue.h>

#include "exits.h"
#include "names.h"
#include "printable.h"
#include "say.h"
#include "verbs.h"

struct report {
    bool dry_run;
    bool print;      /* a line for each entry */
    json_t *entries; /* or NULL */
};

static void print_entry(const struct report *r, const struct mbr_gc_entry *e)
{
    const char *verdict = e->removed != 0 ? "removed" : r->dry_run ? "stale" : "kept";
    bool unknown = e->what[0] == 'u';

    if (unknown)
        verdict = "kept";
    printf("%-8s %-10s %s", verdict, e->what, printable_text(e->path));
    if (e->pid != 0)
        printf("  (process %d is dead)", e->pid);
    printf("\n");
}

static void take(void *arg, const struct mbr_gc_entry *e)
{
    struct report *r = arg;

    if (r->entries != NULL)
        (void)json_array_append_new(r->entries, json_pack("{s:o, s:s, s:i, s:b}", "path",
                                                          tool_text_json(e->path), "what", e->what,
                                                          "pid", e->pid, "removed", e->removed));
    if (r->print)
        print_entry(r, e);
}

static int print_json(const char *path, const struct report *r, int count)
{
    return tool_print_json(json_pack("{s:o, s:b, s:i, s:O}", "directory", tool_text_json(path),
                                     "dry_run", (int)r->dry_run, "count", count, "entries",
                                     r->entries),
                           stdout);
}

int tool_gc(const struct tool_args *args)
{
    bool json = tool_given(args, OPT_JSON);
    bool quiet = tool_given(args, OPT_QUIET);
    struct report r = {
        .dry_run = tool_given(args, OPT_DRY_RUN),
        .print = !json && !quiet,
        .entries = json ? json_array() : NULL,
    };
    char path[PATH_MAX];
    int code = TOOL_EXIT_OK;
    int rc = mbr_names_path(path, sizeof(path));

    if (rc < 0) {
        code = names_no_directory(rc);
    } else if ((rc = mbr_gc(r.dry_run, take, &r)) < 0) {
        code = tool_error_library(rc, "%s", path);
    } else if (json) {
        code = print_json(path, &r, rc);
    } else if (!quiet) {
        printf("%s: %d %s%s\n", printable_text(path), rc, rc == 1 ? "entry " : "entries ",
               r.dry_run ? "would be removed" : "removed");
    }
    json_decref(r.entries);
    return code;
}
