/* SPDX-License-Identifier: MIT */
/*
 * Starting the new binary; see update.h. What it is given: update_state.c.
 */
#include "update.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "../tools/exits.h"
#include "../tools/say.h"
#include "base/clock.h"
#include "conn.h"
#include "containers.h"
#include "control.h"
#include "fallback.h"
#include "journal.h"
#include "log.h"
#include "notify.h"
#include "trial.h"
#include "update_state.h"
#include "update_stream.h"

#define EXTRA_MAX 64
#define UNDER_WAY "a live update is under way"

struct update {
    char own[PATH_MAX];    /* where this binary came from */
    char binary[PATH_MAX]; /* the one that was asked for; "" for own */
    char extra[1024];      /* arguments to add, cut into words when used */
    int argc;
    char **argv; /* as started, without what a live update had added */

    /* While a program is on trial. */
    struct server *server;
    struct conn *asking; /* NULL: nobody, or he has gone */
    struct trial trial;
    struct source ended;
    uint64_t deadline;
};

/* Where a program was whose file was replaced since is where the next one is. */
static void cut_deleted(char *path)
{
    static const char deleted[] = " (deleted)";
    size_t length = strlen(path);
    size_t tail = sizeof(deleted) - 1;

    if (length > tail && strcmp(path + length - tail, deleted) == 0)
        path[length - tail] = '\0';
}

int update_new(int argc, char **argv, struct update **out)
{
    struct update *update = calloc(1, sizeof(*update));
    char **kept = calloc((size_t)argc + 1, sizeof(*kept));
    ssize_t n;

    if (update == NULL || kept == NULL) {
        free(update);
        free(kept);
        return -ENOMEM;
    }
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--take-over") == 0 && i + 1 < argc)
            i++;
        else
            kept[update->argc++] = argv[i];
    }
    update->argv = kept;
    n = readlink("/proc/self/exe", update->own, sizeof(update->own) - 1);
    if (n <= 0)
        (void)snprintf(update->own, sizeof(update->own), "%s", argv[0]);
    cut_deleted(update->own);
    *out = update;
    return 0;
}

void update_free(struct update *update)
{
    if (update == NULL)
        return;
    (void)trial_end(&update->trial, NULL, 0);
    free(update->argv);
    free(update);
}

/* ---- commands ----------------------------------------------------------------------------------
 */

static void set_binary(struct update *update, const char *file, struct mbr__strbuf *reply)
{
    struct stat st;

    if (file[0] != '/' || strlen(file) >= sizeof(update->binary))
        mbr__strbuf_puts(reply, "the binary's path must be absolute");
    else if (stat(file, &st) != 0 || !S_ISREG(st.st_mode) || access(file, X_OK) != 0)
        mbr__strbuf_printf(reply, "%s: no program that could be run", file);
    else
        (void)snprintf(update->binary, sizeof(update->binary), "%s", file);
}

static void set_extra(struct update *update, const char *text, struct mbr__strbuf *reply)
{
    if (strlen(text) >= sizeof(update->extra))
        mbr__strbuf_puts(reply, "too many arguments");
    else
        (void)snprintf(update->extra, sizeof(update->extra), "%s", text);
}

/* What may stand behind -s. Nothing is waited for and nothing is forced, since transactions are
 * kept; the version is that of Xen's stream, which is not ours. */
static int check_start(int argc, const char *const *argv, struct mbr__strbuf *reply)
{
    for (int i = 1; i < argc; i++) {
        bool version = strcmp(argv[i], "-v") == 0;

        if (strcmp(argv[i], "-F") == 0)
            continue;
        if ((!version && strcmp(argv[i], "-t") != 0) || i + 1 == argc)
            return -EINVAL;
        i++;
        if (version && strcmp(argv[i], "1") != 0 && strcmp(argv[i], "2") != 0)
            mbr__strbuf_puts(reply, "this version of the stream is not known");
    }
    return 0;
}

int update_command(struct server *server, int argc, const char *const *argv,
                   struct mbr__strbuf *reply)
{
    struct update *update = server->update;
    bool change = argc >= 1 && strcmp(argv[0], "-s") != 0;

    if (change && update->trial.pid != 0) {
        mbr__strbuf_puts(reply, UNDER_WAY); /* what was tried is what will be run */
    } else if (argc == 2 && strcmp(argv[0], "-f") == 0) {
        set_binary(update, argv[1], reply);
    } else if (argc == 2 && strcmp(argv[0], "-c") == 0) {
        set_extra(update, argv[1], reply);
    } else if (argc == 1 && strcmp(argv[0], "-a") == 0) {
        update->binary[0] = '\0';
        update->extra[0] = '\0';
    } else if (argc >= 1 && strcmp(argv[0], "-s") == 0) {
        int rc = check_start(argc, argv, reply);

        return rc == 0 ? reply->length == 0 : rc;
    } else {
        return -EINVAL;
    }
    return 0;
}

