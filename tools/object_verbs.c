/* SPDX-License-Identifier: MIT */
/*
 * The option table of `membrane object`: its verbs, their arguments, options and examples.
 */
#include <stddef.h>

#include "object.h"

/* clang-format off */

#define OPTIONS_END {.name = NULL}
#define EXAMPLES_END {.command = NULL}

#define OPTION_HELP \
    {OPT_HELP, 'h', false, "help", NULL, NULL, "show this help", \
     "Shows examples, options and exit codes of the verb."}
#define OPTION_TIMEOUT \
    {OPT_TIMEOUT, 't', false, "timeout", "SECONDS", NULL, "give up when others use it for longer (default: never)", \
     "Gives up, with exit code 6, when others keep what is to be read or written for so many " \
     "seconds. Decimals are allowed; 0 does not wait."}
#define OPTION_DIRECTORY \
    {OPT_DIRECTORY, 'd', false, "directory", "PATH", NULL, "the directory that a persistent container lives in", \
     "The directory of a persistent container. If no process has the container, it is loaded from " \
     "there; an empty directory begins a new one. What was put has been written to the disk when " \
     "the command ends."}
#define OPTION_JSON(what) \
    {OPT_JSON, 'j', false, "json", NULL, NULL, "print JSON", what}
#define OPTION_QUIET \
    {OPT_QUIET, 'q', false, "quiet", NULL, NULL, "only errors", "Shows only errors."}
#define OPTION_PROGRESS \
    {OPT_PROGRESS, 'p', false, "progress", "WHEN", "auto always never", "show a progress line (default: auto)", \
     "Shows bytes, rate and, when the size is known, the time left on standard error, once the " \
     "work has taken a second. With auto: when standard error is a terminal."}
#define OPTION_POLICY \
    {OPT_POLICY, 'w', false, "policy", "POLICY", "in-place versioned", "how writers and readers meet", \
     "With in-place, which is the default of a new container, a writer keeps readers out of the " \
     "blocks that it writes. With versioned it prepares new blocks and publishes them together, " \
     "and nobody waits. Put: of an object that is new; hold: of the container, if it is new."}
#define OPTION_KEEP \
    {OPT_KEEP, 'k', false, "keep", NULL, NULL, "a new container is kept by membraned", \
     "If there is no such container it is created, and membraned keeps it when its last process " \
     "has left. Needs a running membraned."}
#define OPTION_STORED \
    {OPT_STORED, 's', false, "stored", NULL, NULL, "a new container is kept by membraned, on disk", \
     "If there is no such container it is created, and membraned keeps it in a directory of its own: " \
     "what was put is there after a restart, too. Needs a running membraned --objects."}
#define OPTION_GID \
    {OPT_GID, 'g', false, "gid", "GID", NULL, "a new container is shared with this group", \
     "If there is no such container it is created for the members of this group, by number."}
#define OPTION_CHECKSUMS \
    {OPT_CHECKSUMS, 'c', false, "checksums", NULL, NULL, "a new persistent container has checksums", \
     "If the directory is empty, or with --stored: each block has a checksum, which is verified when it " \
     "is loaded."}

