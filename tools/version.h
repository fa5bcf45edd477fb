/* SPDX-License-Identifier: MIT */
/*
 * Versions of what the tool was built with and runs with, for `version` and `doctor`.
 */
#ifndef TOOLS_VERSION_H
#define TOOLS_VERSION_H

#include <stddef.h>

/* The commit the tool was built from; "" when it was not built from a checkout. */
const char *tool_commit(void);

/* The version of libyaml, which libdemikernel reads its configuration with, or NULL when it is not
 * installed. Writes into `text`. */
const char *tool_libyaml_version(char *text, size_t size);

#endif
