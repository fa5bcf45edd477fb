/* SPDX-License-Identifier: MIT */
/* The text of /proc/PID/stat, whose second field is a name that a process chooses itself. */
#include "shm/proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mbr__stat st;

    (void)mbr__stat_parse((const char *)data, size, &st);
    return 0;
}
