/* SPDX-License-Identifier: MIT */
/*
 * The shape of the option table (verbs.c holds the table itself) and the parser that follows it.
 * Help, usage errors, the man page and the shell completions are all made from the same rows. Two
 * programs are described so: membrane, with verbs, and membraned, without (daemon/options.c).
 *
 * Not here: what verbs do; printing of help (help.h, docs.h).
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One for each long option; an option means the same in every verb that has it. */
enum tool_option_id {
    OPT_HELP,
    OPT_VERSION,
    OPT_CAPACITY,
    OPT_MESSAGE,
    OPT_TIMEOUT,
    OPT_PROGRESS,
    OPT_COLOR,
    OPT_JSON,
    OPT_QUIET,
    OPT_VERBOSE,
    OPT_DEMO,
    OPT_RUNS,
    OPT_SIZE,
    OPT_DRY_RUN,
    OPT_LIBOS,
    OPT_COMPLETION,
    OPT_MAN,
    OPT_NAMES,
    OPT_CONFIG,
    OPT_SOCKET,
    OPT_STATE,
    OPT_OBJECTS,
    OPT_LOG_LEVEL,
    OPT_DUMP_CONFIG,
    OPT_TAKE_OVER,
    OPT_TRY_STATE,
    OPT_LONG,
    OPT_RECURSIVE,
    OPT_RAW,
    OPT_FORCE,
    OPT_DEPTH,
    OPT_TIMES,
    OPT_VALUES,
    OPT_REPLACE,
    OPT_BYTES,
    OPT_DIRECTORY,
    OPT_HOLD,
    OPT_KEEP,
    OPT_STORED,
    OPT_GID,
    OPT_POLICY,
    OPT_CHECKSUMS,
    OPT_REPAIR,
    OPT_INTERVAL,
    OPT_GROUP,
    OPT_PATHS,
    OPT_NO_NAMES,
    OPT_COUNT
};

struct tool_option {
    enum tool_option_id id;
    char letter;          /* 0: it has no short form */
    bool hidden;          /* for the build and for completions, not for people */
    const char *name;     /* without dashes; NULL ends the table */
    const char *argument; /* "SIZE"; NULL: it takes none */
    const char *choices;  /* the words it takes, "auto always never"; NULL: anything */
    const char *brief;    /* one line, in --help */
    const char *detail;   /* the paragraph in the man page */
};

/* The program that the table describes; defined beside it. */
struct tool_program {
    const char *name;
    bool verbless; /* the table has one row, which is not typed */
    /* Prints what a path of the store that begins so may go on to, a line each; NULL: no such. */
    int (*paths)(const char *begun, FILE *out);
};

extern const struct tool_program tool_program;

struct tool_example {
    const char *command; /* NULL ends the table */
    const char *about;
};

struct tool_args;

#define TOOL_WORDS_MAX 3

struct tool_verb {
    const char *name;     /* NULL ends the table; of a verb within a group "store ls" */
    const char *synopsis; /* its arguments: "NAME [FILE]" */
    const char *brief;
    const char *detail; /* paragraphs separated by empty lines */
    const struct tool_example *examples;
    const struct tool_option *options;
    int words_min;
    /* Kinds of its arguments, for completions: "pipe", "container", "path" (of the store), "file",
     * "verb", "subverb", "text"; NULL: no more. */
    const char *words[TOOL_WORDS_MAX];
    bool many;                     /* any number of arguments: the last kind is repeated */
    const struct tool_verb *group; /* the verbs within this one, which then has no run() */
    bool command; /* its arguments are another program's command line, which is left alone */
    int (*run)(const struct tool_args *args); /* returns the exit code */
};

/* The rows, ended by one without name; what membrane without verb does is help's affair. */
extern const struct tool_verb tool_verbs[];

/* The row of this name in `table`, or NULL. Verbs within a group go by their last word. */
const struct tool_verb *tool_verb_find(const struct tool_verb *table, const char *name);

/* A verb's last word. */
const char *tool_verb_word(const struct tool_verb *verb);

/* A verb's command line, taken apart. */
struct tool_args {
    const struct tool_verb *verb;
    const char *value[OPT_COUNT];     /* NULL: not given; "" for an option without argument */
    const char *word[TOOL_WORDS_MAX]; /* the first arguments */
    char *const *all;                 /* all of them */
    int words;
    char **command; /* ended by NULL, never empty; or NULL */
};

/*
 * Takes argv[1...] apart as `verb` says (argv[0] is the verb). 0, or an exit code after an error
 * message. With --help among the options nothing else is checked.
 */
int tool_parse(const struct tool_verb *verb, int argc, char **argv, struct tool_args *out);

static inline bool tool_given(const struct tool_args *args, enum tool_option_id id)
{
    return args->value[id] != NULL;
}

/* Values of options, with the given value where the option is absent. 0, or an exit code after an
 * error message, *out untouched. */

/* Bytes: a decimal number, with K, M or G for powers of 1024; within [min, max]. */
int tool_size(const struct tool_args *args, enum tool_option_id id, uint64_t otherwise,
              uint64_t min, uint64_t max, uint64_t *out);
/* A whole number within [min, max]. */
int tool_number(const struct tool_args *args, enum tool_option_id id, uint64_t otherwise,
                uint64_t min, uint64_t max, uint64_t *out);
/* Seconds, with decimals, to nanoseconds; from 0 to a thousand million seconds. */
int tool_duration(const struct tool_args *args, enum tool_option_id id, uint64_t otherwise,
                  uint64_t *out);

/* The option's name as the user knows it. */
const char *tool_option_name(const struct tool_verb *verb, enum tool_option_id id);

#endif
