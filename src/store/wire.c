/* SPDX-License-Identifier: MIT */
/*
 * The codec of headers, and the tables of names. Little-endian whatever the host is: the real
 * daemons use the host's order, and every host they run on is little-endian.
 */
#include "store/wire.h"

#include <errno.h>
#include <string.h>

static void put_word(unsigned char *out, uint32_t word)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (unsigned char)(word >> (8 * i));
}

static uint32_t get_word(const unsigned char *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

void mbr__store_header_pack(unsigned char out[MBR__STORE_HEADER_SIZE],
                            const struct mbr__store_header *header)
{
    put_word(out, header->type);
    put_word(out + 4, header->req_id);
    put_word(out + 8, header->tx_id);
    put_word(out + 12, header->len);
}

void mbr__store_header_parse(struct mbr__store_header *header,
                             const unsigned char in[MBR__STORE_HEADER_SIZE])
{
    header->type = get_word(in);
    header->req_id = get_word(in + 4);
    header->tx_id = get_word(in + 8);
    header->len = get_word(in + 12);
}

/* In the order of xs_wire.h: the first is what stands for everything else. */
static const struct {
    const char *name;
    int number;
} errors[] = {
    {"EINVAL", EINVAL}, {"EACCES", EACCES}, {"EEXIST", EEXIST},       {"EISDIR", EISDIR},
    {"ENOENT", ENOENT}, {"ENOMEM", ENOMEM}, {"ENOSPC", ENOSPC},       {"EIO", EIO},
    {"ENOSYS", ENOSYS}, {"EROFS", EROFS},   {"ENOTEMPTY", ENOTEMPTY}, {"EBUSY", EBUSY},
    {"EAGAIN", EAGAIN}, {"E2BIG", E2BIG},   {"EISCONN", EISCONN},     {"EPERM", EPERM},
};

#define ERRORS (sizeof(errors) / sizeof(errors[0]))

const char *mbr__store_error_name(int error)
{
    for (size_t i = 0; i < ERRORS; i++)
        if (errors[i].number == -error)
            return errors[i].name;
    return errors[0].name;
}

int mbr__store_error_number(const char *name, size_t length)
{
    for (size_t i = 0; i < ERRORS; i++)
        if (strlen(errors[i].name) == length && memcmp(errors[i].name, name, length) == 0)
            return -errors[i].number;
    return -EINVAL;
}

size_t mbr__store_digits(char out[MBR__STORE_DIGITS], uint64_t number)
{
    char reversed[MBR__STORE_DIGITS];
    size_t count = 0;
    size_t at = 0;

    do
        reversed[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count > 0)
        out[at++] = reversed[--count];
    out[at] = '\0';
    return at;
}

static const char *const type_names[] = {
    [MBR__XS_CONTROL] = "CONTROL",
    [MBR__XS_DIRECTORY] = "DIRECTORY",
    [MBR__XS_READ] = "READ",
    [MBR__XS_GET_PERMS] = "GET_PERMS",
    [MBR__XS_WATCH] = "WATCH",
    [MBR__XS_UNWATCH] = "UNWATCH",
    [MBR__XS_TRANSACTION_START] = "TRANSACTION_START",
    [MBR__XS_TRANSACTION_END] = "TRANSACTION_END",
    [MBR__XS_INTRODUCE] = "INTRODUCE",
    [MBR__XS_RELEASE] = "RELEASE",
    [MBR__XS_GET_DOMAIN_PATH] = "GET_DOMAIN_PATH",
    [MBR__XS_WRITE] = "WRITE",
    [MBR__XS_MKDIR] = "MKDIR",
    [MBR__XS_RM] = "RM",
    [MBR__XS_SET_PERMS] = "SET_PERMS",
    [MBR__XS_WATCH_EVENT] = "WATCH_EVENT",
    [MBR__XS_ERROR] = "ERROR",
    [MBR__XS_IS_DOMAIN_INTRODUCED] = "IS_DOMAIN_INTRODUCED",
    [MBR__XS_RESUME] = "RESUME",
    [MBR__XS_SET_TARGET] = "SET_TARGET",
    [MBR__XS_RESET_WATCHES] = "RESET_WATCHES",
    [MBR__XS_DIRECTORY_PART] = "DIRECTORY_PART",
    [MBR__XS_GET_FEATURE] = "GET_FEATURE",
    [MBR__XS_SET_FEATURE] = "SET_FEATURE",
    [MBR__XS_GET_QUOTA] = "GET_QUOTA",
    [MBR__XS_SET_QUOTA] = "SET_QUOTA",
};

const char *mbr__store_type_name(uint32_t type)
{
    const char *name = type < MBR__XS_TYPES ? type_names[type] : NULL;

    return name ? name : "?";
}
