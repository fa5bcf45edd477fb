/* SPDX-License-Identifier: MIT */
/*
 * membrane store watch: a line for each event, as it comes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exits.h"
#include "printable.h"
#include "say.h"
#include "store.h"
#include "units.h"

struct watching {
    const struct tool_args *args;
    struct mbr_store *s;
    uint64_t deadline;
    uint64_t left; /* events to show */
};

/* With --values: what the node holds now; NULL: it is gone, or may not be read. */
static int look(const struct watching *w, const char *path, char **value, size_t *length)
{
    int rc = tool_given(w->args, OPT_VALUES) ? mbr_store_read(w->s, 0, path, value, length) : 0;

    return rc == -ENOENT || rc == -EACCES || rc == -EINVAL ? 0 : rc;
}

static int show(const struct watching *w, const char *path)
{
    bool values = tool_given(w->args, OPT_VALUES);
    char *value = NULL;
    size_t length = 0;
    int rc = look(w, path, &value, &length);
    int code = TOOL_EXIT_OK;

    if (rc < 0)
        return store_error(rc, path);
    if (tool_given(w->args, OPT_JSON)) {
        json_t *event = json_pack("{s:o}", "path", tool_text_json(path));

        if (event != NULL && value != NULL && store_value_json(event, value, length) < 0) {
            json_decref(event);
            event = NULL;
        }
        code = event != NULL ? tool_print_json(event, stdout) : store_error(-ENOMEM, path);
    } else {
        fputs(printable_name(path), stdout);
        if (value != NULL) {
            fputs(" = ", stdout);
            store_print_value(stdout, value, length);
        } else if (values) {
            fputs(" (no value)", stdout);
        }
        putchar('\n');
    }
    free(value);
    if (fflush(stdout) != 0)
        return TOOL_EXIT_NEGATIVE;
    return code;
}

static int begin(struct watching *w)
{
    uint64_t depth = MBR_STORE_ALL_DEPTHS;
    int code = tool_number(w->args, OPT_DEPTH, depth, 0, MBR_STORE_PATH_MAX, &depth);

    for (int i = 0; i < w->args->words && code == TOOL_EXIT_OK; i++) {
        char path[STORE_PATH_SIZE];
        struct mbr_store_watcher *watch;
        int rc;

        code = store_path(w->args->all[i], path);
        if (code != TOOL_EXIT_OK)
            break;
        rc = mbr_store_watch(w->s, path, (uint32_t)depth, NULL, NULL, &watch);
        if (rc < 0)
            code = store_error(rc, path);
    }
    return code;
}

static int follow(struct watching *w)
{
    int code = TOOL_EXIT_OK;

    while (w->left > 0 && code == TOOL_EXIT_OK) {
        struct mbr_store_event event;
        uint64_t now = tool_now_ns();
        uint64_t wait = MBR_FOREVER;
        char path[MBR_STORE_PAYLOAD_MAX + 1];
        int rc;

        if (w->deadline != MBR_FOREVER)
            wait = w->deadline > now ? w->deadline - now : 0;
        rc = mbr_store_next_event(w->s, wait, &event);
        if (rc == -ETIMEDOUT)
            return tool_error(TOOL_EXIT_TIMEOUT, NULL, "nothing more has changed in time");
        if (rc < 0 || event.error < 0)
            return store_error(rc < 0 ? rc : event.error, rc < 0 ? "the daemon" : event.path);
        (void)snprintf(path, sizeof(path), "%s", event.path);
        code = show(w, path);
        w->left--;
    }
    return code;
}

int store_watch(const struct tool_args *args)
{
    struct watching w = {.args = args};
    uint64_t timeout = MBR_FOREVER;
    int code = tool_duration(args, OPT_TIMEOUT, MBR_FOREVER, &timeout);

    if (code == TOOL_EXIT_OK)
        code = tool_number(args, OPT_TIMES, UINT64_MAX, 1, UINT64_MAX / 2, &w.left);
    if (code == TOOL_EXIT_OK)
        code = store_open(args, &w.s);
    if (code != TOOL_EXIT_OK)
        return code;
    w.deadline = timeout == MBR_FOREVER ? MBR_FOREVER : tool_now_ns() + timeout;
    code = begin(&w);
    if (code == TOOL_EXIT_OK)
        code = follow(&w);
    mbr_store_close(w.s);
    return code;
}
