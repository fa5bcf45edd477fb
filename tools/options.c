/* SPDX-License-Identifier: MIT */
/*
 * The parser of a verb's command line: getopt_long(3) driven by the option table, with messages of
 * our own, since getopt's name neither the verb nor what to try.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exits.h"
#include "say.h"
#include "suggest.h"
#include "units.h"

#define OPTIONS_MAX 24

/* What getopt_long() is given. The long options' values lie above those of any letter. */
#define LONG_BASE 256

struct getopt_table {
    struct option longs[OPTIONS_MAX + 1];
    char letters[3 + 2 * OPTIONS_MAX + 1];
};

static void make_table(const struct tool_verb *verb, struct getopt_table *table)
{
    char *letter = table->letters;
    size_t n = 0;

    if (verb->command)
        *letter++ = '+'; /* options end where the other program begins */
    *letter++ = ':';     /* tells a missing argument from an unknown option */
    for (const struct tool_option *o = verb->options; o->name != NULL && n < OPTIONS_MAX; o++) {
        table->longs[n++] = (struct option){
            .name = o->name,
            .has_arg = o->argument != NULL ? required_argument : no_argument,
            .val = LONG_BASE + (int)o->id,
        };
        if (o->letter != 0) {
            *letter++ = o->letter;
            if (o->argument != NULL)
                *letter++ = ':';
        }
    }
    *letter = '\0';
    table->longs[n] = (struct option){0};
}

static const struct tool_option *find_option(const struct tool_verb *verb, int value)
{
    const struct tool_option *o = verb->options;

    while (o->name != NULL && LONG_BASE + (int)o->id != value && o->letter != value)
        o++;
    return o->name != NULL ? o : NULL;
}

const char *tool_verb_word(const struct tool_verb *verb)
{
    const char *blank = strrchr(verb->name, ' ');

    return blank != NULL ? blank + 1 : verb->name;
}

const struct tool_verb *tool_verb_find(const struct tool_verb *table, const char *name)
{
    while (table->name != NULL && strcmp(tool_verb_word(table), name) != 0)
        table++;
    return table->name != NULL ? table : NULL;
}

const char *tool_option_name(const struct tool_verb *verb, enum tool_option_id id)
{
    const struct tool_option *o = find_option(verb, LONG_BASE + (int)id);

    return o != NULL ? o->name : "";
}

static int wrong_usage(const struct tool_verb *verb, const char *hint, const char *what)
{
    char help[64];

    if (tool_program.verbless)
        (void)snprintf(help, sizeof(help), "%s --help", tool_program.name);
    else
        (void)snprintf(help, sizeof(help), "%s help %s", tool_program.name, verb->name);
    return tool_error(TOOL_EXIT_USAGE, hint != NULL ? hint : help, "%s", what);
}

/* A long option that getopt_long() does not know, or knows twice. `typed` begins with "--". */
static int unknown_long(const struct tool_verb *verb, const char *typed)
{
    char what[128];
    char hint[80];
    char name[64];
    size_t length = strcspn(typed + 2, "=");
    unsigned begun = 0;

    (void)snprintf(name, sizeof(name), "%.*s", (int)length, typed + 2);

    struct tool_suggestion search = {.typed = name};

    for (const struct tool_option *o = verb->options; o->name != NULL; o++) {
        if (o->hidden)
            continue;
        begun += strncmp(o->name, name, strlen(name)) == 0;
        tool_suggest(&search, o->name);
    }
    if (begun > 1)
        (void)snprintf(what, sizeof(what), "--%s: could be more than one option", name);
    else
        (void)snprintf(what, sizeof(what), "--%s: no such option", name);
    (void)snprintf(hint, sizeof(hint), "--%s", search.best != NULL ? search.best : "");
    return wrong_usage(verb, search.best != NULL ? hint : NULL, what);
}

/* What getopt_long() returned as '?' or ':'. */
static int complain(const struct tool_verb *verb, int c, char **argv)
{
    const struct tool_option *o = optopt != 0 ? find_option(verb, optopt) : NULL;
    const char *typed = argv[optind - 1];
    char what[128];

    if (c == ':' && o != NULL) {
        (void)snprintf(what, sizeof(what), "--%s: needs an argument, %s", o->name, o->argument);
        return wrong_usage(verb, NULL, what);
    }
    if (optopt >= LONG_BASE && o != NULL) {
        (void)snprintf(what, sizeof(what), "--%s: takes no argument", o->name);
        return wrong_usage(verb, NULL, what);
    }
    if (optopt == 0 && strncmp(typed, "--", 2) == 0)
        return unknown_long(verb, typed);
    (void)snprintf(what, sizeof(what), "-%c: no such option", optopt);
    return wrong_usage(verb, NULL, what);
}

