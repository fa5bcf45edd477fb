/* SPDX-License-Identifier: MIT */
/*
 * membrane doctor, third part: the store's daemon, as clients look for it. That none runs is no
 * fault; a socket that nobody serves any more is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "doctor.h"

/* Where clients look (membraned(8)). False: nothing says where. */
static bool find_path(char *out, size_t size)
{
    const char *path = secure_getenv("XENSTORED_PATH");
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");

    if (path != NULL && path[0] != '\0')
        return snprintf(out, size, "%s", path) < (int)size;
    if (geteuid() == 0)
        return snprintf(out, size, "/run/membrane/store") < (int)size;
    if (runtime == NULL || runtime[0] == '\0')
        return false;
    return snprintf(out, size, "%s/membrane/store", runtime) < (int)size;
}

/* 0: somebody listens there; else an errno. */
static int try_connect(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error;

    if (fd < 0)
        return errno;
    error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
    (void)close(fd);
    return error;
}

void doctor_check_daemon(struct doctor *d)
{
    struct finding f = {.what = "store daemon",
                        .why = "a socket is there and nobody answers",
                        .fix = "start membraned, which replaces it"};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int error;

    if (!find_path(address.sun_path, sizeof(address.sun_path))) {
        finding_value(&f, "no place for a socket is known");
        doctor_add(d, &f);
        return;
    }
    error = try_connect(&address);
    switch (error) {
    case 0:
    case EAGAIN:
        finding_value(&f, "serves at %s", address.sun_path);
        break;
    case ENOENT:
    case ENOTDIR:
        finding_value(&f, "none at %s", address.sun_path);
        break;
    default:
        finding_value(&f, "%s: %s", address.sun_path, strerror(error));
        f.verdict = VERDICT_WARN;
        break;
    }
    doctor_add(d, &f);
}
