/* SPDX-License-Identifier: MIT */
/*
 * A region of a shared object sent through a queue by reference: a message of a few hundred bytes
 * that says where the bytes are, instead of the bytes.
 *
 * The message is an ordinary one: it is pushed with demi_push() or mbr_push() through any queue to
 * a process of this machine, and popped there like any other. Whoever gets it must be allowed to
 * join the container. Nothing is held on behalf of a message that is under way; see
 * mbr_object_refer() for how a sender makes sure of the bytes.
 *
 * Not here: containers and objects (membrane/objects.h), queues (membrane/queue.h).
 */
#ifndef MEMBRANE_OBJECT_REFERENCE_H
#define MEMBRANE_OBJECT_REFERENCE_H

#include <membrane/objects.h>
#include <membrane/queue.h>

MBR_BEGIN_DECLS

/* What a message has led to. */
struct mbr_object_region {
    int container; /* numbers of the calling process, for this region alone */
    int object;
    int access;
    uint32_t changed; /* 1: the object was written after the message was made */
    uint64_t offset;
    uint64_t size;
    char *bytes; /* until mbr_object_unfollow(); see mbr_object_get() */
};

/*
 * Makes a message that refers to a region: *sga is a new array, to be pushed and then freed as one
 * of mbr_sga_alloc(). The message names container and object, and says which version of its bytes
 * the object has now.
 *
 * What the receiver finds are the bytes as they are when it follows the message. A sender that
 * wants no others to be found keeps the region by mbr_object_get() until the receiver has answered.
 * If the container may lose its other members meanwhile, the sender stays in it as well.
 *
 * Errors: -EBADF, -EPERM, -EINVAL sga is NULL, -ERANGE as mbr_object_get(); -ENOENT the object has
 * no name any more (mbr_object_unlink()); -ENOMEM. Any thread.
 */
MBR_API int mbr_object_refer(int object, size_t offset, size_t size, demi_sgarray_t *sga);

/*
 * Follows such a message: joins container and object, gets the region as mbr_object_get() does,
 * and fills *out. The message is no longer needed then. What comes from a peer is distrusted: a
 * message that is none is an error, nothing worse. Waits for a writer of the region; the twin until
 * a deadline, as mbr_object_get_until().
 *
 * Errors: -EINVAL a pointer is NULL; -EPROTO it is no such message; -ENOENT, -EACCES, -EUSERS as
 * mbr_container_join() and mbr_object_join(); -ESTALE there is another container or object of this
 * name now; -ERANGE the object has become smaller; -ETIMEDOUT, -EOWNERDEAD, -ENOTRECOVERABLE,
 * -EMFILE, -ENFILE, -ENOMEM as mbr_object_get_until(). Any thread.
 */
MBR_API int mbr_object_follow(const demi_sgarray_t *sga, struct mbr_object_region *out);
MBR_API int mbr_object_follow_until(const demi_sgarray_t *sga, uint64_t deadline_ns,
                                    struct mbr_object_region *out);

/* Ends the access and gives back the numbers of the region. -EINVAL NULL; -EBADF, -EPERM they are
 * none. */
MBR_API int mbr_object_unfollow(struct mbr_object_region *region);

MBR_END_DECLS

#endif
