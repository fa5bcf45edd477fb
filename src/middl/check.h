/* SPDX-License-Identifier: MIT */
/*
 * The parts of the checker, in the order they run in. Each completes the tree a little, and
 * complains; what is wrong is marked MC_K_ERROR, so that nothing is complained of twice.
 *
 *   check.c        inheritance, duplicates, exceptions, who is in order
 *   check_bind.c   names of types to their declarations
 *   check_type.c   sizes, LOCAL, sets, choices, values inside themselves
 *   cname.c        names in C
 *   canonical.c    canonical forms, digests, type codes
 */
#ifndef MBR_MIDDL_CHECK_H
#define MBR_MIDDL_CHECK_H

#include "middl/run.h"

typedef void mc_type_visitor(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                             void *context);

/* Calls VISIT for each type in DECL, those inside before those around them. */
void mbr__mc_each_type(struct mbr_middlc *run, struct mc_decl *decl, mc_type_visitor *visit,
                       void *context);

/* Binds every name of a type in INTERFACE. */
void mbr__mc_bind(struct mbr_middlc *run, struct mc_interface *interface);

/* A name behind RAISES, or NULL with a complaint. */
struct mc_decl *mbr__mc_bind_raise(struct mbr_middlc *run, struct mc_interface *interface,
                                   struct mc_raise *raise);

/* Works out all types of all interfaces, in the order of their dependence, and their digests. */
void mbr__mc_check_types(struct mbr_middlc *run);

/* Complains of what a LOCAL interface only may use, in one that is not LOCAL. */
void mbr__mc_check_local(struct mbr_middlc *run, struct mc_interface *interface);

/* Gives everything its name in C. */
void mbr__mc_check_cnames(struct mbr_middlc *run, struct mc_interface *interface);

/* The digest of a TYPE or EXCEPTION whose dependencies have theirs. */
void mbr__mc_digest_decl(struct mbr_middlc *run, struct mc_decl *decl);

/* The digest and code of INTERFACE, after that of its supertype. */
void mbr__mc_digest_interface(struct mbr_middlc *run, struct mc_interface *interface);

/* The canonical form of INTERFACE. */
void mbr__mc_canonical(struct mbr__strbuf *out, const struct mc_interface *interface);

/* The type code of TYPE as it is used inside INTERFACE. */
uint64_t mbr__mc_code(const struct mc_interface *interface, const struct mc_type *type);

/* What a type is behind all aliases; ERROR for what could not be found. */
const struct mc_type *mbr__mc_real(const struct mc_type *type);

#endif
