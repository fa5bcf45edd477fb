/* SPDX-License-Identifier: MIT */
/* The directory of names; directory.h says whose it is. */
#include "directory.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "real.h"
#include "shm/proc.h"

#define OUT_OF_THE_WAY 512

uint32_t shim_names_latch;
struct mbr__names shim_names = {.dir = -1};
static dev_t device;
static ino_t inode;

int shim_move_up(int fd)
{
    int up = real.fcntl(fd, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);

    if (up < 0)
        return fd;
    real.close(fd);
    return up;
}

/* A link of a process that was killed before its connection had moved. */
static int sweep(void *arg, const char *file)
{
    struct mbr__link l;

    (void)arg;
    if (strncmp(file, "tcp.", 4) == 0 && mbr__names_read(&shim_names, file, &l) == 0 &&
        mbr__proc_alive(&l.owner) == 0)
        (void)unlinkat(shim_names.dir, file, 0);
    return 0;
}

/* Programs that go to the background close whatever is open; the number may be somebody else's. */
static bool is_still_ours(struct stat *st)
{
    return fstat(shim_names.dir, st) == 0 && st->st_dev == device && st->st_ino == inode;
}

/* Whether it is open, for the user that this thread is now: servers become somebody else, some for
 * a while, and then can neither read what was theirs nor meet anybody there. */
static bool is_open(void)
{
    struct stat st;

    if (shim_names.dir < 0)
        return false;
    if (!is_still_ours(&st)) {
        shim_names.dir = -1;
        return false;
    }
    if (st.st_uid == geteuid())
        return true;
    mbr__names_close(&shim_names);
    return false;
}

bool shim_names_open(void)
{
    struct stat st;

    if (is_open())
        return true;
    if (mbr__names_open(&shim_names) < 0)
        return false;
    shim_names.dir = shim_move_up(shim_names.dir);
    if (fstat(shim_names.dir, &st) < 0) {
        mbr__names_close(&shim_names);
        return false;
    }
    device = st.st_dev;
    inode = st.st_ino;
    (void)mbr__names_each(&shim_names, sweep, NULL);
    return true;
}

void shim_names_forked(void)
{
    struct stat st;

    shim_names_latch = 0;
    if (shim_names.dir >= 0 && is_still_ours(&st))
        mbr__names_close(&shim_names);
    shim_names.dir = -1;
}
