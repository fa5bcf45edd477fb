/* SPDX-License-Identifier: MIT */
/*
 * See trial.h.
 */
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "fallback.h"

/* Of the state, its end: that the rest was read too is what the end is found by. */
#define TAIL 4096u

extern char **environ;

void trial_word(const void *data, size_t size, char word[TRIAL_WORD_MAX])
{
    const uint64_t key[2] = {size, UINT64_C(0x6d656d6272616e65)};
    size_t tail = size < TAIL ? size : TAIL;
    uint64_t hash = mbr__siphash13(key, (const char *)data + (size - tail), tail);

    (void)snprintf(word, TRIAL_WORD_MAX, "membraned has read %016" PRIx64 "\n", hash);
}

/* In a group of its own, so that what it starts can be ended with it; FLAGS may leave that out. */
static int spawn(const char *binary, char **argv, int said, short flags, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int rc;

    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setpgroup(&attributes, 0);
    (void)posix_spawnattr_setflags(&attributes, flags);
    rc = posix_spawn_file_actions_init(&actions);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, said, STDOUT_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, said, STDERR_FILENO);
    if (rc == 0)
        rc = posix_spawn(pid, binary, &actions, &attributes, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return -rc;
}

int trial_start(struct trial *trial, const char *binary, char **argv, const char *word)
{
    const short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP;
    int ends[2];
    pid_t pid = -1;
    int rc;

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return -errno;
    rc = spawn(binary, argv, ends[1], flags, &pid);
    if (rc == -ENOSYS) /* a sandbox that an older program has entered */
        rc = spawn(binary, argv, ends[1], POSIX_SPAWN_SETSIGMASK, &pid);
    (void)close(ends[1]);
    if (rc != 0) {
        (void)close(ends[0]);
        return rc;
    }
    *trial = (struct trial){.pid = pid, .said = ends[0]};
    (void)snprintf(trial->expected, sizeof(trial->expected), "%s", word);
    trial->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (trial->pidfd < 0) {
        rc = -errno;
        (void)trial_end(trial, NULL, 0);
    }
    return rc;
}

/* Whether the program has said the word, and what it has said, the first line of it, into WHY. */
static bool hear(struct trial *trial, char *why, size_t size)
{
    char text[8192];
    ssize_t n = read(trial->said, text, sizeof(text) - 1);
    bool right;

    text[n > 0 ? n : 0] = '\0';
    right = strstr(text, trial->expected) != NULL;
    trial->tells = strstr(text, FALLBACK_TELLS) != NULL;
    text[strcspn(text, "\n")] = '\0';
    if (why != NULL)
        (void)snprintf(why, size, "%.*s", (int)(size - 1), text);
    return right;
}

bool trial_end(struct trial *trial, char *why, size_t size)
{
    struct pollfd ended = {.fd = trial->pidfd, .events = POLLIN};
    bool late;
    bool right;
    int status = -1;

    if (trial->pid == 0)
        return false;
    late = trial->pidfd < 0 || poll(&ended, 1, 0) != 1;
    /* Its group ends in any case: what it has left behind has the state open. The number is not
     * another's, as long as nobody has waited for the child. */
    (void)kill(-trial->pid, SIGKILL);
    if (late)
        (void)kill(trial->pid, SIGKILL);
    while (waitpid(trial->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    right = hear(trial, why, size);
    if (trial->pidfd >= 0)
        (void)close(trial->pidfd);
    (void)close(trial->said);
    trial->pid = 0;
    return !late && right && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
