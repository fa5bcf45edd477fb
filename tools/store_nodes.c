/* SPDX-License-Identifier: MIT */
/*
 * membrane store read, write, mkdir, rm, exists and chmod. Whoever names several nodes means all
 * of them or none: what changes more than one does so in a transaction.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exits.h"
#include "printable.h"
#include "say.h"
#include "store.h"

/* What a transaction's function is told: the command line, and where to say what went wrong. */
struct job {
    const struct tool_args *args;
    char path[STORE_PATH_SIZE]; /* the node at which it failed, or that is being worked on */
    const char *value;          /* of write, from standard input */
    size_t length;
    struct mbr_store_perm *perms;
    size_t perm_count;
    bool missing; /* a node that should be there is not */
};

typedef int step_fn(struct mbr_store *s, uint64_t tx, struct job *job, int word);

/* The steps of all words, one after the other. */
static int each(struct mbr_store *s, uint64_t tx, struct job *job, step_fn *step, int stride)
{
    int rc = 0;

    for (int i = 0; i < job->args->words && rc == 0; i += stride)
        rc = step(s, tx, job, i);
    return rc;
}

static int check_paths(const struct tool_args *args, int stride)
{
    char path[STORE_PATH_SIZE];
    int code = TOOL_EXIT_OK;

    for (int i = 0; i < args->words && code == TOOL_EXIT_OK; i += stride)
        code = store_path(args->all[i], path);
    return code;
}

/* Connects, runs `fn` in a transaction, or without one if there is only one node, and reports. */
static int run(struct job *job, mbr_store_transact_fn *fn, bool single)
{
    struct mbr_store *s = NULL;
    uint64_t timeout = 0;
    int code = tool_duration(job->args, OPT_TIMEOUT, MBR_STORE_TIMEOUT_DEFAULT, &timeout);
    int rc;

    if (code == TOOL_EXIT_OK)
        code = store_open(job->args, &s);
    if (code != TOOL_EXIT_OK)
        return code;
    rc = single ? fn(s, 0, job) : mbr_store_transact(s, fn, job, timeout);
    mbr_store_close(s);
    if (rc == 0)
        return TOOL_EXIT_OK;
    return store_error(rc, job->path[0] != '\0' ? job->path : "the transaction");
}

/* ---- read ---- */

struct reading {
    struct job job;
    char **values;
    size_t *lengths;
};

static int read_one(struct mbr_store *s, uint64_t tx, struct job *job, int word)
{
    struct reading *r = (struct reading *)(void *)job;

    (void)store_path(job->args->all[word], job->path);
    free(r->values[word]);
    r->values[word] = NULL;
    return mbr_store_read(s, tx, job->path, &r->values[word], &r->lengths[word]);
}

static int read_all(struct mbr_store *s, uint64_t tx, void *arg)
{
    return each(s, tx, arg, read_one, 1);
}

static int print_values(const struct reading *r)
{
    const struct tool_args *args = r->job.args;
    json_t *nodes;

    for (int i = 0; i < args->words && !tool_given(args, OPT_JSON); i++) {
        if (tool_given(args, OPT_RAW)) {
            (void)fwrite(r->values[i], 1, r->lengths[i], stdout);
        } else {
            printable_put(r->values[i], r->lengths[i], stdout);
            putchar('\n');
        }
    }
    if (!tool_given(args, OPT_JSON))
        return TOOL_EXIT_OK;
    nodes = json_array();
    for (int i = 0; i < args->words && nodes != NULL; i++) {
        json_t *node = json_pack("{s:o}", "path", tool_text_json(args->all[i]));

        if (node == NULL || store_value_json(node, r->values[i], r->lengths[i]) < 0 ||
            json_array_append_new(nodes, node) < 0) {
            json_decref(nodes);
            nodes = NULL;
        }
    }
    nodes = json_pack("{s:o}", "nodes", nodes);
    return nodes != NULL ? tool_print_json(nodes, stdout) : store_error(-ENOMEM, "values");
}

int store_read(const struct tool_args *args)
{
    struct reading r = {.job = {.args = args}};
    int code = check_paths(args, 1);

    if (code != TOOL_EXIT_OK)
        return code;
    r.values = calloc((size_t)args->words, sizeof(*r.values));
    r.lengths = calloc((size_t)args->words, sizeof(*r.lengths));
    if (r.values == NULL || r.lengths == NULL)
        code = store_error(-ENOMEM, args->word[0]);
    if (code == TOOL_EXIT_OK)
        code = run(&r.job, read_all, args->words == 1);
    if (code == TOOL_EXIT_OK)
        code = print_values(&r);
    for (int i = 0; r.values != NULL && i < args->words; i++)
        free(r.values[i]);
    free(r.values);
    free(r.lengths);
    return code;
}

/* ---- write ---- */

static int write_one(struct mbr_store *s, uint64_t tx, struct job *job, int word)
{
    const char *value = job->value;
    size_t length = job->length;

    (void)store_path(job->args->all[word], job->path);
    if (value == NULL) {
        value = job->args->all[word + 1];
        length = strlen(value);
    }
    return mbr_store_write(s, tx, job->path, value, length);
}

static int write_all(struct mbr_store *s, uint64_t tx, void *arg)
{
    return each(s, tx, arg, write_one, 2);
}

