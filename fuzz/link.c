/* SPDX-License-Identifier: MIT */
/*
 * The text of a rendezvous link. Whatever the parser accepts, the formatter must write again byte
 * for byte: there is one text for each link.
 */
#include <stdlib.h>
#include <string.h>

#include "shm/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[MBR__LINK_TEXT];
    struct mbr__link link;

    if (mbr__link_parse((const char *)data, size, &link) < 0)
        return 0;
    int n = mbr__link_format(&link, text);

    if (n < 0 || (size_t)n != size || memcmp(text, data, size) != 0)
        abort();
    return 0;
}
