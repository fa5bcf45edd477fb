/* SPDX-License-Identifier: MIT */
/*
 * The program middlc: the command line, files and exit codes around the compiler, which is a part
 * of libmiddl. Its options look like those of other compilers (-I, -W, -MD), so it has a parser of
 * its own. Not here: anything about the language.
 */
#include <errno.h>
#include <stdarg.h>
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
#include "middlc_about.h"
#include "output.h"
#include "printable.h"

struct job {
    struct mbr_middlc *compiler;
    bool wanted[MIDDLC_OUTPUTS];
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

/* A line on standard error; names of files and arguments may hold anything. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char text[8192];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "middlc: %s\n", printable_text(text));
}

/* WHICH may be NULL; PROPOSAL too: then it is to read the help. */
static int usage(const char *which, const char *what, const char *proposal)
{
    say("%s%s%s (try: %s)", which ? which : "", which ? ": " : "", what,
        proposal ? proposal : "middlc --help");
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

    if (!path) {
        (void)fwrite(text, 1, length, stdout);
        return output_end(stdout);
    }
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
    say("%s: %s", path ? path : "standard output", strerror(-error));
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

    error = mbr_middlc_write(job->compiler, name, middlc_outputs[output].what, &text, &length);
    if (error == -EBADMSG) /* the messages have said why */
        return;
    if (error) {
        fail(job, name, error);
        return;
    }
    if (job->in_place) {
        target = source;
    } else if (job->dir) {
        written =
            snprintf(path, sizeof path, "%s/%s%s", job->dir, name, middlc_outputs[output].suffix);
        target = written < 0 || (size_t)written >= sizeof path ? NULL : path;
        if (!target) {
            fail(job, job->dir, -ENAMETOOLONG);
            free(text);
            return;
        }
    }
    if (target && !job->in_place && is_input(job, target, source)) {
        say("%s is read and would be overwritten (see --in-place)", target);
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
        fprintf(stderr, "%s:", printable_text(message->path));
        if (message->line)
            fprintf(stderr, "%u:%u:", message->line, message->column);
        fprintf(stderr, " %s: %s\n", texts[message->severity], printable_text(message->text));
    }
}

static void write_all(struct job *job)
{
    size_t count = job->recursive ? SIZE_MAX : mbr_middlc_added(job->compiler);
    const char *name, *path;

    for (size_t i = 0; i < count && (name = mbr_middlc_interface(job->compiler, i, &path)); i++)
        for (size_t output = 0; output < MIDDLC_OUTPUTS; output++)
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
        say("%s", strerror(-error));
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
        return usage(kind, "no such grammar", "textmate or vim");
    error = mbr__strbuf_error(&out);
    if (!error)
        fputs(mbr__strbuf_text(&out), stdout);
    mbr__strbuf_fini(&out);
    return tool_exit_of(error);
}

/* Takes the argument at *I as an output or a switch; false if it is neither. */
static bool take_flag(struct job *job, const char *arg)
{
    for (size_t i = 0; i < MIDDLC_OUTPUTS; i++)
        if (strcmp(arg, middlc_outputs[i].option) == 0) {
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
            return -usage(valued[k], "a value is missing", NULL);
        if (k == 1)
            job->out = value;
        else if (k == 2)
            job->dir = value;
        else if (k == 3)
            job->depend_file = value;
        else if (snprintf(option, sizeof option, "-I%s", value) >= (int)sizeof option ||
                 mbr_middlc_set(job->compiler, option) < 0)
            return -usage(value, "no directory", NULL);
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
            return strncmp(arg, "--max-errors=", 13) == 0
                       ? usage(arg, "not a number from 0 to 1000000", NULL)
                       : usage(arg, "no such option", middlc_nearest(arg));
    }
    return 0;
}

/* What is wrong with the options together, or NULL. */
static const char *conflict(const struct job *job, size_t files)
{
    size_t wanted = job->graph;

    for (size_t i = 0; i < MIDDLC_OUTPUTS; i++)
        wanted += job->wanted[i];
    if (files == 0)
        return "no file is given";
    if (job->out && (wanted != 1 || job->dir || job->recursive || files != 1))
        return "-o is for one output of one file";
    if (job->in_place && (wanted != 1 || job->dir || job->out || job->recursive))
        return "-i goes with --fmt alone";
    for (size_t i = 0; i < MIDDLC_OUTPUTS; i++)
        if (job->in_place && job->wanted[i] && middlc_outputs[i].what != MBR_MIDDLC_TEXT)
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
        return usage(NULL, wrong, NULL);
    job->depend = job->depend || job->depend_file;
    for (size_t i = 0; i < files; i++) {
        int error = mbr_middlc_add_file(job->compiler, argv[i]);

        if (error == -ENOMEM) {
            say("%s", strerror(ENOMEM));
            return TOOL_EXIT_LIMIT;
        }
        /* Whatever it was, a message says so; that it is no regular file is no wrong usage. */
        if (error)
            job->exit = error == -EINVAL ? TOOL_EXIT_NEGATIVE : tool_exit_of(error);
    }
    run(job);
    return job->exit;
}

/* What needs no compiler, at the first such option: its exit code, or -1 if it is none. */
static int about(const char *arg)
{
    const char *shell = "bash";

    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
        middlc_help();
        return 0;
    }
    if (strcmp(arg, "--version") == 0 || strcmp(arg, "-V") == 0) {
        printf("middlc %s\n", mbr_version());
        return 0;
    }
    if (strncmp(arg, "--grammar=", 10) == 0)
        return grammar(arg + 10);
    if (strncmp(arg, "--completion", 12) != 0 || (arg[12] && arg[12] != '='))
        return -1;
    if (arg[12])
        shell = arg + 13;
    return middlc_completion(shell) == 0 ? 0 : usage(arg, "no such shell", "bash, zsh or fish");
}

/* What was printed about itself may not have arrived. */
static int told(int code)
{
    int error = output_end(stdout);

    if (error == 0 || code != 0)
        return code;
    say("standard output: %s", strerror(-error));
    return tool_exit_of(error);
}

int main(int argc, char **argv)
{
    struct job job = {0};
    int code;

    if (output_guard() != 0)
        return TOOL_EXIT_LIMIT;
    for (int i = 1; i < argc; i++) {
        code = about(argv[i]);
        if (code >= 0)
            return told(code);
    }
    if (mbr_middlc_new(&job.compiler) < 0) {
        say("%s", strerror(ENOMEM));
        return TOOL_EXIT_LIMIT;
    }
    mbr__strbuf_init(&job.targets, (size_t)64 << 20);
    code = with_compiler(&job, argv);
    mbr__strbuf_fini(&job.targets);
    mbr_middlc_free(job.compiler);
    return code;
}
