/* SPDX-License-Identifier: MIT */
/*
 * Starting the new binary; see update.h. What it is given: update_state.c.
 */
#include "update.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tools/exits.h"
#include "../tools/say.h"
#include "conn.h"
#include "fallback.h"
#include "journal.h"
#include "log.h"
#include "notify.h"
#include "update_state.h"
#include "update_stream.h"

#define EXTRA_MAX     64
#define TRIAL_SECONDS 30

extern char **environ;

struct update {
    char own[PATH_MAX];    /* where this binary came from */
    char binary[PATH_MAX]; /* the one that was asked for; "" for own */
    char extra[1024];      /* arguments to add, cut into words when used */
    int argc;
    char **argv; /* as started, without what a live update had added */
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

    if (argc == 2 && strcmp(argv[0], "-f") == 0) {
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

/* Waits for the trial; true if it has said yes. */
static bool wait_trial(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};
    int status = -1;

    if (pidfd < 0 || poll(&wait, 1, TRIAL_SECONDS * 1000) != 1)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (pidfd >= 0)
        (void)close(pidfd);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* What the trial has said on its standard error, one line of it. */
static void read_complaint(int fd, char *why, size_t size)
{
    ssize_t n = read(fd, why, size - 1);

    why[n > 0 ? n : 0] = '\0';
    why[strcspn(why, "\n")] = '\0';
}

static int spawn(const char *binary, char **argv, int error_fd, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int rc;

    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    rc = posix_spawn_file_actions_init(&actions);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, error_fd, STDERR_FILENO);
    if (rc == 0)
        rc = posix_spawn(pid, binary, &actions, &attributes, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return -rc;
}

/* Lets the binary read the state in a child. */
static int try_binary(const char *binary, char **argv, char *why, size_t size)
{
    int ends[2];
    pid_t pid = -1;
    int rc;

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return -errno;
    rc = spawn(binary, argv, ends[1], &pid);
    if (rc == 0 && !wait_trial(pid)) {
        rc = -EPROTO;
        read_complaint(ends[0], why, size);
        if (why[0] == '\0')
            (void)snprintf(why, size, "%s: failed on trial, without a word", binary);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    return rc;
}

static void keep_open(int fd, void *user)
{
    const int *flags = user;

    if (fd >= 0)
        (void)fcntl(fd, F_SETFD, *flags);
}

/* Becomes the binary, whose arguments are EXTRA more than ours; comes back with why not. */
static int become(struct server *server, const char *binary, char **argv, int extra)
{
    int flags = 0;
    int rc;

    notify_send("RELOADING=1");
    update_state_each_fd(server, keep_open, &flags);
    fallback_prepare(extra);
    (void)execv(binary, argv);
    rc = -errno;
    fallback_forget();
    flags = FD_CLOEXEC;
    update_state_each_fd(server, keep_open, &flags);
    notify_send("READY=1");
    return rc;
}

/* Trial and exec with the state in FD, which stays open over both. */
static int hand_over(struct server *server, int fd, char *why, size_t size)
{
    static char try_option[] = "--try-state";
    static char take_option[] = "--take-over";
    struct update *update = server->update;
    const char *binary = update->binary[0] != '\0' ? update->binary : update->own;
    char words[sizeof(update->extra)];
    char number[16];
    char **argv;
    int rc;

    (void)snprintf(number, sizeof(number), "%d", fd);
    memcpy(words, update->extra, sizeof(words));
    argv = make_argv(update, words, try_option, number);
    if (argv == NULL || fcntl(fd, F_SETFD, 0) != 0) {
        free(argv);
        return -ENOMEM;
    }
    rc = try_binary(binary, argv, why, size);
    if (rc == 0) {
        int last = 0;

        while (argv[last + 2] != NULL)
            last++;
        argv[last] = take_option;
        log_info("live update to %s", binary);
        rc = become(server, binary, argv, last - update->argc);
    }
    if (rc != 0 && why[0] == '\0')
        (void)snprintf(why, size, "%s: %s", binary, strerror(-rc));
    free(argv);
    return rc;
}

void update_run(struct server *server, struct conn *conn, char *why, size_t size)
{
    int fd = -1;
    int rc;

    if (settings_number(server->settings, SETTING_LIVE_UPDATE) == 0) {
        (void)snprintf(why, size, "live update is switched off (live-update = no)");
    } else if (server->journal != NULL && !journal_flush(server->journal)) {
        (void)snprintf(why, size, "the state cannot be written to disk");
    } else {
        rc = make_state(server, conn, &fd);
        if (rc != 0) {
            (void)snprintf(why, size, "the state cannot be written down: %s", strerror(-rc));
        } else {
            (void)hand_over(server, fd, why, size);
            (void)close(fd);
        }
    }
    log_warning("live update refused: %s", why);
}

/* ---- the new process ---------------------------------------------------------------------------
 */

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

int update_restore(struct server *server, int fd)
{
    struct stream_in in;
    struct stream_in whole;
    int rc = map_state(fd, &in);

    if (rc != 0)
        return rc;
    whole = in;
    rc = update_state_read(server, &in);
    (void)munmap((void *)(uintptr_t)whole.at, whole.left);
    return rc;
}

void update_restored(struct server *server, int fd)
{
    int flags = FD_CLOEXEC;

    update_state_each_fd(server, keep_open, &flags);
    (void)close(fd);
    fallback_end();
}

int update_try(const struct settings *settings, int fd)
{
    struct server server = {.settings = settings};
    struct mbr__store_options options;
    struct mbr__store *store;
    struct stream_in in;
    int rc = map_state(fd, &in);

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
    return rc == 0 ? TOOL_EXIT_OK : tool_error_system(rc, "live update: the state");
}
