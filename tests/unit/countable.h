/* SPDX-License-Identifier: MIT */
/*
 * For programs whose instructions a script counts: whether they were built so that the count says
 * something. Not here: the counting.
 */
#ifndef MBR_TESTS_COUNTABLE_H
#define MBR_TESTS_COUNTABLE_H

/* UNFIT is 1 in a build without optimisation or with a sanitizer. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(undefined_behavior_sanitizer)
#define UNFIT 1
#endif
#endif
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNFIT 1
#endif
#ifndef UNFIT
#define UNFIT 0
#endif

#endif
