/* SPDX-License-Identifier: MIT */
/*
 * The Demikernel C API: waiting. libos.h says what holds for all calls. A token can be waited for
 * once; a wait that times out leaves the operation pending and the token valid. timeout NULL waits
 * for ever, zero looks once. A wait spins for a short time that adapts, then sleeps until there is
 * something to do.
 */
#ifndef DEMI_WAIT_H_IS_INCLUDED
#define DEMI_WAIT_H_IS_INCLUDED

#include <demi/cc.h>
#include <demi/types.h>
#include <time.h>

struct timespec; /* strict C99 hides it in <time.h> */

#ifdef __cplusplus
extern "C" {
#endif

/* Waits for one operation. Errors: EINVAL NULL, a token that names nothing, or a timeout out of
 * range; ETIMEDOUT. */
ATTR_NONNULL(1)
extern int demi_wait(_Out_ demi_qresult_t *qr_out, _In_ demi_qtoken_t qt,
                     _In_opt_ const struct timespec *timeout);

/* Waits for the first of several operations; *ready_offset is its place in qts. Errors: EINVAL
 * NULL, num_qts < 0, or a token before the first completed one names nothing (with 32 tokens and
 * more only if none completes at once); ETIMEDOUT. */
ATTR_NONNULL(1, 2, 3)
extern int demi_wait_any(_Out_ demi_qresult_t *qr_out, _Out_ int *ready_offset,
                         _In_reads_(num_qts) const demi_qtoken_t qts[], _In_ int num_qts,
                         _In_opt_ const struct timespec *timeout);

/* Waits until num_qrs operations of this thread, any of them, have completed. *num_qrs_out is how
 * many results were stored, also when ETIMEDOUT is returned. Errors: EINVAL NULL or num_qrs < 1;
 * ETIMEDOUT. */
ATTR_NONNULL(1, 3)
extern int demi_wait_next_n(_Out_writes_to_(num_qrs, *num_qrs_out) demi_qresult_t *qr_out,
                            _In_ int num_qrs, _Out_ int *num_qrs_out,
                            _In_opt_ const struct timespec *timeout);

#ifdef __cplusplus
}
#endif

#endif
