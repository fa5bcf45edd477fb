/* SPDX-License-Identifier: MIT */
/*
 * See record.h.
 */
#include "record.h"

#include <errno.h>
#include <string.h>

size_t record_size(const struct mbr__store_change *change)
{
    if (change->kind != MBR__STORE_PUT)
        return 0;
    return RECORD_HEAD + (size_t)change->name_len + change->value_len +
           (size_t)change->perm_count * RECORD_PERM;
}

void record_pack(unsigned char *out, const struct mbr__store_change *change)
{
    record_put64(out, change->parent);
    record_put64(out + 8, change->generation);
    record_put32(out + 16, change->name_len);
    record_put32(out + 20, change->value_len);
    record_put32(out + 24, change->perm_count);
    out += RECORD_HEAD;
    if (change->name_len != 0)
        memcpy(out, change->name, change->name_len);
    out += change->name_len;
    if (change->value_len != 0)
        memcpy(out, change->value, change->value_len);
    out += change->value_len;
    for (uint32_t i = 0; i < change->perm_count; i++, out += RECORD_PERM) {
        out[0] = (unsigned char)(change->perms[i].domid & 0xff);
        out[1] = (unsigned char)(change->perms[i].domid >> 8);
        out[2] = (unsigned char)change->perms[i].letter;
    }
}

int record_parse(const unsigned char *in, size_t length, struct mbr__store_perm *perms,
                 struct mbr__store_change *out)
{
    struct mbr__store_change change = {.kind = MBR__STORE_PUT};
    const unsigned char *at = in + RECORD_HEAD;

    if (length < RECORD_HEAD)
        return -EBADMSG;
    change.parent = record_get64(in);
    change.generation = record_get64(in + 8);
    change.name_len = record_get32(in + 16);
    change.value_len = record_get32(in + 20);
    change.perm_count = record_get32(in + 24);
    length -= RECORD_HEAD;
    if (change.name_len > length || change.value_len > length - change.name_len ||
        change.perm_count > RECORD_PERMS_MAX ||
        length - change.name_len - change.value_len != (size_t)change.perm_count * RECORD_PERM)
        return -EBADMSG;
    change.name = (const char *)at;
    change.value = at + change.name_len;
    at += change.name_len + change.value_len;
    for (uint32_t i = 0; i < change.perm_count; i++, at += RECORD_PERM)
        perms[i] = (struct mbr__store_perm){
            .domid = (uint16_t)(at[0] | at[1] << 8),
            .letter = (char)at[2],
        };
    change.perms = perms;
    *out = change;
    return 0;
}
