/* SPDX-License-Identifier: MIT */
/*
 * Completion scripts for bash, zsh and fish, printed from the option table: verbs, options, the
 * words that options take, names of pipes and containers (asked of the tool when Tab is pressed)
 * and files.
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

static void print_words_of(FILE *out, const struct tool_verb *table)
{
    for (const struct tool_verb *verb = table; verb->name != NULL; verb++)
        fprintf(out, "%s%s", verb == table ? "" : " ", tool_verb_word(verb));
}

static void print_verbs(FILE *out)
{
    print_words_of(out, tool_verbs);
}

/* All verbs that are carried out, those within groups too. */
static void each_verb(FILE *out, void (*print)(FILE *out, const struct tool_verb *verb))
{
    for (const struct tool_verb *verb = tool_verbs; verb->name != NULL; verb++) {
        if (verb->group == NULL) {
            print(out, verb);
            continue;
        }
        for (const struct tool_verb *sub = verb->group; sub->name != NULL; sub++)
            print(out, sub);
    }
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

static void bash_verb_tables(FILE *out, const struct tool_verb *verb)
{
    fprintf(out, "    options['%s']='", verb->name);
    each_option(out, verb, bash_name);
    fputs("'\n", out);
    fprintf(out, "    takers['%s']='", verb->name);
    each_option(out, verb, bash_taker);
    fprintf(out, " '\n    words['%s']='", verb->name);
    print_words(out, verb);
    fputs("'\n", out);
    if (verb->many)
        fprintf(out, "    many['%s']=yes\n", verb->name);
}

static void bash_tables(FILE *out)
{
    fputs("    local verbs='", out);
    print_verbs(out);
    fputs("'\n    local -A options=() takers=() words=() many=() subs=()\n", out);
    for (const struct tool_verb *verb = tool_verbs; verb->name != NULL; verb++) {
        if (verb->group == NULL)
            continue;
        fprintf(out, "    subs['%s']='", verb->name);
        print_words_of(out, verb->group);
        fputs("'\n", out);
    }
    each_verb(out, bash_verb_tables);
}

static void bash_choices(FILE *out, const struct tool_verb *verb)
{
    each_option(out, verb, bash_choice);
}

static const char bash_head[] =
    "# bash completion for membrane(1); generated, see membrane help --completion\n"
    "_membrane_names()\n"
    "{\n"
    "    local name\n"
    "    while IFS= read -r name; do\n"
    "        [[ $name == \"$1\"* ]] && COMPREPLY+=(\"$(printf %q \"$name\")\")\n"
    "    done < <(membrane \"${@:2}\" 2>/dev/null)\n"
    "}\n"
    "_membrane_paths()\n"
    "{\n"
    "    local path\n"
    "    compopt -o nospace\n"
    "    while IFS= read -r path; do\n"
    "        COMPREPLY+=(\"$path\")\n"
    "    done < <(membrane help --paths \"$1\" 2>/dev/null)\n"
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
    "            elif [[ -n ${subs[$verb]-} ]]; then\n"
    "                verb=\"$verb ${COMP_WORDS[i]}\"\n"
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
    "    if [[ -n ${subs[$verb]-} ]]; then\n"
    "        COMPREPLY=($(compgen -W \"${subs[$verb]} --help\" -- \"$cur\"))\n"
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
    "    [[ -n ${many[$verb]-} ]] && ((n >= ${#kind[@]})) && n=$((${#kind[@]} - 1))\n"
    "    case ${kind[n]-} in\n"
    "    pipe) _membrane_names \"$cur\" help --names ;;\n"
    "    container) _membrane_names \"$cur\" object ls ;;\n"
    "    path) _membrane_paths \"$cur\" ;;\n"
    "    subverb) COMPREPLY=($(compgen -W \"${subs[${COMP_WORDS[2]}]-}\" -- \"$cur\")) ;;\n"
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
    each_verb(out, bash_choices);
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

static const char *zsh_action(const char *kind)
{
    static const struct {
        const char *kind, *action;
    } actions[] = {
        {"file", "_files"}, {"verb", "($verbs)"}, {"path", "_membrane_paths"},
        {"subverb", " "},   {"text", " "},        {"container", "_membrane_containers"},
    };

    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(actions[i].kind, kind) == 0)
            return actions[i].action;
    }
    return "_membrane_names";
}

