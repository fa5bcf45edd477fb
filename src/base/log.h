/* SPDX-License-Identifier: MIT */
/*
 * Writing to the process's log sink (the public half is in membrane/base.h). Silent unless a sink
 * is set. Not for the data path: a message costs a formatting; asking whether one is wanted costs
 * two loads.
 *
 * Exported, for libmiddl alone (version MEMBRANE_PRIVATE): a process has one sink.
 */
#ifndef MBR_BASE_LOG_H
#define MBR_BASE_LOG_H

#include <stdbool.h>

#include <membrane/base.h>

/* The longest message with its final NUL; what is longer is cut. */
#define MBR__LOG_MAX 512

/* True if a sink is set that wants messages of LEVEL. Any thread. */
MBR_API bool mbr__log_wants(enum mbr_log_level level);

/* Formats a message for the sink. Keeps errno. Any thread; blocks only if the sink does. */
MBR_API void mbr__log(enum mbr_log_level level, const char *format, ...) MBR_PRINTF(2, 3);

#endif
