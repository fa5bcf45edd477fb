/* SPDX-License-Identifier: MIT */
/*
 * Containers of shared objects: named memory that the processes of one user, or of one group, write
 * and read under locks that outlive nobody.
 *
 * A container has a name and holds objects; an object has a name and a size and is locked in blocks
 * of MBR_OBJECT_BLOCK bytes: any number of readers or one writer. The interface is the
 * "Paravirtualized Storage Interface" of 2012; its own names (container_create, object_get, ...)
 * are at the end of this file and mean the functions here. What was mended in it, and what was
 * added: docs/objects.md.
 *
 * Containers, objects, operations and accesses are small non-negative numbers of the calling
 * process, the lowest free one of its kind; a number is used again once it was given back. Every
 * function that can fail returns a negative errno and has then changed nothing, unless it says so.
 * Any thread may call any function at any time. In a child of fork() all numbers are dead: -EPERM;
 * the child joins anew. Signal handlers may call none.
 *
 * A function that may wait has a twin ..._until() with a deadline: nanoseconds of CLOCK_MONOTONIC,
 * MBR_FOREVER none, 0 (and any time that has passed) does not wait: -ETIMEDOUT. The plain one waits
 * for as long as it takes. A signal handler is run, but ends no wait. Who waits for somebody that
 * dies is freed by his death; who waits for somebody that is stopped waits.
 *
 * Members of a container trust each other with its bytes, not with their lives: whatever one of
 * them writes into it, others get -EPROTO or wrong data, never a crash.
 *
 * Errors that many functions have in common:
 *   -EBADF   the number was never given, or was given back
 *   -EPERM   the number was inherited through fork()
 *   -EINVAL  a pointer is NULL, a name is NULL, empty, contains '/' or is not UTF-8, or an argument
 *            is none of its values
 *   -ENAMETOOLONG  a name has more than MBR_OBJECT_NAME_MAX bytes
 *   -EMFILE, -ENFILE, -ENOMEM  no descriptor, memory or address space left
 *   -EPROTO  the container's memory makes no sense: somebody has written to it who should not
 */
#ifndef MEMBRANE_OBJECTS_H
#define MEMBRANE_OBJECTS_H

#include <errno.h>
#include <membrane/base.h>
#include <stddef.h>
#include <stdint.h>

MBR_BEGIN_DECLS

#define MBR_OBJECT_BLOCK      ((size_t)1 << 20)   /* bytes that are locked together */
#define MBR_OBJECT_NAME_MAX   240                 /* bytes of a name */
#define MBR_OBJECT_SIZE_MAX   (UINT64_C(1) << 36) /* bytes of an object */
#define MBR_CONTAINER_MEMBERS 2048                /* processes that may be in one container */
#define MBR_CONTAINER_OBJECTS (UINT32_C(1) << 20) /* objects that one container may hold */
#define MBR_ACCESS_MAX \
    1000 /* accesses (mbr_object_get) that a process may have open in a container */

/* How writers and readers of an object meet. */
enum mbr_write_policy {
    /* A writer excludes readers from the blocks it writes; readers exclude it. A region is written
     * as one: nobody sees half of it. A writer that is killed half-way leaves it torn. */
    MBR_WRITE_IN_PLACE = 0,
    /* A writer prepares new blocks and publishes them together; who reads keeps what it has, and
     * neither ever waits for the other. One writer at a time for each object. An object takes up
     * to twice its size, more while old versions are read. A writer that is killed changes nothing.
     */
    MBR_WRITE_VERSIONED = 1,
};

/* mbr_container_attr.flags and mbr_container_options.flags */
#define MBR_CONTAINER_CHECKSUMS                                                                  \
    1u                              /* persistent: each block has a checksum, verified when read \
                                     */
#define MBR_CONTAINER_KEPT       2u /* kept by membraned when its last member has left */
#define MBR_CONTAINER_PERSISTENT 4u /* has a directory; asked for without one: membraned has it */
#define MBR_CONTAINER_BROKERED   8u /* membraned has brought it to us (only reported) */

