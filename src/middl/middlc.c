/* SPDX-License-Identifier: MIT */
/* The compiler's interface to the outside: options, the order of a run, and getting at results. */
#include <membrane/middlc.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "middl/load.h"
#include "middl/write.h"

#define MAX_OUTPUT ((size_t)256 << 20)

static const void *name_key(const void *value, size_t *length)
{
    const struct mc_name *name = value;

    *length = name->length;
    return name->text;
}

struct mc_name *mbr__mc_intern(struct mbr_middlc *run, const char *text, size_t length)
{
    struct mc_name *name = mbr__bytes_map_get(&run->names, text, length);
    int error;

    if (name)
        return name;
    name = MC_NEW(&run->arena, struct mc_name);
    if (!name)
        return NULL;
    name->text = mbr__mc_copy(&run->arena, text, length);
    if (!name->text)
        return NULL;
    name->length = (uint32_t)length;
    name->number = ++run->n_names;
    error = mbr__bytes_map_put(&run->names, name);
    if (error) {
        run->arena.error = error;
        return NULL;
    }
    return name;
}

int mbr_middlc_new(struct mbr_middlc **compiler)
{
#define X(name, option, on, text) on,
    static const bool on[] = {MC_WARNINGS(X)};
#undef X
    struct mbr_middlc *run = calloc(1, sizeof *run);

    if (!run)
        return -ENOMEM;
    mbr__mc_arena_init(&run->arena, MC_MAX_MEMORY);
    mbr__bytes_map_init(&run->names, name_key);
    mbr__bytes_map_init(&run->cnames, mbr__mc_cname_key);
    mbr__hash_init(&run->decls);
    mbr__strbuf_init(&run->scratch, MAX_OUTPUT);
    run->files_end = &run->files;
    run->interfaces_end = &run->interfaces;
    run->diags_end = &run->diags;
    run->dirs_end = &run->dirs;
    run->max_errors = MC_MAX_ERRORS;
    run->guesses = MC_MAX_GUESSES;
    memcpy(run->warn, on, sizeof run->warn);
    *compiler = run;
    return 0;
}

void mbr_middlc_free(struct mbr_middlc *compiler)
{
    if (!compiler)
        return;
    mbr__strbuf_fini(&compiler->scratch);
    mbr__hash_fini(&compiler->decls);
    mbr__bytes_map_fini(&compiler->cnames);
    mbr__bytes_map_fini(&compiler->names);
    mbr__mc_arena_fini(&compiler->arena);
    free(compiler);
}

/* --- Options ---------------------------------------------------------------------------------- */

static int add_dir(struct mbr_middlc *run, const char *path)
{
    struct mc_dir *dir = MC_NEW(&run->arena, struct mc_dir);

    if (!dir)
        return run->arena.error;
    dir->path = mbr__mc_copy(&run->arena, path, strlen(path));
    if (!dir->path)
        return run->arena.error;
    *run->dirs_end = dir;
    run->dirs_end = &dir->next;
    return 0;
}

/* "NAME" of a warning, -1 if there is none. */
static int warning_named(const char *text)
{
#define X(name, option, on, text) option,
    static const char *const options[] = {MC_WARNINGS(X)};
#undef X

    for (int i = 0; i < MC_WARNING_COUNT; i++)
        if (strcmp(options[i], text) == 0)
            return i;
    return -1;
}

static void set_all(bool *flags)
{
    for (int i = 0; i < MC_WARNING_COUNT; i++)
        flags[i] = true;
}

static int set_warning(struct mbr_middlc *run, const char *text)
{
    bool fatal = strncmp(text, "error=", 6) == 0, off = strncmp(text, "no-", 3) == 0;
    int kind;

    if (strcmp(text, "all") == 0 || strcmp(text, "error") == 0) {
        set_all(text[0] == 'a' ? run->warn : run->fatal);
        return 0;
    }
    kind = warning_named(text + (fatal ? 6 : off ? 3 : 0));
    if (kind < 0)
        return -EINVAL;
    run->warn[kind] = !off;
    if (fatal)
        run->fatal[kind] = true;
    return 0;
}

int mbr_middlc_set(struct mbr_middlc *compiler, const char *option)
{
    static const char errors[] = "--max-errors=";

    if (strncmp(option, "-I", 2) == 0)
        return option[2] ? add_dir(compiler, option + 2) : -EINVAL;
    if (strncmp(option, "-W", 2) == 0)
        return set_warning(compiler, option + 2);
    if (strcmp(option, "--no-search") == 0) {
        compiler->closed = true;
        return 0;
    }
    if (strncmp(option, errors, sizeof errors - 1) == 0) {
        char *end;
        unsigned long number = strtoul(option + sizeof errors - 1, &end, 10);

        if (option[sizeof errors - 1] < '0' || option[sizeof errors - 1] > '9' || *end ||
            number > 1000000)
            return -EINVAL;
        compiler->max_errors = number > 0 ? (uint32_t)number : UINT32_MAX; /* 0: no limit */
        return 0;
    }
    return -EINVAL;
}

