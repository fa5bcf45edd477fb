/* SPDX-License-Identifier: MIT */
/*
 * Option table, parsing, --help and --list. Values are checked here, so that the rest of the
 * program meets only valid ones.
 */
#include "bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/subjects.h"

#ifndef MBR_BENCH_VERSION
#define MBR_BENCH_VERSION "unknown"
#endif

#define MAX_RUNS      1000
#define MAX_SAMPLE_MS 60000

struct option_line {
    struct option option;
    const char *argument;
    const char *help;
};

/* One table: getopt_long(3) and --help both read it. */
static const struct option_line lines[] = {
    {{"list", no_argument, NULL, 'l'}, NULL, "print the subjects and cases and leave"},
    {{"only", required_argument, NULL, 'o'}, "SUBJECT", "measure this subject (repeatable; * ?)"},
    {{"case", required_argument, NULL, 'c'}, "CASE", "measure this case (repeatable; * ?)"},
    {{"runs", required_argument, NULL, 'n'}, "N", "repetitions, 1 to 1000 (5; quick: 3)"},
    {{"time", required_argument, NULL, 't'}, "MS", "length of one sample (150; quick: 60)"},
    {{"quick", no_argument, NULL, 'q'}, NULL, "fewer cases, shorter samples"},
    {{"layouts", no_argument, NULL, 'L'}, NULL, "compare the layouts of the record ring instead"},
    {{"cpus", required_argument, NULL, 'C'}, "A,B", "the two CPUs (two cores of one package)"},
    {{"json", required_argument, NULL, 'j'}, "FILE", "write all samples; - is standard output"},
    {{"quiet", no_argument, NULL, 'Q'}, NULL, "no progress line"},
    {{"help", no_argument, NULL, 'h'}, NULL, "print this and leave"},
    {{"version", no_argument, NULL, 'V'}, NULL, "print the version and leave"},
};
#define LINES (sizeof(lines) / sizeof(lines[0]))

static void print_help(void)
{
    puts("Examples:\n"
         "  membrane-bench --quick                      an overview in some 20 seconds\n"
         "  membrane-bench --runs 9 --json bench.json   everything, for keeping\n"
         "  membrane-bench --only 'tuned-*' --case 'rtt 64 B'\n"
         "  membrane-bench --layouts                    index line or flag in each record?\n"
         "\n"
         "usage: membrane-bench [OPTION]...\n"
         "Measures shared-memory and kernel channels between two pinned processes. All subjects\n"
         "take turns in each repetition; medians over repetitions are printed, and ratios are\n"
         "medians of the ratios within each repetition.\n");
    for (size_t i = 0; i < LINES; i++) {
        char left[40];

        snprintf(left, sizeof(left), "-%c, --%s%s%s", lines[i].option.val, lines[i].option.name,
                 lines[i].argument != NULL ? " " : "",
                 lines[i].argument != NULL ? lines[i].argument : "");
        printf("  %-22s %s\n", left, lines[i].help);
    }
    puts(
        "\nExit status: 0 all was measured; 1 something failed; 2 wrong usage; 70 internal error.");
}

int bench_usage_error(const char *what, const char *value, const char *try)
{
    fprintf(stderr, "membrane-bench: %s: %s (try: %s)\n", what, value, try);
    return -BENCH_EXIT_USAGE;
}

static int parse_number(const char *text, unsigned long most, unsigned *number)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value == 0 || value > most) {
        return -EINVAL;
    }
    *number = (unsigned)value;
    return 0;
}

static int parse_cpus(const char *text, int cpu[2])
{
    char *comma, *end = NULL;
    long a = strtol(text, &comma, 10);
    long b = *comma == ',' ? strtol(comma + 1, &end, 10) : -1;

    if (comma == text || a < 0 || a > INT_MAX || b < 0 || b > INT_MAX || end == comma + 1 ||
        *end != '\0') {
        return -EINVAL;
    }
    cpu[0] = (int)a;
    cpu[1] = (int)b;
    return 0;
}

static int add_pattern(const char *list[], size_t *count, const char *pattern)
{
    if (*count == BENCH_MAX_PATTERNS) {
        return bench_usage_error("too many patterns", pattern, "a pattern with *");
    }
    list[(*count)++] = pattern;
    return 0;
}

static void print_list(void)
{
    puts("subjects:");
    for (size_t i = 0; bench_subjects[i] != NULL; i++) {
        printf("  %-18s %s\n", bench_subjects[i]->name, bench_subjects[i]->about);
    }
    puts("cases:");
    for (size_t i = 0; i < bench_case_count; i++) {
        char name[64];

        printf("  %s\n", bench_case_name(&bench_cases[i].bc, name, sizeof(name)));
    }
}

/* 0: go on; 1: done, exit well; negative: minus the exit status. */
static int take_option(int letter, struct bench_options *options)
{
    switch (letter) {
    case 'o':
        return add_pattern(options->only, &options->only_count, optarg);
    case 'c':
        return add_pattern(options->only_case, &options->case_count, optarg);
    case 'n':
        return parse_number(optarg, MAX_RUNS, &options->runs) == 0
                   ? 0
                   : bench_usage_error("--runs", optarg, "--runs 5");
    case 't':
        return parse_number(optarg, MAX_SAMPLE_MS, &options->sample_ms) == 0
                   ? 0
                   : bench_usage_error("--time", optarg, "--time 150");
    case 'C':
        return parse_cpus(optarg, options->cpu) == 0
                   ? 0
                   : bench_usage_error("--cpus", optarg, "--cpus 0,1");
    case 'j':
        options->json = optarg;
        return 0;
    case 'q':
        options->quick = true;
        return 0;
    case 'L':
        options->layouts = true;
        return 0;
    case 'Q':
        options->quiet = true;
        return 0;
    case 'l':
        print_list();
        return 1;
    case 'h':
        print_help();
        return 1;
    case 'V':
        puts("membrane-bench " MBR_BENCH_VERSION);
        return 1;
    default:
        fputs("membrane-bench: try --help\n", stderr);
        return -BENCH_EXIT_USAGE;
    }
}

int bench_options_parse(int argc, char **argv, struct bench_options *options)
{
    struct option table[LINES + 1] = {0};
    char letters[2 * LINES + 1] = "";
    int letter, result = 0;

    *options = (struct bench_options){.cpu = {-1, -1}};
    for (size_t i = 0; i < LINES; i++) {
        size_t used = strlen(letters);

        table[i] = lines[i].option;
        snprintf(letters + used, sizeof(letters) - used, "%c%s", lines[i].option.val,
                 lines[i].argument != NULL ? ":" : "");
    }
    while (result == 0 && (letter = getopt_long(argc, argv, letters, table, NULL)) != -1) {
        result = take_option(letter, options);
    }
    if (result == 0 && optind < argc) {
        result = bench_usage_error("unexpected argument", argv[optind], "--only SUBJECT");
    }
    options->runs = options->runs != 0 ? options->runs : options->quick ? 3 : 5;
    options->sample_ms = options->sample_ms != 0 ? options->sample_ms : options->quick ? 60 : 150;
    return result;
}
