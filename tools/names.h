/* SPDX-License-Identifier: MIT */
/*
 * What the tool says of names of pipes, containers and objects that cannot be, and of a directory
 * of names that cannot be used. Not here: names of the store's nodes (store.h).
 */
#ifndef TOOLS_NAMES_H
#define TOOLS_NAMES_H

#include <stdbool.h>

/* Whether `error`, a negative errno of the library, means that `name` is no name: then an error
 * that says why has been printed and *code is the exit code. */
bool names_refused(int error, const char *name, int *code);

/* The directory of names cannot be used, for this negative errno. Returns the exit code. */
int names_no_directory(int error);

#endif
