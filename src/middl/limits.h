/* SPDX-License-Identifier: MIT */
/*
 * How much the compiler takes from a stranger: everything an input can make large is bounded here,
 * so that no text can make it use memory, stack or time without end. Exceeding one is an error with
 * a position. The bounds of type records are in membrane/middl.h.
 */
#ifndef MBR_MIDDL_LIMITS_H
#define MBR_MIDDL_LIMITS_H

#define MC_MAX_FILE       (1u << 20)   /* bytes of one file */
#define MC_MAX_TEXT       (32u << 20)  /* bytes of all files of a run */
#define MC_MAX_MEMORY     (512u << 20) /* bytes of the tree and everything else that stays */
#define MC_MAX_INTERFACES 2048u        /* interfaces in a run: the closure takes n * n bits */
#define MC_MAX_DEPTH      32u          /* types inside types; also bounds the parser's stack */
#define MC_MAX_CHAIN      64u          /* an interface and its supertypes */
#define MC_MAX_NAME       255u         /* bytes of an identifier */
#define MC_MAX_MEMBERS    65535u       /* of one list */
#define MC_MAX_DECLS      65535u       /* of one interface; also types, those without a name too */
#define MC_MAX_NEEDS      1024u        /* of one interface */
#define MC_MAX_SIZE       0x7fffffffu  /* bytes of a value */
#define MC_MAX_ERRORS     200u         /* shown of one file, unless asked otherwise */
#define MC_MAX_GUESSES    300000u      /* candidates compared with misspelt words, in a run */
#define MC_MAX_SET        64u          /* members of an enumeration that a set is made of */

#endif
