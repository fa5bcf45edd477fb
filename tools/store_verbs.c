/* SPDX-License-Identifier: MIT */
/*
 * The option table of `membrane store`: its verbs, their arguments, options and examples.
 */
#include <stddef.h>

#include "store.h"

/* clang-format off */

#define OPTIONS_END {.name = NULL}
#define EXAMPLES_END {.command = NULL}

#define OPTION_HELP \
    {OPT_HELP, 'h', false, "help", NULL, NULL, "show this help", \
     "Shows examples, options and exit codes of the verb."}
#define OPTION_SOCKET \
    {OPT_SOCKET, 's', false, "socket", "PATH", NULL, "where the daemon listens", \
     "The socket of the daemon. Without it: the environment variable XENSTORED_PATH, or else " \
     "/run/membrane/store for root and $XDG_RUNTIME_DIR/membrane/store for others."}
#define OPTION_TIMEOUT \
    {OPT_TIMEOUT, 't', false, "timeout", "SECONDS", NULL, "give up after so long (default: 30)", \
     "Gives up, with exit code 6, when the daemon has not answered, or others have got in the " \
     "way of a transaction, for so many seconds. Decimals are allowed."}
#define OPTION_JSON(what) \
    {OPT_JSON, 'j', false, "json", NULL, NULL, "print JSON", what}
#define COMMON OPTION_SOCKET, OPTION_TIMEOUT, OPTION_HELP, OPTIONS_END

static const struct tool_option ls_options[] = {
    {OPT_LONG, 'l', false, "long", NULL, NULL, "with permissions, length and value",
     "Prints four columns with tabs between them: permissions, bytes of the value, name, value."},
    {OPT_RECURSIVE, 'R', false, "recursive", NULL, NULL, "everything below, by whole paths",
     "Lists everything below PATH, parents before children, by whole paths."},
    OPTION_JSON("Prints one object with the path and a list of nodes: path, and with --long value "
                "(value64, in base64, for what is no text) and perms."),
    COMMON,
};

static const struct tool_option tree_options[] = {
    {OPT_DEPTH, 'd', false, "depth", "N", NULL, "only so many levels",
     "Shows only so many levels below PATH."},
    OPTION_JSON("Prints one object with the path and a list of nodes: path and value."),
    COMMON,
};

static const struct tool_option read_options[] = {
    {OPT_RAW, 'r', false, "raw", NULL, NULL, "no newline behind a value",
     "Prints the bytes of the values and nothing else."},
    OPTION_JSON("Prints one object with a list of nodes: path and value, or value64."),
    COMMON,
};

static const struct tool_option plain_options[] = {COMMON};

static const struct tool_option rm_options[] = {
    {OPT_FORCE, 'f', false, "force", NULL, NULL, "what does not exist is no error",
     "Nodes that do not exist are no error."},
    COMMON,
};

static const struct tool_option chmod_options[] = {
    {OPT_RECURSIVE, 'R', false, "recursive", NULL, NULL, "everything below, too",
     "Sets them on PATH and everything below it, in one transaction."},
    COMMON,
};

