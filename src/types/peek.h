/* SPDX-License-Identifier: MIT */
/*
 * Reading memory that may not be there: a type record from a stranger's shared object may point
 * anywhere. The kernel copies; a bad address is an error instead of a fault.
 */
#ifndef MBR_TYPES_PEEK_H
#define MBR_TYPES_PEEK_H

#include <stddef.h>

/*
 * Copies SIZE bytes at FROM to TO. -EFAULT if some of them cannot be read, and TO is then
 * undefined; another errno if the kernel offers no way to find out.
 */
int mbr__peek(void *to, const void *from, size_t size);

/*
 * Copies a string with its NUL to TO, of SIZE bytes, and returns its length. -EFAULT as above,
 * -E2BIG if it does not fit.
 */
int mbr__peek_string(char *to, size_t size, const char *from);

#endif
