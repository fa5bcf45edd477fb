/* SPDX-License-Identifier: MIT */
/*
 * See listen.h. The order is: directory, lock, look at what is there, remove it, bind. Whoever
 * removes the lock file holds the lock; so after locking one must see whether it is still the file
 * of that name.
 */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../tools/exits.h"
#include "../tools/say.h"

#define BACKLOG     4096
#define SOCKET_HINT "another path, with --socket or XENSTORED_PATH"

static int lock_path(const char *path, char *out, size_t size)
{
    return snprintf(out, size, "%s.lock", path) < (int)size ? 0 : -ENAMETOOLONG;
}

/* The last directory is made if it is missing. Root's is passable for everybody, who could not
 * connect otherwise; a user's own is his. */
static int make_directory(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');

    if (slash == path)
        return TOOL_EXIT_OK;
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
    if (mkdir(dir, 0700) == 0) {
        if (geteuid() == 0 && chmod(dir, 0711) != 0)
            return tool_error_system(errno, "%s", dir);
        return TOOL_EXIT_OK;
    }
    if (errno == EEXIST) {
        /* Made by a program that only needs pipes of its own: let others through to the socket. */
        struct stat st;

        if (geteuid() == 0 && strcmp(path, "/run/membrane/store") == 0 && lstat(dir, &st) == 0 &&
            S_ISDIR(st.st_mode) && st.st_uid == 0 && (st.st_mode & 07777) == 0700)
            (void)chmod(dir, 0711);
        return TOOL_EXIT_OK;
    }
    return tool_error_system(errno, "%s", dir);
}

/* Who has the lock, as far as the file says. */
static int tell_holder(const char *path, int lock)
{
    char text[32] = "";
    ssize_t n = pread(lock, text, sizeof(text) - 1, 0);

    if (n > 0)
        text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return tool_error(TOOL_EXIT_NEGATIVE, SOCKET_HINT, "%s: served by another membraned%s%s", path,
                      text[0] != '\0' ? ", process " : "", text);
}

static int take_lock(const char *path, int *out)
{
    char name[PATH_MAX];
    struct stat mine;
    struct stat there;

    if (lock_path(path, name, sizeof(name)) != 0)
        return tool_error_system(ENAMETOOLONG, "%s", path);
    for (;;) {
        int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (lock < 0)
            return tool_error_system(errno, "%s", name);
        if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
            int code = errno == EWOULDBLOCK ? tell_holder(path, lock)
                                            : tool_error_system(errno, "%s", name);

            (void)close(lock);
            return code;
        }
        if (fstat(lock, &mine) == 0 && lstat(name, &there) == 0 && mine.st_ino == there.st_ino &&
            mine.st_dev == there.st_dev) {
            *out = lock;
            return TOOL_EXIT_OK;
        }
        (void)close(lock); /* its last holder has just removed it */
    }
}

static void write_pid(int lock)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    if (ftruncate(lock, 0) != 0 || pwrite(lock, text, (size_t)length, 0) != length)
        (void)0; /* for people only */
}

/* Something is at PATH and no membraned has the lock. */
static int clear_stale(const char *path, const struct sockaddr_un *address)
{
    struct stat st;
    int probe;
    int error;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? TOOL_EXIT_OK : tool_error_system(errno, "%s", path);
    if (!S_ISSOCK(st.st_mode))
        return tool_error(TOOL_EXIT_NEGATIVE, SOCKET_HINT, "%s: is in the way, and no socket",
                          path);
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return tool_error_system(errno, "%s", path);
    error = connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
    (void)close(probe);
    if (error != ECONNREFUSED && error != ENOENT)
        return tool_error(TOOL_EXIT_NEGATIVE, SOCKET_HINT, "%s: served by another program", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return tool_error_system(errno, "%s", path);
    return TOOL_EXIT_OK;
}

static int bind_socket(const char *path, mode_t mode, int *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t before;
    bool bound;
    int code;
    int fd;

    if (strlen(path) >= sizeof(address.sun_path))
        return tool_error(TOOL_EXIT_USAGE, SOCKET_HINT, "%s: longer than %zu bytes", path,
                          sizeof(address.sun_path) - 1);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    code = clear_stale(path, &address);
    if (code != TOOL_EXIT_OK)
        return code;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return tool_error_system(errno, "%s", path);
    /* Nobody may connect before the mode is right. */
    before = umask(0177);
    bound = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    (void)umask(before);
    if (!bound || chmod(path, mode) != 0 || listen(fd, BACKLOG) != 0) {
        code = tool_error_system(errno, "%s", path);
        (void)close(fd);
        return code;
    }
    *out = fd;
    return TOOL_EXIT_OK;
}

int listen_open(const char *path, mode_t mode, int *listener, int *lock)
{
    int held = -1;
    int code = make_directory(path);

    if (code == TOOL_EXIT_OK)
        code = take_lock(path, &held);
    if (code != TOOL_EXIT_OK)
        return code;
    write_pid(held);
    code = bind_socket(path, mode, listener);
    if (code != TOOL_EXIT_OK)
        (void)close(held);
    else
        *lock = held;
    return code;
}

void listen_close(const char *path, int listener, int lock)
{
    char name[PATH_MAX];

    (void)unlink(path);
    (void)close(listener);
    if (lock_path(path, name, sizeof(name)) == 0)
        (void)unlink(name);
    (void)close(lock);
}
