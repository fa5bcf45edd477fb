/* SPDX-License-Identifier: MIT */
/*
 * Compiler helpers for the Demikernel C API. Programs written for Demikernel may use these macros,
 * so all of them are here; the annotations mean something to one other compiler only and are empty.
 */
#ifndef DEMI_CC_H_IS_INCLUDED
#define DEMI_CC_H_IS_INCLUDED

#if defined(__GNUC__) || defined(__clang__)
#define ATTR_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define ATTR_NODISCARD    __attribute__((warn_unused_result))
#else
#define ATTR_NONNULL(...)
#define ATTR_NODISCARD
#endif

#define _In_
#define _In_z_
#define _In_opt_
#define _In_reads_(s)
#define _In_reads_bytes_(b)
#define _Out_
#define _Out_writes_to_(s, c)
#define _Deref_pre_z_

#endif
