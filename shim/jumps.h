/* SPDX-License-Identifier: MIT */
/* How often a thread has jumped (longjmp(3)): what it had in hand before may be nobody's. */
#ifndef MBR_SHIM_JUMPS_H
#define MBR_SHIM_JUMPS_H

#include <stdint.h>

extern __thread uint32_t shim_jumps __attribute__((tls_model("initial-exec")));

#endif