/* --- A run ------------------------------------------------------------------------------------ */

/* What was added last is asked for, not only needed. */
static int added(struct mbr_middlc *run, int error)
{
    run->n_added = run->n_interfaces;
    return run->arena.error ? run->arena.error : error;
}

int mbr_middlc_add_file(struct mbr_middlc *compiler, const char *path)
{
    if (compiler->done)
        return -EINVAL;
    return added(compiler, mbr__mc_add_path(compiler, path));
}

int mbr_middlc_add_text(struct mbr_middlc *compiler, const char *path, const char *text,
                        size_t length)
{
    if (compiler->done)
        return -EINVAL;
    return added(compiler, mbr__mc_add_memory(compiler, path, text, length));
}

int mbr_middlc_check(struct mbr_middlc *compiler)
{
    if (compiler->done)
        return compiler->result;
    compiler->done = true;
    if (!compiler->arena.error)
        mbr__mc_load_needs(compiler);
    if (!compiler->arena.error)
        mbr__mc_check_all(compiler);
    if (!compiler->arena.error)
        mbr__mc_sort(compiler);
    compiler->result = compiler->arena.error    ? compiler->arena.error
                       : compiler->n_errors > 0 ? -EBADMSG
                                                : 0;
    return compiler->result;
}

/* --- Results ---------------------------------------------------------------------------------- */

const struct mbr_middlc_message *mbr_middlc_next_message(struct mbr_middlc *compiler,
                                                         const struct mbr_middlc_message *after)
{
    const struct mc_message *next =
        after ? ((const struct mc_message *)(const void *)after)->next : compiler->messages;

    return next ? &next->public : NULL;
}

const char *mbr_middlc_interface(struct mbr_middlc *compiler, size_t index, const char **path)
{
    const struct mc_interface *interface = compiler->interfaces;

    while (interface && index-- > 0)
        interface = interface->next;
    if (!interface)
        return NULL;
    if (path)
        *path = interface->file->path;
    return interface->name->text;
}

size_t mbr_middlc_added(const struct mbr_middlc *compiler)
{
    return compiler->n_added;
}

static void write_as(struct mbr__strbuf *out, const struct mbr_middlc *run,
                     const struct mc_interface *interface, enum mbr_middlc_output what)
{
    switch (what) {
    case MBR_MIDDLC_HEADER:
    case MBR_MIDDLC_DOLLAR:
        mbr__mc_write_header(out, run, interface, what == MBR_MIDDLC_DOLLAR);
        break;
    case MBR_MIDDLC_TYPES:
        mbr__mc_write_types(out, interface);
        break;
    case MBR_MIDDLC_SKELETON:
        mbr__mc_write_skeleton(out, interface);
        break;
    case MBR_MIDDLC_MAN:
        mbr__mc_write_man(out, interface);
        break;
    case MBR_MIDDLC_MARKDOWN:
        mbr__mc_write_markdown(out, interface);
        break;
    case MBR_MIDDLC_TEXT:
        mbr__mc_write_text(out, interface);
        break;
    case MBR_MIDDLC_JSON:
        mbr__mc_write_json(out, interface);
        break;
    case MBR_MIDDLC_CANONICAL:
        mbr__mc_canonical(out, interface);
        break;
    case MBR_MIDDLC_CODES:
        mbr__mc_write_codes(out, interface);
        break;
    }
}

static int take(struct mbr__strbuf *out, char **text, size_t *length)
{
    int error;

    if (!out->data) /* an empty text is a text */
        mbr__strbuf_puts(out, "");
    error = mbr__strbuf_take(out, text, length);
    mbr__strbuf_fini(out);
    return error;
}

int mbr_middlc_write(struct mbr_middlc *compiler, const char *interface,
                     enum mbr_middlc_output what, char **text, size_t *length)
{
    const struct mc_name *name;
    struct mbr__strbuf out;

    if (!compiler->done || (unsigned int)what > MBR_MIDDLC_DOLLAR)
        return -EINVAL;
    name = mbr__bytes_map_get(&compiler->names, interface, strlen(interface));
    if (!name || !name->interface)
        return -ENOENT;
    if (what == MBR_MIDDLC_TEXT ? !name->interface->parsed : !name->interface->ok)
        return -EBADMSG;
    mbr__strbuf_init(&out, MAX_OUTPUT);
    write_as(&out, compiler, name->interface, what);
    return take(&out, text, length);
}

int mbr_middlc_write_graph(struct mbr_middlc *compiler, char **text, size_t *length)
{
    struct mbr__strbuf out;

    if (!compiler->done)
        return -EINVAL;
    if (compiler->arena.error)
        return compiler->arena.error;
    mbr__strbuf_init(&out, MAX_OUTPUT);
    mbr__mc_write_graph(&out, compiler);
    return take(&out, text, length);
}
