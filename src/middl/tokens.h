/* SPDX-License-Identifier: MIT */
/*
 * The one table of MIDDL's words and signs. The lexer, the messages, the TextMate grammar and the
 * vim syntax file are all made from it. Not here: how tokens are found (lexer.h).
 */
#ifndef MBR_MIDDL_TOKENS_H
#define MBR_MIDDL_TOKENS_H

/*
 * Reserved words: X(WORD, class). The class decides how an editor shows it: STRUCTURE (what holds
 * an interface together), DECLARATION, MODIFIER, BASE (a predefined type), MAKER (makes a type).
 */
/* clang-format off */
#define MC_WORDS(X) \
    X(ADDRESS, BASE) \
    X(ANNOUNCEMENT, DECLARATION) \
    X(ARRAY, MAKER) \
    X(BEGIN, STRUCTURE) \
    X(BOOLEAN, BASE) \
    X(CARDINAL, BASE) \
    X(CHAR, BASE) \
    X(CHOICE, MAKER) \
    X(DANGEROUS, MODIFIER) \
    X(END, STRUCTURE) \
    X(EXCEPTION, DECLARATION) \
    X(EXTENDS, STRUCTURE) \
    X(IN, MODIFIER) \
    X(INTEGER, BASE) \
    X(INTERFACE, STRUCTURE) \
    X(IREF, MAKER) \
    X(LOCAL, MODIFIER) \
    X(LONG, MODIFIER) \
    X(NEEDS, STRUCTURE) \
    X(NEVER, MODIFIER) \
    X(OCTET, BASE) \
    X(OF, MAKER) \
    X(OUT, MODIFIER) \
    X(PROC, DECLARATION) \
    X(RAISES, MODIFIER) \
    X(REAL, BASE) \
    X(RECORD, MAKER) \
    X(REF, MAKER) \
    X(RETURNS, MODIFIER) \
    X(SEQUENCE, MAKER) \
    X(SET, MAKER) \
    X(SHORT, MODIFIER) \
    X(STRING, BASE) \
    X(TYPE, DECLARATION) \
    X(WORD, BASE)

/* Signs: X(NAME, spelling). */
#define MC_SIGNS(X) \
    X(COLON, ":") \
    X(EQUALS, "=") \
    X(SEMICOLON, ";") \
    X(COMMA, ",") \
    X(DOT, ".") \
    X(OPEN, "[") \
    X(CLOSE, "]") \
    X(LBRACE, "{") \
    X(RBRACE, "}") \
    X(ARROW, "=>")
/* clang-format on */

enum mc_tok {
    MC_EOF,
    MC_NAME,
    MC_NUMBER,
#define X(name, text) MC_##name,
    MC_SIGNS(X)
#undef X
#define X(word, class) MC_##word,
        MC_WORDS(X)
#undef X
            MC_TOKENS
};

/* What a comment begins with; it ends with the line. */
#define MC_COMMENT "--"

#endif
