/* SPDX-License-Identifier: MIT */
/* What the printer and the parser of values have in common. */
#ifndef MBR_TYPES_VALUE_H
#define MBR_TYPES_VALUE_H

#include <locale.h>

#include "types/registry.h"

/*
 * Numbers are written with a point wherever the program's user lives: the C locale for this thread,
 * until uselocale() of what is returned. The C locale is part of the library: this cannot fail.
 */
static inline locale_t mbr__locale_c(void)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);

    return uselocale(c);
}

#endif
