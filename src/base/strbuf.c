/* SPDX-License-Identifier: MIT */
/*
 * The string builder. All writing goes through make_room(), which knows the limit; room for the NUL
 * is always part of it.
 */
#include "base/strbuf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define FIRST_CAPACITY 64u

void mbr__strbuf_init(struct mbr__strbuf *buf, size_t limit)
{
    /* With the NUL it must still be a size. */
    *buf = (struct mbr__strbuf){.limit = limit < SIZE_MAX ? limit : SIZE_MAX - 1};
}

void mbr__strbuf_init_fixed(struct mbr__strbuf *buf, char *array, size_t size)
{
    MBR_ASSERT(size >= 1);
    array[0] = '\0';
    *buf = (struct mbr__strbuf){.data = array, .capacity = size, .limit = size - 1, .fixed = true};
}

void mbr__strbuf_fini(struct mbr__strbuf *buf)
{
    if (buf->fixed) {
        mbr__strbuf_reset(buf);
        return;
    }
    free(buf->data);
    mbr__strbuf_init(buf, buf->limit);
}

/* A capacity of at least NEED, doubled from the present one, but no more than the limit asks for.
 */
static size_t grown_capacity(const struct mbr__strbuf *buf, size_t need)
{
    size_t capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY;

    while (capacity < need && capacity <= SIZE_MAX / 2)
        capacity *= 2;
    if (capacity < need || capacity > buf->limit + 1)
        capacity = buf->limit + 1;
    return capacity;
}

/* Makes sure that EXTRA more bytes and a NUL fit. */
static bool make_room(struct mbr__strbuf *buf, size_t extra)
{
    size_t capacity;
    char *data;

    if (buf->error)
        return false;
    if (extra > buf->limit - buf->length) {
        buf->error = -E2BIG;
        return false;
    }
    if (buf->length + extra < buf->capacity)
        return true;
    /* A fixed text never comes here: its capacity is its limit and one. */
    capacity = grown_capacity(buf, buf->length + extra + 1);
    data = realloc(buf->data, capacity);
    if (!data) {
        buf->error = -ENOMEM;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void mbr__strbuf_append(struct mbr__strbuf *buf, const void *bytes, size_t length)
{
    if (!make_room(buf, length))
        return;
    if (length > 0)
        memcpy(buf->data + buf->length, bytes, length);
    buf->length += length;
    buf->data[buf->length] = '\0';
}

void mbr__strbuf_puts(struct mbr__strbuf *buf, const char *text)
{
    mbr__strbuf_append(buf, text, strlen(text));
}

void mbr__strbuf_putc(struct mbr__strbuf *buf, char c)
{
    mbr__strbuf_append(buf, &c, 1);
}

void mbr__strbuf_vprintf(struct mbr__strbuf *buf, const char *format, va_list args)
{
    va_list again;
    int length;

    if (buf->error)
        return;
    /* Measured first: an attempt in place would leave half a text behind when it does not fit. */
    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0) {
        buf->error = -EINVAL;
        return;
    }
    if (!make_room(buf, (size_t)length))
        return;
    if (vsnprintf(buf->data + buf->length, (size_t)length + 1, format, args) != length) {
        buf->data[buf->length] = '\0';
        buf->error = -EINVAL;
        return;
    }
    buf->length += (size_t)length;
}

void mbr__strbuf_printf(struct mbr__strbuf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    mbr__strbuf_vprintf(buf, format, args);
    va_end(args);
}

void mbr__strbuf_reset(struct mbr__strbuf *buf)
{
    buf->length = 0;
    buf->error = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

int mbr__strbuf_error(const struct mbr__strbuf *buf)
{
    return buf->error;
}

const char *mbr__strbuf_text(const struct mbr__strbuf *buf)
{
    return buf->data ? buf->data : "";
}

int mbr__strbuf_take(struct mbr__strbuf *buf, char **text, size_t *length)
{
    char *empty;

    MBR_ASSERT(!buf->fixed);
    if (buf->error)
        return buf->error;
    if (!buf->data) {
        /* Also the empty text is handed over as memory. */
        empty = calloc(1, 1);
        if (!empty)
            return -ENOMEM;
        buf->data = empty;
    }
    *text = buf->data;
    if (length)
        *length = buf->length;
    mbr__strbuf_init(buf, buf->limit);
    return 0;
}
