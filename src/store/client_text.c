/* SPDX-License-Identifier: MIT */
/*
 * The texts that payloads of the store are made of: numbers, lists of names, permissions.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/client.h"

int mbr__client_number(const char *text, size_t length, uint64_t max, uint64_t *out)
{
    uint64_t number = 0;

    if (length > 0 && text[length - 1] == '\0')
        length--;
    if (length == 0)
        return -EPROTO;
    for (size_t i = 0; i < length; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';

        if (digit > 9 || number > (max - digit) / 10)
            return -EPROTO;
        number = number * 10 + digit;
    }
    *out = number;
    return 0;
}

int mbr__client_list(const char *text, size_t length, char ***names, size_t *count)
{
    size_t n = 0;
    char **list;
    char *copy;

    if (length > 0 && text[length - 1] != '\0')
        return -EPROTO;
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\0')
            continue;
        if (i == 0 || text[i - 1] == '\0')
            return -EPROTO;
        n++;
    }
    list = malloc((n + 1) * sizeof(*list) + length);
    if (list == NULL)
        return -ENOMEM;
    copy = (char *)(list + n + 1);
    if (length > 0)
        memcpy(copy, text, length);
    for (size_t i = 0; i < n; i++) {
        list[i] = copy;
        copy += strlen(copy) + 1;
    }
    list[n] = NULL;
    *names = list;
    *count = n;
    return 0;
}

static const char letters[] = "nrwb"; /* by enum mbr_store_access */

int mbr_store_perm_parse(const char *text, struct mbr_store_perm *perm)
{
    const char *letter;
    uint64_t domid;

    if (text == NULL || perm == NULL || text[0] == '\0')
        return -EINVAL;
    letter = strchr(letters, text[0]);
    if (letter == NULL || mbr__client_number(text + 1, strlen(text + 1), UINT16_MAX, &domid) < 0)
        return -EINVAL;
    perm->domid = (uint32_t)domid;
    perm->access = (uint32_t)(letter - letters);
    return 0;
}

int mbr_store_perm_text(const struct mbr_store_perm *perm, char *text, size_t size)
{
    char all[MBR_STORE_PERM_TEXT];
    int length;

    if (perm == NULL || text == NULL || perm->access > MBR_STORE_BOTH)
        return -EINVAL;
    length = snprintf(all, sizeof(all), "%c%" PRIu32, letters[perm->access], perm->domid);
    if (length < 0 || (size_t)length >= size || (size_t)length >= sizeof(all))
        return -EINVAL;
    memcpy(text, all, (size_t)length + 1);
    return 0;
}
