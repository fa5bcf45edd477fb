/* SPDX-License-Identifier: MIT */
/*
 * Broken invariants: a state that no input, peer or environment can cause. They end the process
 * with file, line and text, in every build, because to carry on would spoil memory that other
 * domains trust. The message goes to the log hook, and to stderr when no hook is set, as assert()
 * does; it is the only thing the library ever prints.
 *
 * Not for arguments, peers or resources: these return a negative errno.
 */
#ifndef MBR_BASE_ASSERT_H
#define MBR_BASE_ASSERT_H

#include <membrane/base.h>

/* Reports FILE:LINE and the formatted state of the object, then aborts. Exported as mbr__log is. */
MBR_API void mbr__panic(const char *file, int line, const char *format, ...) MBR_PRINTF(3, 4)
    __attribute__((noreturn, cold));

/* Kept in release builds. */
#define MBR_ASSERT(cond)           \
    (__builtin_expect(!!(cond), 1) \
         ? (void)0                 \
         : mbr__panic(__FILE__, __LINE__, "assertion failed: %s", #cond))

/* As MBR_ASSERT, with the state of the object: MBR_ASSERT_STATE(a < b, "a %u, b %u", a, b). */
#define MBR_ASSERT_STATE(cond, format, ...) \
    (__builtin_expect(!!(cond), 1)          \
         ? (void)0                          \
         : mbr__panic(__FILE__, __LINE__, "assertion failed: %s: " format, #cond, __VA_ARGS__))

/* Marks a place that is never reached, and says why. */
#define MBR_UNREACHABLE(text) mbr__panic(__FILE__, __LINE__, "unreachable: %s", text)

/* For what is too dear to check in release builds; still compiled there, so that it cannot rot. */
#ifdef NDEBUG
#define MBR_DEBUG_ASSERT(cond) ((void)sizeof(!(cond)))
#else
#define MBR_DEBUG_ASSERT(cond) MBR_ASSERT(cond)
#endif

#endif
