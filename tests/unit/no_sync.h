/* SPDX-License-Identifier: MIT */
/*
 * fsync() and fdatasync() that do nothing, for tests of what is on disk: in none of them does the
 * machine stop, so nothing need reach the disk, which takes its time.
 *
 * Include in one file of a test program, and name both in CMake: WRAP fsync fdatasync. Where calls
 * fail in turn, define NO_SYNC_FAILS before: called with nothing, true when it is this one's turn.
 * Not here: what a power failure leaves (fault/object_disk_crash_test.c).
 */
#ifndef MBR_TESTS_NO_SYNC_H
#define MBR_TESTS_NO_SYNC_H

int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);

static int no_sync(int fd)
{
    (void)fd;
#ifdef NO_SYNC_FAILS
    return NO_SYNC_FAILS() ? -1 : 0;
#else
    return 0;
#endif
}

int __wrap_fsync(int fd)
{
    return no_sync(fd);
}

int __wrap_fdatasync(int fd)
{
    return no_sync(fd);
}

#endif
