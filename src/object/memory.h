/* SPDX-License-Identifier: MIT */
/*
 * The memory of a container: a memfd that has its full size from the beginning and can lose or gain
 * none of it (object_shm.h says what lies where).
 *
 * Unlike a region (shm/region.h) it is written by everybody who has it, so there is no seal against
 * writing, and nothing is allocated in it yet.
 */
#ifndef MBR_OBJECT_MEMORY_H
#define MBR_OBJECT_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A new one, all holes, sealed, close-on-exec; `label` is for /proc/PID/maps. Errors: -EFBIG the
 * process may not make files so large (RLIMIT_FSIZE); -ENOMEM; -EMFILE, -ENFILE; -ENOSYS no memfd
 * sealing; -EPERM, -EACCES refused by a sandbox.
 */
int mbr__object_memory_new(const char *label, int *out);

/* Whether a stranger's descriptor is one: a nameless file on tmpfs with just these seals and this
 * size, open for reading and writing. Then no access inside it can fail or raise SIGBUS. 0;
 * -EPROTO it is not; -EBADF. */
int mbr__object_memory_check(int fd);

/* The random id in a container's memory, as its maker has chosen it and as it stands there now; not
 * mapped. Errors of pread(2); -EIO it has no such bytes. */
int mbr__object_memory_id(int fd, uint64_t id[2]);

/* The same check for memory of another size: a desk (broker_wire.h). */
int mbr__object_desk_new(uint64_t size, int *out);
int mbr__object_desk_check(int fd, uint64_t size);

#endif
