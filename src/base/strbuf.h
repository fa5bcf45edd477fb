/* SPDX-License-Identifier: MIT */
/*
 * A string builder with a hard limit, on the heap or in a caller's array. Its error is sticky: the
 * first failure is kept and later calls do nothing, so a caller appends without looking and asks
 * once, at the end. It never writes outside its memory and the text is always NUL-terminated.
 *
 * For one thread. Not here: escaping or encoding of any format.
 */
#ifndef MBR_BASE_STRBUF_H
#define MBR_BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <membrane/base.h>

struct mbr__strbuf {
    char *data;      /* NULL until the first byte comes, on the heap */
    size_t length;   /* without the NUL */
    size_t capacity; /* bytes at data */
    size_t limit;    /* the greatest length */
    int error;       /* 0, or the first failure */
    bool fixed;      /* data is the caller's */
};

/* An empty text on the heap, of at most LIMIT bytes without the NUL. Cannot fail. */
void mbr__strbuf_init(struct mbr__strbuf *buf, size_t limit);

/* An empty text in the caller's ARRAY of SIZE >= 1 bytes: at most SIZE - 1, and no allocation. */
void mbr__strbuf_init_fixed(struct mbr__strbuf *buf, char *array, size_t size);

/* Frees the text if it is on the heap; BUF is then empty and usable again. */
void mbr__strbuf_fini(struct mbr__strbuf *buf);

/*
 * Each appends all or nothing. It may set the error to -E2BIG (the limit would be exceeded),
 * -ENOMEM (the heap is exhausted) or -EINVAL (printf: the format cannot be carried out).
 */
void mbr__strbuf_append(struct mbr__strbuf *buf, const void *bytes, size_t length);
void mbr__strbuf_puts(struct mbr__strbuf *buf, const char *text);
void mbr__strbuf_putc(struct mbr__strbuf *buf, char c);
void mbr__strbuf_printf(struct mbr__strbuf *buf, const char *format, ...) MBR_PRINTF(2, 3);
void mbr__strbuf_vprintf(struct mbr__strbuf *buf, const char *format, va_list args)
    MBR_PRINTF(2, 0);

/* Empties the text and clears the error; keeps the memory. */
void mbr__strbuf_reset(struct mbr__strbuf *buf);

/* 0, or the first failure as a negative errno. */
int mbr__strbuf_error(const struct mbr__strbuf *buf);

/* The text so far, never NULL; valid until BUF changes. After an error, what came before it. */
const char *mbr__strbuf_text(const struct mbr__strbuf *buf);

/*
 * Hands the text over: TEXT is the caller's to free() and BUF is empty again. Returns the sticky
 * error, or -ENOMEM, with TEXT and LENGTH untouched and BUF as it was. LENGTH may be NULL. Only for
 * a text on the heap.
 */
int mbr__strbuf_take(struct mbr__strbuf *buf, char **text, size_t *length);

#endif
