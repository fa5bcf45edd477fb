/* SPDX-License-Identifier: MIT */
/*
 * What middlc says of itself. Its options look like a compiler's (-MD, -Wall), which the option
 * table of the other tools cannot say.
 */
#include "middlc_about.h"

#include <stdio.h>
#include <string.h>

#include "exits.h"
#include "suggest.h"

const struct middlc_output middlc_outputs[MIDDLC_OUTPUTS] = {
    {MBR_MIDDLC_HEADER, "--header", ".h", "C header"},
    {MBR_MIDDLC_DOLLAR, "--header-dollar", ".h", "the same with the spelling Foo$Method, too"},
    {MBR_MIDDLC_TYPES, "--types", ".types.c", "C source with the type records"},
    {MBR_MIDDLC_SKELETON, "--skeleton", ".impl.c", "C source of an implementation to fill in"},
    {MBR_MIDDLC_MAN, "--doc", ".3", "manual page, made from the comments"},
    {MBR_MIDDLC_MARKDOWN, "--markdown", ".md", "the same in Markdown"},
    {MBR_MIDDLC_TEXT, "--fmt", ".if", "the interface in its one format"},
    {MBR_MIDDLC_JSON, "--json", ".json", "the tree"},
    {MBR_MIDDLC_CANONICAL, "--canonical", ".canonical", "what the fingerprint is the SHA-256 of"},
    {MBR_MIDDLC_CODES, "--codes", ".codes", "type codes"},
};

enum takes { NOTHING, DIRECTORY, FILE_NAME, ANYTHING };

/* The other options. */
static const struct {
    const char *option;
    const char *value; /* as help shows it */
    enum takes takes;
    const char *text;
} switches[] = {
    {"--deps-dot", "", NOTHING, "who needs whom, for Graphviz"},
    {"--check", "", NOTHING, "write nothing; so without any output, too"},
    {"--grammar", "=textmate|vim", ANYTHING, "colouring for editors; needs no FILE"},
    {"--completion", "[=SHELL]", NOTHING, "completions for bash (default), zsh or fish"},
    {"-I", " DIR", DIRECTORY, "look for needed interfaces here, too"},
    {"-o", " FILE", FILE_NAME, "write the only output here"},
    {"-d", " DIR", DIRECTORY, "write each output of interface Foo to DIR/Foo.SUFFIX"},
    {"--recursive", "", NOTHING, "(-r) write outputs of the needed interfaces, too"},
    {"--in-place", "", NOTHING, "(-i) with --fmt: rewrite the files"},
    {"-MD", "", NOTHING, "write the files that were read as a rule for make"},
    {"-MF", " FILE", FILE_NAME, "the same, to this file"},
    {"-Wall", "", NOTHING, "all warnings: redeclared needs choice raises file unused-needs doc"},
    {"-W", "[no-]NAME", ANYTHING, "one of them, or not"},
    {"-Werror", "[=NAME]", NOTHING, "warnings, or one, are errors"},
    {"--max-errors", "=N", ANYTHING, "show so many errors of a file (200; 0: all)"},
    {"--no-search", "", NOTHING, "read no file but those that are given"},
    {"--help", "", NOTHING, "(-h) this"},
    {"--version", "", NOTHING, "(-V) the version"},
};

#define SWITCHES (sizeof switches / sizeof *switches)

void middlc_help(void)
{
    char shown[64];

    puts("Examples:\n"
         "  middlc Foo.if                                  check it\n"
         "  middlc --header --types -I idl -d out Foo.if   out/Foo.h and out/Foo.types.c\n"
         "  middlc --skeleton -d . Foo.if                  begin an implementation\n"
         "  middlc --fmt -i *.if                           one format for all\n\n"
         "Usage: middlc [OUTPUT...] [OPTION...] FILE.if...\n\n"
         "Compiles MIDDL interfaces.\n\nOutputs:");
    for (size_t i = 0; i < MIDDLC_OUTPUTS; i++)
        printf("  %-20s %-11s %s\n", middlc_outputs[i].option, middlc_outputs[i].suffix,
               middlc_outputs[i].text);
    puts("\nOptions:");
    for (size_t i = 0; i < SWITCHES; i++) {
        snprintf(shown, sizeof shown, "%s%s", switches[i].option, switches[i].value);
        printf("  %-24s %s\n", shown, switches[i].text);
    }
    puts("\nExit codes:");
    for (const struct tool_exit_row *row = tool_exit_table; row->text; row++)
        if (row->code <= TOOL_EXIT_USAGE || row->code == TOOL_EXIT_PERMISSION ||
            row->code == TOOL_EXIT_LIMIT)
            printf("  %d  %s\n", row->code, row->text);
}

