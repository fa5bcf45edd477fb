/* SPDX-License-Identifier: MIT */
/*
 * Names and directories that are refused. See names.h.
 */
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <membrane/base.h>

#include "exits.h"
#include "say.h"

/* What -EINVAL can mean of a name; NULL if it is one. */
static const char *fault_of(const char *name)
{
    json_t *text = json_string(name);
    bool encoded = text != NULL;

    json_decref(text);
    if (name[0] == '\0')
        return "it is empty";
    if (strchr(name, '/') != NULL)
        return "it contains a slash";
    return encoded ? NULL : "it is not UTF-8";
}

bool names_refused(int error, const char *name, int *code)
{
    const char *fault = error == -EINVAL ? fault_of(name) : NULL;

    if (error == -ENAMETOOLONG)
        *code = tool_error(TOOL_EXIT_USAGE, "a shorter one",
                           "'%.40s...': not a name: longer than 240 bytes", name);
    else if (fault != NULL)
        *code = tool_error(TOOL_EXIT_USAGE, "a word of letters and digits",
                           "'%.300s': not a name: %s", name, fault);
    return error == -ENAMETOOLONG || fault != NULL;
}

int names_no_directory(int error)
{
    const char *chosen = getenv("MEMBRANE_DIR");

    if (tool_exit_of(error) == TOOL_EXIT_LIMIT)
        return tool_error_library(error, "the directory of names");
    if (chosen != NULL && chosen[0] != '\0')
        return tool_error(tool_exit_of(error), "membrane doctor, or an absolute path of your own",
                          "the directory of names: %s (MEMBRANE_DIR is %.100s)",
                          mbr_error_text(error), chosen);
    return tool_error(tool_exit_of(error), "membrane doctor; MEMBRANE_DIR names another one",
                      "the directory of names: %s", mbr_error_text(error));
}
