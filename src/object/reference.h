/* SPDX-License-Identifier: MIT */
/*
 * The message that refers to a region of an object, version 1. It comes from a peer: every field is
 * bounded before it is used. Behind these come the two names, without NUL.
 */
#ifndef MBR_OBJECT_REFERENCE_H
#define MBR_OBJECT_REFERENCE_H

#include <assert.h>
#include <stdint.h>

#define MBR__REFERENCE_MAGIC   UINT64_C(0x6665722e72626d00) /* "\0mbr.ref" */
#define MBR__REFERENCE_VERSION 1u

struct mbr__reference {
    uint64_t magic;
    uint32_t version;         /* of this layout */
    uint16_t container_bytes; /* of the container's name, 1 to MBR_OBJECT_NAME_MAX */
    uint16_t object_bytes;    /* of the object's name, the same */
    uint64_t container_id[2]; /* mbr__container_shm.id */
    uint64_t object_id;       /* mbr__entry.id */
    uint64_t object_version;  /* mbr_object_attr.version */
    uint64_t offset;
    uint64_t size;
};
static_assert(sizeof(struct mbr__reference) == 64, "layout version 1");

#endif