static const struct tool_option ls_options[] = {
    {OPT_LONG, 'l', false, "long", NULL, NULL, "with size, memory, policy, users and version",
     "Prints a line for each: size, memory, policy, processes that have joined it, version and "
     "name; of containers memory, policy, objects, processes and name."},
    {OPT_BYTES, 'b', false, "bytes", NULL, NULL, "exact numbers of bytes", "Prints sizes in bytes."},
    OPTION_JSON("Prints one object with a list: objects, or containers."),
    OPTION_DIRECTORY,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option stat_options[] = {
    OPTION_JSON("Prints one object."),
    OPTION_DIRECTORY,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option put_options[] = {
    {OPT_HOLD, 'H', false, "hold", NULL, NULL, "create the container if need be, and stay in it",
     "Creates the container if there is none, and stays in it after the object was put, until the "
     "process is ended by a signal; so the container lives for as long."},
    OPTION_KEEP,
    OPTION_STORED,
    OPTION_GID,
    OPTION_POLICY,
    OPTION_DIRECTORY,
    OPTION_CHECKSUMS,
    OPTION_TIMEOUT,
    OPTION_PROGRESS,
    OPTION_JSON("Prints one object at the end: container, object, bytes, seconds."),
    OPTION_QUIET,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option get_options[] = {
    OPTION_DIRECTORY,
    OPTION_TIMEOUT,
    OPTION_PROGRESS,
    OPTION_JSON("Prints one object at the end: container, object, bytes, seconds. It goes to "
                "standard output if the bytes go to FILE, else to standard error."),
    OPTION_QUIET,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option cat_options[] = {
    OPTION_DIRECTORY,
    OPTION_TIMEOUT,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option rm_options[] = {
    {OPT_FORCE, 'f', false, "force", NULL, NULL, "what does not exist is no error",
     "Objects that do not exist are no error."},
    OPTION_DIRECTORY,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option destroy_options[] = {
    OPTION_DIRECTORY,
    OPTION_TIMEOUT,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option hold_options[] = {
    OPTION_KEEP,
    OPTION_STORED,
    OPTION_GID,
    OPTION_POLICY,
    OPTION_DIRECTORY,
    OPTION_CHECKSUMS,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option top_options[] = {
    {OPT_TIMES, 'n', false, "times", "N", NULL, "end after so many looks", "Ends after so many looks."},
    {OPT_INTERVAL, 'i', false, "interval", "SECONDS", NULL, "between two looks (default: 2)",
     "So many seconds between two looks; decimals are allowed."},
    OPTION_JSON("Prints one object a look: the container, and a list of objects."),
    OPTION_DIRECTORY,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option check_options[] = {
    {OPT_REPAIR, 'r', false, "repair", NULL, NULL, "declare torn blocks sound, as they are",
     "Declares blocks sound that a killed process has left half written. Their bytes stay as they "
     "are: some old, some new."},
    OPTION_DIRECTORY,
    OPTION_TIMEOUT,
    OPTION_PROGRESS,
    OPTION_JSON("Prints one object: objects, bytes, torn, damaged, repaired, and a list of what is wrong."),
    OPTION_QUIET,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option gc_options[] = {
    {OPT_DRY_RUN, 'n', false, "dry-run", NULL, NULL, "only show what would be removed",
     "Removes nothing; shows what would be removed."},
    OPTION_JSON("Prints one object with the number removed and every entry."),
    OPTION_QUIET,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_example ls_examples[] = {
    {"membrane object ls", "the containers of this user"},
    {"membrane object ls -l demo", "the objects in one, with sizes and users"},
    {"membrane object ls --json demo | jq '.objects[].name'", "for a program"},
    EXAMPLES_END,
};

static const struct tool_example stat_examples[] = {
    {"membrane object stat demo", "a container"},
    {"membrane object stat demo data", "an object"},
    EXAMPLES_END,
};

static const struct tool_example put_examples[] = {
    {"membrane object put demo data < file", "into a container that somebody holds"},
    {"membrane object put --hold demo data file &", "create it and stay, so that it lives"},
    {"membrane object put --directory /srv/demo demo data file", "into a persistent one"},
    EXAMPLES_END,
};

static const struct tool_example get_examples[] = {
    {"membrane object get demo data > file", "its bytes"},
    {"membrane object get demo data file", "the same, into the named file"},
    EXAMPLES_END,
};

static const struct tool_example cat_examples[] = {
    {"membrane object cat demo a b | sha256sum", "the bytes of several, one after the other"},
    EXAMPLES_END,
};

static const struct tool_example rm_examples[] = {
    {"membrane object rm demo data", "remove the name; who has joined it keeps it"},
    {"membrane object rm -f demo a b", "whether they exist or not"},
    EXAMPLES_END,
};

static const struct tool_example destroy_examples[] = {
    {"membrane object destroy demo", "when nobody else is in it any more"},
    {"membrane object destroy -t 0 demo", "only if nobody is"},
    EXAMPLES_END,
};

static const struct tool_example hold_examples[] = {
    {"membrane object hold demo &", "a container that lives until this process ends"},
    {"membrane object hold --policy versioned demo &", "whose readers never wait"},
    {"membrane object hold --directory /srv/demo demo &", "one that is loaded from a directory"},
    EXAMPLES_END,
};

static const struct tool_example top_examples[] = {
    {"membrane object top demo", "the busiest objects, every two seconds"},
    {"membrane object top --json -n 1 demo", "once, for a program"},
    EXAMPLES_END,
};

static const struct tool_example check_examples[] = {
    {"membrane object check demo", "read everything: torn blocks, checksums"},
    {"membrane object check --repair demo", "and declare torn blocks sound"},
    EXAMPLES_END,
};

static const struct tool_example gc_examples[] = {
    {"membrane object gc --dry-run", "show what dead processes have left"},
    {"membrane object gc", "remove it"},
    EXAMPLES_END,
};

const struct tool_verb tool_object_verbs[] = {
    {
        .name = "object ls",
        .synopsis = "[CONTAINER]",
        .brief = "list containers, or the objects of one",
        .detail = "Lists the objects of CONTAINER, or the containers of this user. Users and "
                  "members do not count this command itself.",
        .examples = ls_examples,
        .options = ls_options,
        .words = {"container"},
        .run = object_ls,
    },
    {
        .name = "object stat",
        .synopsis = "CONTAINER [OBJECT]",
        .brief = "show all about a container or an object",
        .detail = "Shows all that is known about a container or an object.",
        .examples = stat_examples,
        .options = stat_options,
        .words_min = 1,
        .words = {"container", "text"},
        .run = object_stat,
    },
    {
        .name = "object put",
        .synopsis = "CONTAINER OBJECT [FILE]",
        .brief = "fill an object from standard input or a file",
        .detail = "Creates OBJECT, or gives it another size, and writes standard input or FILE "
                  "into it. Up to 64 MiB are written as one, so that no reader sees a part; more, "
                  "and what comes from a pipe, in pieces of 64 MiB. If it fails, an object that was "
                  "there before may hold some of the new bytes.\n\n"
                  "A container lives only as long as a process is in it: see membrane object hold, "
                  "or the options --hold, --keep, --stored and --directory.",
        .examples = put_examples,
        .options = put_options,
        .words_min = 2,
        .words = {"container", "text", "file"},
        .run = object_put,
    },
    {
        .name = "object get",
        .synopsis = "CONTAINER OBJECT [FILE]",
        .brief = "copy an object to standard output or a file",
        .detail = "Writes the bytes of OBJECT to standard output, or to FILE. Up to 64 MiB are of "
                  "one moment; larger objects are read in pieces of that size.",
        .examples = get_examples,
        .options = get_options,
        .words_min = 2,
        .words = {"container", "text", "file"},
        .run = object_get,
    },
    {
        .name = "object cat",
        .synopsis = "CONTAINER OBJECT...",
        .brief = "write the bytes of objects one after the other",
        .detail = "Writes the bytes of each OBJECT to standard output.",
        .examples = cat_examples,
        .options = cat_options,
        .words_min = 2,
        .words = {"container", "text"},
        .many = true,
        .run = object_cat,
    },
    {
        .name = "object rm",
        .synopsis = "CONTAINER OBJECT...",
        .brief = "remove objects",
        .detail = "Removes the names at once. The memory of an object that processes have joined "
                  "is freed when the last of them leaves it.",
        .examples = rm_examples,
        .options = rm_options,
        .words_min = 2,
        .words = {"container", "text"},
        .many = true,
        .run = object_rm,
    },
    {
        .name = "object destroy",
        .synopsis = "CONTAINER",
        .brief = "destroy a container and all objects in it",
        .detail = "Lets nobody join it any more, waits until all others have left it, and frees "
                  "everything. Of a persistent container the files are removed, too, here or where "
                  "membraned has them. When --timeout has passed it can be joined again.",
        .examples = destroy_examples,
        .options = destroy_options,
        .words_min = 1,
        .words = {"container"},
        .run = object_destroy,
    },
    {
        .name = "object hold",
        .synopsis = "CONTAINER",
        .brief = "create a container, or join it, and stay until interrupted",
        .detail = "Creates CONTAINER, or joins it if there is one, and stays in it until this "
                  "process is ended by a signal. A container lives as long as a process is in it, "
                  "so this keeps it for other commands and programs.",
        .examples = hold_examples,
        .options = hold_options,
        .words_min = 1,
        .words = {"container"},
        .run = object_hold,
    },
    {
        .name = "object top",
        .synopsis = "CONTAINER",
        .brief = "watch the busiest objects of a container",
        .detail = "Shows the objects of CONTAINER again and again, those that are written most "
                  "often first: writes a second, size, users, policy, torn blocks.",
        .examples = top_examples,
        .options = top_options,
        .words_min = 1,
        .words = {"container"},
        .run = object_top,
    },
    {
        .name = "object check",
        .synopsis = "CONTAINER",
        .brief = "read everything and report torn and damaged blocks",
        .detail = "Reads every block of every object. Blocks that a killed process has left half "
                  "written are torn; blocks of a persistent container whose checksum is wrong are "
                  "damaged. Exit code 1 if there are any that were not repaired.",
        .examples = check_examples,
        .options = check_options,
        .words_min = 1,
        .words = {"container"},
        .run = object_check,
    },
    {
        .name = "object gc",
        .synopsis = "",
        .brief = "remove what dead processes have left",
        .detail = "Visits every container of this user, so that dead members are buried and what "
                  "they held is given back, and removes names of dead processes from the directory "
                  "of names. Others that come along do the same, so this is housekeeping, never "
                  "needed to go on.",
        .examples = gc_examples,
        .options = gc_options,
        .run = object_gc,
    },
    {.name = NULL},
};

/* clang-format on */
