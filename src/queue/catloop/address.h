/* SPDX-License-Identifier: MIT */
/*
 * Addresses as names in the directory of names: how a link of a socket is called, whom an address
 * leads to, and whether it may be had. docs/names.md has the format.
 *
 * Nothing here knows of instances: the shim, which has none, uses the same names for its listening
 * sockets.
 */
#ifndef MBR_CATLOOP_ADDRESS_H
#define MBR_CATLOOP_ADDRESS_H

#include "queue/sock.h"
#include "shm/names.h"

#define MBR__CATLOOP_FILE 64u /* bytes of a link's name */

#define MBR__NAME_SHARED 1u  /* value of the links of sockets that share an address */
#define MBR__NAME_KERNEL 'k' /* state of the link of a listening socket of the kernel */

/* Who asks for an address. */
enum mbr__name_asker {
    MBR__NAME_SHARES = 1, /* shares it with those that do so, too */
    MBR__NAME_BINDS = 2,  /* for a socket of the kernel: what such sockets have is the kernel's to
                             judge */
};

/* The file of an address. `place`: which of those that share it; 0 the first, or the only one. */
void mbr__address_file(const union mbr__addr *a, int type, unsigned place,
                       char out[MBR__CATLOOP_FILE]);
/* The address of a file of place 0 of a stream socket. False: it is none. */
bool mbr__address_parse(const char *file, union mbr__addr *out);
/* Whether an address is one of this machine's (or the wildcard): 0 or -EADDRNOTAVAIL. */
int mbr__address_local(const union mbr__addr *a);

/* Needs the lock: whether somebody has the address, or one that collides with it, and keeps it from
 * who asks, a set of enum mbr__name_asker. Removes what dead owners have left in its way. */
bool mbr__address_collides(struct mbr__names *n, const union mbr__addr *a, int type,
                           unsigned asker);
/* Needs the lock: a free place at an address that may be had; its name. False: none. */
bool mbr__address_place(struct mbr__names *n, const union mbr__addr *a, int type,
                        char file[MBR__CATLOOP_FILE]);

/* The link of whom an address leads to, also by the wildcard. -ENOENT nobody; others as
 * mbr__names_read(). */
int mbr__address_find(struct mbr__names *n, int type, const union mbr__addr *to,
                      struct mbr__link *out);
/* The same by two looks at most: finds none of those who share an address whose first has gone. */
int mbr__address_peek(struct mbr__names *n, int type, const union mbr__addr *to,
                      struct mbr__link *out);

#endif
