/* SPDX-License-Identifier: MIT */
/*
 * membraned: reads options and settings, opens what it serves, and runs the loop until it is told
 * to stop. What is opened in which order stands here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../tools/docs.h"
#include "../tools/exits.h"
#include "../tools/help.h"
#include "../tools/output.h"
#include "../tools/say.h"
#include "../tools/units.h"
#include "containers.h"
#include "fallback.h"
#include "journal.h"
#include "listen.h"
#include "log.h"
#include "notify.h"
#include "options.h"
#include "sandbox.h"
#include "server.h"
#include "settings.h"
#include "update.h"

#include <membrane/base.h>

#define DEFAULT_CONFIG "/etc/membrane/membraned.conf"

static struct {
    int argc;
    char **argv;
} started;

/* ---- settings ----------------------------------------------------------------------------------
 */

static int set_from_option(struct settings *settings, const struct tool_args *args,
                           enum tool_option_id option, enum setting_id setting)
{
    char path[4400];
    char here[4096];
    const char *value = args->value[option];

    if (value == NULL)
        return TOOL_EXIT_OK;
    /* In a file a path must be absolute; who types one means it from here. */
    if ((option == OPT_SOCKET || option == OPT_STATE || option == OPT_OBJECTS) && value[0] != '/' &&
        value[0] != '\0' && strlen(value) < 256 && getcwd(here, sizeof(here)) != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%s", here, value);
        value = path;
    }
    return settings_set(settings, setting, tool_option_name(args->verb, option), value);
}

static int load_settings(struct settings *settings, const struct tool_args *args)
{
    int code = settings_init(settings);

    if (code == TOOL_EXIT_OK && tool_given(args, OPT_CONFIG))
        code = settings_read(settings, args->value[OPT_CONFIG]);
    else if (code == TOOL_EXIT_OK && geteuid() == 0 && access(DEFAULT_CONFIG, F_OK) == 0)
        code = settings_read(settings, DEFAULT_CONFIG);
    if (code == TOOL_EXIT_OK)
        code = set_from_option(settings, args, OPT_SOCKET, SETTING_SOCKET);
    if (code == TOOL_EXIT_OK)
        code = set_from_option(settings, args, OPT_STATE, SETTING_STATE);
    if (code == TOOL_EXIT_OK)
        code = set_from_option(settings, args, OPT_OBJECTS, SETTING_OBJECTS);
    if (code == TOOL_EXIT_OK)
        code = set_from_option(settings, args, OPT_LOG_LEVEL, SETTING_LOG_LEVEL);
    return code;
}

/* The choices of [log] level, in their order. */
static enum mbr_log_level level_of(const struct settings *settings)
{
    static const enum mbr_log_level levels[] = {MBR_LOG_ERROR, MBR_LOG_WARNING, MBR_LOG_INFO,
                                                MBR_LOG_DEBUG};

    return levels[settings_number(settings, SETTING_LOG_LEVEL)];
}

/* ---- start -------------------------------------------------------------------------------------
 */

static int start_log(const struct settings *settings)
{
    const char *file = settings_text(settings, SETTING_LOG_FILE);
    int rc;

    log_init(level_of(settings));
    rc = file != NULL ? log_to(file) : 0;
    return rc == 0 ? TOOL_EXIT_OK : tool_error_system(rc, "%s", file);
}

/* Each connection is a descriptor: the soft limit is a caution for programs that use select(). */
static void raise_descriptors(const struct settings *settings)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)settings_number(settings, SETTING_CONNECTIONS) + 64;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Passed sockets; the one for containers may be missing, then there are none. */
static int take_listeners(struct server *server, int store, int containers)
{
    server->listener = store;
    if (containers < 0)
        return TOOL_EXIT_OK;
    return containers_open(server->containers, NULL, containers);
}

static int open_listeners(struct server *server)
{
    const char *path = settings_text(server->settings, SETTING_SOCKET);
    mode_t mode = (mode_t)settings_number(server->settings, SETTING_SOCKET_MODE);
    int store;
    int containers;
    int rc = notify_listeners(&store, &containers);
    int code;

    if (rc == 0)
        return take_listeners(server, store, containers);
    if (rc != -ENOENT)
        return tool_error(TOOL_EXIT_USAGE,
                          "one ListenStream= and one ListenSequentialPacket= in the socket unit",
                          "the service manager passed no listening unix socket, or others");
    if (path == NULL)
        return tool_error(TOOL_EXIT_USAGE, "--socket PATH, or set XDG_RUNTIME_DIR",
                          "nothing says where to listen");
    code = listen_open(path, mode, &server->listener, &server->lock);
    return code == TOOL_EXIT_OK ? containers_open(server->containers, path, -1) : code;
}

static int open_journal(struct server *server)
{
    const char *dir = settings_text(server->settings, SETTING_STATE);

    return dir != NULL ? journal_open(dir, &server->journal) : TOOL_EXIT_OK;
}

static int make_store(struct server *server)
{
    struct mbr__store_options options;
    int rc;

    server_store_options(server, &options);
    rc = mbr__store_new(&options, &server->store);
    return rc == 0 ? TOOL_EXIT_OK : tool_error_system(rc, "the store");
}

/* The number of a descriptor; -1 for what is none. */
static int descriptor_of(const char *text)
{
    uint64_t number;

    return tool_parse_number(text, &number) == 0 && number <= INT32_MAX ? (int)number : -1;
}

