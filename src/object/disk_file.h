/* SPDX-License-Identifier: MIT */
/*
 * Files in a directory that is ours: opened without following links, looked at after they were
 * opened, read and written as a whole or not.
 *
 * Not here: what is in them (disk.h).
 */
#ifndef MBR_OBJECT_DISK_FILE_H
#define MBR_OBJECT_DISK_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Opens a directory. Errors of open(2), and -EPERM: it is not the effective user's, or others may
 * write to it. */
int mbr__disk_open_dir(const char *path);

/* Opens a file to read and write; FLAGS may add O_CREAT and so on. -EPERM as above; -EBADMSG it is
 * no regular file. */
int mbr__disk_open_file(int dir, const char *name, int flags);

/* Exactly LENGTH bytes at AT. -EIO the file ends before. */
int mbr__disk_read_at(int fd, void *buf, size_t length, uint64_t at);

/* The same; -EFBIG beyond the limit of the process (the kernel would also send SIGXFSZ). After an
 * error some of the bytes may have been written. */
int mbr__disk_write_at(int fd, const void *buf, size_t length, uint64_t at);

int mbr__disk_sync_data(int fd); /* bytes and size */
int mbr__disk_sync_all(int fd);  /* everything; of a directory, its names */
int mbr__disk_set_size(int fd, uint64_t size);

/* Gives the space back; what cannot is left alone. */
void mbr__disk_punch(int fd, uint64_t at, uint64_t length);

#endif
