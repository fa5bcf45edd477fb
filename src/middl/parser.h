/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of the parser (parse.c: interfaces and declarations, parse_type.c: types and
 * lists) share. The parser is recursive descent with bounded depth; after a mistake it goes on with
 * the next declaration, so that one run shows every mistake.
 *
 * Each function returns false, having complained, when the text does not go on as it should; the
 * caller then returns false at once, up to the declaration, which is skipped.
 */
#ifndef MBR_MIDDL_PARSER_H
#define MBR_MIDDL_PARSER_H

#include "middl/lexer.h"

struct mc_parser {
    struct mbr_middlc *run;
    struct mc_file *file;
    struct mc_interface *interface;
    struct mc_lexer lexer;
    struct mc_token tokens[3]; /* the current one and two ahead */
    struct mc_pos last_end;    /* just behind the token before the current one */
    uint32_t depth;            /* of types inside types */
    bool tag;                  /* the next type is the tag of a CHOICE, before OF */
};

static inline const struct mc_token *mbr__mc_now(const struct mc_parser *parser)
{
    return &parser->tokens[0];
}

static inline bool mbr__mc_at(const struct mc_parser *parser, enum mc_tok kind)
{
    return parser->tokens[0].kind == kind;
}

void mbr__mc_advance(struct mc_parser *parser);

/* Takes the token if it is of KIND. */
bool mbr__mc_accept(struct mc_parser *parser, enum mc_tok kind);

/* Takes a token of KIND, or complains: "expected ... WHERE, found ...". */
bool mbr__mc_expect(struct mc_parser *parser, enum mc_tok kind, const char *where);

/* Takes an identifier. WHAT: "the name of a type". */
bool mbr__mc_expect_name(struct mc_parser *parser, const char *what, struct mc_name **name,
                         struct mc_pos *pos);

/* Complains of the current token: "expected WANTED, found ...", with a guess for misspelt words. */
bool mbr__mc_unexpected(struct mc_parser *parser, const char *wanted);

/* name [ "." name ]; HEAD is NULL without a dot. */
bool mbr__mc_scoped(struct mc_parser *parser, const char *what, struct mc_name **head,
                    struct mc_name **name, struct mc_pos *pos);

/* True where a declaration clearly begins: a name, ':' and TYPE, PROC, EXCEPTION or ANNOUNCEMENT.
 */
bool mbr__mc_begins_decl(const struct mc_parser *parser);

/* "[" fields "]". */
bool mbr__mc_group(struct mc_parser *parser, bool modes, struct mc_member **members,
                   uint32_t *count);

bool mbr__mc_type(struct mc_parser *parser, struct mc_type **type);

/* The comments that stand between the token before and the current one, without one beside it. */
struct mc_comments mbr__mc_comments_before(const struct mc_parser *parser);

/* 1 + the comment that stands on the line of the token before the current one, or 0; taken. */
uint32_t mbr__mc_comment_beside(struct mc_parser *parser);

#endif
