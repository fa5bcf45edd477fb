/* SPDX-License-Identifier: MIT */
/*
 * Starting and killing the daemon. It says that it is ready as it would to systemd: by a datagram
 * to $NOTIFY_SOCKET, so nobody has to guess how long that takes.
 */
#include "daemon_util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define START_MS 60000

static const char *program(char path[256])
{
    const char *directory = getenv("MEMBRANE_BIN_DIR");

    (void)snprintf(path, 256, "%s/membraned", directory != NULL ? directory : ".");
    return path;
}

/* The socket on which the daemon will say that it is ready. */
static int listen_for_ready(const struct daemon_util *d, char path[108])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)snprintf(path, 108, "%s/notify", d->directory);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    (void)unlink(path);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void await_ready(struct daemon_util *d, int fd)
{
    for (;;) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        char said[512];
        ssize_t n;

        if (poll(&pfd, 1, START_MS) != 1)
            fail_msg("membraned is not ready after %d ms", START_MS);
        n = recv(fd, said, sizeof(said) - 1, 0);
        assert_true(n >= 0);
        said[n] = '\0';
        if (strstr(said, "READY=1") != NULL)
            return;
    }
}

void daemon_util_start(struct daemon_util *d)
{
    char path[256];
    char notify[108];
    int fd = listen_for_ready(d, notify);

    d->pid = fork();
    assert_true(d->pid >= 0);
    if (d->pid == 0) {
        int null = open("/dev/null", O_RDWR);

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)setenv("NOTIFY_SOCKET", notify, 1);
        (void)dup2(null, 0);
        if (d->durable)
            execl(program(path), "membraned", "--socket", d->socket, "--state", d->state,
                  (char *)NULL);
        else
            execl(program(path), "membraned", "--socket", d->socket, (char *)NULL);
        _exit(127);
    }
    await_ready(d, fd);
    (void)close(fd);
}

bool daemon_util_init(struct daemon_util *d, bool durable)
{
    char path[256];

    *d = (struct daemon_util){.durable = durable};
    if (access(program(path), X_OK) != 0)
        return false;
    (void)snprintf(d->directory, sizeof(d->directory), "/tmp/membrane-store.XXXXXX");
    assert_non_null(mkdtemp(d->directory));
    (void)snprintf(d->socket, sizeof(d->socket), "%s/store", d->directory);
    (void)snprintf(d->state, sizeof(d->state), "%s/state", d->directory);
    assert_int_equal(mkdir(d->state, 0700), 0);
    daemon_util_start(d);
    return true;
}

void daemon_util_kill(struct daemon_util *d, int number)
{
    if (d->pid <= 0)
        return;
    (void)kill(d->pid, number);
    while (waitpid(d->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    d->pid = 0;
}

void daemon_util_fini(struct daemon_util *d)
{
    char command[128];

    daemon_util_kill(d, SIGKILL);
    if (d->directory[0] == '\0')
        return;
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", d->directory);
    assert_int_equal(system(command), 0);
}
