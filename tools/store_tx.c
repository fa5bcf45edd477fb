/* SPDX-License-Identifier: MIT */
/*
 * membrane store tx: several operations, an argument or a line of standard input each, in one
 * transaction that is retried. What they print is shown after the commit, once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exits.h"
#include "printable.h"
#include "say.h"
#include "store.h"

#define WORDS_MAX 32 /* of one operation: path and permissions */

struct transaction {
    const struct tool_args *args;
    char **lines; /* the operations */
    size_t count;
    size_t attempts;
    FILE *out; /* what this attempt prints, into text */
    char *text;
    size_t text_size;
    json_t *results;
    char failed[STORE_PATH_SIZE + 64]; /* the operation that has failed */
    bool differs;                      /* it was a check */
};

/* An operation, taken apart. */
struct operation {
    const char *name;
    char path[STORE_PATH_SIZE];
    const char *rest; /* what follows the path, less the blank between them */
};

static const char *const names[] = {"read",  "write",  "mkdir", "rm",
                                    "chmod", "exists", "check", "ls"};

/* The next word of *text, up to a blank; NULL at the end. */
static char *word(char **text)
{
    char *begin = *text + strspn(*text, " \t");
    size_t length = strcspn(begin, " \t");

    *text = begin + length;
    if (length == 0)
        return NULL;
    if (**text != '\0')
        *(*text)++ = '\0';
    return begin;
}

/* Takes `line` apart, which it changes. 0, or an exit code after an error message. */
static int take_apart(char *line, struct operation *op)
{
    char *rest = line;
    char *name = word(&rest);
    char *path = word(&rest);

    for (size_t i = 0; name != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0)
            op->name = names[i];
    }
    if (op->name == NULL)
        return tool_error(TOOL_EXIT_USAGE, "read write mkdir rm chmod exists check ls",
                          "%.100s: no such operation", name != NULL ? name : "''");
    if (path == NULL)
        return tool_error(TOOL_EXIT_USAGE, "membrane help store tx", "%s: a path is missing", name);
    op->rest = rest;
    return store_path(path, op->path);
}

/* ---- what they do ---- */

static int put_value(struct transaction *t, const char *path, const char *value, size_t length)
{
    json_t *result = json_pack("{s:o}", "path", tool_text_json(path));

    (void)fwrite(value, 1, length, t->out);
    (void)fputc('\n', t->out);
    if (result == NULL || store_value_json(result, value, length) < 0) {
        json_decref(result);
        return -ENOMEM;
    }
    return json_array_append_new(t->results, result) < 0 ? -ENOMEM : 0;
}

static int do_read(struct transaction *t, struct mbr_store *s, uint64_t tx,
                   const struct operation *op)
{
    char *value = NULL;
    size_t length = 0;
    int rc = mbr_store_read(s, tx, op->path, &value, &length);

    if (rc == 0)
        rc = put_value(t, op->path, value, length);
    free(value);
    return rc;
}

static int do_ls(struct transaction *t, struct mbr_store *s, uint64_t tx,
                 const struct operation *op)
{
    char **list = NULL;
    size_t count = 0;
    json_t *array;
    int rc = mbr_store_list(s, tx, op->path, &list, &count);

    if (rc < 0)
        return rc;
    array = json_array();
    for (size_t i = 0; i < count && array != NULL; i++) {
        (void)fprintf(t->out, "%s\n", list[i]);
        if (json_array_append_new(array, tool_text_json(list[i])) < 0) {
            json_decref(array);
            array = NULL;
        }
    }
    free(list);
    array = json_pack("{s:o, s:o}", "path", tool_text_json(op->path), "names", array);
    return array == NULL || json_array_append_new(t->results, array) < 0 ? -ENOMEM : 0;
}

