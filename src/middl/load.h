/* SPDX-License-Identifier: MIT */
/* Getting texts: from files, from memory, from the search path. Not here: parsing. */
#ifndef MBR_MIDDL_LOAD_H
#define MBR_MIDDL_LOAD_H

#include "middl/run.h"

/* The file at PATH, or LENGTH bytes at TEXT that go by this name: see middlc.h for the errors. */
int mbr__mc_add_path(struct mbr_middlc *run, const char *path);
int mbr__mc_add_memory(struct mbr_middlc *run, const char *path, const char *text, size_t length);

/* Parses the text of FILE and makes its interface known. */
int mbr__mc_take_text(struct mbr_middlc *run, struct mc_file *file, const char *text,
                      size_t length);

/* The interface called NAME, loaded if need be: beside FROM, then on the search path. Or NULL. */
struct mc_interface *mbr__mc_find_interface(struct mbr_middlc *run, const struct mc_file *from,
                                            const struct mc_name *name);

/* " (did you mean ...?)" among all interfaces that are known or lie on the path; BUFFER of 300. */
const char *mbr__mc_guess_interface(struct mbr_middlc *run, const struct mc_file *from,
                                    const struct mc_name *name, char *buffer);

#endif