static void bash(void)
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
    for (size_t i = 0; i < MIDDLC_OUTPUTS; i++)
        printf("%s ", middlc_outputs[i].option);
    for (size_t i = 0; i < SWITCHES; i++)
        printf("%s ", switches[i].option);
    puts("' -- \"$cur\"))\n"
         "        return\n"
         "    fi\n"
         "    compopt -o filenames\n"
         "    COMPREPLY=($(compgen -d -- \"$cur\") $(compgen -f -X '!*.if' -- \"$cur\"))\n"
         "}\n"
         "complete -F _middlc middlc");
}

/* What an option takes, in the words of zsh's _arguments: behind a '=', in the same
 * word, or in the same or the next. */
static void zsh_switch(size_t i)
{
    static const char *const arguments[] = {"", ":directory:_files -/", ":file:_files", ":value:"};
    const char *option = switches[i].option;
    enum takes takes = switches[i].takes;
    const char *how = takes == NOTHING    ? ""
                      : option[1] == '-'  ? "="
                      : takes == ANYTHING ? "-"
                                          : "+";

    printf("        '%s%s[", option, how);
    for (const char *c = switches[i].text; *c; c++)
        printf("%s%c", strchr("[]:\\", *c) ? "\\" : "", *c);
    printf("]%s' \\\n", arguments[takes]);
}

static void zsh(void)
{
    puts("#compdef middlc\n"
         "# zsh completion for middlc; generated, see its option --completion\n"
         "_middlc()\n"
         "{\n"
         "    _arguments \\");
    for (size_t i = 0; i < MIDDLC_OUTPUTS; i++)
        printf("        '%s[%s]' \\\n", middlc_outputs[i].option, middlc_outputs[i].text);
    for (size_t i = 0; i < SWITCHES; i++)
        zsh_switch(i);
    puts("        '*:interface:_files -g \"*.if\"'\n"
         "}\n"
         "if [[ $funcstack[1] == _middlc ]]; then\n"
         "    _middlc \"$@\"\n"
         "else\n"
         "    compdef _middlc middlc\n"
         "fi");
}

static void fish(void)
{
    static const char *const arguments[] = {" -f", " -xa '(__fish_complete_directories)'", " -rF",
                                            " -x"};

    puts("# fish completion for middlc; generated, see its option --completion\n"
         "complete -c middlc -f -a '(__fish_complete_suffix .if)'");
    for (size_t i = 0; i < MIDDLC_OUTPUTS; i++)
        printf("complete -c middlc -f -l %s -d '%s'\n", middlc_outputs[i].option + 2,
               middlc_outputs[i].text);
    for (size_t i = 0; i < SWITCHES; i++) {
        const char *option = switches[i].option;
        const char *kind = option[1] == '-' ? "l" : option[2] ? "o" : "s";

        printf("complete -c middlc%s -%s %s -d '%s'\n", arguments[switches[i].takes], kind,
               option + (option[1] == '-' ? 2 : 1), switches[i].text);
    }
}

int middlc_completion(const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        bash();
    else if (strcmp(shell, "zsh") == 0)
        zsh();
    else if (strcmp(shell, "fish") == 0)
        fish();
    else
        return -1;
    return 0;
}

/* Dashes are not counted: "--bogus" would have two letters of "--codes" right before it begins. */
static void consider(struct tool_suggestion *search, const char *option, const char **nearest)
{
    const char *before = search->best;

    tool_suggest(search, option + strspn(option, "-"));
    if (search->best != before)
        *nearest = option;
}

const char *middlc_nearest(const char *typed)
{
    struct tool_suggestion search = {.typed = typed + strspn(typed, "-")};
    const char *nearest = NULL;

    for (size_t i = 0; i < MIDDLC_OUTPUTS; i++)
        consider(&search, middlc_outputs[i].option, &nearest);
    for (size_t i = 0; i < SWITCHES; i++)
        consider(&search, switches[i].option, &nearest);
    return nearest;
}
