/* SPDX-License-Identifier: MIT */
/*
 * How containers of one user are found: links in the rendezvous directory (shm/names.h).
 *
 * NAME.c says who has the memory of container NAME as which descriptor; NAME.c.SLOT says the same
 * of each of its members. When the process behind the first has died, whoever comes next finds
 * another member through the others and repairs the first. A link whose process lives but has
 * something else in the descriptor's place counts as dead, too: it has called exec, or closed it.
 * state is 'c', value the slot.
 *
 * All of these take the directory's lock, for MBR__LOCK_NS at most: -ETIMEDOUT. Nothing else is
 * waited for while it is held.
 */
#ifndef MBR_OBJECT_LINKS_H
#define MBR_OBJECT_LINKS_H

#include "object/container.h"

/*
 * Opens the memory of container `name`; it is one that belongs to a living process, and its header
 * says that it is what the link says. -ENOENT there is none; -EACCES, -EXDEV it is there and cannot
 * be opened; -EPROTO what has the name is no container; -EMFILE, -ENFILE.
 */
int mbr__links_find(struct mbr__names *n, const char *name, int *fd);

/* Publishes a new container: both links. -EEXIST the name is taken; -ENOSPC and so on. */
int mbr__links_create(struct mbr__container *c);

/* Publishes that we are a member. -EAGAIN the name is that of another container by now. */
int mbr__links_join(struct mbr__container *c);

/* Removes our links; the first one becomes another member's if there is one. */
void mbr__links_leave(struct mbr__container *c);

/* Checks that `fd` is a container's memory with this identity (NULL: any), and reads its header.
 * -EPROTO. */
int mbr__links_check(int fd, const uint64_t id[2], struct mbr__container_shm *header);

#endif