/* ---- starting ----------------------------------------------------------------------------------
 */

/* The new process's arguments: the old ones, those that were asked for, and where the state is.
 * WORDS is cut up. Freed by the caller (the array alone). */
static char **make_argv(const struct update *update, char *words, char *option, char *fd)
{
    char **argv = calloc((size_t)update->argc + EXTRA_MAX + 3, sizeof(*argv));
    int n = 0;
    char *rest = NULL;

    if (argv == NULL)
        return NULL;
    for (int i = 0; i < update->argc; i++)
        argv[n++] = update->argv[i];
    for (char *word = strtok_r(words, " ", &rest); word != NULL && n < update->argc + EXTRA_MAX;
         word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;
    argv[n++] = option;
    argv[n] = fd;
    return argv;
}

static int make_state(struct server *server, const struct conn *conn, int *out)
{
    int fd = memfd_create("membrane:live-update", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int rc;

    if (fd < 0)
        return -errno;
    rc = update_state_write(server, conn, fd);
    if (rc == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        rc = -errno;
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

static void keep_open(int fd, void *user)
{
    const int *flags = user;

    if (fd >= 0)
        (void)fcntl(fd, F_SETFD, *flags);
}

/* Ends the process, or takes it back (fallback.h), if it does not serve so many seconds from now;
 * 0: it may take its time. The timer goes over to the next program. */
static void set_alarm(uint64_t seconds)
{
    struct itimerval timer = {.it_value.tv_sec = (time_t)seconds};

    (void)setitimer(ITIMER_REAL, &timer, NULL);
}

/* Becomes the binary, whose arguments are EXTRA more than ours; comes back with why not. */
static int become(struct server *server, const char *binary, char **argv, int extra)
{
    int flags = 0;
    int rc;

    notify_send("RELOADING=1");
    update_state_each_fd(server, keep_open, &flags);
    fallback_prepare(argv, extra, server->update->trial.tells);
    set_alarm(settings_number(server->settings, SETTING_UPDATE_SECONDS));
    (void)execv(binary, argv);
    rc = -errno;
    set_alarm(0);
    fallback_forget();
    flags = FD_CLOEXEC;
    update_state_each_fd(server, keep_open, &flags);
    notify_send("READY=1");
    return rc;
}

static int map_state(int fd, struct stream_in *in)
{
    struct stat st;
    void *data;

    if (fstat(fd, &st) != 0)
        return -errno;
    if (st.st_size <= 0)
        return -EBADMSG;
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return -errno;
    *in = (struct stream_in){.at = data, .left = (size_t)st.st_size};
    return 0;
}

static void unmap_state(const struct stream_in *in)
{
    (void)munmap((void *)(uintptr_t)in->at, in->left);
}

static const char *binary_of(const struct update *update)
{
    return update->binary[0] != '\0' ? update->binary : update->own;
}

/* Has the binary take over, or, ON_TRIAL, read the state in FD. Comes back from the former only
 * with why not. */
static int run_binary(struct server *server, int fd, bool on_trial)
{
    static char try_option[] = "--try-state";
    static char take_option[] = "--take-over";
    struct update *update = server->update;
    char words[sizeof(update->extra)];
    char word[TRIAL_WORD_MAX];
    char number[16];
    struct stream_in in = {0};
    char **argv;
    int extra = 0;
    int rc;

    (void)snprintf(number, sizeof(number), "%d", fd);
    memcpy(words, update->extra, sizeof(words));
    argv = make_argv(update, words, on_trial ? try_option : take_option, number);
    if (argv == NULL)
        return -ENOMEM;
    while (argv[update->argc + extra + 2] != NULL)
        extra++;
    rc = fcntl(fd, F_SETFD, 0) == 0 ? 0 : -errno;
    if (rc == 0 && on_trial)
        rc = map_state(fd, &in);
    if (rc == 0 && on_trial) {
        trial_word(in.at, in.left, word);
        unmap_state(&in);
        rc = trial_start(&update->trial, binary_of(update), argv, word);
    } else if (rc == 0) {
        rc = become(server, binary_of(update), argv, extra);
    }
    free(argv);
    return rc;
}

/* Writes the state as it is now and has the binary do with it as above; WHY if that fails. */
static int with_state(struct server *server, bool on_trial, char *why, size_t size)
{
    struct update *update = server->update;
    int fd = -1;
    int rc;

    if (server->journal != NULL && !journal_flush(server->journal)) {
        (void)snprintf(why, size, "the state cannot be written to disk");
        return -EIO;
    }
    if (!containers_settle(server->containers)) {
        (void)snprintf(why, size, "the disk of containers is too slow");
        return -EIO;
    }
    rc = make_state(server, update->asking, &fd);
    if (rc != 0) {
        (void)snprintf(why, size, "the state cannot be written down: %s", strerror(-rc));
        return rc;
    }
    rc = run_binary(server, fd, on_trial);
    if (rc != 0)
        (void)snprintf(why, size, "%s: %s", binary_of(update), strerror(-rc));
    (void)close(fd);
    return rc;
}

/* ---- the trial --------------------------------------------------------------------------------
 */

/* The trial is over: the program is run, or somebody told why not. */
static void conclude(struct update *update, bool late)
{
    char why[256] = "";
    bool passed;

    server_settle(update->server); /* what this turn has caused belongs into the state */
    server_remove(update->server, update->trial.pidfd);
    passed = trial_end(&update->trial, why, sizeof(why));
    if (passed) {
        log_info("live update to %s", binary_of(update));
        (void)with_state(update->server, false, why, sizeof(why));
    } else if (late) {
        (void)snprintf(why, sizeof(why), "%.200s: not ready in time on trial", binary_of(update));
    } else if (why[0] == '\0' || strncmp(why, update->trial.expected, strlen(why)) == 0) {
        (void)snprintf(why, sizeof(why), "%.200s: failed on trial, without a word",
                       binary_of(update));
    }
    log_warning("live update refused: %s", why);
    if (update->asking != NULL)
        control_answer(update->asking, 0, why);
    update->asking = NULL;
}

static void trial_ready(struct source *self, uint32_t events)
{
    struct update *update = mbr__container_of(self, struct update, ended);

    (void)events;
    if (update->trial.pid != 0)
        conclude(update, false);
}

void update_tick(struct update *update, uint64_t now)
{
    if (update->trial.pid != 0 && now >= update->deadline)
        conclude(update, true);
}

uint64_t update_deadline(const struct update *update)
{
    return update->trial.pid != 0 ? update->deadline : MBR__NEVER;
}

void update_forget(struct update *update, const struct conn *conn)
{
    if (update->asking == conn)
        update->asking = NULL;
}

static int begin(struct server *server, struct conn *conn, char *why, size_t size)
{
    struct update *update = server->update;
    uint64_t seconds = settings_number(server->settings, SETTING_UPDATE_SECONDS);
    int rc;

    if (settings_number(server->settings, SETTING_LIVE_UPDATE) == 0) {
        (void)snprintf(why, size, "live update is switched off (live-update = no)");
        return -EPERM;
    }
    if (update->trial.pid != 0) {
        (void)snprintf(why, size, "%s", UNDER_WAY);
        return -EBUSY;
    }
    update->server = server;
    update->asking = conn;
    rc = with_state(server, true, why, size);
    if (rc == 0) {
        update->ended.ready = trial_ready;
        update->deadline = mbr__deadline_ns(seconds * 1000000000u);
        rc = server_add(server, update->trial.pidfd, &update->ended, EPOLLIN);
        if (rc == 0)
            return 0;
        (void)trial_end(&update->trial, NULL, 0);
        (void)snprintf(why, size, "the trial cannot be waited for: %s", strerror(-rc));
    }
    update->asking = NULL;
    return rc;
}

int update_begin(struct server *server, struct conn *conn, char *why, size_t size)
{
    int rc = begin(server, conn, why, size);

    if (rc != 0)
        log_warning("live update refused: %s", why);
    return rc;
}

/* ---- the new process ---------------------------------------------------------------------------
 */

int update_restore(struct server *server, int fd)
{
    struct stream_in in;
    struct stream_in whole;
    int rc = map_state(fd, &in);

    if (rc != 0)
        return rc;
    whole = in;
    rc = update_state_read(server, &in);
    unmap_state(&whole);
    return rc;
}

void update_restored(struct server *server, int fd)
{
    int flags = FD_CLOEXEC;

    update_state_each_fd(server, keep_open, &flags);
    (void)close(fd);
    fallback_end();
    set_alarm(0);
}

int update_try(const struct settings *settings, int fd)
{
    struct server server = {.settings = settings};
    struct mbr__store_options options;
    struct mbr__store *store;
    struct stream_in in;
    struct stream_in whole;
    char word[TRIAL_WORD_MAX];
    int rc = map_state(fd, &in);

    whole = in;
    server_store_options(&server, &options);
    if (rc == 0)
        rc = mbr__store_new(&options, &store);
    if (rc == 0) {
        rc = update_state_check(settings, store, &in);
        mbr__store_free(store);
    }
    if (rc == -EXDEV)
        return tool_error(TOOL_EXIT_USAGE, NULL, "live update: another directory of state");
    if (rc == -EPROTONOSUPPORT)
        return tool_error(TOOL_EXIT_INCOMPATIBLE, NULL,
                          "live update: the state is of another version");
    if (rc != 0)
        return tool_error_system(rc, "live update: the state");
    trial_word(whole.at, whole.left, word);
    (void)fputs(word, stdout);
    (void)fputs(FALLBACK_TELLS, stdout);
    return TOOL_EXIT_OK;
}
