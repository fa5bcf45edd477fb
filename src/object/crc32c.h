/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C (Castagnoli), the checksum of iSCSI (RFC 3720, appendix B.4), with the processor's own
 * instruction where there is one. It finds accidents; it is no defence against an author.
 *
 * Not here: other polynomials.
 */
#ifndef MBR_OBJECT_CRC32C_H
#define MBR_OBJECT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what SUM is the checksum of (0: of nothing) followed by LENGTH bytes at DATA. Any
 * thread. */
uint32_t mbr__crc32c(uint32_t sum, const void *data, size_t length);

/* The same without the processor's instruction; for comparison. */
uint32_t mbr__crc32c_tables(uint32_t sum, const void *data, size_t length);

#endif
