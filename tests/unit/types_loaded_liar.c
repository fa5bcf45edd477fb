/* SPDX-License-Identifier: MIT */
/* A shared object that lies: a record with wild pointers, and one that claims to be Context. */
#include <membrane/middl.h>

static const struct mbr_type_record wild_types[] = {
    {UINT64_C(0x7777777777770001), (const char *)16, MBR_TYPE_RECORD, 1, 8, 8, 0, 1, 0,
     (const struct mbr_member_record *)24},
};

const struct mbr_intf_record Wild_intf;
const struct mbr_intf_record Wild_intf = {
    .magic = MBR_INTF_MAGIC,
    .version = MBR_INTF_VERSION,
    .code = UINT64_C(0x7777777777770000),
    .name = "Wild",
    .types = wild_types,
    .n_types = 1,
    .n_named = 1,
};

const struct mbr_intf_record False_intf;
const struct mbr_intf_record False_intf = {
    .magic = MBR_INTF_MAGIC,
    .version = MBR_INTF_VERSION,
    .code = UINT64_C(0x8888888888880000),
    .name = "Context",
};

MBR_INTF_ANNOUNCE(Wild);
MBR_INTF_ANNOUNCE(False);
