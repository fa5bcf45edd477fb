/* SPDX-License-Identifier: MIT */
/*
 * Names in C. Not here: the names themselves, which cname.c writes into the tree.
 */
#ifndef MBR_MIDDL_CNAME_H
#define MBR_MIDDL_CNAME_H

#include <stdbool.h>
#include <stddef.h>

/*
 * True if a name that stands bare in C could be a macro or a word of the language: wholly upper
 * case (two letters or more), a keyword of C or C++, a lower-case macro of a standard header,
 * or one that begins as the compiler's own do (_Bool, __func__).
 */
bool mbr__mc_is_hazard(const char *text, size_t length);

#endif
