/* SPDX-License-Identifier: MIT */
/*
 * The MIDDL compiler as a library: what the program middlc(1) does, for build tools, editors and
 * programs that make interfaces. A compiler takes texts in, checks them together, and writes
 * whatever is asked for about each interface.
 *
 *     mbr_middlc_new(&c);
 *     mbr_middlc_set(c, "-Iidl");
 *     mbr_middlc_add_file(c, "Foo.if");
 *     if (mbr_middlc_check(c) == 0)
 *         mbr_middlc_write(c, "Foo", MBR_MIDDLC_HEADER, &text, &length);
 *     while ((m = mbr_middlc_next_message(c, m)))
 *         ...
 *     mbr_middlc_free(c);
 *
 * A compiler is for one thread at a time; two compilers share nothing. Memory and time are bounded
 * whatever the texts are (middl(5) lists the limits). No function prints.
 *
 * Not here: what generated code uses (membrane/middl.h).
 */
#ifndef MEMBRANE_MIDDLC_H
#define MEMBRANE_MIDDLC_H

#include <stddef.h>
#include <stdint.h>

#include <membrane/base.h>

MBR_BEGIN_DECLS

struct mbr_middlc;

enum mbr_middlc_severity {
    MBR_MIDDLC_NOTE = 0, /* says more about the message before it */
    MBR_MIDDLC_WARNING = 1,
    MBR_MIDDLC_ERROR = 2
};

/* One message; the strings live as long as the compiler. */
struct mbr_middlc_message {
    enum mbr_middlc_severity severity;
    const char *path; /* as it was given, or found on the search path */
    uint32_t line;    /* from 1; 0 where the file as a whole is meant */
    uint32_t column;  /* from 1, in characters */
    const char *text;
};

/* What can be written about an interface. */
enum mbr_middlc_output {
    MBR_MIDDLC_HEADER = 0,    /* C header */
    MBR_MIDDLC_TYPES = 1,     /* C source with the type records */
    MBR_MIDDLC_SKELETON = 2,  /* C source of an implementation to be filled in */
    MBR_MIDDLC_MAN = 3,       /* manual page */
    MBR_MIDDLC_MARKDOWN = 4,  /* the same in Markdown */
    MBR_MIDDLC_TEXT = 5,      /* the MIDDL text in its one format */
    MBR_MIDDLC_JSON = 6,      /* the tree */
    MBR_MIDDLC_CANONICAL = 7, /* what the fingerprint is made from */
    MBR_MIDDLC_CODES = 8,     /* the type codes, one a line */
    MBR_MIDDLC_DOLLAR = 9     /* C header with the spelling Foo$Method */
};

/* A new compiler. -ENOMEM. */
MBR_API int mbr_middlc_new(struct mbr_middlc **compiler);

/* Frees it with all messages and paths it has given out. NULL is fine. */
MBR_API void mbr_middlc_free(struct mbr_middlc *compiler);

/*
 * Sets an option, as on the command line: "-IDIR" (looked in for needed interfaces, in the order
 * given, after the directory of the file that needs them), "-WNAME", "-Wno-NAME", "-Werror",
 * "-Werror=NAME", "-Wall"; "--max-errors=N", 0 to 1,000,000: so many messages of a file are kept,
 * with 0 all (200 until it is set); "--no-search" opens no file but those that are added. -EINVAL
 * for what is none of these, -ENOMEM.
 */
MBR_API int mbr_middlc_set(struct mbr_middlc *compiler, const char *option);

/*
 * Takes in the interface in the file PATH, or in the LENGTH bytes at TEXT, which is copied and goes
 * by the name PATH. What is wrong with the text becomes messages and is no failure. Returns
 * -errno of open() or read(), with a message, if the file cannot be read; -E2BIG if a limit is
 * exceeded; -EEXIST for a text whose path is known already; -EINVAL after mbr_middlc_check();
 * -ENOMEM. Only mbr_middlc_add_file() blocks, on the file system.
 */
MBR_API int mbr_middlc_add_file(struct mbr_middlc *compiler, const char *path);
MBR_API int mbr_middlc_add_text(struct mbr_middlc *compiler, const char *path, const char *text,
                                size_t length);

/*
 * Finds the interfaces that are needed, and checks all. 0; -EBADMSG if there are errors (the
 * messages tell); -ENOMEM or -E2BIG if the run had to stop. The second call returns the same.
 * Blocks on the file system.
 */
MBR_API int mbr_middlc_check(struct mbr_middlc *compiler);

/*
 * The message after AFTER, NULL for the first, in the order of files and lines, notes following
 * what they belong to. NULL at the end. Call it after mbr_middlc_check().
 */
MBR_API const struct mbr_middlc_message *
mbr_middlc_next_message(struct mbr_middlc *compiler, const struct mbr_middlc_message *after);

/*
 * The name of the interface number INDEX from 0 that the compiler knows, and the path of its text:
 * first those that were added, in that order, then those found. NULL behind the last. PATH may be
 * NULL.
 */
MBR_API const char *mbr_middlc_interface(struct mbr_middlc *compiler, size_t index,
                                         const char **path);

/* How many of them were added. */
MBR_API size_t mbr_middlc_added(const struct mbr_middlc *compiler);

/*
 * Writes WHAT about INTERFACE: TEXT is NUL-terminated and the caller's to free(). -ENOENT for an
 * unknown interface; -EBADMSG if it, or anything it needs, has errors (for MBR_MIDDLC_TEXT: if it
 * could not be parsed); -EINVAL before mbr_middlc_check() or for an unknown WHAT; -ENOMEM; -E2BIG
 * for more than 256 MiB. LENGTH may be NULL.
 */
MBR_API int mbr_middlc_write(struct mbr_middlc *compiler, const char *interface,
                             enum mbr_middlc_output what, char **text, size_t *length);

/* The graph of all interfaces known, in the language of Graphviz. As above. */
MBR_API int mbr_middlc_write_graph(struct mbr_middlc *compiler, char **text, size_t *length);

MBR_END_DECLS

#endif
