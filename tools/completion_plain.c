/* SPDX-License-Identifier: MIT */
/*
 * Completion scripts of a program without verbs: its options, the words that they take, and files
 * as the argument of those that take anything.
 *
 * Not here: programs with verbs (completion.c).
 */
#include <string.h>

#include "docs.h"
#include "exits.h"
#include "options.h"

static void bash_options(FILE *out)
{
    for (const struct tool_option *o = tool_verbs->options; o->name != NULL; o++) {
        if (!o->hidden)
            fprintf(out, " --%s", o->name);
    }
}

static void bash_argument(FILE *out, const struct tool_option *o)
{
    if (o->hidden || o->argument == NULL)
        return;
    fprintf(out, "    --%s", o->name);
    if (o->letter != 0)
        fprintf(out, " | -%c", o->letter);
    if (o->choices != NULL)
        fprintf(out, ") COMPREPLY=($(compgen -W '%s' -- \"$cur\")) && return ;;\n", o->choices);
    else
        fputs(") compopt -o filenames && COMPREPLY=($(compgen -f -- \"$cur\")) && return ;;\n",
              out);
}

static void print_bash(FILE *out)
{
    const char *name = tool_program.name;

    fprintf(out,
            "# bash completion for %s; generated, see its option --completion\n"
            "_%s()\n"
            "{\n"
            "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
            "    COMPREPLY=()\n"
            "    if [[ $cur == = ]]; then\n"
            "        cur=\n"
            "    elif [[ $prev == = ]] && ((COMP_CWORD > 1)); then\n"
            "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
            "    fi\n"
            "    case $prev in\n",
            name, name);
    for (const struct tool_option *o = tool_verbs->options; o->name != NULL; o++)
        bash_argument(out, o);
    fputs("    esac\n    COMPREPLY=($(compgen -W '", out);
    bash_options(out);
    fprintf(out, "' -- \"$cur\"))\n}\ncomplete -F _%s %s\n", name, name);
}

static void zsh_option(FILE *out, const struct tool_option *o)
{
    const char *equals = o->argument != NULL ? "=" : "";

    if (o->hidden)
        return;
    if (o->letter != 0)
        fprintf(out, "        '(-%c --%s)'{-%c,--%s%s}'[", o->letter, o->name, o->letter, o->name,
                equals);
    else
        fprintf(out, "        '--%s%s[", o->name, equals);
    for (const char *c = o->brief; *c != '\0'; c++) {
        if (strchr("[]:\\", *c) != NULL)
            fputc('\\', out);
        fputc(*c, out);
    }
    fputc(']', out);
    if (o->argument != NULL)
        fprintf(out, ":%s:", o->argument);
    if (o->choices != NULL)
        fprintf(out, "(%s)", o->choices);
    else if (o->argument != NULL)
        fputs("_files", out);
    fputs("' \\\n", out);
}

static void print_zsh(FILE *out)
{
    fprintf(out,
            "#compdef %s\n"
            "# zsh completion for %s; generated, see its option --completion\n"
            "_%s()\n"
            "{\n"
            "    _arguments -s \\\n",
            tool_program.name, tool_program.name, tool_program.name);
    for (const struct tool_option *o = tool_verbs->options; o->name != NULL; o++)
        zsh_option(out, o);
    fprintf(out,
            "        && return\n"
            "}\n"
            "if [[ $funcstack[1] == _%s ]]; then\n"
            "    _%s \"$@\"\n"
            "else\n"
            "    compdef _%s %s\n"
            "fi\n",
            tool_program.name, tool_program.name, tool_program.name, tool_program.name);
}

static void print_fish(FILE *out)
{
    fprintf(out, "# fish completion for %s; generated, see its option --completion\n",
            tool_program.name);
    for (const struct tool_option *o = tool_verbs->options; o->name != NULL; o++) {
        if (o->hidden)
            continue;
        fprintf(out, "complete -c %s -l %s", tool_program.name, o->name);
        if (o->letter != 0)
            fprintf(out, " -s %c", o->letter);
        if (o->choices != NULL)
            fprintf(out, " -xa '%s'", o->choices);
        else
            fputs(o->argument != NULL ? " -r" : " -f", out);
        fprintf(out, " -d \"%s\"\n", o->brief);
    }
}

int tool_docs_completion_plain(const char *shell, FILE *out)
{
    if (strcmp(shell, "bash") == 0)
        print_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        print_zsh(out);
    else
        print_fish(out);
    return TOOL_EXIT_OK;
}
