/* SPDX-License-Identifier: MIT */
/*
 * A program under ThreadSanitizer reaches our poll() and epoll_wait() from within the run-time's
 * own. It takes those for waiting in the kernel, where it keeps no account of atomic operations,
 * and so of locks, but does of memory: each field under a lock looks like a race. SHIM_BLIND at the
 * top of such a function leaves memory out of the account as well, until it returns.
 */
#ifndef MBR_SHIM_BLIND_H
#define MBR_SHIM_BLIND_H

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHIM_IS_BLIND 1
#endif
#endif

#ifdef SHIM_IS_BLIND
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

static inline int shim_blind(void)
{
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    return 0;
}

static inline void shim_sees(const int *unused)
{
    (void)unused;
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

#define SHIM_BLIND int shim_is_blind __attribute__((cleanup(shim_sees), unused)) = shim_blind()
#else
#define SHIM_BLIND (void)0
#endif

#endif
