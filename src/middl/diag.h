/* SPDX-License-Identifier: MIT */
/*
 * Messages about the text: collected while a run goes on, given out sorted by file and place.
 *
 *     file:line:col: error: what is wrong (did you mean 'this'?)
 *     file:line:col: note: where the other one is
 *
 * Not here: what is wrong.
 */
#ifndef MBR_MIDDL_DIAG_H
#define MBR_MIDDL_DIAG_H

#include <membrane/middlc.h>

#include "middl/tree.h"

struct mbr_middlc;

/* Warnings: X(NAME, option, on by default, what it warns of). */
/* clang-format off */
#define MC_WARNINGS(X) \
    X(REDECLARED, "redeclared", true, "a type or exception that hides an inherited one") \
    X(NEEDS, "needs", true, "an interface that is referred to but not needed, or needed twice") \
    X(CHOICE, "choice", true, "a choice without an arm for each member of its enumeration") \
    X(RAISES, "raises", true, "an exception that is named twice after RAISES") \
    X(FILE, "file", true, "a file that is not called after its interface") \
    X(UNUSED, "unused-needs", false, "a NEEDS that nothing refers to") \
    X(DOC, "doc", false, "a declaration without a comment")
/* clang-format on */

enum mc_warning {
#define X(name, option, on, text) MC_W_##name,
    MC_WARNINGS(X)
#undef X
        MC_WARNING_COUNT
};

struct mc_diag {
    struct mc_diag *next;
    struct mc_diag *notes;
    struct mc_diag **notes_end;
    enum mbr_middlc_severity severity;
    struct mc_file *file;
    struct mc_pos pos;
    uint32_t order;
    const char *text;
};

/*
 * An error in FILE at POS; the returned message may be given notes. NULL if there have been too
 * many, or no memory is left; notes to NULL are dropped.
 */
struct mc_diag *mbr__mc_error(struct mbr_middlc *run, struct mc_file *file, struct mc_pos pos,
                              const char *format, ...) MBR_PRINTF(4, 5);

/* A warning of a kind; NULL if that kind is off. */
struct mc_diag *mbr__mc_warn(struct mbr_middlc *run, enum mc_warning kind, struct mc_file *file,
                             struct mc_pos pos, const char *format, ...) MBR_PRINTF(5, 6);

/* Adds a note about another place to DIAG. */
void mbr__mc_note(struct mbr_middlc *run, struct mc_diag *diag, struct mc_file *file,
                  struct mc_pos pos, const char *format, ...) MBR_PRINTF(5, 6);

/* Orders the messages for giving out. */
void mbr__mc_sort(struct mbr_middlc *run);

/*
 * The best of the words offered so far for a misspelt one, or NULL: as far as a third of the
 * letters may be wrong.
 */
struct mc_guess {
    const char *word;
    const char *best;
    uint32_t length;
    uint32_t distance;
    uint32_t *left; /* candidates that the run still looks at: a bound on hostile input */
};

void mbr__mc_guess_init(struct mbr_middlc *run, struct mc_guess *guess, const char *word);
void mbr__mc_guess_offer(struct mc_guess *guess, const char *candidate);

/* " (did you mean 'best'?)" in BUFFER of 300 bytes, or "". Returns BUFFER. */
const char *mbr__mc_guess_text(const struct mc_guess *guess, char *buffer);

#endif
