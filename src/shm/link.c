/* SPDX-License-Identifier: MIT */
/*
 * The text of rendezvous links, and pipes' names: formatting, parsing, checking. Pure functions of
 * bytes that strangers may have written; nothing here touches the file system.
 *
 * The first word is the version of the format. A link of another version is not ours: it is left
 * alone like anything else that we do not understand.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "shm/names.h"
#include "shm/scan.h"

int mbr__name_check(const char *name)
{
    size_t len;

    if (name == NULL || name[0] == '\0')
        return -EINVAL;
    len = strnlen(name, MBR__NAME_MAX + 1);
    if (len > MBR__NAME_MAX)
        return -ENAMETOOLONG;
    if (memchr(name, '/', len) != NULL || !mbr__utf8_valid(name, len))
        return -EINVAL;
    return 0;
}

static bool in_bounds(const struct mbr__link *l)
{
    return l->owner.pid > 0 && l->owner.pid <= MBR__PID_MAX && l->fd >= 0 && l->wake >= -1 &&
           l->state >= 'a' && l->state <= 'z';
}

int mbr__link_format(const struct mbr__link *l, char out[MBR__LINK_TEXT])
{
    char wake[16] = "-";

    if (!in_bounds(l))
        return -EINVAL;
    if (l->wake >= 0)
        snprintf(wake, sizeof(wake), "%d", l->wake);
    return snprintf(out, MBR__LINK_TEXT,
                    "m1 %d %" PRIu64 " %" PRIx64 " %d %s %c %" PRIx64 " %" PRIx64 " %" PRIx64
                    " %" PRIx64,
                    (int)l->owner.pid, l->owner.start, l->owner.ns, l->fd, wake, l->state, l->id[0],
                    l->id[1], l->inst, l->value);
}

/* A blank, then a number. */
static bool field(struct mbr__scan *s, unsigned base, uint64_t max, uint64_t *out)
{
    return mbr__scan_char(s, ' ') && mbr__scan_u64(s, base, max, out);
}

static bool parse_owner(struct mbr__scan *s, struct mbr__link *l)
{
    uint64_t pid;

    if (!field(s, 10, MBR__PID_MAX, &pid) || !field(s, 10, UINT64_MAX, &l->owner.start) ||
        !field(s, 16, UINT64_MAX, &l->owner.ns))
        return false;
    l->owner.pid = (pid_t)pid;
    return true;
}

static bool parse_fds(struct mbr__scan *s, struct mbr__link *l)
{
    uint64_t fd;

    if (!field(s, 10, INT_MAX, &fd) || !mbr__scan_char(s, ' '))
        return false;
    l->fd = (int)fd;
    l->wake = -1;
    if (mbr__scan_char(s, '-'))
        return true;
    if (!mbr__scan_u64(s, 10, INT_MAX, &fd))
        return false;
    l->wake = (int)fd;
    return true;
}

static bool parse_state(struct mbr__scan *s, struct mbr__link *l)
{
    if (!mbr__scan_char(s, ' ') || s->at == s->end)
        return false;
    l->state = *s->at++;
    return field(s, 16, UINT64_MAX, &l->id[0]) && field(s, 16, UINT64_MAX, &l->id[1]) &&
           field(s, 16, UINT64_MAX, &l->inst) && field(s, 16, UINT64_MAX, &l->value);
}

int mbr__link_parse(const char *text, size_t len, struct mbr__link *out)
{
    struct mbr__scan s = {text, text + len};
    struct mbr__link l;
    char again[MBR__LINK_TEXT];

    if (!mbr__scan_char(&s, 'm') || !mbr__scan_char(&s, '1'))
        return -EPROTO;
    if (!parse_owner(&s, &l) || !parse_fds(&s, &l) || !parse_state(&s, &l) || s.at != s.end)
        return -EPROTO;

    /* Bounds that the scanner does not know, and leading zeroes: one text for each value. */
    if (mbr__link_format(&l, again) != (int)len || memcmp(again, text, len) != 0)
        return -EPROTO;
    *out = l;
    return 0;
}
