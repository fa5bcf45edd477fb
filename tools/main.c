/* SPDX-License-Identifier: MIT */
/*
 * membrane: one program with verbs. This file finds the verb and hands over; what there is stands
 * in verbs.c.
 */
#include <stdio.h>
#include <string.h>

#include "exits.h"
#include "help.h"
#include "output.h"
#include "say.h"
#include "suggest.h"
#include "verbs.h"

static int unknown_verb(const struct tool_verb *table, const char *name, const char *help)
{
    struct tool_suggestion search = {.typed = name};

    for (const struct tool_verb *verb = table; verb->name != NULL; verb++)
        tool_suggest(&search, tool_verb_word(verb));
    return tool_error(TOOL_EXIT_USAGE, search.best != NULL ? search.best : help,
                      "%.100s: no such %s", name[0] != '\0' ? name : "''",
                      name[0] == '-' ? "option" : "verb");
}

static int run_verb(const struct tool_verb *verb, int argc, char **argv)
{
    struct tool_args args;
    int code;

    tool_say_verb(verb->name);
    code = tool_parse(verb, argc, argv, &args);
    if (code != TOOL_EXIT_OK)
        return code;
    if (tool_given(&args, OPT_HELP)) {
        tool_help_verb(verb, stdout);
        return TOOL_EXIT_OK;
    }
    if (tool_given(&args, OPT_QUIET))
        tool_say_quiet();
    return verb->run(&args);
}

/* argv[0] is the group's name. */
static int run_group(const struct tool_verb *group, int argc, char **argv)
{
    const struct tool_verb *verb;
    char help[64];

    (void)snprintf(help, sizeof(help), "membrane help %s", group->name);
    tool_say_verb(group->name);
    if (argc < 2)
        return tool_error(TOOL_EXIT_USAGE, help, "no verb was given");
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
        tool_help_group(group, stdout);
        return TOOL_EXIT_OK;
    }
    verb = tool_verb_find(group->group, argv[1]);
    if (verb == NULL)
        return unknown_verb(group->group, argv[1], help);
    return run_verb(verb, argc - 1, argv + 1);
}

static int run(int argc, char **argv)
{
    static char version[] = "version";
    static char help[] = "help";
    const struct tool_verb *verb;

    if (argc < 2)
        return tool_error(TOOL_EXIT_USAGE, "membrane help", "no verb was given");
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)
        argv[1] = help;
    else if (strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "--version") == 0)
        argv[1] = version;
    verb = tool_verb_find(tool_verbs, argv[1]);
    if (verb == NULL)
        return unknown_verb(tool_verbs, argv[1], "membrane help");
    if (verb->group != NULL)
        return run_group(verb, argc - 1, argv + 1);
    return run_verb(verb, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    if (output_guard() != 0)
        return TOOL_EXIT_LIMIT;
    return tool_finish_stdout(run(argc, argv));
}
