/* SPDX-License-Identifier: MIT */
/*
 * How a node looks in the database, and in the buffer on its way there. Integers are little-endian.
 *
 * record: u64 parent, u64 generation, u32 name length, u32 value length, u32 number of permissions,
 * then name, value, and per permission u16 domid and u8 letter.
 * In the buffer: u8 kind (MBR__STORE_PUT ...), u64 id, u32 length of the record, the record.
 */
#ifndef DAEMON_RECORD_H
#define DAEMON_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "store/engine.h"

#define RECORD_HEAD  28u
#define RECORD_PERM  3u
#define RECORD_FRAME 13u
/* More permissions than any message can hold. */
#define RECORD_PERMS_MAX 4096u

/* Bytes of the record of a PUT; 0 for the other kinds. */
size_t record_size(const struct mbr__store_change *change);

/* Writes the record of a PUT. */
void record_pack(unsigned char *out, const struct mbr__store_change *change);

/*
 * Takes a record apart; name and value point into it, permissions are copied to PERMS
 * (RECORD_PERMS_MAX of them). 0, or -EBADMSG.
 */
int record_parse(const unsigned char *in, size_t length, struct mbr__store_perm *perms,
                 struct mbr__store_change *out);

static inline void record_put32(unsigned char *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (unsigned char)(value >> 8 * i);
}

static inline void record_put64(unsigned char *out, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(value >> 8 * i);
}

static inline uint32_t record_get32(const unsigned char *in)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++)
        value |= (uint32_t)in[i] << 8 * i;
    return value;
}

static inline uint64_t record_get64(const unsigned char *in)
{
    return record_get32(in) | (uint64_t)record_get32(in + 4) << 32;
}

#endif