/* A value that must still be what somebody has seen; the transaction is dropped if it is not. */
static int do_check(struct transaction *t, struct mbr_store *s, uint64_t tx,
                    const struct operation *op)
{
    char *value = NULL;
    size_t length = 0;
    int rc = mbr_store_read(s, tx, op->path, &value, &length);

    t->differs = rc == 0 && (length != strlen(op->rest) || memcmp(value, op->rest, length) != 0);
    free(value);
    return t->differs ? -ECANCELED : rc;
}

static int do_exists(struct mbr_store *s, uint64_t tx, const struct operation *op)
{
    int rc = mbr_store_exists(s, tx, op->path);

    return rc > 0 ? 0 : rc == 0 ? -ENOENT : rc;
}

/* The permissions of a chmod. 0, or an exit code after an error message. */
static int take_perms(const struct operation *op, struct mbr_store_perm perms[WORDS_MAX],
                      size_t *count)
{
    char text[MBR_STORE_PERM_TEXT * WORDS_MAX];
    bool fits = strlen(op->rest) < sizeof(text);
    char *rest = text;
    char *perm;
    int code = TOOL_EXIT_OK;

    (void)snprintf(text, sizeof(text), "%s", op->rest);
    *count = 0;
    while (fits && code == TOOL_EXIT_OK && (perm = word(&rest)) != NULL) {
        fits = *count < WORDS_MAX;
        if (fits)
            code = store_perm(perm, &perms[(*count)++]);
    }
    if (!fits)
        return tool_error(TOOL_EXIT_USAGE, "membrane store chmod",
                          "chmod %.60s: more than %d permissions", op->path, WORDS_MAX);
    if (code == TOOL_EXIT_OK && *count == 0)
        return tool_error(TOOL_EXIT_USAGE, "membrane help store tx",
                          "chmod %.60s: a permission is missing", op->path);
    return code;
}

static int do_chmod(struct mbr_store *s, uint64_t tx, const struct operation *op)
{
    struct mbr_store_perm perms[WORDS_MAX];
    size_t count;
    int code = take_perms(op, perms, &count);

    return code != TOOL_EXIT_OK ? -EINVAL : store_set_perms(s, tx, op->path, perms, count);
}

static int carry_out(struct transaction *t, struct mbr_store *s, uint64_t tx,
                     const struct operation *op)
{
    if (strcmp(op->name, "read") == 0)
        return do_read(t, s, tx, op);
    if (strcmp(op->name, "ls") == 0)
        return do_ls(t, s, tx, op);
    if (strcmp(op->name, "check") == 0)
        return do_check(t, s, tx, op);
    if (strcmp(op->name, "exists") == 0)
        return do_exists(s, tx, op);
    if (strcmp(op->name, "chmod") == 0)
        return do_chmod(s, tx, op);
    if (strcmp(op->name, "mkdir") == 0)
        return mbr_store_mkdir(s, tx, op->path);
    if (strcmp(op->name, "rm") == 0)
        return mbr_store_rm(s, tx, op->path);
    return mbr_store_write(s, tx, op->path, op->rest, strlen(op->rest));
}

/* ---- the transaction ---- */

static int start_output(struct transaction *t)
{
    if (t->out != NULL)
        (void)fclose(t->out);
    free(t->text);
    t->text = NULL;
    json_decref(t->results);
    t->results = json_array();
    t->out = open_memstream(&t->text, &t->text_size);
    return t->out == NULL || t->results == NULL ? -ENOMEM : 0;
}

static int attempt(struct mbr_store *s, uint64_t tx, void *arg)
{
    struct transaction *t = arg;
    int rc = start_output(t);

    t->attempts++;
    for (size_t i = 0; i < t->count && rc == 0; i++) {
        struct operation op = {0};
        char *line = strdup(t->lines[i]);

        rc = line == NULL ? -ENOMEM : 0;
        if (rc == 0 && take_apart(line, &op) == TOOL_EXIT_OK)
            rc = carry_out(t, s, tx, &op);
        if (rc < 0)
            (void)snprintf(t->failed, sizeof(t->failed), "%s %s", op.name, op.path);
        free(line);
    }
    return rc;
}

