/* SPDX-License-Identifier: MIT */
/* Between epoll.c and epoll_wait.c: an epoll's members. All need its lock. */
#ifndef MBR_SHIM_EPOLL_MEMBERS_H
#define MBR_SHIM_EPOLL_MEMBERS_H

#include "epoll.h"

/* The epoll of a descriptor, with a reference, or NULL. (Needs no lock.) */
struct shim_epoll *shim_epoll_get(int fd);

/* Whose ticket the kernel's data is: an index, SHIM_NO_TICKET the program's own data, SHIM_STALE of
 * a member that has been removed. */
enum { SHIM_NO_TICKET = -1, SHIM_STALE = -2 };
int shim_member_of(const struct shim_epoll *e, uint64_t data);

/* What is to be reported of an upgraded member now; 0 nothing. */
uint32_t shim_member_pending(const struct shim_member *m);
/* It has been. */
void shim_member_reported(struct shim_epoll *e, uint32_t slot);

/* From now on looked at; from now on announced by its peer (look once more afterwards). */
void shim_member_heat(struct shim_epoll *e, uint32_t slot);
void shim_member_cool(struct shim_epoll *e, uint32_t slot);

/* Takes those out of the kernel's epoll that the program has removed (`removed`): they were left in
 * as long as nobody sleeps, since it may put them back before. */
void shim_members_purge(struct shim_epoll *e);

/* Tells the kernel what to look out for, if that has changed. */
void shim_member_update(struct shim_epoll *e, uint32_t slot);

/* Puts it into the kernel's epoll again, should it not be there: the parent takes a connection that
 * it closes out of the epoll that its child has inherited. */
void shim_member_renew(struct shim_epoll *e, uint32_t slot);

/* Takes hot members on their way back to the kernel as far as it goes. Whether any is not there
 * yet: the wait is to look again soon. */
bool shim_members_settle(struct shim_epoll *e);
/* What is left to do for those that have arrived. e is not locked. */
void shim_members_tidy(struct shim_epoll *e);

/* Makes the kernel's epoll readable if something is ready, and else lets it become so. */
void shim_epoll_settle(struct shim_epoll *e);

#endif
