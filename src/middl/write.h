/* SPDX-License-Identifier: MIT */
/*
 * Writing about an interface: one function for each kind of output, and what the writers share.
 * They see only interfaces that are in order, and append to a text whose error is sticky.
 */
#ifndef MBR_MIDDL_WRITE_H
#define MBR_MIDDL_WRITE_H

#include "middl/check.h"

/* One for each enum mbr_middlc_output. */
void mbr__mc_write_header(struct mbr__strbuf *out, const struct mbr_middlc *run,
                          const struct mc_interface *interface, bool dollar);
void mbr__mc_write_types(struct mbr__strbuf *out, const struct mc_interface *interface);
void mbr__mc_write_skeleton(struct mbr__strbuf *out, const struct mc_interface *interface);
void mbr__mc_write_man(struct mbr__strbuf *out, const struct mc_interface *interface);
void mbr__mc_write_markdown(struct mbr__strbuf *out, const struct mc_interface *interface);
void mbr__mc_write_text(struct mbr__strbuf *out, const struct mc_interface *interface);
void mbr__mc_write_json(struct mbr__strbuf *out, const struct mc_interface *interface);
void mbr__mc_write_codes(struct mbr__strbuf *out, const struct mc_interface *interface);
void mbr__mc_write_graph(struct mbr__strbuf *out, const struct mbr_middlc *run);

/*
 * Appends as printf does, but knows only %s, %u and %016llx (anything else is a broken invariant):
 * most of what is written are names between fixed words, and this costs a tenth.
 */
void mbr__mc_put(struct mbr__strbuf *out, const char *format, ...) MBR_PRINTF(2, 3);

/* --- Shared: lines ---------------------------------------------------------------------------- */

/* Columns of what is written to be read. */
#define MC_WIDTH 100u

/* Where the next character goes, from 0. */
size_t mbr__mc_column(const struct mbr__strbuf *out);

/* Starts a new line, indented by COLUMNS. */
void mbr__mc_newline(struct mbr__strbuf *out, size_t columns);

/*
 * Before an item of LENGTH columns in a list: a blank, or a new line at INDENT if it would not fit.
 */
void mbr__mc_space(struct mbr__strbuf *out, size_t length, size_t indent);

/* The last component of the path of the interface's text. */
const char *mbr__mc_file_name(const struct mc_interface *interface);

/* --- Shared: comments ------------------------------------------------------------------------- */

/* How comments are escaped where they go. */
enum mc_escape {
    MC_ESCAPE_C,        /* inside a C comment */
    MC_ESCAPE_MIDDL,    /* behind dashes */
    MC_ESCAPE_MAN,      /* text of a manual page */
    MC_ESCAPE_MARKDOWN, /* text */
    MC_ESCAPE_JSON      /* inside a string */
};

/*
 * TEXT of LENGTH bytes as well-formed UTF-8 without control characters, and without what ends or
 * spoils the place it goes to.
 */
void mbr__mc_put_escaped(struct mbr__strbuf *out, const char *text, size_t length,
                         enum mc_escape how);

/* The comments of a declaration that are its documentation: before it, then inside, not taken. */
struct mc_comments mbr__mc_doc(const struct mc_decl *decl);

/* RANGE as a C comment at INDENT, if there are any; returns whether there were. */
bool mbr__mc_put_c_comment(struct mbr__strbuf *out, const struct mc_file *file,
                           struct mc_comments range, size_t indent);

/* --- Shared: C -------------------------------------------------------------------------------- */

/* The C type, "uint32_t" or "struct Heap_cl *"; not for arrays in place. */
void mbr__mc_put_ctype(struct mbr__strbuf *out, const struct mc_type *type);

/* The C type for sizeof. */
void mbr__mc_put_sized(struct mbr__strbuf *out, const struct mc_type *type);

/* A declaration of NAME with this type: "uint32_t a", "char *b", "uint8_t c[6]". */
void mbr__mc_put_declarator(struct mbr__strbuf *out, const struct mc_type *type, const char *name);

/* The same for an array that C knows by the name of its type. */
void mbr__mc_put_array(struct mbr__strbuf *out, const struct mc_type *type);

/*
 * True if an argument of this type points to const when it is only read. Not for arrays of arrays:
 * in C before C23 a pointer to them is not converted to one to const.
 */
bool mbr__mc_points_to_const(const struct mc_type *type);

/* What a method returns: "void", "uint32_t", "Context_Names *". */
void mbr__mc_put_return(struct mbr__strbuf *out, const struct mc_decl *decl);

/* The parameters behind self: ", uint32_t a, const T *b", broken into lines at INDENT. */
void mbr__mc_put_params(struct mbr__strbuf *out, const struct mc_decl *decl, size_t indent);

/* Their names: ", a, b". */
void mbr__mc_put_names(struct mbr__strbuf *out, const struct mc_decl *decl, size_t indent);

static inline bool mbr__mc_is_op(const struct mc_decl *decl)
{
    return decl->kind == MC_D_PROC || decl->kind == MC_D_ANNOUNCEMENT;
}

/* The interfaces from the root supertype down to INTERFACE; the number of them. */
uint32_t mbr__mc_chain(const struct mc_interface *interface,
                       const struct mc_interface *chain[MC_MAX_CHAIN + 1]);

/* The MIDDL text of one declaration and a newline, with its members' comments. */
void mbr__mc_put_decl_text(struct mbr__strbuf *out, const struct mc_decl *decl);

/* The words of a predefined type: "LONG CARDINAL". */
const char *mbr__mc_predefined_text(uint32_t code);

#endif
