/* SPDX-License-Identifier: MIT */
/*
 * Completion scripts for bash, zsh and fish, printed from the option table: verbs, options, the
 * words that options take, names of pipes (asked of the tool when Tab is pressed) and files.
 */
#include <string.h>

#include "docs.h"
#include "exits.h"
#include "verbs.h"

static void each_option(FILE *out, const struct tool_verb *verb,
                        void (*print)(FILE *out, const struct tool_verb *verb,
                                      const struct tool_option *option))
{
    for (const struct tool_option *o = verb->options; o->name != NULL; o++) {
        if (!o->hidden)
            print(out, verb, o);
    }
}

static void print_verbs(FILE *out)
{
    for (const struct tool_verb *verb = tool_verbs; verb->name != NULL; verb++)
        fprintf(out, "%s%s", verb == tool_verbs ? "" : " ", verb->name);
}

static void print_words(FILE *out, const struct tool_verb *verb)
{
    for (int i = 0; i < TOOL_WORDS_MAX && verb->words[i] != NULL; i++)
        fprintf(out, "%s%s", i == 0 ? "" : " ", verb->words[i]);
}

/* ---- bash ---- */

static void bash_name(FILE *out, const struct tool_verb *verb, const struct tool_option *o)
{
    (void)verb;
    fprintf(out, " --%s", o->name);
}

/* Options that take an argument, which is then not a word of the verb. */
static void bash_taker(FILE *out, const struct tool_verb *verb, const struct tool_option *o)
{
    (void)verb;
    if (o->argument == NULL)
        return;
    fprintf(out, " --%s", o->name);
    if (o->letter != 0)
        fprintf(out, " -%c", o->letter);
}

static void bash_choice(FILE *out, const struct tool_verb *verb, const struct tool_option *o)
{
    if (o->choices == NULL)
        return;
    fprintf(out, "    '%s --%s'", verb->name, o->name);
    if (o->letter != 0)
        fprintf(out, " | '%s -%c'", verb->name, o->letter);
    fprintf(out, ") COMPREPLY=($(compgen -W '%s' -- \"$cur\")) && return ;;\n", o->choices);
}

static void bash_tables(FILE *out)
{
    const struct tool_verb *verb;

    fputs("    local verbs='", out);
    print_verbs(out);
    fputs("'\n    local -A options=() takers=() words=()\n", out);
    for (verb = tool_verbs; verb->name != NULL; verb++) {
        fprintf(out, "    options[%s]='", verb->name);
        each_option(out, verb, bash_name);
        fputs("'\n", out);
        fprintf(out, "    takers[%s]='", verb->name);
        each_option(out, verb, bash_taker);
        fprintf(out, " '\n    words[%s]='", verb->name);
        print_words(out, verb);
        fputs("'\n", out);
    }
}

static const char bash_head[] =
    "# bash completion for membrane(1); generated, see membrane help --completion\n"
    "_membrane_names()\n"
    "{\n"
    "    local name\n"
    "    while IFS= read -r name; do\n"
    "        [[ $name == \"$1\"* ]] && COMPREPLY+=(\"$(printf %q \"$name\")\")\n"
    "    done < <(membrane help --names 2>/dev/null)\n"
    "}\n"
    "_membrane()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local verb= taken= i kind n=0\n"
    "    COMPREPLY=()\n";

/* bash takes --progress=auto for three words. */
static const char bash_verb[] =
    "    if [[ $cur == = ]]; then\n"
    "        cur=\n"
    "    elif [[ $prev == = ]] && ((COMP_CWORD > 1)); then\n"
    "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    fi\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        case ${COMP_WORDS[i]} in\n"
    "        -* | =) ;;\n"
    "        *)\n"
    "            taken=${COMP_WORDS[i - 1]}\n"
    "            [[ $taken == = ]] && taken=${COMP_WORDS[i - 2]}\n"
    "            if [[ -z $verb ]]; then\n"
    "                verb=${COMP_WORDS[i]}\n"
    "            elif [[ ${takers[$verb]-} != *\" $taken \"* ]]; then\n"
    "                n=$((n + 1))\n"
    "            fi\n"
    "            ;;\n"
    "        esac\n"
    "    done\n"
    "    if [[ -z $verb ]]; then\n"
    "        COMPREPLY=($(compgen -W \"$verbs --help --version\" -- \"$cur\"))\n"
    "        return\n"
    "    fi\n"
    "    case \"$verb $prev\" in\n";

static const char bash_tail[] =
    "    esac\n"
    "    [[ ${takers[$verb]-} == *\" $prev \"* ]] && return\n"
    "    if [[ $cur == -* ]]; then\n"
    "        COMPREPLY=($(compgen -W \"${options[$verb]-}\" -- \"$cur\"))\n"
    "        return\n"
    "    fi\n"
    "    kind=(${words[$verb]-})\n"
    "    case ${kind[n]-} in\n"
    "    pipe) _membrane_names \"$cur\" ;;\n"
    "    verb) COMPREPLY=($(compgen -W \"$verbs\" -- \"$cur\")) ;;\n"
    "    file)\n"
    "        compopt -o filenames\n"
    "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
    "        ;;\n"
    "    esac\n"
    "}\n"
    "complete -F _membrane membrane\n";