static bool among(const char *choices, const char *value)
{
    size_t length = strlen(value);

    while (*choices != '\0') {
        size_t word = strcspn(choices, " ");

        if (word == length && memcmp(choices, value, length) == 0)
            return true;
        choices += word;
        choices += strspn(choices, " ");
    }
    return false;
}

static int take_option(const struct tool_verb *verb, const struct tool_option *o, const char *value,
                       struct tool_args *out)
{
    char what[160];

    if (o->choices != NULL && !among(o->choices, value)) {
        (void)snprintf(what, sizeof(what), "--%s %.60s: not one of: %s", o->name, value,
                       o->choices);
        return wrong_usage(verb, NULL, what);
    }
    out->value[o->id] = value != NULL ? value : "";
    return TOOL_EXIT_OK;
}

static int take_words(const struct tool_verb *verb, int argc, char **argv, struct tool_args *out)
{
    int max = 0;
    char what[160];

    while (max < TOOL_WORDS_MAX && verb->words[max] != NULL)
        max++;
    if (argc - optind > max && !verb->many) {
        (void)snprintf(what, sizeof(what), "%.100s: one argument too many", argv[optind + max]);
        return wrong_usage(verb, NULL, what);
    }
    if (argc - optind < verb->words_min) {
        (void)snprintf(what, sizeof(what), "an argument is missing: %s %s", verb->name,
                       verb->synopsis);
        return wrong_usage(verb, NULL, what);
    }
    out->all = argv + optind;
    out->words = argc - optind;
    for (int i = 0; i < out->words && i < TOOL_WORDS_MAX; i++)
        out->word[i] = out->all[i];
    return TOOL_EXIT_OK;
}

static int take_command(const struct tool_verb *verb, int argc, char **argv, struct tool_args *out)
{
    if (optind >= argc)
        return wrong_usage(verb, NULL, "a program is missing");
    out->command = argv + optind;
    return TOOL_EXIT_OK;
}

int tool_parse(const struct tool_verb *verb, int argc, char **argv, struct tool_args *out)
{
    struct getopt_table table;
    struct tool_args args = {.verb = verb};
    int c;

    make_table(verb, &table);
    opterr = 0;
    optind = 1;
    while ((c = getopt_long(argc, argv, table.letters, table.longs, NULL)) != -1) {
        if (c == '?' || c == ':')
            return complain(verb, c, argv);

        int rc = take_option(verb, find_option(verb, c), optarg, &args);

        if (rc != TOOL_EXIT_OK)
            return rc;
        if (tool_given(&args, OPT_HELP))
            break;
    }
    if (!tool_given(&args, OPT_HELP)) {
        int rc = verb->command ? take_command(verb, argc, argv, &args)
                               : take_words(verb, argc, argv, &args);

        if (rc != TOOL_EXIT_OK)
            return rc;
    }
    *out = args;
    return TOOL_EXIT_OK;
}

static int bad_value(const struct tool_args *args, enum tool_option_id id, const char *why)
{
    char what[192];

    (void)snprintf(what, sizeof(what), "--%s %.60s: %s", tool_option_name(args->verb, id),
                   args->value[id], why);
    return wrong_usage(args->verb, NULL, what);
}

int tool_size(const struct tool_args *args, enum tool_option_id id, uint64_t otherwise,
              uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value;
    char why[80];
    char low[24];
    char high[24];

    if (!tool_given(args, id)) {
        *out = otherwise;
        return TOOL_EXIT_OK;
    }

    int rc = tool_parse_size(args->value[id], &value);

    if (rc == -EINVAL)
        return bad_value(args, id, "not a size such as 4096, 64K or 1M");
    if (rc < 0 || value < min || value > max) {
        (void)snprintf(why, sizeof(why), "not from %s to %s", tool_size_text(min, low, sizeof(low)),
                       tool_size_text(max, high, sizeof(high)));
        return bad_value(args, id, why);
    }
    *out = value;
    return TOOL_EXIT_OK;
}

int tool_number(const struct tool_args *args, enum tool_option_id id, uint64_t otherwise,
                uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value;
    char why[80];

    if (!tool_given(args, id)) {
        *out = otherwise;
        return TOOL_EXIT_OK;
    }
    if (tool_parse_number(args->value[id], &value) < 0 || value < min || value > max) {
        (void)snprintf(why, sizeof(why), "not a whole number from %llu to %llu",
                       (unsigned long long)min, (unsigned long long)max);
        return bad_value(args, id, why);
    }
    *out = value;
    return TOOL_EXIT_OK;
}

int tool_duration(const struct tool_args *args, enum tool_option_id id, uint64_t otherwise,
                  uint64_t *out)
{
    uint64_t value;

    if (!tool_given(args, id)) {
        *out = otherwise;
        return TOOL_EXIT_OK;
    }
    if (tool_parse_seconds(args->value[id], &value) < 0)
        return bad_value(args, id, "not a number of seconds such as 10 or 0.5");
    *out = value;
    return TOOL_EXIT_OK;
}
