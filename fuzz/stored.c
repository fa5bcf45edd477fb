/* SPDX-License-Identifier: MIT */
/*
 * What membraned reads from files: a node's record in the database, and the numbers of a live
 * update's stream. A record that is taken must be written again byte for byte.
 */
#include <stdlib.h>
#include <string.h>

#include "../daemon/record.h"
#include "../daemon/update_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(const uint8_t *data, size_t size)
{
    static struct mbr__store_perm perms[RECORD_PERMS_MAX];
    struct mbr__store_change change;
    unsigned char *again;

    if (record_parse(data, size, perms, &change) != 0)
        return;
    if (record_size(&change) != size)
        abort();
    again = malloc(size);
    if (again == NULL)
        return;
    record_pack(again, &change);
    if (memcmp(again, data, size) != 0)
        abort();
    free(again);
}

static void check_stream(const uint8_t *data, size_t size)
{
    struct stream_in in = {.at = data, .left = size};
    unsigned char bytes[64];

    while (in.error == 0) {
        uint64_t length = stream_get_most(&in, sizeof(bytes));

        if (in.error == 0 && stream_reader(&in, bytes, length) != 0 && in.error == 0)
            abort();
    }
    if (in.at > data + size)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_record(data, size);
    check_stream(data, size);
    return 0;
}