static const struct tool_option watch_options[] = {
    {OPT_TIMES, 'n', false, "times", "N", NULL, "end after so many events",
     "Ends with exit code 0 after so many events. The first comes at once for each PATH."},
    {OPT_DEPTH, 'd', false, "depth", "N", NULL, "only so many levels (0: the node alone)",
     "Tells only of changes at most so many levels below PATH; 0 means the node alone."},
    {OPT_VALUES, 'v', false, "values", NULL, NULL, "with the value the node has now",
     "Prints what the node holds when its event is shown."},
    OPTION_JSON("Prints an object for each event: path, and with --values its value."),
    OPTION_SOCKET,
    {OPT_TIMEOUT, 't', false, "timeout", "SECONDS", NULL, "end after so long (default: never)",
     "Ends after so many seconds, with exit code 6. Decimals are allowed."},
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option tx_options[] = {
    OPTION_JSON("Prints one object: how many attempts it took, and what the operations that look "
                "at something have found."),
    COMMON,
};

static const struct tool_option load_options[] = {
    {OPT_REPLACE, 'r', false, "replace", NULL, NULL, "remove what was there before",
     "Removes what was at PATH and below it, in the same transaction."},
    {OPT_PROGRESS, 'p', false, "progress", "WHEN", "auto always never",
     "show a progress line (default: auto)",
     "Shows on standard error how many nodes have been written and the time left, once it has taken "
     "a second. With auto: when standard error is a terminal."},
    {OPT_QUIET, 'q', false, "quiet", NULL, NULL, "only errors", "Shows only errors."},
    COMMON,
};

static const struct tool_option stats_options[] = {
    OPTION_JSON("Prints one object with a number for each name."),
    COMMON,
};

static const struct tool_example ls_examples[] = {
    {"membrane store ls", "the children of /"},
    {"membrane store ls -l /local/domain/0", "with permissions and values"},
    {"membrane store ls -R /tool", "everything below"},
    EXAMPLES_END,
};

static const struct tool_example tree_examples[] = {
    {"membrane store tree", "all of it"},
    {"membrane store tree -d 2 /local", "two levels"},
    EXAMPLES_END,
};

static const struct tool_example read_examples[] = {
    {"membrane store read /tool/name", "one value"},
    {"membrane store read --raw /tool/blob > file", "its bytes as they are"},
    {"membrane store read /a /b", "both of one moment"},
    EXAMPLES_END,
};

static const struct tool_example write_examples[] = {
    {"membrane store write /a/b hello", "one value; /a is made if need be"},
    {"membrane store write /a 1 /b 2", "both or none"},
    {"membrane store write /a < file", "the bytes of a file"},
    {"membrane store write -- /a -5", "a value that begins with a dash"},
    EXAMPLES_END,
};

static const struct tool_example mkdir_examples[] = {
    {"membrane store mkdir /a/b", "an empty node, and those above it"},
    EXAMPLES_END,
};

static const struct tool_example rm_examples[] = {
    {"membrane store rm /a", "a node and all below it"},
    {"membrane store rm -f /a /b", "whether they exist or not"},
    EXAMPLES_END,
};

static const struct tool_example exists_examples[] = {
    {"membrane store exists /a && echo yes", "in a script"},
    EXAMPLES_END,
};

static const struct tool_example chmod_examples[] = {
    {"membrane store chmod /a n0 r5", "domain 0 owns it, domain 5 may read it"},
    {"membrane store chmod -R /a r0", "everybody may read all of it"},
    EXAMPLES_END,
};

static const struct tool_example watch_examples[] = {
    {"membrane store watch /a", "a line for each change at or below /a"},
    {"membrane store watch -v -n 2 /a/state", "wait for one change and show the value"},
    EXAMPLES_END,
};

static const struct tool_example tx_examples[] = {
    {"membrane store tx 'write /a 1' 'rm /b'", "both or none"},
    {"membrane store tx 'check /lock' 'write /lock me'", "take a lock that is empty"},
    {"membrane store tx < operations", "one a line"},
    EXAMPLES_END,
};

static const struct tool_example dump_examples[] = {
    {"membrane store dump > store.json", "all of it"},
    {"membrane store dump /a | jq '.nodes[].path'", "for a program"},
    EXAMPLES_END,
};

static const struct tool_example load_examples[] = {
    {"membrane store load store.json", "to where it was dumped from"},
    {"membrane store load --replace store.json /b", "elsewhere, in place of what is there"},
    EXAMPLES_END,
};

static const struct tool_example stats_examples[] = {
    {"membrane store stats", "what the daemon holds and has done"},
    EXAMPLES_END,
};

const struct tool_verb tool_store_verbs[] = {
    {
        .name = "store ls",
        .synopsis = "[PATH]",
        .brief = "list the children of a node",
        .detail = "Lists the children of PATH, or of /. A PATH that does not begin with a slash is "
                  "below /local/domain/N of the caller.",
        .examples = ls_examples,
        .options = ls_options,
        .words = {"path"},
        .run = store_ls,
    },
    {
        .name = "store tree",
        .synopsis = "[PATH]",
        .brief = "draw a node and all below it",
        .detail = "Draws PATH, or /, and everything below it as a tree, with the values.",
        .examples = tree_examples,
        .options = tree_options,
        .words = {"path"},
        .run = store_tree,
    },
    {
        .name = "store read",
        .synopsis = "PATH...",
        .brief = "print values",
        .detail = "Prints the value of each PATH on a line of its own. Several values are read in "
                  "one transaction.",
        .examples = read_examples,
        .options = read_options,
        .words_min = 1,
        .words = {"path"},
        .many = true,
        .run = store_read,
    },
    {
        .name = "store write",
        .synopsis = "PATH [VALUE [PATH VALUE]...]",
        .brief = "set values",
        .detail = "Sets the value of each PATH, all in one transaction. Nodes that do not exist "
                  "are made, and those above them. Without VALUE it is read from standard input, "
                  "every byte of it.",
        .examples = write_examples,
        .options = plain_options,
        .words_min = 1,
        .words = {"path", "text"},
        .many = true,
        .run = store_write,
    },
    {
        .name = "store mkdir",
        .synopsis = "PATH...",
        .brief = "make empty nodes",
        .detail = "Makes each PATH, with an empty value, and the nodes above it. One that exists "
                  "is left as it is.",
        .examples = mkdir_examples,
        .options = plain_options,
        .words_min = 1,
        .words = {"path"},
        .many = true,
        .run = store_mkdir,
    },
    {
        .name = "store rm",
        .synopsis = "PATH...",
        .brief = "remove nodes and all below them",
        .detail = "Removes each PATH and everything below it, all in one transaction.",
        .examples = rm_examples,
        .options = rm_options,
        .words_min = 1,
        .words = {"path"},
        .many = true,
        .run = store_rm,
    },
    {
        .name = "store exists",
        .synopsis = "PATH...",
        .brief = "tell whether nodes exist",
        .detail = "Prints nothing; the exit code is 0 if each PATH exists and may be read, 1 if "
                  "one does not exist.",
        .examples = exists_examples,
        .options = plain_options,
        .words_min = 1,
        .words = {"path"},
        .many = true,
        .run = store_exists,
    },
    {
        .name = "store chmod",
        .synopsis = "PATH PERM...",
        .brief = "set permissions",
        .detail = "Sets the permissions of PATH. A PERM is a letter, n for none, r to read, w to "
                  "write, b for both, and a domain. The first one names the owner, who may do "
                  "everything, and what all have who are not listed; the others say what one "
                  "domain has.",
        .examples = chmod_examples,
        .options = chmod_options,
        .words_min = 2,
        .words = {"path", "text"},
        .many = true,
        .run = store_chmod,
    },
    {
        .name = "store watch",
        .synopsis = "PATH...",
        .brief = "print what changes, as it changes",
        .detail = "Prints a line for each change at or below a PATH, and one at once for each "
                  "PATH. When the daemon goes away it waits until it is back, and then prints "
                  "each PATH again, since anything may have changed. @introduceDomain and "
                  "@releaseDomain tell of domains that come and go.",
        .examples = watch_examples,
        .options = watch_options,
        .words_min = 1,
        .words = {"path"},
        .many = true,
        .run = store_watch,
    },
    {
        .name = "store tx",
        .synopsis = "[OPERATION...]",
        .brief = "do several things at once or not at all",
        .detail = "Carries out the operations, each an argument or else a line of standard input, "
                  "in one transaction, again and again until no other client has got in the way, "
                  "and then prints what they have found.\n\n"
                  "Operations: read PATH, write PATH VALUE (the rest of the line), mkdir PATH, rm "
                  "PATH, chmod PATH PERM..., ls PATH, exists PATH and check PATH VALUE, which drop "
                  "the transaction, with exit code 1, if the node does not exist or holds "
                  "something else.",
        .examples = tx_examples,
        .options = tx_options,
        .words = {"text"},
        .many = true,
        .run = store_tx,
    },
    {
        .name = "store dump",
        .synopsis = "[PATH]",
        .brief = "write a part of the tree as JSON",
        .detail = "Writes PATH, or /, and everything below it as JSON, all of one moment: an "
                  "object with version, root, and a list of nodes, each with path (relative to "
                  "the root), perms, and value, or value64 for what is no text.",
        .examples = dump_examples,
        .options = plain_options,
        .words = {"path"},
        .run = store_dump,
    },
    {
        .name = "store load",
        .synopsis = "[FILE [PATH]]",
        .brief = "read what dump has written",
        .detail = "Writes the nodes of FILE, or of standard input, back to where they were dumped "
                  "from, or to PATH, all in one transaction. Other nodes stay, unless --replace "
                  "is given.",
        .examples = load_examples,
        .options = load_options,
        .words = {"file", "path"},
        .run = store_load,
    },
    {
        .name = "store stats",
        .synopsis = "",
        .brief = "show what the daemon holds and has done",
        .detail = "Prints the daemon's counters, a name and a number a line.",
        .examples = stats_examples,
        .options = stats_options,
        .run = store_stats,
    },
    {.name = NULL},
};

/* clang-format on */