/* Zeroed, it means: in place, volatile, for one user. */
struct mbr_container_options {
    uint32_t size;   /* sizeof(struct mbr_container_options) */
    uint32_t policy; /* enum mbr_write_policy, for the objects created in it */
    uint32_t flags;  /* MBR_CONTAINER_CHECKSUMS, _KEPT, _PERSISTENT */
    uint32_t reserved;
    const char *directory; /* makes it persistent; NULL volatile */
};

struct mbr_container_attr {
    uint64_t objects; /* in it */
    uint64_t bytes;   /* of memory that it uses, everything counted */
    uint32_t members; /* processes, the caller too */
    uint32_t policy;
    uint32_t flags;
    uint32_t uid;  /* of its creator */
    int32_t group; /* gid, -1: its user alone */
    uint32_t reserved;
    char name[MBR_OBJECT_NAME_MAX + 1];
    char pad[7];
};

struct mbr_object_attr {
    uint64_t size;      /* bytes */
    uint64_t version;   /* of its bytes: grows with each write that has ended */
    uint64_t allocated; /* bytes of memory that its data uses */
    uint32_t users;     /* processes that have joined it, the caller too */
    uint32_t policy;
    uint32_t torn; /* blocks that a killed writer has left half written */
    uint32_t reserved;
    char name[MBR_OBJECT_NAME_MAX + 1];
    char pad[7];
};

/* ---- containers ---- */

/*
 * Creates a container and joins it. `group` is a gid whose members may join, or -1: only processes
 * of the caller's effective user may. With -1 no daemon is needed: it is found through the user's
 * rendezvous directory (mbr_pipe_create(3)) and lives as long as any process is in it. With a gid
 * it is kept by membraned, which lets in the creator and the members of the group; where no
 * membraned runs it is made as with -1 (mbr_container_getattr() says which). Returns its number.
 * Errors: -EEXIST there is one of this name; -EPERM also: the caller is neither root nor in the
 * group; -ENOSPC; -ETIMEDOUT the rendezvous directory is locked by somebody that does not go on.
 */
MBR_API int mbr_container_create(const char *name, int group);

/*
 * As above with options (NULL: none). With `directory`, which must exist and be the caller's, the
 * container is persistent: it has what is in the directory, or, if that is empty, it is begun;
 * -EEXIST then means that processes have the directory's container under another name. With
 * MBR_CONTAINER_KEPT membraned is needed: -ECONNREFUSED without.
 *
 * MBR_CONTAINER_PERSISTENT without a directory: membraned has one, of its own choice, and the
 * container may have a group. It is kept. All members may change and sync objects; the daemon
 * writes for them. When the daemon has died members go on with what is in memory, and all that
 * needs the disk is -ECONNREFUSED (a change may then be found done); when it was started anew the
 * next such call goes on by itself. But -ESTALE, and one must leave and join anew, if a process
 * that was no member has joined it before (the container was made anew then, with what was synced),
 * or if it was destroyed. -EOPNOTSUPP also: the daemon has no place for containers; -EDQUOT the
 * user's are as large as they may be.
 *
 * More errors: -EOPNOTSUPP a directory with a group or MBR_CONTAINER_KEPT; -EPERM also: it is not
 * the caller's, or others may write to it; -ENOTEMPTY the directory holds something else; -EBADMSG
 * what it holds is damaged beyond its last change; -EROFS, -EIO, -EDQUOT and so on as the file
 * system says.
 */
MBR_API int mbr_container_create_with(const char *name, int group,
                                      const struct mbr_container_options *options);

/* Joins a container: number. Each call gives a number of its own, each to be left. Errors: -ENOENT
 * there is none of this name, or it is being destroyed; -EACCES it is another user's, and the
 * caller is not in its group; -EUSERS it has MBR_CONTAINER_MEMBERS members; -ETIMEDOUT as above. */
MBR_API int mbr_container_join(const char *name);

/* Gives the number back, and all numbers of objects and accesses that were got through it;
 * operations under way through it are ended first (cancelled if they have not begun). */
MBR_API int mbr_container_leave(int container);

/*
 * Stops new joins, waits until all other members have left or died (and all other numbers of this
 * process for it are given back), then frees everything and gives the number back. Of a persistent
 * container the files are removed, too; if membraned has them it is waited for longer than the
 * deadline, since that cannot be taken back. -EALREADY somebody is destroying it already; -EACCES
 * membraned keeps it for another user, and the caller is not root. At -ETIMEDOUT it can be joined
 * again.
 */
