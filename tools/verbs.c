/* SPDX-License-Identifier: MIT */
/*
 * The option table: every verb, its arguments, options and examples, once. --help, the man page and
 * the shell completions are printed from it, and the parser follows it.
 */
#include "verbs.h"
#include "object.h"
#include "store.h"

#include <stddef.h>
#include <string.h>

const struct tool_program tool_program = {.name = "membrane", .paths = store_paths};

/* clang-format off */

#define OPTIONS_END {.name = NULL}
#define EXAMPLES_END {.command = NULL}

#define OPTION_HELP \
    {OPT_HELP, 'h', false, "help", NULL, NULL, "show this help", \
     "Shows examples, options and exit codes of the verb."}
#define OPTION_JSON(where) \
    {OPT_JSON, 'j', false, "json", NULL, NULL, "print the result as one JSON object", \
     "Prints one JSON object " where}
#define OPTION_QUIET(brief, detail) \
    {OPT_QUIET, 'q', false, "quiet", NULL, NULL, brief, detail}
#define OPTION_TIMEOUT \
    {OPT_TIMEOUT, 't', false, "timeout", "SECONDS", NULL, "give up when the other side lets us wait longer", \
     "Gives up, with exit code 6, when the other side has not come after so many seconds, or later " \
     "lets us wait for so long. Decimals are allowed; 0 looks once. Without it there is no limit."}
#define OPTION_PROGRESS \
    {OPT_PROGRESS, 'p', false, "progress", "WHEN", "auto always never", "show a progress line (default: auto)", \
     "Shows bytes, rate and, when the size is known, the time left on standard error, once the " \
     "transfer has taken a second. With auto: when standard error is a terminal on which nothing " \
     "else is typed or printed. On anything but a terminal, and on a dumb one, always prints a new " \
     "line every second instead of redrawing one."}

