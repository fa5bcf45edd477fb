/* SPDX-License-Identifier: MIT */
/* The factory of type systems, for the table of modules. */
#ifndef MBR_TYPES_SYSTEM_TYPESYSTEMMOD_H
#define MBR_TYPES_SYSTEM_TYPESYSTEMMOD_H

#include <middl/TypeSystemMod.h>

extern TypeSystemMod_cl mbr__module_TypeSystemMod;

#endif