MBR_API int mbr_container_destroy(int container);
MBR_API int mbr_container_destroy_until(int container, uint64_t deadline_ns);

MBR_API int mbr_container_getattr(int container, struct mbr_container_attr *out);

/*
 * Lists objects: writes the name of the object that follows `cursor` (0 begins) and a new cursor;
 * 1 there was one, 0 that was all. Objects that come or go meanwhile may be missed or seen; those
 * that stay are seen exactly once.
 */
MBR_API int mbr_container_list(int container, uint64_t *cursor, char name[MBR_OBJECT_NAME_MAX + 1]);

/*
 * Lists the containers that membraned keeps and that the caller may join, those of groups and those
 * that outlive their members: as mbr_container_list() lists objects. Asks each daemon that runs
 * (membraned(8)) and waits for its answer, 5 seconds at most. 0 also where none runs, or
 * none whose socket is for the caller. -ETIMEDOUT.
 */
MBR_API int mbr_container_list_kept(uint64_t *cursor, char name[MBR_OBJECT_NAME_MAX + 1]);

/* ---- objects ---- */

/*
 * Creates an object of `size` zero bytes and joins it: number. All memory is allocated now, so a
 * later write cannot fail for want of it (versioned: it can). Errors: -EEXIST; -EINVAL also size 0;
 * -EFBIG more than MBR_OBJECT_SIZE_MAX (versioned: half of it) or than the file size limit of the
 * process; -ENOMEM, -ENOSPC no memory left, or MBR_CONTAINER_OBJECTS reached.
 */
MBR_API int mbr_object_create(int container, const char *name, size_t size);
/* With a policy other than the container's. */
MBR_API int mbr_object_create_with(int container, const char *name, size_t size,
                                   enum mbr_write_policy policy);

/* Joins an object: number, one more at each call. -ENOENT none of this name, or being destroyed.
 * Versioned, persistent, and joined for the first time: it is read from the disk; -EBADMSG what was
 * read is not what was written, -EIO it cannot be read. Others are read by blocks, see below. */
MBR_API int mbr_object_join(int container, const char *name);

/* Gives the number back, and the accesses got through it; operations under way through it are ended
 * first. */
MBR_API int mbr_object_leave(int object);

/* Stops new joins, waits until nobody else has joined it, then removes it and gives the number
 * back. -EALREADY, -ETIMEDOUT as for containers. */
MBR_API int mbr_object_destroy(int object);
MBR_API int mbr_object_destroy_until(int object, uint64_t deadline_ns);

/* Removes the name at once and the memory when the last process has left it, as unlink(2) does.
 * What others who have joined it might still want from the disk is read before. -ENOENT no object
 * of this name. */
MBR_API int mbr_object_unlink(int container, const char *name);

MBR_API int mbr_object_getattr(int object, struct mbr_object_attr *out);

/* Gives it another name, in one step; an object that has this name already is not replaced:
 * -EEXIST. */
MBR_API int mbr_object_rename(int object, const char *name);

/* Makes it larger (zero bytes are added) or smaller, waiting until nobody accesses what goes (a
 * versioned object's readers keep it instead). Errors as mbr_object_create(). */
MBR_API int mbr_object_resize(int object, size_t size);
MBR_API int mbr_object_resize_until(int object, size_t size, uint64_t deadline_ns);

/* ---- reading and writing ---- */

/*
 * A region of an object is offset and size; size 0 is fine anywhere up to the end and does nothing.
 * Errors of all: -ERANGE it reaches beyond the object's end (or overflows).
 * In place: -EOWNERDEAD a writer was killed while it wrote a block of it: told once for each such
 * block, to whoever comes first; -ENOTRECOVERABLE after that, until mbr_object_repair(). A write of
 * whole blocks needs no repair.
 * In place, in a persistent container: a block is read from the disk when it is wanted for the
 * first time, which is waited for whatever the deadline. -EBADMSG it is not what was written, -EIO
 * it cannot be read: of other blocks that says nothing, and a write of all of it makes it sound;
 * -EPERM, -ESTALE and others the directory is not to be had (mbr_container_create_with()). Readers
 * wait behind a writer that waits, but for a thread that has an access to the block already: it may
 * read it once more. Who writes what he has access to, by himself, waits for himself: give it back
 * first, or use mbr_object_edit().
 */

