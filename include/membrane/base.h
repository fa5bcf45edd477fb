/* SPDX-License-Identifier: MIT */
/*
 * What every installed header needs: symbol visibility, the library's version, the names and
 * explanations of the errors it returns, and the hook through which it talks to a log.
 *
 * Errors: every mbr_ function that can fail returns 0 or a negative errno value. None of them
 * reads or sets errno. Not here: anything that communicates.
 */
#ifndef MEMBRANE_BASE_H
#define MEMBRANE_BASE_H

#include <stdint.h>

#ifdef __cplusplus
#define MBR_BEGIN_DECLS extern "C" {
#define MBR_END_DECLS   }
#else
#define MBR_BEGIN_DECLS
#define MBR_END_DECLS
#endif

/* Marks what the shared library exports; everything else is compiled with hidden visibility. */
#define MBR_API __attribute__((visibility("default")))

/* A printf-like function: FMT and ARGS are the positions of the format and of its arguments. */
#define MBR_PRINTF(FMT, ARGS) __attribute__((format(printf, FMT, ARGS)))

/* The version of these headers; mbr_version() is the version of the library that runs. */
#define MBR_VERSION_MAJOR  0
#define MBR_VERSION_MINOR  1
#define MBR_VERSION_PATCH  0
#define MBR_VERSION_STRING "0.1.0"
#define MBR_VERSION_NUMBER \
    (MBR_VERSION_MAJOR * 1000000 + MBR_VERSION_MINOR * 1000 + MBR_VERSION_PATCH)

/* The timeout, in nanoseconds, that never ends, and the deadline that never comes. */
#define MBR_FOREVER UINT64_MAX

MBR_BEGIN_DECLS

/* "MAJOR.MINOR.PATCH" of the library at run time. Static string. Any thread, never blocks. */
MBR_API const char *mbr_version(void);

/*
 * The three below explain an error. ERROR is a negative errno as the mbr_ functions return it; its
 * positive form, as the demi_ functions return it, means the same. They return static strings,
 * never NULL, may be called from any thread and from signal handlers, and never block.
 */

/* The errno's symbol, such as "ENOENT". "OK" for 0, "EUNKNOWN" for what Membrane never returns. */
MBR_API const char *mbr_error_name(int error);

/* What has happened, as a phrase without final full stop, such as "no such name". */
MBR_API const char *mbr_error_text(int error);

/* What to try next, as a sentence; empty ("") where no advice would help. */
MBR_API const char *mbr_error_hint(int error);

/* How urgent a message is. The values are part of the ABI and may be compared. */
enum mbr_log_level {
    MBR_LOG_FATAL = 0,   /* a broken invariant: the process aborts when the hook returns */
    MBR_LOG_ERROR = 1,   /* something was lost */
    MBR_LOG_WARNING = 2, /* something is wrong, nothing was lost: a peer misbehaves, a fallback */
    MBR_LOG_INFO = 3,    /* rare events of interest: a peer came or went */
    MBR_LOG_DEBUG = 4    /* everything else */
};

/*
 * Where messages go. The caller owns it and may embed it in a larger object, which WRITE finds
 * again from SELF. WRITE is called with each message at least as urgent as LEVEL, on the thread
 * that met the event, and possibly on several at once. MESSAGE is one line without a newline, at
 * most 511 bytes, valid during the call. WRITE must not call into Membrane.
 */
struct mbr_log_sink {
    void (*write)(struct mbr_log_sink *self, enum mbr_log_level level, const char *message);
    enum mbr_log_level level;
};

/*
 * Makes SINK the receiver of all messages of this process; NULL, the initial state, silences the
 * library. Returns the sink it replaces, or NULL. Any thread, never blocks, cannot fail. A sink
 * must stay valid until it has been replaced and every call then under way in another thread
 * returned.
 */
MBR_API struct mbr_log_sink *mbr_log_set_sink(struct mbr_log_sink *sink);

MBR_END_DECLS

#endif
