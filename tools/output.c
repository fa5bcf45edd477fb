/* SPDX-License-Identifier: MIT */
/* The beginning and the end of an output. See output.h. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

int output_guard(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            return errno != 0 ? -errno : -EIO;
    }
    return 0;
}

int output_end(FILE *stream)
{
    bool lost = ferror(stream) != 0;

    errno = EIO;
    if (fflush(stream) != 0)
        return -errno;
    /* The stream remembers that a write failed, not why. One more byte finds out; if there is room
     * again it does no harm to what has a hole already. */
    if (lost && write(fileno(stream), "\n", 1) < 0)
        return -errno;
    return lost ? -EIO : 0;
}
