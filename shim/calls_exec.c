/* SPDX-License-Identifier: MIT */
/*
 * The calls that make another program: the exec family, posix_spawn, system, popen. The new program
 * has the sockets and not the memory, so connections that it is to have go back to the kernel
 * before.
 *
 * Those it is to have: all that survive, if this process ends as what it is. If it goes on, or a
 * parent has the connection as well, then a descriptor above 2 that nobody has made for the purpose
 * was most likely not closed for want of care, and a connection does not become slow for ever
 * because of that; it goes back when the last process closes it that knows of the memory. Made for
 * the purpose: duplicated by the child, or its close-on-exec flag was taken away.
 *
 * Not here: how a connection goes back (leave.c). Nothing here may allocate: it runs in children of
 * threaded programs, and of vfork.
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "calls.h"
#include "conn.h"
#include "fork.h"
#include "real.h"

#define FIRST_FREE 3 /* behind standard input, output and error */

enum maker { EXEC, SPAWN, SHELL };

/* ---- which ----------------------------------------------------------------------------------- */

/* Whether it has moved, or may do so. */
static bool may_move(const struct shim_conn *c)
{
    uint32_t mode = mbr_load_acquire(&c->mode);

    return mode == SHIM_RING || mode == SHIM_ELIGIBLE;
}

static void note_moved(int fd, struct shim_object *o, void *any)
{
    (void)fd;
    if (o->kind == SHIM_CONN && may_move((struct shim_conn *)(void *)o))
        *(bool *)any = true;
}

static bool any_moved(void)
{
    bool any = false;

    if (shim_settings.rings)
        shim_table_each(0, INT_MAX, note_moved, &any);
    return any;
}

struct wanted {
    uint64_t inode;
    struct shim_conn *c; /* with a reference */
};

static void match(int fd, struct shim_object *o, void *arg)
{
    struct wanted *w = arg;
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    (void)fd;
    if (w->c != NULL || o->kind != SHIM_CONN || !may_move(c) || c->inode != w->inode ||
        c->inode == 0)
        return;
    mbr_fetch_add(&o->refs, 1);
    w->c = c;
}

/* The connection whose socket fd is, as far as it survives. A child of vfork has descriptors that
 * the table does not know. */
static struct shim_conn *survivor(int fd, bool *same)
{
    struct wanted w = {0};
    struct shim_conn *c = shim_conn_busy(fd);
    int flags = real.fcntl(fd, F_GETFD);
    struct stat st;

    *same = c != NULL;
    if (flags < 0 || (flags & FD_CLOEXEC) || fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode)) {
        if (c != NULL)
            shim_conn_put(c);
        return NULL;
    }
    if (c != NULL && (c->inode == 0 || c->inode == st.st_ino || !shim_is_vforked()))
        return c;
    if (c != NULL)
        shim_conn_put(c);
    *same = false;
    w.inode = st.st_ino;
    shim_table_each(0, INT_MAX, match, &w);
    return w.c;
}

/* Whether somebody who knows of the memory goes on having the connection. */
static bool remains(struct shim_conn *c, enum maker maker)
{
    return maker != EXEC || shim_is_vforked() ||
           (shim_kin_others(shim_kin(c)) && shim_kin_count_others(shim_kin(c)) > 0);
}

static void cut_off(int fd)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    (void)real.connect(fd, &nobody, sizeof(nobody));
}

static void note_stranger(struct shim_conn *c)
{
    if (shim_own(c) != NULL)
        mbr_store_relaxed(&c->own->strangers, (uint32_t)1);
}

static void consider(int fd, enum maker maker)
{
    bool same = false;
    struct shim_conn *c = survivor(fd, &same);
    bool alone = maker == EXEC && !shim_is_vforked();

    if (c == NULL)
        return;
    if (fd >= FIRST_FREE && remains(c, maker) &&
        (maker == SHELL || (same && !mbr_load_relaxed(&c->handed))))
        note_stranger(c);
    else if (!shim_conn_pin(c) && !shim_return(c, fd, alone) && alone &&
             mbr_load_acquire(&c->mode) == SHIM_RING && shim_resending(c))
        cut_off(fd); /* nobody would be here to send the rest: the peer shall know */
    shim_conn_put(c);
}

/* ---- all of them ----------------------------------------------------------------------------- */

struct entry { /* as getdents64() gives it */
    uint64_t inode;
    int64_t next;
    uint16_t size;
    uint8_t type;
    char name[];
};

static int number(const char *text)
{
    int n = 0;

    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || n > INT_MAX / 10 - 1)
            return -1;
        n = n * 10 + (*text - '0');
    }
    return n;
}