static const struct tool_option send_options[] = {
    {OPT_CAPACITY, 'c', false, "capacity", "SIZE", NULL, "bytes of the ring (default: 1M)",
     "Bytes of shared memory between the two sides, rounded up to a power of two, from 64K to 1G; "
     "K, M and G stand for powers of 1024. The environment variable MEMBRANE_CAPACITY sets another "
     "default."},
    {OPT_MESSAGE, 'm', false, "message", "SIZE", NULL, "bytes of a message at most (default: 256K)",
     "Reads at most so many bytes at once and sends them as one message, from 64 to a quarter of "
     "the ring, less what a message needs for itself. Larger messages cost fewer system calls, "
     "smaller ones stay in the processor's cache."},
    OPTION_TIMEOUT,
    OPTION_PROGRESS,
    OPTION_JSON("on standard output at the end: role, name, bytes, seconds, rate in bytes a "
                "second, and error if there was one."),
    OPTION_QUIET("no progress line and no notes, only errors", "Shows no progress line and no notes, only errors."),
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option recv_options[] = {
    OPTION_TIMEOUT,
    OPTION_PROGRESS,
    OPTION_JSON("at the end: role, name, bytes, seconds, rate in bytes a second, and error if "
                "there was one. It goes to standard output if the data goes to FILE, else to "
                "standard error, where it then replaces the messages."),
    OPTION_QUIET("no progress line and no notes, only errors", "Shows no progress line and no notes, only errors."),
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option bench_options[] = {
    {OPT_DEMO, 0, false, "demo", NULL, NULL, "the short run that ./dev demo shows",
     "Three short repetitions, done in about ten seconds: good for a look, not for a comparison."},
    {OPT_RUNS, 'r', false, "runs", "N", NULL, "repetitions of each measurement (default: 5)",
     "Repeats each measurement so many times, from 1 to 100, all subjects taking turns, and shows "
     "medians."},
    {OPT_SIZE, 's', false, "size", "SIZE", NULL, "bytes of a streamed message (default: 1M)",
     "Bytes of each message in the measurement of throughput, a multiple of 8 from 64 to 16M. Round "
     "trips are always of 64 bytes."},
    OPTION_JSON("instead of the table: every sample, the medians and the environment."),
    OPTION_QUIET("no progress on standard error", "Shows no progress on standard error."),
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option doctor_options[] = {
    OPTION_JSON("with the list of checks: status, what, value, why, fix."),
    OPTION_QUIET("only what is not in order", "Shows only what is not in order."),
    {OPT_COLOR, 0, false, "color", "WHEN", "auto always never", "colour the verdicts (default: auto)",
     "Colours the first word of each line. With auto: on a terminal that is not dumb, unless "
     "NO_COLOR is set in the environment."},
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option gc_options[] = {
    {OPT_DRY_RUN, 'n', false, "dry-run", NULL, NULL, "only show what would be removed",
     "Removes nothing; shows what would be removed. Exit code 0 in either case."},
    OPTION_JSON("with the directory, the number removed and every entry."),
    OPTION_QUIET("only errors", "Shows only errors."),
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option shim_options[] = {
    {OPT_LIBOS, 'l', false, "libos", "KIND", "catloop catnap", "what carries its TCP connections (default: catloop)",
     "With catloop, connections between two programs under the shim, of one user on one machine, "
     "move into shared memory; all others are the kernel's. With catnap all are the kernel's, and "
     "a wait looks for a moment before it sleeps."},
    {OPT_CAPACITY, 'c', false, "capacity", "SIZE", NULL, "bytes of ring each way of a connection (default: 64K)",
     "Bytes of shared memory each way of a connection that has moved, rounded up to a power of "
     "two, from 4K to 1G; K, M and G stand for powers of 1024. The environment variable "
     "MEMBRANE_CAPACITY sets another default."},
    {OPT_NO_NAMES, 'n', false, "no-names", NULL, NULL, "meet no programs that use catloop themselves",
     "Neither gives listening sockets a name by which clients that use catloop find them, nor "
     "connects to servers that use it."},
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option version_options[] = {
    {OPT_VERBOSE, 'v', false, "verbose", NULL, NULL, "also commit, compiler and what the kernel offers",
     "Adds the commit, the compiler, the libraries and what probing found of the kernel."},
    OPTION_JSON("with all that --verbose shows."),
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_option help_options[] = {
    {OPT_COMPLETION, 0, true, "completion", "SHELL", "bash zsh fish", "print a completion script", ""},
    {OPT_MAN, 0, true, "man-options", NULL, NULL, "print the man page's tables in scdoc", ""},
    {OPT_GROUP, 0, true, "group", "VERB", NULL, "of the verbs within this one", ""},
    {OPT_PATHS, 0, true, "paths", "PATH", NULL, "print what a path of the store may go on to", ""},
    {OPT_NAMES, 0, true, "names", NULL, NULL, "print the names of pipes, for completions", ""},
    OPTION_HELP,
    OPTIONS_END,
};

static const struct tool_example send_examples[] = {
    {"membrane send demo < image.iso", "send a file to whoever receives demo"},
    {"membrane send demo image.iso", "the same, with the time left in the progress line"},
    {"tar -c src | membrane send demo", "send what another program prints"},
    {"membrane send --timeout 10 demo < log", "wait for a receiver for 10 s at most"},
    EXAMPLES_END,
};

static const struct tool_example recv_examples[] = {
    {"membrane recv demo > image.iso", "receive what somebody sends to demo"},
    {"membrane recv demo image.iso", "the same, into the named file"},
    {"membrane recv demo | tar -x", "hand it to another program"},
    {"membrane recv --json demo data | jq .rate", "bytes a second"},
    EXAMPLES_END,
};

static const struct tool_example bench_examples[] = {
    {"membrane bench", "compare with kernel pipe, unix socket and TCP"},
    {"membrane bench --size 16K --runs 9", "other messages, more repetitions"},
    {"membrane bench --json > bench.json", "every sample, for a program"},
    EXAMPLES_END,
};

static const struct tool_example store_examples[] = {
    {"membrane store write /demo/name hello", "set a value"},
    {"membrane store read /demo/name", "print it"},
    {"membrane store tree", "see all of it"},
    {"membrane store watch /demo", "follow its changes"},
    EXAMPLES_END,
};

static const struct tool_example object_examples[] = {
    {"membrane object hold demo &", "a container that lives until this ends"},
    {"membrane object put demo data < file", "an object in it, with the bytes of a file"},
    {"membrane object ls -l demo", "what is in it"},
    {"membrane object get demo data > copy", "its bytes back"},
    EXAMPLES_END,
};

static const struct tool_example doctor_examples[] = {
    {"membrane doctor", "check kernel, limits, directories and libraries"},
    {"membrane doctor --quiet", "show only what is not in order"},
    {"membrane doctor --json | jq '.checks[]'", "for a program"},
    EXAMPLES_END,
};

static const struct tool_example gc_examples[] = {
    {"membrane gc --dry-run", "show what dead processes have left"},
    {"membrane gc", "remove it"},
    EXAMPLES_END,
};

static const struct tool_example shim_examples[] = {
    {"membrane shim -- redis-server redis.conf", "a server; clients under the shim talk to it in shared memory"},
    {"membrane shim -- redis-benchmark", "such a client"},
    {"membrane shim --libos catnap -- curl http://localhost/", "over the kernel's sockets"},
    EXAMPLES_END,
};

static const struct tool_example version_examples[] = {
    {"membrane version", "one line"},
    {"membrane version --verbose", "what to put into a bug report"},
    EXAMPLES_END,
};

static const struct tool_example help_examples[] = {
    {"membrane help", "all verbs"},
    {"membrane help send", "one verb"},
    {"membrane help store read", "a verb within a group"},
    EXAMPLES_END,
};

const struct tool_verb tool_verbs[] = {
    {
        .name = "send",
        .synopsis = "NAME [FILE]",
        .brief = "send standard input or a file to a named pipe",
        .detail = "Moves standard input, or FILE, into the shared-memory pipe NAME, from which "
                  "another process of the same user takes it with membrane recv. Either may start "
                  "first; the other is waited for. Ends with exit code 0 only after the receiver "
                  "has said that it has written everything.\n\n"
                  "A NAME has 1 to 240 bytes of UTF-8 without slash. Only one sender and one "
                  "receiver use a name at a time: a second sender that finds a waiting one ends "
                  "with exit code 1, and whoever finds a pair at work waits until it has finished.",
        .examples = send_examples,
        .options = send_options,
        .words_min = 1,
        .words = {"pipe", "file"},
        .run = tool_send,
    },
    {
        .name = "recv",
        .synopsis = "NAME [FILE]",
        .brief = "receive from a named pipe to standard output or a file",
        .detail = "Moves what membrane send puts into the shared-memory pipe NAME to standard "
                  "output, or to FILE, which is overwritten once a sender has come. Either may "
                  "start first; the other is waited for. When the sender dies or gives up, what "
                  "had been sent until then is written, and the exit code is 3.",
        .examples = recv_examples,
        .options = recv_options,
        .words_min = 1,
        .words = {"pipe", "file"},
        .run = tool_recv,
    },
    {
        .name = "bench",
        .synopsis = "",
        .brief = "measure this pipe beside what the kernel offers",
        .detail = "Measures the throughput of large messages and the round-trip time of 64-byte "
                  "ones through a membrane pipe, a kernel pipe, a unix socket and TCP over "
                  "loopback, in one run on the same two processors, and prints one table.",
        .examples = bench_examples,
        .options = bench_options,
        .run = tool_bench,
    },
    {
        .name = "store",
        .synopsis = "VERB",
        .brief = "read, write and watch the store that domains find each other by",
        .detail = "Looks at and changes the tree of names that membraned serves, or another "
                  "daemon that speaks Xenstore's protocol.",
        .examples = store_examples,
        .group = tool_store_verbs,
    },
    {
        .name = "object",
        .synopsis = "VERB",
        .brief = "look at and change shared objects in containers",
        .detail = "Looks at, fills, reads and looks after containers of shared objects.",
        .examples = object_examples,
        .group = tool_object_verbs,
    },
    {
        .name = "doctor",
        .synopsis = "",
        .brief = "check whether this machine has what membrane needs",
        .detail = "Checks, by trying, what the kernel offers, the limits of this process, the "
                  "directory of names, memory, clock and libraries. Each line is ok, warn or "
                  "fail, what was checked, what was found, and for warn and fail why that matters "
                  "and what to do. Exit code 1 if anything fails.",
        .examples = doctor_examples,
        .options = doctor_options,
        .run = tool_doctor,
    },
    {
        .name = "gc",
        .synopsis = "",
        .brief = "remove names that dead processes have left",
        .detail = "Removes what processes that were killed have left in the directory of names. "
                  "Their memory is gone already: it ends with its last user. Names are also taken "
                  "over by whoever uses them next, so this is housekeeping, never needed to go on.",
        .examples = gc_examples,
        .options = gc_options,
        .run = tool_gc,
    },
    {
        .name = "shim",
        .synopsis = "-- PROGRAM [ARGUMENT...]",
        .brief = "run a program with its sockets on shared memory",
        .detail = "Runs PROGRAM, unchanged, with its TCP sockets on the shim library. Where both "
                  "ends of a connection run so and belong to one user on one machine, its bytes "
                  "go through shared memory from its third transfer on; every other connection, "
                  "and all that is no TCP socket, is the kernel's as before. Programs that use "
                  "catloop themselves are met at the same addresses and ports. Ends with the exit "
                  "code of PROGRAM, which takes this process's place. Programs that are "
                  "statically linked or set-user-ID run without the shim.",
        .examples = shim_examples,
        .options = shim_options,
        .command = true,
        .run = tool_shim,
    },
    {
        .name = "version",
        .synopsis = "",
        .brief = "show the version",
        .detail = "Shows the version of the tool and, where it differs, of the library.",
        .examples = version_examples,
        .options = version_options,
        .run = tool_version,
    },
    {
        .name = "help",
        .synopsis = "[VERB [VERB]]",
        .brief = "show help on a verb",
        .detail = "The same as membrane VERB --help; without VERB, all verbs.",
        .examples = help_examples,
        .options = help_options,
        .words = {"verb", "subverb"},
        .run = tool_help,
    },
    {.name = NULL},
};

/* clang-format on */
