/* SPDX-License-Identifier: MIT */
/*
 * The program middlc: the command line, files and exit codes around the compiler, which is a part
 * of libmiddl. Its options look like those of other compilers (-I, -W, -MD), so it has a parser of
 * its own. Not here: anything about the language.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <membrane/middlc.h>

#include "base/strbuf.h"
#include "exits.h"
#include "middl/grammar.h"

/* Outputs: X(enum, option, suffix of the file, what it is). */
/* clang-format off */
#define OUTPUTS(X) \
    X(HEADER, "header", ".h", "C header") \
    X(DOLLAR, "header-dollar", ".h", "the same with the spelling Foo$Method, too") \
    X(TYPES, "types", ".types.c", "C source with the type records") \
    X(SKELETON, "skeleton", ".impl.c", "C source of an implementation to fill in") \
    X(MAN, "doc", ".3", "manual page, made from the comments") \
    X(MARKDOWN, "markdown", ".md", "the same in Markdown") \
    X(TEXT, "fmt", ".if", "the interface in its one format") \
    X(JSON, "json", ".json", "the tree") \
    X(CANONICAL, "canonical", ".canonical", "what the fingerprint is the SHA-256 of") \
    X(CODES, "codes", ".codes", "type codes")
/* clang-format on */

static const struct {
    enum mbr_middlc_output what;
    const char *option;
    const char *suffix;
    const char *text;
} outputs[] = {
#define X(what, option, suffix, text) {MBR_MIDDLC_##what, option, suffix, text},
    OUTPUTS(X)
#undef X
};

#define OUTPUT_COUNT (sizeof outputs / sizeof *outputs)

struct job {
    struct mbr_middlc *compiler;
    bool wanted[OUTPUT_COUNT];
    bool graph;
    bool recursive;  /* also what is needed */
    bool in_place;   /* --fmt writes to the file itself */
    const char *out; /* -o, or NULL */
    const char *dir; /* -d, or NULL */
    bool depend;
    const char *depend_file;
    struct mbr__strbuf targets; /* of the dependency file */
    char first[4096];           /* the first of them, as it is */
    int exit;
};

/* The other options, as help and completions show them. */
static const struct {
    const char *option;
    const char *value; /* NULL: it takes none */
    const char *text;
} switches[] = {
    {"--deps-dot", NULL, "who needs whom, for Graphviz"},
    {"--check", NULL, "write nothing; so without any output, too"},
    {"--grammar", "=textmate|vim", "colouring for editors; needs no FILE"},
    {"-I", " DIR", "look for needed interfaces here, too"},
    {"-o", " FILE", "write the only output here"},
    {"-d", " DIR", "write each output of interface Foo to DIR/Foo.SUFFIX"},
    {"--recursive", NULL, "(-r) write outputs of the needed interfaces, too"},
    {"--in-place", NULL, "(-i) with --fmt: rewrite the files"},
    {"-MD", NULL, "write the files that were read as a rule for make"},
    {"-MF", " FILE", "the same, to this file"},
    {"-Wall", NULL, "all warnings: redeclared needs choice raises file unused-needs doc"},
    {"-W", "[no-]NAME", "one of them, or not"},
    {"-Werror", "[=NAME]", "warnings, or one, are errors"},
    {"--max-errors", "=N", "show so many errors of a file (200)"},
    {"--no-search", NULL, "read no file but those that are given"},
    {"--help", NULL, "this"},
    {"--version", NULL, "the version"},
};

#define OPTION_COUNT (sizeof switches / sizeof *switches)

static void help(void)
{
    char shown[64];

    puts("Compiles MIDDL interfaces.\n\nExamples:\n"
         "  middlc Foo.if                                  check it\n"
         "  middlc --header --types -I idl -d out Foo.if   out/Foo.h and out/Foo.types.c\n"
         "  middlc --skeleton -d . Foo.if                  begin an implementation\n"
         "  middlc --fmt -i *.if                           one format for all\n\n"
         "Usage: middlc [OUTPUT...] [OPTION...] FILE.if...\n\nOutputs:");
    for (size_t i = 0; i < OUTPUT_COUNT; i++)
        printf("  --%-18s %-11s %s\n", outputs[i].option, outputs[i].suffix, outputs[i].text);
    puts("\nOptions:");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        snprintf(shown, sizeof shown, "%s%s", switches[i].option,
                 switches[i].value ? switches[i].value : "");
        printf("  %-24s %s\n", shown, switches[i].text);
    }
    puts("\nExit codes:");
    for (const struct tool_exit_row *row = tool_exit_table; row->text; row++)
        if (row->code <= TOOL_EXIT_USAGE || row->code == TOOL_EXIT_PERMISSION ||
            row->code == TOOL_EXIT_LIMIT)
            printf("  %d  %s\n", row->code, row->text);
}