static void zsh_verb(FILE *out, const struct tool_verb *verb)
{
    const char *kind = NULL;

    fprintf(out, "    %s)\n        _arguments -s \\\n", tool_verb_word(verb));
    each_option(out, verb, zsh_option);
    for (int i = 0; i < TOOL_WORDS_MAX && verb->words[i] != NULL; i++) {
        kind = verb->words[i];
        fprintf(out, "            \"%d::%s:%s\" \\\n", i + 1, kind, zsh_action(kind));
    }
    if (verb->many && kind != NULL)
        fprintf(out, "            \"*::%s:%s\" \\\n", kind, zsh_action(kind));
    fputs("            && return\n        ;;\n", out);
}

static void zsh_group(FILE *out, const struct tool_verb *group)
{
    fprintf(out,
            "    %s)\n"
            "        if ((CURRENT == 2)); then\n"
            "            compadd -- ",
            group->name);
    print_words_of(out, group->group);
    fputs(" --help\n"
          "            return\n"
          "        fi\n"
          "        shift words\n"
          "        ((CURRENT--))\n"
          "        case $words[1] in\n",
          out);
    for (const struct tool_verb *verb = group->group; verb->name != NULL; verb++)
        zsh_verb(out, verb);
    fputs("        esac\n        ;;\n", out);
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
          "_membrane_containers()\n"
          "{\n"
          "    local -a names\n"
          "    names=(${(f)\"$(membrane object ls 2>/dev/null)\"})\n"
          "    compadd -a names\n"
          "}\n"
          "_membrane_paths()\n"
          "{\n"
          "    local -a paths\n"
          "    paths=(${(f)\"$(membrane help --paths \"$PREFIX\" 2>/dev/null)\"})\n"
          "    compadd -S '' -a paths\n"
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
    for (const struct tool_verb *verb = tool_verbs; verb->name != NULL; verb++) {
        if (verb->group != NULL)
            zsh_group(out, verb);
        else
            zsh_verb(out, verb);
    }
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

/* The condition that this verb was typed. */
static void fish_when(FILE *out, const struct tool_verb *verb)
{
    const char *blank = strchr(verb->name, ' ');

    fputs("complete -c membrane -n '", out);
    if (blank != NULL)
        fprintf(out, "__fish_seen_subcommand_from %.*s; and ", (int)(blank - verb->name),
                verb->name);
    fprintf(out, "__fish_seen_subcommand_from %s'", tool_verb_word(verb));
}

static void fish_option(FILE *out, const struct tool_verb *verb, const struct tool_option *o)
{
    fish_when(out, verb);
    fprintf(out, " -l %s", o->name);
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
    if (strcmp(kind, "text") == 0 || strcmp(kind, "subverb") == 0)
        return;
    fish_when(out, verb);
    if (strcmp(kind, "file") == 0) {
        fputs(" -F\n", out);
    } else if (strcmp(kind, "verb") == 0) {
        fputs(" -a '", out);
        print_verbs(out);
        fputs("'\n", out);
    } else if (strcmp(kind, "path") == 0) {
        fputs(" -a '(membrane help --paths (commandline -ct) 2>/dev/null)'\n", out);
    } else if (strcmp(kind, "container") == 0) {
        fputs(" -a '(membrane object ls 2>/dev/null)'\n", out);
    } else {
        fputs(" -a '(membrane help --names 2>/dev/null)'\n", out);
    }
}

static void fish_verb(FILE *out, const struct tool_verb *verb)
{
    each_option(out, verb, fish_option);
    for (int i = 0; i < TOOL_WORDS_MAX && verb->words[i] != NULL; i++)
        fish_word(out, verb, verb->words[i]);
}

static void fish_group(FILE *out, const struct tool_verb *group)
{
    for (const struct tool_verb *verb = group->group; verb->name != NULL; verb++) {
        fprintf(out,
                "complete -c membrane -n '__fish_seen_subcommand_from %s; "
                "and not __fish_seen_subcommand_from ",
                group->name);
        print_words_of(out, group->group);
        fprintf(out, "' -a %s -d ", tool_verb_word(verb));
        fish_text(out, verb->brief);
        fputc('\n', out);
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
        if (verb->group != NULL)
            fish_group(out, verb);
    }
    each_verb(out, fish_verb);
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
