/* SPDX-License-Identifier: MIT */
/*
 * From bytes to tokens. Blanks, U+00A0 among them, and comments separate tokens; comments are kept
 * in the file, because they are the documentation. A bad byte is complained of once and skipped, so
 * the parser sees only good tokens. Not here: what tokens mean.
 */
#ifndef MBR_MIDDL_LEXER_H
#define MBR_MIDDL_LEXER_H

#include "middl/run.h"
#include "middl/tokens.h"

struct mc_token {
    enum mc_tok kind;
    struct mc_pos pos;
    struct mc_name *name; /* NAME and reserved words: the spelling */
    uint64_t number;      /* NUMBER */
    uint32_t comments;    /* of the file, before this token */
};

struct mc_lexer {
    struct mbr_middlc *run;
    struct mc_file *file;
    const char *next;
    const char *end;
    const char *line_start;
    uint32_t line;
    uint32_t narrow;     /* bytes of this line that are not characters of their own */
    uint32_t token_line; /* the line of the last token, for comments beside it */
};

void mbr__mc_lexer_init(struct mc_lexer *lexer, struct mbr_middlc *run, struct mc_file *file);

/* The next token; MC_EOF at the end and, for ever, after a failed allocation. */
void mbr__mc_lex(struct mc_lexer *lexer, struct mc_token *token);

/* How a kind of token is spoken of in messages: "':'", "'BEGIN'", "a name". */
const char *mbr__mc_token_text(enum mc_tok kind);

/* The reserved words: the kind a spelling has, MC_NAME for none of them. */
enum mc_tok mbr__mc_word(const char *text, size_t length);

/* The spelling of a word's kind, NULL for what is no word. */
const char *mbr__mc_word_text(enum mc_tok kind);

#endif
