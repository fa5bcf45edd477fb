/* SPDX-License-Identifier: MIT */
/*
 * Exit codes of the tool: one table, shown by every --help and in the man page, and the one mapping
 * from errno values to them. A test that is skipped exits with 77, so the tool never does.
 *
 * Not here: the messages that go with them (say.h).
 */
#ifndef TOOLS_EXITS_H
#define TOOLS_EXITS_H

/* clang-format off */
#define TOOL_EXITS(X) \
    X(OK,           0, "done") \
    X(NEGATIVE,     1, "negative answer: not found, in use, a check failed, a file cannot be read") \
    X(USAGE,        2, "wrong usage: verb, option, argument or name") \
    X(UNREACHABLE,  3, "the other side is gone: it died, gave up or reads no more") \
    X(PERMISSION,   4, "permission denied") \
    X(LIMIT,        5, "a limit: descriptors, memory, space, quota") \
    X(TIMEOUT,      6, "the time allowed by --timeout, or for a lock, has passed") \
    X(INCOMPATIBLE, 7, "the other side, or this kernel, speaks no version that fits") \
    X(INTERNAL,    70, "internal error: please report it")
/* clang-format on */

enum tool_exit {
#define TOOL_EXIT_MEMBER(name, code, text) TOOL_EXIT_##name = (code),
    TOOL_EXITS(TOOL_EXIT_MEMBER)
#undef TOOL_EXIT_MEMBER
};

struct tool_exit_row {
    int code;
    const char *text;
};

/* The rows in ascending order, ended by one whose text is NULL. */
extern const struct tool_exit_row tool_exit_table[];

/* The exit code for an errno value, of either sign: 0 for 0, INTERNAL for what none should see. */
int tool_exit_of(int error);

#endif
