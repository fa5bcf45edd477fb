/* SPDX-License-Identifier: MIT */
/*
 * The verb help, and what --help prints. Text for the man page and the shells is made in docs.c.
 */
#include "help.h"

#include <string.h>

#include "docs.h"
#include "exits.h"
#include "say.h"
#include "suggest.h"
#include "verbs.h"

#define WIDTH   80
#define EXAMPLE 40 /* columns of a command; what is not shorter stands in a line of its own */

/* Prints paragraphs wrapped to the width, each line after `indent` blanks. */
static void print_wrapped(FILE *out, const char *text, int indent)
{
    int column = 0;

    while (*text != '\0') {
        int word = (int)strcspn(text, " \n");

        if (column > 0 && column + 1 + word > WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        if (column == 0)
            column = fprintf(out, "%*s%.*s", indent, "", word, text);
        else
            column += fprintf(out, " %.*s", word, text);
        text += word;
        if (*text == '\n') {
            fputs("\n\n", out);
            column = 0;
        }
        text += strspn(text, " \n");
    }
    fputc('\n', out);
}

static void print_examples(FILE *out, const struct tool_example *example)
{
    fputs("Examples:\n", out);
    for (; example->command != NULL; example++) {
        bool beside = strlen(example->command) < EXAMPLE;

        fprintf(out, "  %-*s%s", EXAMPLE, example->command, beside ? " " : "\n");
        fprintf(out, "%*s%s\n", beside ? 0 : EXAMPLE + 3, "", example->about);
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const struct tool_option *option)
{
    char left[64];
    char letter[4] = "   ";

    if (option->hidden)
        return;
    if (option->letter != 0)
        (void)snprintf(letter, sizeof(letter), "-%c,", option->letter);
    (void)snprintf(left, sizeof(left), "%s --%s%s%s", letter, option->name,
                   option->argument != NULL ? " " : "",
                   option->argument != NULL ? option->argument : "");
    fprintf(out, "  %-24s %s\n", left, option->brief);
}

static void print_exits(FILE *out)
{
    fputs("\nExit codes:\n", out);
    for (const struct tool_exit_row *row = tool_exit_table; row->text != NULL; row++)
        fprintf(out, "  %3d  %s\n", row->code, row->text);
}

void tool_help_verb(const struct tool_verb *verb, FILE *out)
{
    print_examples(out, verb->examples);
    fprintf(out, "Usage: %s%s%s [OPTION...]%s%s\n\n", tool_program.name,
            tool_program.verbless ? "" : " ", tool_program.verbless ? "" : verb->name,
            verb->synopsis[0] != '\0' ? " " : "", verb->synopsis);
    print_wrapped(out, verb->detail, 0);
    fputs("\nOptions:\n", out);
    for (const struct tool_option *o = verb->options; o->name != NULL; o++)
        print_option(out, o);
    print_exits(out);
}

void tool_help_all(FILE *out)
{
    static const struct tool_example examples[] = {
        {"membrane recv demo > copy &", "receive what comes through the pipe demo"},
        {"membrane send demo < original", "send; either side may start first"},
        {"membrane doctor", "check this machine"},
        {"membrane bench", "compare with what the kernel offers"},
        {NULL, NULL},
    };

    print_examples(out, examples);
    fputs("Usage: membrane VERB [OPTION...] [ARGUMENT...]\n\nVerbs:\n", out);
    for (const struct tool_verb *verb = tool_verbs; verb->name != NULL; verb++)
        fprintf(out, "  %-24s %s\n", verb->name, verb->brief);
    fputs("\nOptions:\n"
          "  -h, --help               show this help; after a verb, help on the verb\n"
          "  -V, --version            show the version\n",
          out);
    print_exits(out);
    fputs("\nThe whole manual: man membrane\n", out);
}

void tool_help_group(const struct tool_verb *group, FILE *out)
{
    print_examples(out, group->examples);
    fprintf(out, "Usage: %s %s VERB [OPTION...] [ARGUMENT...]\n\n", tool_program.name, group->name);
    print_wrapped(out, group->detail, 0);
    fputs("\nVerbs:\n", out);
    for (const struct tool_verb *verb = group->group; verb->name != NULL; verb++)
        fprintf(out, "  %-24s %s\n", tool_verb_word(verb), verb->brief);
    print_exits(out);
    fprintf(out, "\nThe whole manual: man %s-%s\n", tool_program.name, group->name);
}

/* The row of words[0], or of words[1] within that group. */
static int help_on(const struct tool_verb *table, int words, char *const *word, const char *before)
{
    const struct tool_verb *verb = tool_verb_find(table, word[0]);
    struct tool_suggestion search = {.typed = word[0]};
    char hint[64];

    if (verb == NULL) {
        for (verb = table; verb->name != NULL; verb++)
            tool_suggest(&search, tool_verb_word(verb));
        (void)snprintf(hint, sizeof(hint), "membrane help%s%s%s", before,
                       search.best != NULL ? " " : "", search.best != NULL ? search.best : "");
        return tool_error(TOOL_EXIT_USAGE, hint, "%.100s: no such verb", word[0]);
    }
    if (verb->group == NULL && words > 1) {
        (void)snprintf(hint, sizeof(hint), "membrane help%s %s", before, tool_verb_word(verb));
        return tool_error(TOOL_EXIT_USAGE, hint, "%.100s: %s has no verbs within", word[1],
                          tool_verb_word(verb));
    }
    if (verb->group == NULL) {
        tool_help_verb(verb, stdout);
        return TOOL_EXIT_OK;
    }
    if (words > 1) {
        (void)snprintf(hint, sizeof(hint), " %s", verb->name);
        return help_on(verb->group, 1, word + 1, hint);
    }
    tool_help_group(verb, stdout);
    return TOOL_EXIT_OK;
}

int tool_help(const struct tool_args *args)
{
    if (tool_given(args, OPT_COMPLETION))
        return tool_docs_completion(args->value[OPT_COMPLETION], stdout);
    if (tool_given(args, OPT_MAN))
        return tool_given(args, OPT_GROUP) ? tool_docs_man_group(args->value[OPT_GROUP], stdout)
                                           : tool_docs_man(stdout);
    if (tool_given(args, OPT_PATHS) && tool_program.paths != NULL)
        return tool_program.paths(args->value[OPT_PATHS], stdout);
    if (tool_given(args, OPT_NAMES))
        return tool_docs_names(stdout);
    if (args->words > 0)
        return help_on(tool_verbs, args->words, args->all, "");
    tool_help_all(stdout);
    return TOOL_EXIT_OK;
}