static void completion(void)
{
    puts("# bash completion for middlc; generated, see its option --completion\n"
         "_middlc()\n"
         "{\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "    case $prev in\n"
         "    -I | -d) COMPREPLY=($(compgen -d -- \"$cur\")) && return ;;\n"
         "    -o | -MF) COMPREPLY=($(compgen -f -- \"$cur\")) && return ;;\n"
         "    esac\n"
         "    if [[ $cur == -* ]]; then\n"
         "        COMPREPLY=($(compgen -W '");
    for (size_t i = 0; i < OUTPUT_COUNT; i++)
        printf("--%s ", outputs[i].option);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        printf("%s ", switches[i].option);
    puts("' -- \"$cur\"))\n"
         "        return\n"
         "    fi\n"
         "    compopt -o filenames\n"
         "    COMPREPLY=($(compgen -d -- \"$cur\") $(compgen -f -X '!*.if' -- \"$cur\"))\n"
         "}\n"
         "complete -F _middlc middlc");
}

static int usage(const char *what, const char *which)
{
    fprintf(stderr, "middlc: %s%s%s (see middlc --help)\n", what, which ? " " : "",
            which ? which : "");
    return TOOL_EXIT_USAGE;
}

/* --- Writing files ---------------------------------------------------------------------------- */

/* All of TEXT to what is at PATH, or what begins there. */
static int write_through(const char *path, const char *text, size_t length)
{
    FILE *file = fopen(path, "we");
    bool well;

    if (!file)
        return -errno;
    well = fwrite(text, 1, length, file) == length;
    if (fclose(file) == 0 && well)
        return 0;
    return errno ? -errno : -EIO;
}

/* The same to a file, which is replaced as a whole or not at all. */
static int replace_file(const char *path, const char *text, size_t length)
{
    char temporary[4200];
    int written = snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    int error;

    if (written < 0 || (size_t)written >= sizeof temporary)
        return -ENAMETOOLONG;
    error = write_through(temporary, text, length);
    if (!error && rename(temporary, path) != 0)
        error = -errno;
    if (error)
        unlink(temporary);
    return error;
}

/* NULL is standard output. Nothing takes the place of a device, a pipe or a link: what is there is
 * written to. */