/* A live update's state, or everything from the beginning. */
static int take_over(struct server *server, const char *fd)
{
    int rc = update_restore(server, descriptor_of(fd));

    return rc == 0 ? TOOL_EXIT_OK : tool_error_system(rc, "live update: the state");
}

static int open_all(struct server *server, const struct tool_args *args)
{
    bool resumed = tool_given(args, OPT_TAKE_OVER);
    int code = resumed ? TOOL_EXIT_OK : open_listeners(server);

    if (code == TOOL_EXIT_OK)
        code = open_journal(server);
    if (code == TOOL_EXIT_OK)
        code = make_store(server);
    if (code == TOOL_EXIT_OK)
        code = containers_open_shelf(server->containers);
    if (code == TOOL_EXIT_OK && resumed)
        code = take_over(server, args->value[OPT_TAKE_OVER]);
    if (code == TOOL_EXIT_OK && server->journal != NULL)
        code = journal_start(server->journal, server->store, resumed);
    if (code == TOOL_EXIT_OK)
        code = containers_start_shelf(server->containers);
    if (code == TOOL_EXIT_OK) {
        int rc = server_watch(server);

        if (rc != 0)
            code = tool_error_system(rc, "the event loop");
    }
    return code;
}

static int enter_sandbox(struct server *server)
{
    int rc;

    if (server->sandboxed || settings_number(server->settings, SETTING_SANDBOX) == 0)
        return TOOL_EXIT_OK;
    rc = sandbox_enter(settings_number(server->settings, SETTING_LIVE_UPDATE) != 0);
    if (rc != 0)
        return tool_error_system(rc, "the sandbox");
    server->sandboxed = true;
    return TOOL_EXIT_OK;
}

static int serve(struct server *server, const struct tool_args *args)
{
    const char *state = settings_text(server->settings, SETTING_STATE);
    const char *path = settings_text(server->settings, SETTING_SOCKET);
    bool resumed = tool_given(args, OPT_TAKE_OVER);
    int code = open_all(server, args);

    if (code == TOOL_EXIT_OK)
        code = enter_sandbox(server);
    if (code == TOOL_EXIT_OK) {
        if (resumed)
            update_restored(server, descriptor_of(args->value[OPT_TAKE_OVER]));
        if (fallback_happened())
            log_warning("live update failed: the new program has ended before it served");
        log_info("%s: version=%s socket=%s state=%s",
                 fallback_happened() ? "going on"
                 : resumed           ? "updated"
                                     : "started",
                 mbr_version(), server->lock >= 0 ? path : "passed",
                 state != NULL ? state : "memory");
        notify_send("READY=1\nSTATUS=serving");
        code = server_run(server);
        notify_send("STOPPING=1");
        log_info("stopped: exit=%d", code);
    } else {
        fallback_go(); /* while all is as it was */
    }
    if (server->lock >= 0)
        listen_close(path, server->listener, server->lock);
    return code;
}

static int run_server(const struct settings *settings, const struct tool_args *args)
{
    struct server *server = malloc(sizeof(*server));
    int code;
    int rc = server != NULL ? server_init(server, settings) : -ENOMEM;

    if (rc == 0)
        rc = update_new(started.argc, started.argv, &server->update);
    if (rc != 0)
        code = tool_error_system(rc, "the daemon");
    else
        code = serve(server, args);
    if (server != NULL) {
        server_fini(server);
        update_free(server->update);
    }
    free(server);
    return code;
}

int daemon_run(const struct tool_args *args)
{
    struct settings settings;
    int code = load_settings(&settings, args);

    if (code == TOOL_EXIT_OK && tool_given(args, OPT_DUMP_CONFIG)) {
        settings_dump(&settings, stdout);
    } else if (code == TOOL_EXIT_OK && tool_given(args, OPT_TRY_STATE)) {
        code = update_try(&settings, descriptor_of(args->value[OPT_TRY_STATE]));
    } else if (code == TOOL_EXIT_OK) {
        code = start_log(&settings);
        raise_descriptors(&settings);
        if (code == TOOL_EXIT_OK)
            code = run_server(&settings, args);
    }
    settings_fini(&settings);
    return code;
}

/* ---- the command line --------------------------------------------------------------------------
 */

static int print_man(void)
{
    int code = tool_docs_man(stdout);

    settings_man(stdout);
    return code;
}

static int run(int argc, char **argv)
{
    struct tool_args args;
    int code = tool_parse(tool_verbs, argc, argv, &args);

    if (code != TOOL_EXIT_OK)
        return code;
    if (tool_given(&args, OPT_HELP)) {
        tool_help_verb(tool_verbs, stdout);
        return TOOL_EXIT_OK;
    }
    if (tool_given(&args, OPT_VERSION)) {
        printf("membraned %s\n", mbr_version());
        return TOOL_EXIT_OK;
    }
    if (tool_given(&args, OPT_COMPLETION))
        return tool_docs_completion(args.value[OPT_COMPLETION], stdout);
    if (tool_given(&args, OPT_MAN))
        return print_man();
    return tool_verbs->run(&args);
}

int main(int argc, char **argv)
{
    if (output_guard() != 0)
        return TOOL_EXIT_LIMIT;
    started.argc = argc;
    started.argv = argv;
    fallback_arm(argc, argv);

    int code = run(argc, argv);

    if (code != TOOL_EXIT_OK)
        fallback_go(); /* it has not come as far as to serve */
    return tool_finish_stdout(code);
}