/* Copies `size` bytes into the object, as one: no reader sees part of it. 0. */
MBR_API int mbr_object_write(int object, size_t offset, const void *buf, size_t size);
MBR_API int mbr_object_write_until(int object, size_t offset, const void *buf, size_t size,
                                   uint64_t deadline_ns);
/* Copies `size` bytes out of the object, as they were at one moment. 0. */
MBR_API int mbr_object_read(int object, size_t offset, void *buf, size_t size);
MBR_API int mbr_object_read_until(int object, size_t offset, void *buf, size_t size,
                                  uint64_t deadline_ns);

/*
 * Direct access: sets *buf to the region's bytes and returns a number for mbr_object_put(). Until
 * then no mbr_object_write() changes them (in place: writers wait; versioned: they write
 * elsewhere). Other accesses may be open to the same bytes: who writes through the pointer, in
 * place, agrees about it with them; to write alone see mbr_object_edit(). Of a versioned object the
 * bytes are read-only. -EMFILE also: MBR_ACCESS_MAX accesses are open.
 */
MBR_API int mbr_object_get(int object, size_t offset, size_t size, char **buf);
MBR_API int mbr_object_get_until(int object, size_t offset, size_t size, char **buf,
                                 uint64_t deadline_ns);

/*
 * The same with all others excluded: the holder alone reads and writes the bytes until
 * mbr_object_put(), which publishes them. If it dies before, the region is torn. In place only:
 * -EOPNOTSUPP otherwise.
 */
MBR_API int mbr_object_edit(int object, size_t offset, size_t size, char **buf);
MBR_API int mbr_object_edit_until(int object, size_t offset, size_t size, char **buf,
                                  uint64_t deadline_ns);

/* Ends an access; by any thread. */
MBR_API int mbr_object_put(int access);

/* Declares torn blocks of the region sound, as they are; not those that could not be read from the
 * disk. -ERANGE. */
MBR_API int mbr_object_repair(int object, size_t offset, size_t size);

/* Makes what was written before durable: returns when it would survive the loss of power. A
 * volatile container: -EOPNOTSUPP. -ECONNREFUSED membraned, which has the files, has died: it may
 * be tried again; -ESTALE it was started anew, and others have the container
 * (mbr_container_create_with()). -EIO, -ENOSPC, -EDQUOT as the file system says; then it may be
 * tried again. -EOWNERDEAD, -ENOTRECOVERABLE a block is torn. 0 also if it has no name any more:
 * nothing of it would survive. */
MBR_API int mbr_object_sync(int object);

/* ---- asynchronous operations ---- */

/* What mbr_object_opstatus() says besides 0 and errors. */
#define MBR_OBJECT_INPROGRESS (-EINPROGRESS)
#define MBR_OBJECT_CANCELED   (-ECANCELED)

/*
 * Begin what mbr_object_write() and mbr_object_read() do, and return an operation's number. `buf`
 * must stay, and not be touched, until it has ended. The first such call of a process starts one
 * thread, named "mbr-object", all signals blocked, which carries the operations out in the order in
 * which their blocks become free; it ends when the last container is left. Regions are checked at
 * the call. -EAGAIN 4,096 operations are not returned yet, or no thread could be started.
 */
MBR_API int mbr_object_awrite(int object, size_t offset, const void *buf, size_t size);
MBR_API int mbr_object_aread(int object, size_t offset, void *buf, size_t size);

/* 0 it has succeeded, MBR_OBJECT_INPROGRESS, MBR_OBJECT_CANCELED, or the error it has ended with.
 */
MBR_API int mbr_object_opstatus(int operation);

/* Asks for its end. 0 it will end as cancelled (or has); -EALREADY it has ended by itself. An
 * operation that is cancelled half-way has done a whole number of blocks, from its beginning: see
 * mbr_object_opdone(). Does not wait. */
MBR_API int mbr_object_opcancel(int operation);