/* What can be known before anything is done. 0, or an exit code after an error message. */
static int check_operation(const struct operation *op)
{
    struct mbr_store_perm perms[WORDS_MAX];
    size_t count;

    if (strcmp(op->name, "rm") == 0)
        return store_removable(op->path);
    return strcmp(op->name, "chmod") == 0 ? take_perms(op, perms, &count) : TOOL_EXIT_OK;
}

static int check_lines(const struct transaction *t)
{
    int code = TOOL_EXIT_OK;

    for (size_t i = 0; i < t->count && code == TOOL_EXIT_OK; i++) {
        struct operation op = {0};
        char *line = strdup(t->lines[i]);

        code = line == NULL ? store_error(-ENOMEM, "operations") : take_apart(line, &op);
        if (code == TOOL_EXIT_OK && op.name != NULL) /* it is not; the analyser cannot know */
            code = check_operation(&op);
        free(line);
    }
    return code;
}

static int add_line(struct transaction *t, const char *text)
{
    char **more = realloc(t->lines, (t->count + 1) * sizeof(*more));
    char *copy = strdup(text);

    if (more != NULL)
        t->lines = more;
    if (more == NULL || copy == NULL) {
        free(copy);
        return store_error(-ENOMEM, "operations");
    }
    t->lines[t->count++] = copy;
    return TOOL_EXIT_OK;
}

/* Empty lines and those that begin with # are for people. */
static int read_lines(struct transaction *t)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    int code = TOOL_EXIT_OK;

    while (code == TOOL_EXIT_OK && (length = getline(&line, &size, stdin)) >= 0) {
        if (length > 0 && line[length - 1] == '\n')
            line[--length] = '\0';
        if (strlen(line) != (size_t)length)
            code = tool_error(TOOL_EXIT_USAGE, "membrane store write with standard input",
                              "%.60s: a NUL byte", line);
        else if (line[strspn(line, " \t")] != '\0' && line[0] != '#')
            code = add_line(t, line);
    }
    if (code == TOOL_EXIT_OK && ferror(stdin))
        code = tool_error_system(errno, "standard input");
    free(line);
    return code;
}

static int report(struct transaction *t, int rc)
{
    json_t *object;

    if (t->differs)
        return tool_error(TOOL_EXIT_NEGATIVE, NULL, "%s: it holds something else", t->failed);
    if (rc < 0)
        return store_error(rc, t->failed[0] != '\0' ? t->failed : "the transaction");
    if (!tool_given(t->args, OPT_JSON)) {
        (void)fflush(t->out);
        printable_put(t->text, t->text_size, stdout);
        return TOOL_EXIT_OK;
    }
    object = json_pack("{s:I, s:O}", "attempts", (json_int_t)t->attempts, "results", t->results);
    return object != NULL ? tool_print_json(object, stdout) : store_error(-ENOMEM, "results");
}

int store_tx(const struct tool_args *args)
{
    struct transaction t = {.args = args};
    struct mbr_store *s = NULL;
    uint64_t timeout = 0;
    int code = tool_duration(args, OPT_TIMEOUT, MBR_STORE_TIMEOUT_DEFAULT, &timeout);

    for (int i = 0; i < args->words && code == TOOL_EXIT_OK; i++)
        code = add_line(&t, args->all[i]);
    if (args->words == 0 && code == TOOL_EXIT_OK)
        code = read_lines(&t);
    if (code == TOOL_EXIT_OK)
        code = check_lines(&t);
    if (code == TOOL_EXIT_OK)
        code = store_open(args, &s);
    if (code == TOOL_EXIT_OK)
        code = report(&t, mbr_store_transact(s, attempt, &t, timeout));
    mbr_store_close(s);
    if (t.out != NULL)
        (void)fclose(t.out);
    free(t.text);
    json_decref(t.results);
    for (size_t i = 0; i < t.count; i++)
        free(t.lines[i]);
    free(t.lines);
    return code;
}