static void print_bash(FILE *out)
{
    fputs(bash_head, out);
    bash_tables(out);
    fputs(bash_verb, out);
    for (const struct tool_verb *verb = tool_verbs; verb->name != NULL; verb++)
        each_option(out, verb, bash_choice);
    fputs(bash_tail, out);
}

/* ---- zsh ---- */

/* Within single quotes, and without the characters that _arguments gives a meaning. */
static void zsh_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("[]:\\", *text) != NULL)
            fputc('\\', out);
        if (*text == '\'')
            fputs("'\\'", out);
        fputc(*text, out);
    }
}

static void zsh_option(FILE *out, const struct tool_verb *verb, const struct tool_option *o)
{
    const char *equals = o->argument != NULL ? "=" : "";

    (void)verb;
    if (o->letter != 0)
        fprintf(out, "            '(-%c --%s)'{-%c,--%s%s}'[", o->letter, o->name, o->letter,
                o->name, equals);
    else
        fprintf(out, "            '--%s%s[", o->name, equals);
    zsh_text(out, o->brief);
    fputc(']', out);
    if (o->argument != NULL)
        fprintf(out, ":%s:", o->argument);
    if (o->choices != NULL)
        fprintf(out, "(%s)", o->choices);
    fputs("' \\\n", out);
}

static void zsh_verb(FILE *out, const struct tool_verb *verb)
{
    fprintf(out, "    %s)\n        _arguments -s \\\n", verb->name);
    each_option(out, verb, zsh_option);
    for (int i = 0; i < TOOL_WORDS_MAX && verb->words[i] != NULL; i++) {
        const char *kind = verb->words[i];
        const char *action = strcmp(kind, "file") == 0 ? "_files" : "_membrane_names";

        if (strcmp(kind, "verb") == 0)
            action = "($verbs)";
        fprintf(out, "            \"%d::%s:%s\" \\\n", i + 1, kind, action);
    }
    fputs("            && return\n        ;;\n", out);
}

static void print_zsh(FILE *out)
{
    fputs("#compdef membrane\n"
          "# zsh completion for membrane(1); generated, see membrane help --completion\n"
          "_membrane_names()\n"
          "{\n"
          "    local -a names\n"
          "    names=(${(f)\"$(membrane help --names 2>/dev/null)\"})\n"
          "    compadd -a names\n"
          "}\n"
          "_membrane()\n"
          "{\n"
          "    local verbs='",
          out);
    print_verbs(out);
    fputs("'\n"
          "    if ((CURRENT == 2)); then\n"
          "        compadd -- ${=verbs} --help --version\n"
          "        return\n"
          "    fi\n"
          "    shift words\n"
          "    ((CURRENT--))\n"
          "    case $words[1] in\n",
          out);
    for (const struct tool_verb *verb = tool_verbs; verb->name != NULL; verb++)
        zsh_verb(out, verb);
    fputs("    esac\n"
          "}\n"
          "if [[ $funcstack[1] == _membrane ]]; then\n"
          "    _membrane \"$@\"\n"
          "else\n"
          "    compdef _membrane membrane\n"
          "fi\n",
          out);
}

/* ---- fish ---- */

static void fish_text(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (strchr("'\\", *text) != NULL)
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('\'', out);
}

static void fish_option(FILE *out, const struct tool_verb *verb, const struct tool_option *o)
{
    fprintf(out, "complete -c membrane -n '__fish_seen_subcommand_from %s' -l %s", verb->name,
            o->name);
    if (o->letter != 0)
        fprintf(out, " -s %c", o->letter);
    if (o->choices != NULL)
        fprintf(out, " -xa '%s'", o->choices);
    else if (o->argument != NULL)
        fputs(" -x", out);
    fputs(" -d ", out);
    fish_text(out, o->brief);
    fputc('\n', out);
}

static void fish_word(FILE *out, const struct tool_verb *verb, const char *kind)
{
    fprintf(out, "complete -c membrane -n '__fish_seen_subcommand_from %s' ", verb->name);
    if (strcmp(kind, "file") == 0) {
        fputs("-F\n", out);
    } else if (strcmp(kind, "verb") == 0) {
        fputs("-a '", out);
        print_verbs(out);
        fputs("'\n", out);
    } else {
        fputs("-a '(membrane help --names 2>/dev/null)'\n", out);
    }
}

static void print_fish(FILE *out)
{
    fputs("# fish completion for membrane(1); generated, see membrane help --completion\n"
          "complete -c membrane -f\n",
          out);
    for (const struct tool_verb *verb = tool_verbs; verb->name != NULL; verb++) {
        fprintf(out, "complete -c membrane -n __fish_use_subcommand -a %s -d ", verb->name);
        fish_text(out, verb->brief);
        fputc('\n', out);
        each_option(out, verb, fish_option);
        for (int i = 0; i < TOOL_WORDS_MAX && verb->words[i] != NULL; i++)
            fish_word(out, verb, verb->words[i]);
    }
}

int tool_docs_completion(const char *shell, FILE *out)
{
    if (tool_program.verbless)
        return tool_docs_completion_plain(shell, out);
    if (strcmp(shell, "bash") == 0)
        print_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        print_zsh(out);
    else
        print_fish(out);
    return TOOL_EXIT_OK;
}