/* How many bytes of it, from its beginning, are done. */
MBR_API int mbr_object_opdone(int operation, uint64_t *bytes);

/* Waits for its end: 0 it has ended, however; -ETIMEDOUT. */
MBR_API int mbr_object_opwait(int operation, uint64_t deadline_ns);

/* What the synchronous function would have returned (-ECANCELED if cancelled), and gives the number
 * back. -EINPROGRESS it has not ended: nothing has changed. */
MBR_API int mbr_object_return(int operation);

/*
 * A descriptor for wait sets, epoll and other event loops: readable while operations have ended
 * that nobody has been told of. mbr_object_opnext() tells: the number of one that has ended, each
 * once; -EAGAIN none. The descriptor stays the library's and changes only at fork(). -EAGAIN as
 * above.
 */
MBR_API int mbr_object_opfd(void);
MBR_API int mbr_object_opnext(void);

/* ---- the names of the original ---- */

#ifndef MBR_OBJECTS_NO_SHORT_NAMES

#define INPROGRESS MBR_OBJECT_INPROGRESS
#define CANCELED   MBR_OBJECT_CANCELED

struct object_attr {
    size_t size;      /* bytes */
    uint64_t version; /* grows with each write that has ended */
    uint32_t users;   /* processes that have joined it */
    uint32_t policy;  /* enum mbr_write_policy */
};

static inline int container_create(const char *container, int groupid)
{
    return mbr_container_create(container, groupid);
}

static inline int container_destroy(int container_id)
{
    return mbr_container_destroy(container_id);
}

static inline int container_join(const char *container)
{
    return mbr_container_join(container);
}

static inline int container_leave(int container_id)
{
    return mbr_container_leave(container_id);
}

static inline int object_create(int container_id, const char *object, size_t size)
{
    return mbr_object_create(container_id, object, size);
}

static inline int object_destroy(int object_id)
{
    return mbr_object_destroy(object_id);
}

static inline int object_join(int container_id, const char *object)
{
    return mbr_object_join(container_id, object);
}

static inline int object_leave(int object_id)
{
    return mbr_object_leave(object_id);
}

static inline int object_write(int object_id, size_t offset, const void *buf, size_t size)
{
    return mbr_object_write(object_id, offset, buf, size);
}

static inline int object_read(int object_id, size_t offset, void *buf, size_t size)
{
    return mbr_object_read(object_id, offset, buf, size);
}

static inline int object_awrite(int object_id, size_t offset, const void *buf, size_t size)
{
    return mbr_object_awrite(object_id, offset, buf, size);
}

static inline int object_aread(int object_id, size_t offset, void *buf, size_t size)
{
    return mbr_object_aread(object_id, offset, buf, size);
}

static inline int object_opstatus(int operation_id)
{
    return mbr_object_opstatus(operation_id);
}

static inline int object_opcancel(int operation_id)
{
    return mbr_object_opcancel(operation_id);
}

static inline int object_return(int operation_id)
{
    return mbr_object_return(operation_id);
}

static inline int object_opreturn(int operation_id)
{
    return mbr_object_return(operation_id);
}

static inline int object_get(int object_id, size_t offset, size_t size, char **buf)
{
    return mbr_object_get(object_id, offset, size, buf);
}

static inline int object_put(int operation_id)
{
    return mbr_object_put(operation_id);
}

static inline int object_resize(int object_id, size_t size)
{
    return mbr_object_resize(object_id, size);
}

static inline int object_rename(int object_id, const char *object)
{
    return mbr_object_rename(object_id, object);
}

static inline int object_repair(int object_id, size_t offset, size_t size)
{
    return mbr_object_repair(object_id, offset, size);
}

static inline int object_sync(int object_id)
{
    return mbr_object_sync(object_id);
}

static inline int object_getattr(int object_id, struct object_attr *obj)
{
    struct mbr_object_attr attr;
    int rc = obj == NULL ? -EINVAL : mbr_object_getattr(object_id, &attr);

    if (rc < 0)
        return rc;
    obj->size = (size_t)attr.size;
    obj->version = attr.version;
    obj->users = attr.users;
    obj->policy = attr.policy;
    return 0;
}

#endif

MBR_END_DECLS

#endif
