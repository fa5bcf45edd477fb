/* SPDX-License-Identifier: MIT */
/*
 * One run of the compiler: all it knows. The parts (lexer, parser, checker, writers) share it;
 * outside it is the opaque struct of membrane/middlc.h.
 */
#ifndef MBR_MIDDL_RUN_H
#define MBR_MIDDL_RUN_H

#include <membrane/middlc.h>

#include "base/hash.h"
#include "base/strbuf.h"
#include "middl/arena.h"
#include "middl/diag.h"
#include "middl/limits.h"
#include "middl/tree.h"

struct mc_dir {
    struct mc_dir *next;
    const char *path;
};

struct mc_message {
    struct mbr_middlc_message public; /* first: what is given out is converted back */
    struct mc_message *next;
};

struct mbr_middlc {
    struct mc_arena arena;
    struct mbr__bytes_map names;  /* of struct mc_name, by text */
    struct mbr__hash decls;       /* of struct mc_decl, see mbr__mc_find_decl */
    struct mbr__bytes_map cnames; /* of struct mc_cname, by text */
    uint32_t n_names;
    uint64_t scopes; /* numbers given out by mbr__mc_scope */

    struct mc_file *files;
    struct mc_file **files_end;
    uint32_t n_files;
    size_t text_total;

    struct mc_interface *interfaces; /* in the order of loading */
    struct mc_interface **interfaces_end;
    uint32_t n_interfaces;
    uint32_t n_added; /* of the first ones: asked for */
    uint64_t *reach;  /* n * n bits: row i has those that i needs, directly or not */
    uint64_t *uses;   /* likewise: those whose types it uses, and its supertype; direct only */
    size_t reach_words;

    struct mc_diag *diags;
    struct mc_diag **diags_end;
    uint32_t n_diags;
    uint32_t n_errors;
    struct mc_message *messages;

    struct mc_dir *dirs;
    struct mc_dir **dirs_end;
    bool warn[MC_WARNING_COUNT];
    bool fatal[MC_WARNING_COUNT];
    uint32_t max_errors;

    uint32_t searches; /* of directories, for guesses */
    uint32_t guesses;  /* candidates still to be compared with misspelt words */
    bool closed;       /* no file is looked for: everything comes from memory */

    struct mbr__strbuf scratch; /* for canonical forms */

    bool done;  /* checked */
    int result; /* of the check */
};

/* The name with this spelling, or NULL (no memory). */
struct mc_name *mbr__mc_intern(struct mbr_middlc *run, const char *text, size_t length);

/* A new scope: names declared in it carry its number, which tells duplicates. */
static inline uint64_t mbr__mc_scope(struct mbr_middlc *run)
{
    return ++run->scopes;
}

/* The declaration NAME of INTERFACE itself, or NULL. */
struct mc_decl *mbr__mc_find_decl(const struct mbr_middlc *run,
                                  const struct mc_interface *interface, const struct mc_name *name);

/* The same, also in its supertypes, the nearest first. */
struct mc_decl *mbr__mc_find_inherited(const struct mbr_middlc *run,
                                       const struct mc_interface *interface,
                                       const struct mc_name *name);

/* True if FROM is TO, or needs it, directly or through others. After loading. */
bool mbr__mc_reaches(const struct mbr_middlc *run, const struct mc_interface *from,
                     const struct mc_interface *to);

static inline void mbr__mc_set_bit(uint64_t *row, uint32_t bit)
{
    row[bit / 64] |= UINT64_C(1) << bit % 64;
}

static inline bool mbr__mc_has_bit(const uint64_t *row, uint32_t bit)
{
    return row[bit / 64] >> bit % 64 & 1;
}

/* Closes N rows of N bits: a row gets the bits of all rows that its bits stand for. */
void mbr__mc_close(uint64_t *rows, uint32_t n, size_t words);

/* The key of a struct mc_cname (cname.c). */
const void *mbr__mc_cname_key(const void *value, size_t *length);

/* Takes FILE with its text in. 0 or the arena's error (parse.c). */
int mbr__mc_parse(struct mbr_middlc *run, struct mc_file *file);

/* Finds and parses what is needed, and computes who reaches whom (load.c). */
int mbr__mc_load_needs(struct mbr_middlc *run);

/* Checks everything, and completes the tree (check.c). */
void mbr__mc_check_all(struct mbr_middlc *run);

#endif
