/* SPDX-License-Identifier: MIT */
/* What people may see of what others have chosen. See printable.h. */
#include "printable.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

#define LONGEST 5 /* bytes of an escape, with its NUL */

/* Bytes of the printable character that begins here, of `length` bytes; 0: none does. */
static size_t whole(const char *text, size_t length)
{
    unsigned char first = (unsigned char)text[0];
    size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (first < 0x20 || first == 0x7f || n > length || !mbr__utf8_valid(text, n))
        return 0;
    return first == 0xc2 && (unsigned char)text[1] < 0xa0 ? 0 : n;
}

static const char *escape(char c, char out[LONGEST])
{
    static const char plain[] = "\n\t\r";
    static const char letters[] = "ntr";
    const char *at = c != '\0' ? strchr(plain, c) : NULL;

    if (at != NULL)
        (void)snprintf(out, LONGEST, "\\%c", letters[at - plain]);
    else
        (void)snprintf(out, LONGEST, "\\x%02x", (unsigned char)c);
    return out;
}

const char *printable(const char *text, char *out, size_t size)
{
    size_t length = strlen(text);
    size_t used = 0;
    size_t n;

    for (size_t at = 0; at < length; at += n) {
        char code[LONGEST];
        const char *piece = text + at;
        size_t wide = n = whole(text + at, length - at);

        if (n == 0) {
            n = 1;
            piece = escape(text[at], code);
            wide = strlen(piece);
        }
        if (used + wide >= size)
            break;
        memcpy(out + used, piece, wide);
        used += wide;
    }
    out[used] = '\0';
    return out;
}

const char *printable_text(const char *text)
{
    static char places[2][16 * 1024];
    static unsigned turn;

    turn ^= 1;
    return printable(text, places[turn], sizeof(places[turn]));
}

const char *printable_name(const char *text)
{
    return isatty(STDOUT_FILENO) == 1 ? printable_text(text) : text;
}

void printable_put(const char *bytes, size_t length, FILE *out)
{
    size_t n;

    if (isatty(fileno(out)) != 1) {
        (void)fwrite(bytes, 1, length, out);
        return;
    }
    for (size_t at = 0; at < length; at += n) {
        char code[LONGEST];

        n = whole(bytes + at, length - at);
        if (n == 0 && (bytes[at] == '\n' || bytes[at] == '\t'))
            n = 1;
        if (n > 0) {
            (void)fwrite(bytes + at, 1, n, out);
        } else {
            n = 1;
            fputs(escape(bytes[at], code), out);
        }
    }
}
