/* SPDX-License-Identifier: MIT */
/*
 * The tree of an interface, as the parser builds it and the checker completes it. Everything lies
 * in the run's arena; lists are linked in the order of the text.
 *
 * Not here: what the C names are (cname.h).
 */
#ifndef MBR_MIDDL_TREE_H
#define MBR_MIDDL_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include <membrane/middl.h>

struct mc_interface;
struct mc_decl;

/* 1-based; columns count characters. Line 0: nowhere in the text. */
struct mc_pos {
    uint32_t line;
    uint32_t col;
};

/* An identifier: one object for each spelling, so names are compared by address. */
struct mc_name {
    const char *text; /* NUL-terminated */
    uint32_t length;
    uint32_t number;                /* 1, 2, ... in the order of appearance */
    struct mc_interface *interface; /* the one called so, if it has been loaded */
    uint64_t scope;                 /* the last scope it was declared in, see mbr__mc_scope */
    struct mc_pos pos;              /* and where */
};

/* A comment without its dashes and the blanks around. */
struct mc_comment {
    const char *text;
    uint32_t length;
    uint32_t line;
    bool alone; /* nothing before it on its line */
    bool taken; /* belongs to a member, so not to the declaration around it */
};

/* Comments first..end-1 of the file. */
struct mc_comments {
    uint32_t first;
    uint32_t end;
};

enum mc_kind {
    MC_K_ERROR, /* could not be parsed or found: never complained of again */
    MC_K_PREDEFINED,
    MC_K_NAMED,
    MC_K_IREF,
    MC_K_ENUM,
    MC_K_RECORD,
    MC_K_CHOICE,
    MC_K_ARRAY,
    MC_K_SEQUENCE,
    MC_K_SET,
    MC_K_REF
};

struct mc_member;

struct mc_type {
    enum mc_kind kind;
    struct mc_pos pos;
    uint32_t predefined; /* PREDEFINED: its type code */
    bool dangerous;      /* PREDEFINED: as it was written */

    struct mc_name *head; /* NAMED: of "head.name", or NULL */
    struct mc_name *name; /* NAMED, IREF */
    struct mc_pos name_pos;
    struct mc_decl *target;         /* NAMED */
    struct mc_interface *interface; /* IREF */

    struct mc_type *base;      /* ARRAY, SEQUENCE, SET, REF; CHOICE: of the tag */
    uint32_t count;            /* ARRAY: elements; ENUM, RECORD, CHOICE: members */
    struct mc_member *members; /* ENUM, RECORD, CHOICE */

    /* By the checker. */
    uint32_t index;       /* inside its interface; 0: it has the index of what it names */
    const char *cname;    /* the C name, for ENUM, RECORD, CHOICE and SEQUENCE */
    bool in_place;        /* C needs no name for it */
    uint32_t flags;       /* MBR_TYPE_ */
    uint32_t align;       /* of the C type */
    uint64_t size;        /* of the C type */
    struct mc_type *next; /* in its interface's list of types without a name */
};

/* A member of a record, enumeration or choice; an argument or a result. */
struct mc_member {
    struct mc_member *next;
    struct mc_name *name;
    struct mc_pos pos;
    struct mc_type *type; /* NULL in an enumeration; shared by a group */
    enum mbr_param_mode mode;
    bool explicit_in; /* "IN" was written */
    bool grouped;     /* "a, b : T": b is grouped with a */
    uint32_t value;   /* ENUM: its number; CHOICE: of the tag; else its position */
    struct mc_comments before;
    uint32_t after; /* 1 + the comment on its line, or 0 */
    const char *cname;
};

struct mc_raise {
    struct mc_raise *next;
    struct mc_name *head;
    struct mc_name *name;
    struct mc_pos pos;
    struct mc_decl *target;
    bool repeated; /* named twice: kept for printing only */
};

enum mc_decl_kind { MC_D_TYPE, MC_D_EXCEPTION, MC_D_PROC, MC_D_ANNOUNCEMENT };

struct mc_decl {
    struct mc_decl *next;
    enum mc_decl_kind kind;
    struct mc_name *name;
    struct mc_pos pos;
    struct mc_interface *interface;
    uint32_t order; /* 0, 1, ... in the interface */
    bool broken;    /* something in it was complained of by the parser */

    struct mc_type *type;   /* TYPE */
    struct mc_member *args; /* EXCEPTION, PROC, ANNOUNCEMENT */
    struct mc_member *results;
    struct mc_raise *raises;
    uint32_t n_args;
    uint32_t n_results;
    uint32_t n_raises; /* distinct ones */
    bool no_return;

    struct mc_comments before; /* up to the first token */
    uint32_t comments_end;     /* of all that belong to it */
    uint32_t after;            /* as of a member */
    uint32_t end_line;         /* of its ';' */

    uint32_t index;     /* TYPE: type index; PROC, ANNOUNCEMENT: in the operation table */
    const char *cname;  /* Foo_D */
    const char *slot;   /* PROC, ANNOUNCEMENT: its member of the operation table */
    uint32_t state;     /* of the checker's walk */
    uint64_t raised;    /* EXCEPTION: the last scope it was raised in */
    uint8_t digest[32]; /* TYPE, EXCEPTION: of the canonical form */
};

struct mc_need {
    struct mc_need *next;
    struct mc_name *name;
    struct mc_pos pos;
    struct mc_interface *interface;
    bool extends;
    bool repeated;
    bool used;
    struct mc_comments before;
    uint32_t after;
};

struct mc_file {
    struct mc_file *next;
    const char *path;
    const char *text; /* NUL-terminated */
    size_t length;
    struct mc_comment *comments;
    uint32_t n_comments;
    uint32_t room; /* at comments */
    uint32_t number;
    uint32_t errors;
    uint32_t n_warnings;
    bool named;    /* asked for, not only needed */
    bool too_many; /* errors: the rest is dropped */
    struct mc_interface *interface;
};

struct mc_interface {
    struct mc_interface *next;
    struct mc_file *file;
    struct mc_name *name;
    struct mc_pos pos;
    bool local;
    uint32_t number;       /* 0, 1, ... in the order of loading */
    struct mc_need *needs; /* EXTENDS too, in the order of the text */
    struct mc_need *extends;
    struct mc_decl *decls;
    uint32_t n_decls;
    struct mc_comments before;
    struct mc_comments begin; /* between the head and BEGIN */
    struct mc_comments end;   /* before END */
    struct mc_comments rest;  /* behind END */

    /* By the checker. */
    struct mc_interface *super;
    uint32_t depth;    /* supertypes above it */
    uint32_t first_op; /* inherited methods */
    uint32_t n_ops;
    uint32_t n_exceptions;
    uint32_t n_named;
    uint32_t n_types; /* with those without a name */
    struct mc_type *unnamed;
    struct mc_type **unnamed_end;
    uint64_t code; /* 0 until known */
    uint8_t digest[32];
    bool checked;
    bool parsed; /* without a mistake */
    bool ok;     /* no error in it or in what it uses */
    uint32_t state;
};

#endif