static bool consider_open(enum maker maker)
{
    _Alignas(8) char buf[2048];
    int dir = (int)shim_kernel(SYS_openat, AT_FDCWD, "/proc/self/fd",
                               O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    long n;

    if (dir < 0)
        return false;
    while ((n = shim_kernel(SYS_getdents64, dir, buf, sizeof(buf))) > 0) {
        for (long at = 0; at < n;) {
            const struct entry *e = (const void *)(buf + at);
            int fd = number(e->name);

            if (fd >= 0 && fd != dir)
                consider(fd, maker);
            at += e->size;
        }
    }
    (void)shim_kernel(SYS_close, dir);
    return true;
}

/* Who becomes another program does not know of the memory any more: the others must not count on
 * him. If they have all gone meanwhile, and strangers have the socket, it goes back now. */
static void depart(int fd, struct shim_object *o, void *arg)
{
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    (void)arg;
    if (o->kind != SHIM_CONN || mbr_load_acquire(&c->mode) != SHIM_RING || shim_kin(c) == NULL ||
        c->departed)
        return;
    c->departed = shim_kin_leave(shim_kin(c)) ? 2 : 1;
    if (c->departed == 2 && mbr_load_relaxed(&c->own->strangers))
        (void)shim_return(c, fd, true);
}

static void come_back(int fd, struct shim_object *o, void *arg)
{
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    (void)fd;
    (void)arg;
    if (o->kind != SHIM_CONN || !c->departed)
        return;
    if (shim_kin(c) != NULL)
        shim_kin_rejoin(shim_kin(c), c->departed == 2);
    c->departed = 0;
}

/* Before another program is made by this process. */
static void hand_on(enum maker maker)
{
    int error = errno;

    if (!any_moved())
        return;
    if (!consider_open(maker)) {
        for (int fd = 0; fd < shim_table_end(); fd++)
            consider(fd, maker);
    }
    if (maker == EXEC && !shim_is_vforked())
        shim_table_each(0, INT_MAX, depart, NULL);
    errno = error;
}

/* After an exec that has failed. Returns what it returned. */
static int remained(int r)
{
    int error = errno;

    if (shim_settings.rings && !shim_is_vforked())
        shim_table_each(0, INT_MAX, come_back, NULL);
    errno = error;
    return r;
}

/* ---- exec ------------------------------------------------------------------------------------ */

SHIM_EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
    shim_ready();
    hand_on(EXEC);
    return remained(real.execve(path, argv, envp));
}

SHIM_ALIAS(execve);

SHIM_EXPORT int execv(const char *path, char *const argv[])
{
    shim_ready();
    hand_on(EXEC);
    return remained(real.execv(path, argv));
}

SHIM_EXPORT int execvp(const char *file, char *const argv[])
{
    shim_ready();
    hand_on(EXEC);
    return remained(real.execvp(file, argv));
}

SHIM_EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
    shim_ready();
    hand_on(EXEC);
    return remained(real.execvpe(file, argv, envp));
}

SHIM_EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
    shim_ready();
    hand_on(EXEC);
    return remained(real.fexecve(fd, argv, envp));
}

SHIM_EXPORT int execveat(int dir, const char *path, char *const argv[], char *const envp[],
                         int flags)
{
    shim_ready();
    hand_on(EXEC);
    return remained(real.execveat(dir, path, argv, envp, flags));
}

SHIM_ALIAS(execveat);

/* The arguments up to the null pointer, which is counted. */
static size_t count_arguments(va_list *ap)
{
    size_t n = 2; /* the first one, and the end */

    while (va_arg(*ap, char *) != NULL)
        n++;
    return n;
}

static void take_arguments(char **argv, const char *first, va_list *ap)
{
    size_t n = 0;

    argv[n++] = (char *)(uintptr_t)first;
    do {
        argv[n] = va_arg(*ap, char *);
    } while (argv[n++] != NULL);
}

SHIM_EXPORT int execl(const char *path, const char *first, ...)
{
    va_list ap;
    char **argv;

    va_start(ap, first);
    argv = alloca(count_arguments(&ap) * sizeof(*argv));
    va_end(ap);
    va_start(ap, first);
    take_arguments(argv, first, &ap);
    va_end(ap);
    return execv(path, argv);
}

SHIM_EXPORT int execlp(const char *file, const char *first, ...)
{
    va_list ap;
    char **argv;

    va_start(ap, first);
    argv = alloca(count_arguments(&ap) * sizeof(*argv));
    va_end(ap);
    va_start(ap, first);
    take_arguments(argv, first, &ap);
    va_end(ap);
    return execvp(file, argv);
}

SHIM_EXPORT int execle(const char *path, const char *first, ...)
{
    va_list ap;
    char **argv;
    char *const *envp;

    va_start(ap, first);
    argv = alloca(count_arguments(&ap) * sizeof(*argv));
    va_end(ap);
    va_start(ap, first);
    take_arguments(argv, first, &ap);
    envp = va_arg(ap, char *const *);
    va_end(ap);
    return execve(path, argv, envp);
}

/* ---- in a child that the C library makes ----------------------------------------------------- */

SHIM_EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path,
                            const posix_spawn_file_actions_t *actions,
                            const posix_spawnattr_t *restrict attributes,
                            char *const argv[restrict], char *const envp[restrict])
{
    shim_ready();
    hand_on(SPAWN);
    return real.posix_spawn(pid, path, actions, attributes, argv, envp);
}

SHIM_EXPORT int posix_spawnp(pid_t *restrict pid, const char *restrict file,
                             const posix_spawn_file_actions_t *actions,
                             const posix_spawnattr_t *restrict attributes,
                             char *const argv[restrict], char *const envp[restrict])
{
    shim_ready();
    hand_on(SPAWN);
    return real.posix_spawnp(pid, file, actions, attributes, argv, envp);
}

/* What is duplicated for a child is meant for it. */
SHIM_EXPORT int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd,
                                                 int to)
{
    struct shim_conn *c;

    shim_ready();
    c = shim_conn_busy(fd);
    if (c != NULL) {
        (void)(shim_conn_pin(c) || shim_return(c, fd, false));
        shim_conn_put(c);
    }
    return real.posix_spawn_file_actions_adddup2(actions, fd, to);
}

SHIM_EXPORT int system(const char *command)
{
    shim_ready();
    if (command != NULL)
        hand_on(SHELL);
    return real.system(command);
}

SHIM_EXPORT FILE *popen(const char *command, const char *mode)
{
    shim_ready();
    hand_on(SHELL);
    return real.popen(command, mode);
}
