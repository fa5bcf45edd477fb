/* SPDX-License-Identifier: MIT */
/*
 * The generated parts of the man page and the list of names. Completion scripts: completion.c.
 */
#include "docs.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "exits.h"
#include "say.h"
#include "verbs.h"

#include <membrane/queue.h>

/* Text in which scdoc shall see no markup. */
static void print_plain(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("*_\\<>#[]|", *text) != NULL)
            fputc('\\', out);
        fputc(*text, out);
    }
}

/* Headings know no markup, so nothing is escaped in them. */
static void print_heading(FILE *out, const struct tool_verb *verb)
{
    fprintf(out, "## membrane %s [OPTION...] %s\n\n", verb->name, verb->synopsis);
}

static void print_option(FILE *out, const struct tool_option *option)
{
    if (option->hidden)
        return;
    if (option->letter != 0)
        fprintf(out, "*-%c*, ", option->letter);
    fprintf(out, "*--%s*", option->name);
    if (option->argument != NULL)
        fprintf(out, " _%s_", option->argument);
    if (option->choices != NULL) {
        fputs(" (", out);
        print_plain(out, option->choices);
        fputs(")", out);
    }
    fputs("\n\t", out);
    print_plain(out, option->detail);
    fputs("\n\n", out);
}

static void print_options(FILE *out, const struct tool_verb *verb)
{
    for (const struct tool_option *o = verb->options; o->name != NULL; o++)
        print_option(out, o);
}

static void print_verb(FILE *out, const struct tool_verb *verb)
{
    if (verb->group != NULL) {
        fprintf(out, "## %s %s VERB [OPTION...] [ARGUMENT...]\n\n", tool_program.name, verb->name);
        print_plain(out, verb->detail);
        fprintf(out, "\n\nSee *%s-%s*(1).\n\n", tool_program.name, verb->name);
        return;
    }
    print_heading(out, verb);
    print_plain(out, verb->detail);
    fputs("\n\n", out);
    print_options(out, verb);
}

static void print_verbs(FILE *out, const struct tool_verb *table)
{
    fputs("# VERBS\n\n", out);
    for (const struct tool_verb *verb = table; verb->name != NULL; verb++)
        print_verb(out, verb);
}

static void print_exits(FILE *out)
{
    fputs("# EXIT STATUS\n\n", out);
    for (const struct tool_exit_row *row = tool_exit_table; row->text != NULL; row++) {
        fprintf(out, "*%d*\n\t", row->code);
        print_plain(out, row->text);
        fputs("\n\n", out);
    }
}

int tool_docs_man(FILE *out)
{
    if (tool_program.verbless) {
        fputs("# OPTIONS\n\n", out);
        print_options(out, tool_verbs);
    } else {
        print_verbs(out, tool_verbs);
    }
    print_exits(out);
    return TOOL_EXIT_OK;
}

int tool_docs_man_group(const char *group, FILE *out)
{
    const struct tool_verb *verb = tool_verb_find(tool_verbs, group);

    if (verb == NULL || verb->group == NULL)
        return tool_error(TOOL_EXIT_USAGE, NULL, "%.100s: no such group of verbs", group);
    print_verbs(out, verb->group);
    print_exits(out);
    return TOOL_EXIT_OK;
}

int tool_docs_names(FILE *out)
{
    char path[PATH_MAX];
    struct dirent *entry;
    int rc = mbr_names_path(path, sizeof(path));
    DIR *dir = rc == 0 ? opendir(path) : NULL;

    if (dir == NULL)
        return tool_exit_of(rc != 0 ? rc : -errno);
    while ((entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name);

        /* A pipe's name is that of its creator's link without the suffix. */
        if (length > 2 && strcmp(entry->d_name + length - 2, ".a") == 0)
            fprintf(out, "%.*s\n", (int)(length - 2), entry->d_name);
    }
    (void)closedir(dir);
    return TOOL_EXIT_OK;
}
