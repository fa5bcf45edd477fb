/* SPDX-License-Identifier: MIT */
/*
 * The table of exit codes and which errno values lead to which. An errno says what the library or
 * the kernel has met; the exit code says what a script can do about it.
 */
#include "exits.h"

#include <errno.h>
#include <stddef.h>

const struct tool_exit_row tool_exit_table[] = {
#define TOOL_EXIT_ROW(name, code, text) {code, text},
    TOOL_EXITS(TOOL_EXIT_ROW)
#undef TOOL_EXIT_ROW
        {-1, NULL},
};

static const struct {
    short error;
    short code;
} map[] = {
    {ENOENT, TOOL_EXIT_NEGATIVE},
    {EEXIST, TOOL_EXIT_NEGATIVE},
    {EBUSY, TOOL_EXIT_NEGATIVE},
    {ESRCH, TOOL_EXIT_NEGATIVE},
    {EISDIR, TOOL_EXIT_NEGATIVE},
    {ENOTDIR, TOOL_EXIT_NEGATIVE},
    {EIO, TOOL_EXIT_NEGATIVE},
    {EBADF, TOOL_EXIT_NEGATIVE}, /* a standard stream that was closed by whoever started us */
    {ENXIO, TOOL_EXIT_NEGATIVE},
    {ENODEV, TOOL_EXIT_NEGATIVE},
    {ETXTBSY, TOOL_EXIT_NEGATIVE},
    {EINVAL, TOOL_EXIT_USAGE},
    {ENAMETOOLONG, TOOL_EXIT_USAGE},
    {EILSEQ, TOOL_EXIT_USAGE},
    {ERANGE, TOOL_EXIT_USAGE},
    {ECONNRESET, TOOL_EXIT_UNREACHABLE},
    {ECONNREFUSED, TOOL_EXIT_UNREACHABLE},
    {EPIPE, TOOL_EXIT_UNREACHABLE},
    {ENOTCONN, TOOL_EXIT_UNREACHABLE},
    {ENODATA, TOOL_EXIT_UNREACHABLE},
    {EPERM, TOOL_EXIT_PERMISSION},
    {EACCES, TOOL_EXIT_PERMISSION},
    {EROFS, TOOL_EXIT_PERMISSION},
    {ELOOP, TOOL_EXIT_PERMISSION}, /* somebody has put a link where our directory should be */
    {ENOMEM, TOOL_EXIT_LIMIT},
    {EMFILE, TOOL_EXIT_LIMIT},
    {ENFILE, TOOL_EXIT_LIMIT},
    {ENOSPC, TOOL_EXIT_LIMIT},
    {EDQUOT, TOOL_EXIT_LIMIT},
    {EFBIG, TOOL_EXIT_LIMIT},
    {E2BIG, TOOL_EXIT_LIMIT},
    {EMSGSIZE, TOOL_EXIT_LIMIT},
    {ENOBUFS, TOOL_EXIT_LIMIT},
    {EAGAIN, TOOL_EXIT_LIMIT}, /* fork: too many processes */
    {ETIMEDOUT, TOOL_EXIT_TIMEOUT},
    {EPROTO, TOOL_EXIT_INCOMPATIBLE},
    {EBADMSG, TOOL_EXIT_INCOMPATIBLE},
    {EPROTONOSUPPORT, TOOL_EXIT_INCOMPATIBLE},
    {ENOSYS, TOOL_EXIT_INCOMPATIBLE},
    {EOPNOTSUPP, TOOL_EXIT_INCOMPATIBLE},
};

int tool_exit_of(int error)
{
    if (error < 0)
        error = -error;
    if (error == 0)
        return TOOL_EXIT_OK;
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (map[i].error == error)
            return map[i].code;
    }
    return TOOL_EXIT_INTERNAL;
}