static int write_file(const char *path, const char *text, size_t length)
{
    struct stat there;

    if (!path)
        return fwrite(text, 1, length, stdout) == length && fflush(stdout) == 0 ? 0 : -EIO;
    if (lstat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return write_through(path, text, length);
    return replace_file(path, text, length);
}

static bool same_file(const struct stat *a, const char *path)
{
    struct stat b;

    return stat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

/* Whether TARGET is SOURCE, from which it is made, or another file that was read. */
static bool is_input(const struct job *job, const char *target, const char *source)
{
    struct stat there;
    const char *path;

    if (stat(target, &there) != 0)
        return false;
    if (same_file(&there, source))
        return true;
    for (size_t i = 0; job->out && mbr_middlc_interface(job->compiler, i, &path); i++)
        if (same_file(&there, path))
            return true;
    return false;
}

static void fail(struct job *job, const char *path, int error)
{
    fprintf(stderr, "middlc: %s: %s\n", path ? path : "standard output", strerror(-error));
    job->exit = tool_exit_of(error);
}

/* A file name as make reads it. */
static void put_make(struct mbr__strbuf *out, const char *path)
{
    for (; *path; path++) {
        if (*path == '$')
            mbr__strbuf_putc(out, '$');
        else if (strchr(" #\\", *path))
            mbr__strbuf_putc(out, '\\');
        mbr__strbuf_putc(out, *path);
    }
}

static void write_output(struct job *job, const char *name, const char *source, size_t output)
{
    char path[4096];
    const char *target = job->out;
    size_t length;
    char *text;
    int error, written;

    error = mbr_middlc_write(job->compiler, name, outputs[output].what, &text, &length);
    if (error == -EBADMSG) /* the messages have said why */
        return;
    if (error) {
        fail(job, name, error);
        return;
    }
    if (job->in_place) {
        target = source;
    } else if (job->dir) {
        written = snprintf(path, sizeof path, "%s/%s%s", job->dir, name, outputs[output].suffix);
        target = written < 0 || (size_t)written >= sizeof path ? NULL : path;
        if (!target) {
            fail(job, job->dir, -ENAMETOOLONG);
            free(text);
            return;
        }
    }
    if (target && !job->in_place && is_input(job, target, source)) {
        fprintf(stderr, "middlc: %s is read and would be overwritten (see --in-place)\n", target);
        job->exit = TOOL_EXIT_USAGE;
        free(text);
        return;
    }
    error = write_file(target && strcmp(target, "-") != 0 ? target : NULL, text, length);
    free(text);
    if (error)
        fail(job, target, error);
    if (target) {
        if (!job->first[0])
            snprintf(job->first, sizeof job->first, "%s", target);
        put_make(&job->targets, target);
        mbr__strbuf_putc(&job->targets, ' ');
    }
}

static void write_graph(struct job *job)
{
    size_t length;
    char *text;
    int error = mbr_middlc_write_graph(job->compiler, &text, &length);

    if (!error) {
        error = write_file(job->out, text, length);
        free(text);
    }
    if (error)
        fail(job, job->out, error);
}

/* A rule: what was written depends on what was read. */
static void write_depend(struct job *job)
{
    struct mbr__strbuf rule;
    char file[4200];
    const char *path, *target = job->depend_file;
    int error;

    mbr__strbuf_init(&rule, (size_t)64 << 20);
    mbr__strbuf_printf(&rule, "%s:", mbr__strbuf_text(&job->targets));
    for (size_t i = 0; mbr_middlc_interface(job->compiler, i, &path); i++) {
        mbr__strbuf_puts(&rule, " \\\n  ");
        put_make(&rule, path);
    }
    mbr__strbuf_putc(&rule, '\n');
    if (!target) {
        snprintf(file, sizeof file, "%s.d", job->first);
        target = file;
    }
    error = mbr__strbuf_error(&rule);
    if (!error)
        error = write_file(target, mbr__strbuf_text(&rule), rule.length);
    if (error)
        fail(job, target, error);
    mbr__strbuf_fini(&rule);
}

/* --- A run ------------------------------------------------------------------------------------ */

static void print_messages(struct job *job)
{
    static const char *const texts[] = {"note", "warning", "error"};
    const struct mbr_middlc_message *message = NULL;

    while ((message = mbr_middlc_next_message(job->compiler, message))) {
        fprintf(stderr, "%s:", message->path);
        if (message->line)
            fprintf(stderr, "%u:%u:", message->line, message->column);
        fprintf(stderr, " %s: %s\n", texts[message->severity], message->text);
    }
}

static void write_all(struct job *job)
{
    size_t count = job->recursive ? SIZE_MAX : mbr_middlc_added(job->compiler);
    const char *name, *path;

    for (size_t i = 0; i < count && (name = mbr_middlc_interface(job->compiler, i, &path)); i++)
        for (size_t output = 0; output < OUTPUT_COUNT; output++)
            if (job->wanted[output])
                write_output(job, name, path, output);
    if (job->graph)
        write_graph(job);
    if (job->depend && job->exit == 0)
        write_depend(job);
}

static void run(struct job *job)
{
    int error = mbr_middlc_check(job->compiler);

    print_messages(job);
    if (error == -EBADMSG) {
        /* A file is formatted although what it needs is not there. */
        job->exit = job->exit ? job->exit : TOOL_EXIT_NEGATIVE;
    } else if (error) {
        fprintf(stderr, "middlc: %s\n", strerror(-error));
        job->exit = tool_exit_of(error);
        return;
    }
    write_all(job);
}

/* --- The command line ------------------------------------------------------------------------- */

static int grammar(const char *kind)
{
    struct mbr__strbuf out;
    int error;

    mbr__strbuf_init(&out, (size_t)1 << 20);
    if (strcmp(kind, "textmate") == 0)
        mbr__mc_write_textmate(&out);
    else if (strcmp(kind, "vim") == 0)
        mbr__mc_write_vim(&out);
    else
        return usage("no grammar for", kind);
    error = mbr__strbuf_error(&out);
    if (!error)
        error = write_file(NULL, mbr__strbuf_text(&out), out.length);
    mbr__strbuf_fini(&out);
    return tool_exit_of(error);
}

/* Takes the argument at *I as an output or a switch; false if it is neither. */
static bool take_flag(struct job *job, const char *arg)
{
    for (size_t i = 0; i < OUTPUT_COUNT; i++)
        if (strncmp(arg, "--", 2) == 0 && strcmp(arg + 2, outputs[i].option) == 0) {
            job->wanted[i] = true;
            return true;
        }
    if (strcmp(arg, "--deps-dot") == 0)
        job->graph = true;
    else if (strcmp(arg, "-r") == 0 || strcmp(arg, "--recursive") == 0)
        job->recursive = true;
    else if (strcmp(arg, "-i") == 0 || strcmp(arg, "--in-place") == 0)
        job->in_place = true;
    else if (strcmp(arg, "-MD") == 0)
        job->depend = true;
    else
        return strcmp(arg, "--check") == 0;
    return true;
}

/* Takes an option with a value, at *I; 0, 1 if it is none, or -1 with a complaint. */
static int take_valued(struct job *job, char **argv, int *i)
{
    static const char *const valued[] = {"-I", "-o", "-d", "-MF"};
    const char *arg = argv[*i], *value;
    char option[4200];

    for (size_t k = 0; k < sizeof valued / sizeof *valued; k++) {
        size_t length = strlen(valued[k]);

        if (strncmp(arg, valued[k], length) != 0 || (k == 3 && arg[length]))
            continue;
        value = arg[length] ? arg + length : argv[++*i];
        if (!value)
            return -usage("a value is missing behind", valued[k]);
        if (k == 1)
            job->out = value;
        else if (k == 2)
            job->dir = value;
        else if (k == 3)
            job->depend_file = value;
        else if (snprintf(option, sizeof option, "-I%s", value) >= (int)sizeof option ||
                 mbr_middlc_set(job->compiler, option) < 0)
            return -usage("no directory:", value);
        return 0;
    }
    return 1;
}

/* 0, or the exit code. */
static int parse(struct job *job, char **argv, size_t *files)
{
    bool options = true;

    for (int i = 1; argv[i]; i++) {
        const char *arg = argv[i];
        int taken;

        if (!options || arg[0] != '-' || !arg[1]) {
            argv[(*files)++] = argv[i];
            continue;
        }
        if (strcmp(arg, "--") == 0) {
            options = false;
            continue;
        }
        if (take_flag(job, arg))
            continue;
        taken = take_valued(job, argv, &i);
        if (taken < 0)
            return 2;
        if (taken > 0 && mbr_middlc_set(job->compiler, arg) < 0)
            return usage("unknown option", arg);
    }
    return 0;
}

/* What is wrong with the options together, or NULL. */
static const char *conflict(const struct job *job, size_t files)
{
    size_t wanted = job->graph;

    for (size_t i = 0; i < OUTPUT_COUNT; i++)
        wanted += job->wanted[i];
    if (files == 0)
        return "no file is given";
    if (job->out && (wanted != 1 || job->dir || job->recursive || files != 1))
        return "-o is for one output of one file";
    if (job->in_place && (wanted != 1 || job->dir || job->out || job->recursive))
        return "-i goes with --fmt alone";
    for (size_t i = 0; i < OUTPUT_COUNT; i++)
        if (job->in_place && job->wanted[i] && outputs[i].what != MBR_MIDDLC_TEXT)
            return "-i goes with --fmt alone";
    if (job->depend && !job->depend_file && !job->out && !job->dir)
        return "-MD needs -MF, -o or -d";
    return NULL;
}

static int with_compiler(struct job *job, char **argv)
{
    size_t files = 0;
    const char *wrong;
    int code = parse(job, argv, &files);

    if (code)
        return code;
    wrong = conflict(job, files);
    if (wrong)
        return usage(wrong, NULL);
    job->depend = job->depend || job->depend_file;
    for (size_t i = 0; i < files; i++) {
        int error = mbr_middlc_add_file(job->compiler, argv[i]);

        if (error == -ENOMEM) {
            fprintf(stderr, "middlc: %s\n", strerror(ENOMEM));
            return TOOL_EXIT_LIMIT;
        }
        /* Whatever it was, a message says so; that it is no regular file is no wrong usage. */
        if (error)
            job->exit = error == -EINVAL ? TOOL_EXIT_NEGATIVE : tool_exit_of(error);
    }
    run(job);
    return job->exit;
}

int main(int argc, char **argv)
{
    struct job job = {0};
    int code;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            help();
            return 0;
        }
        if (strcmp(argv[i], "--completion") == 0) {
            completion();
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("middlc %s\n", mbr_version());
            return 0;
        }
        if (strncmp(argv[i], "--grammar=", 10) == 0)
            return grammar(argv[i] + 10);
    }
    if (mbr_middlc_new(&job.compiler) < 0) {
        fprintf(stderr, "middlc: %s\n", strerror(ENOMEM));
        return TOOL_EXIT_LIMIT;
    }
    mbr__strbuf_init(&job.targets, (size_t)64 << 20);
    code = with_compiler(&job, argv);
    mbr__strbuf_fini(&job.targets);
    mbr_middlc_free(job.compiler);
    return code;
}