/* All of standard input; what is more than a message holds is refused later. */
static int read_input(char value[MBR_STORE_PAYLOAD_MAX + 1], size_t *length)
{
    size_t n = 0;
    ssize_t more;

    do {
        more = read(STDIN_FILENO, value + n, MBR_STORE_PAYLOAD_MAX + 1 - n);
        n += more > 0 ? (size_t)more : 0;
    } while ((more > 0 && n <= MBR_STORE_PAYLOAD_MAX) || (more < 0 && errno == EINTR));
    if (more < 0)
        return tool_error_system(errno, "standard input");
    *length = n;
    return TOOL_EXIT_OK;
}

int store_write(const struct tool_args *args)
{
    struct job job = {.args = args};
    char input[MBR_STORE_PAYLOAD_MAX + 1];
    int code = check_paths(args, 2);

    if (code == TOOL_EXIT_OK && args->words == 1) {
        code = read_input(input, &job.length);
        job.value = input;
    } else if (code == TOOL_EXIT_OK && args->words % 2 != 0) {
        code = tool_error(TOOL_EXIT_USAGE, "membrane help store write",
                          "%.100s: a value is missing", args->all[args->words - 1]);
    }
    return code == TOOL_EXIT_OK ? run(&job, write_all, args->words <= 2) : code;
}

/* ---- mkdir, rm ---- */

static int mkdir_one(struct mbr_store *s, uint64_t tx, struct job *job, int word)
{
    (void)store_path(job->args->all[word], job->path);
    return mbr_store_mkdir(s, tx, job->path);
}

static int mkdir_all(struct mbr_store *s, uint64_t tx, void *arg)
{
    return each(s, tx, arg, mkdir_one, 1);
}

int store_mkdir(const struct tool_args *args)
{
    struct job job = {.args = args};
    int code = check_paths(args, 1);

    return code == TOOL_EXIT_OK ? run(&job, mkdir_all, args->words == 1) : code;
}

/* The store takes the removal of what is not there for done; people want to know. */
static int rm_one(struct mbr_store *s, uint64_t tx, struct job *job, int word)
{
    bool force = tool_given(job->args, OPT_FORCE);
    int rc;

    (void)store_path(job->args->all[word], job->path);
    rc = force ? 1 : mbr_store_exists(s, tx, job->path);
    if (rc > 0)
        rc = mbr_store_rm(s, tx, job->path);
    else if (rc == 0)
        rc = -ENOENT;
    return force && rc == -ENOENT ? 0 : rc;
}

static int rm_all(struct mbr_store *s, uint64_t tx, void *arg)
{
    return each(s, tx, arg, rm_one, 1);
}

int store_rm(const struct tool_args *args)
{
    struct job job = {.args = args};
    char path[STORE_PATH_SIZE];
    int code = TOOL_EXIT_OK;

    for (int i = 0; i < args->words && code == TOOL_EXIT_OK; i++) {
        code = store_path(args->all[i], path);
        if (code == TOOL_EXIT_OK)
            code = store_removable(path);
    }
    return code == TOOL_EXIT_OK ? run(&job, rm_all, false) : code;
}

/* ---- exists ---- */

static int exists_one(struct mbr_store *s, uint64_t tx, struct job *job, int word)
{
    int rc;

    (void)store_path(job->args->all[word], job->path);
    rc = mbr_store_exists(s, tx, job->path);
    job->missing |= rc == 0;
    return rc < 0 ? rc : 0;
}

static int exists_all(struct mbr_store *s, uint64_t tx, void *arg)
{
    struct job *job = arg;

    job->missing = false;
    return each(s, tx, job, exists_one, 1);
}

int store_exists(const struct tool_args *args)
{
    struct job job = {.args = args};
    int code = check_paths(args, 1);

    if (code == TOOL_EXIT_OK)
        code = run(&job, exists_all, args->words == 1);
    return code == TOOL_EXIT_OK && job.missing ? TOOL_EXIT_NEGATIVE : code;
}

/* ---- chmod ---- */

static int chmod_all(struct mbr_store *s, uint64_t tx, void *arg)
{
    struct job *job = arg;
    struct store_tree tree = {0};
    size_t depth = tool_given(job->args, OPT_RECURSIVE) ? SIZE_MAX : 0;
    int rc;

    (void)store_path(job->args->word[0], job->path);
    if (depth == 0)
        return store_set_perms(s, tx, job->path, job->perms, job->perm_count);
    rc = store_walk(s, tx, job->path, depth, 0, &tree);
    if (rc < 0)
        return rc;
    for (const struct store_node *node = tree.root; node != NULL && rc == 0;
         node = store_tree_next(node))
        rc = store_set_perms(s, tx, node->path, job->perms, job->perm_count);
    store_tree_free(&tree);
    return rc;
}

int store_chmod(const struct tool_args *args)
{
    struct job job = {.args = args, .perm_count = (size_t)args->words - 1};
    int code = check_paths(args, args->words);

    job.perms = calloc((size_t)args->words, sizeof(*job.perms));
    if (job.perms == NULL)
        code = store_error(-ENOMEM, args->word[0]);
    for (int i = 1; i < args->words && code == TOOL_EXIT_OK; i++)
        code = store_perm(args->all[i], &job.perms[i - 1]);
    if (code == TOOL_EXIT_OK)
        code = run(&job, chmod_all, !tool_given(args, OPT_RECURSIVE));
    free(job.perms);
    return code;
}
