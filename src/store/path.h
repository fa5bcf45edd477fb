/* SPDX-License-Identifier: MIT */
/*
 * Paths: made absolute, checked, and cut into their components.
 *
 * Not here: whether anything is there (tree.h).
 */
#ifndef MBR_STORE_PATH_H
#define MBR_STORE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/wire.h"

/* A component takes two bytes, with its '/'. */
#define MBR__ST_DEPTH_MAX (MBR__STORE_ABS_PATH_MAX / 2)

/* "/local/domain/4294967295/" */
#define MBR__ST_PREFIX_MAX 26

struct mbr__st_path {
    uint32_t len;      /* of text, without the NUL */
    uint32_t relative; /* bytes that were put in front of a relative path, 0 for an absolute one */
    uint32_t count;    /* components; 0 for "/" and for special names */
    uint32_t same;     /* the first ones, which are as they were at the last walk (tree.h) */
    bool special;      /* begins with '@' */
    struct {
        uint16_t at; /* in text */
        uint16_t len;
    } part[MBR__ST_DEPTH_MAX];
    char text[MBR__STORE_ABS_PATH_MAX + 1];
};

/*
 * Reads the LEN bytes at TEXT, which hold no NUL, as a path of domain DOMID. LOCAL_MAX bounds what
 * is behind "/local/domain/N/" (UINT32_MAX: only the whole is bounded). Names that begin with '@'
 * are taken as they are. -EINVAL: not a path.
 *
 * PATH holds the path read before, or is zeroed at first: what both begin with is not checked and
 * cut again. Whoever changes it by other means sets `same`, or `count`, to what is still true.
 */
int mbr__st_path_parse(struct mbr__st_path *path, uint32_t domid, const char *text, size_t len,
                       uint64_t local_max);

/* "/local/domain/DOMID/" into OUT; its length. */
size_t mbr__st_path_prefix(char out[MBR__ST_PREFIX_MAX], uint32_t domid);

/* Whether NAME, of LEN bytes, can be one component. */
bool mbr__st_name_valid(const char *name, size_t len);

#endif
