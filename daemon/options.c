/* SPDX-License-Identifier: MIT */
/*
 * The option table of membraned, in the form of tools/options.h: help, man page, usage errors and
 * completions are made from it.
 */
#include "options.h"

/* clang-format off */

const struct tool_program tool_program = {.name = "membraned", .verbless = true};

static const struct tool_option options[] = {
    {OPT_CONFIG, 'c', false, "config", "FILE", NULL, "read settings from FILE",
     "Reads settings from FILE. Without it /etc/membrane/membraned.conf is read, if it is there and "
     "the daemon runs as root. What the command line says wins."},
    {OPT_SOCKET, 's', false, "socket", "PATH", NULL, "listen on PATH",
     "Listens on PATH instead of $XENSTORED_PATH, /run/membrane/store or "
     "$XDG_RUNTIME_DIR/membrane/store. Ignored when the service manager has passed a socket."},
    {OPT_STATE, 'd', false, "state", "DIR", NULL, "keep the store on disk in DIR",
     "Keeps the store on disk in DIR: each change is there before it is acknowledged. Without it "
     "the store lives in memory and begins empty."},
    {OPT_OBJECTS, 'o', false, "objects", "DIR", NULL, "keep persistent containers in DIR",
     "Keeps persistent containers of shared objects in DIR, one directory for each; what their "
     "members have synced is there after a restart. Without it such containers are refused."},
    {OPT_LOG_LEVEL, 'l', false, "log-level", "LEVEL", "error warning info debug", "the least urgent messages to log",
     "Leaves out messages less urgent than LEVEL (default: info)."},
    {OPT_DUMP_CONFIG, 0, false, "dump-config", NULL, NULL, "print the settings in effect and end",
     "Prints all settings, their values and where these come from, as a configuration file, and "
     "ends."},
    {OPT_VERSION, 'V', false, "version", NULL, NULL, "show the version", "Shows the version."},
    {OPT_COMPLETION, 0, true, "completion", "SHELL", "bash zsh fish", "print a completion script", ""},
    {OPT_MAN, 0, true, "man-options", NULL, NULL, "print the man page's tables in scdoc", ""},
    {OPT_TAKE_OVER, 0, true, "take-over", "FD", NULL, "continue from a live update", ""},
    {OPT_TRY_STATE, 0, true, "try-state", "FD", NULL, "see whether a live update could continue", ""},
    {OPT_HELP, 'h', false, "help", NULL, NULL, "show this help", "Shows this help."},
    {.name = NULL},
};

static const struct tool_example examples[] = {
    {"membraned", "serve in the foreground"},
    {"membraned --state /var/lib/membrane", "the same, on disk"},
    {"membraned --state /var/lib/membrane/store --objects /var/lib/membrane/objects", "containers, too"},
    {"membraned --socket /tmp/store &", "beside another one; clients use"},
    {"XENSTORED_PATH=/tmp/store xenstore-ls", "  XENSTORED_PATH"},
    {"membraned --dump-config", "all settings"},
    {.command = NULL},
};

const struct tool_verb tool_verbs[] = {
    {
        .name = "membraned",
        .synopsis = "",
        .brief = "serve the store",
        .detail = "Serves a store of hierarchical names with watches, transactions and permissions "
                  "over a unix socket, in the protocol of Xenstore. Runs in the foreground until "
                  "SIGTERM or SIGINT; SIGHUP opens the log file anew, SIGUSR2 starts a live update.",
        .examples = examples,
        .options = options,
        .run = daemon_run,
    },
    {.name = NULL},
};

/* clang-format on */
