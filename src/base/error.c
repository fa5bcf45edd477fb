/* SPDX-License-Identifier: MIT */
/*
 * Names and explanations of errors, and the version. Everything is a constant, so that any thread
 * may ask, and a signal handler too. The texts themselves are in errors.h.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include <membrane/base.h>

#include "base/errors.h"

struct error_row {
    const char *name;
    const char *text;
    const char *hint;
};

/* Indexed by errno: the kernel's codes are small and dense. A hole has no name. */
#define ROW(code, text, hint) [code] = {#code, text, hint},
static const struct error_row rows[] = {[0] = {"OK", "no error", ""}, MBR__ERRORS(ROW)};
#undef ROW

static const struct error_row unknown = {"EUNKNOWN", "unknown error", ""};

static const struct error_row *row_of(int error)
{
    size_t code;

    if (error == INT_MIN)
        return &unknown;
    code = (size_t)(error < 0 ? -error : error);
    if (code >= sizeof(rows) / sizeof(rows[0]) || !rows[code].name)
        return &unknown;
    return &rows[code];
}

const char *mbr_error_name(int error)
{
    return row_of(error)->name;
}

const char *mbr_error_text(int error)
{
    return row_of(error)->text;
}

const char *mbr_error_hint(int error)
{
    return row_of(error)->hint;
}

const char *mbr_version(void)
{
    return MBR_VERSION_STRING;
}
