/* SPDX-License-Identifier: MIT */
/*
 * Events: counts to await, tickets, and wait sets.
 *
 * An event count is a number that only grows, and that anybody who can write its memory may
 * advance, read and await; a sequencer gives each caller a number of its own. Both come from D. P.
 * Reed and R. K. Kanodia, "Synchronization with Eventcounts and Sequencers", CACM 22(2), 1979; with
 * them mutexes, buffers and barriers are made without critical sections. A wait set waits for any
 * mix of counts, descriptors, times and deaths of processes, and can be embedded in another event
 * loop.
 *
 * All times are nanoseconds, deadlines are those of CLOCK_MONOTONIC. Functions that can fail return
 * 0 or a negative errno, and then nothing has changed. None blocks unless it says so. Not here:
 * queues, which have a wait set of their own (membrane/queue.h).
 */
#ifndef MEMBRANE_EVENT_H
#define MEMBRANE_EVENT_H

#include <membrane/base.h>
#include <stddef.h>
#include <stdint.h>

MBR_BEGIN_DECLS

/* ---- event counts ---- */

/* How many watches (mbr_watch_count) of all processes together one count has room for. Threads that
 * await it are not limited. */
#define MBR_COUNT_WATCHERS 3

/*
 * An event count: 64 bytes at a multiple of 8, best on a cache line of its own. It lies in ordinary
 * memory, for the threads of one process, or in memory that several processes have mapped writable,
 * at whatever addresses; it holds no pointer. Zeroed memory is a count of 0. It needs no end: when
 * nobody uses the memory any more it may be freed.
 *
 * A count is for parties that trust each other with it: whoever can write it can make the others
 * miss events, wake for nothing, or write four bytes into a pipe of his choice; nothing worse. A
 * party that dies, or is stopped, harms nobody, with one exception: who is killed within
 * mbr_count_advance() may have counted without waking those who awaited that. Who must survive this
 * watches the other's death, too.
 *
 * All fields are private; they are here so that the compiler knows the size.
 */
struct mbr_count {
    uint64_t value;
    uint32_t sleepers;
    uint32_t wakes;
    struct mbr_count_watcher {
        uint64_t owner;
        uint32_t bell;
        uint32_t armed;
    } watcher[MBR_COUNT_WATCHERS];
};

/* Makes it a count of `value`. Nobody else may use it meanwhile. */
MBR_API void mbr_count_init(struct mbr_count *c, uint64_t value);

/*
 * The value now. What was written before an advance is seen by whoever has read, awaited or been
 * called back for a value that this advance has reached. Needs only read access. Any thread, signal
 * handlers.
 */
MBR_API uint64_t mbr_count_read(const struct mbr_count *c);

/*
 * Adds `n`, wakes whoever awaits a value that has been reached by it, and returns the new value.
 * Concurrent advances all count. n is at most INT64_MAX; 0 does nothing. Values are compared by
 * their signed difference, so the count may wrap around 2^64.
 *
 * A system call is made only when somebody sleeps for one of the values passed (or did so, and gave
 * up or was killed: once more then). To wake a wait set of another process, its wake pipe is opened
 * through /proc, which takes ten microseconds and more; when that is not possible (see
 * mbr_watch_count()) a warning is logged, and the next advance tries again. Any thread; does not
 * wait for anybody. Not for signal handlers.
 */
MBR_API uint64_t mbr_count_advance(struct mbr_count *c, uint64_t n);

/*
 * Blocks until the count has reached `value`, which may be up to INT64_MAX ahead: 0, at once if it
 * has. Spins for at most 100 microseconds, less when spinning has bought this thread nothing
 * lately, then sleeps. Of many who sleep, an advance wakes those whose values it has passed, and
 * those whose values differ from these by a multiple of 32. mbr_count_await() gives up after
 * `timeout_ns` (0 only looks, MBR_FOREVER never), the other at `deadline_ns`. A signal handler is
 * run, but does not end it. Any number of threads.
 * Errors: -ETIMEDOUT; then the value had not been reached when the time was up.
 */
MBR_API int mbr_count_await(struct mbr_count *c, uint64_t value, uint64_t timeout_ns);
MBR_API int mbr_count_await_until(struct mbr_count *c, uint64_t value, uint64_t deadline_ns);

/* ---- sequencers ---- */

/*
 * A sequencer: 64 bytes at a multiple of 8, in ordinary or shared memory, as a count is. Zeroed,
 * its first ticket is 0. Fields are private.
 *
 * Mutual exclusion among any number of threads and processes, in the order of arrival, with a count
 * and a sequencer that both begin at 0:
 *     mbr_count_await(&count, mbr_sequencer_ticket(&sequencer), MBR_FOREVER);
 *     ... only one is here ...
 *     mbr_count_advance(&count, 1);
 * Who has a ticket must use it, or nobody behind him gets on.
 */
struct mbr_sequencer {
    uint64_t next;
    uint64_t reserved[7];
};

/* Makes `first` the next ticket. Nobody else may use it meanwhile. */
MBR_API void mbr_sequencer_init(struct mbr_sequencer *s, uint64_t first);

/* A number that nobody else gets: the first, then each one more than the one before. Who has got
 * one sees what was written before the earlier ones were drawn. Any thread, signal handlers. */
MBR_API uint64_t mbr_sequencer_ticket(struct mbr_sequencer *s);

/* ---- wait sets ---- */

/*
 * A wait set and its watches are used by one thread at a time (mbr_waitset_interrupt() by any). In
 * a child of fork() they are dead: calls fail with -EPERM, mbr_watch_end() and mbr_waitset_free()
 * give back only what the child has of them, and the parent notices nothing.
 */
struct mbr_waitset;

/*
 * A watch: embedded in its user's object, zeroed before its first use. It must stay where it is as
 * long as it is active. `data` is its user's; the library does not touch it.
 */
struct mbr_watch {
    void *data;
    unsigned char reserved[248] __attribute__((aligned(8)));
};

/*
 * Called for a watch that has fired, on the thread that waits, from within mbr_waitset_wait() or
 * mbr_waitset_poll(). `events` is what epoll reports for a descriptor, 0 for everything else. It
 * may begin and end any watch, also its own, and free a watch it has ended; it may not wait on,
 * prepare or free the wait set it is called from.
 */
typedef void mbr_watch_fn(struct mbr_watch *w, uint32_t events);

/*
 * A new wait set: three descriptors at most, close-on-exec. Errors: -EINVAL out is NULL; -ENOMEM;
 * -EMFILE, -ENFILE; -ENOENT /proc is not mounted.
 */
MBR_API int mbr_waitset_new(struct mbr_waitset **out);

/* Ends all its watches and frees it. NULL is fine. Not from within a callback. */
MBR_API void mbr_waitset_free(struct mbr_waitset *ws);

/*
 * The functions that begin a watch have in common these errors: -EINVAL an argument is NULL; -EBUSY
 * the watch is active already; -EPERM the wait set was inherited through fork(). They may be called
 * from callbacks.
 */

/*
 * Watches for a count to reach `value` (up to INT64_MAX ahead). It fires in every wait while the
 * value is reached, so its callback ends it or calls mbr_watch_count_next(). The count's memory
 * must stay until the watch is ended.
 *
 * It uses one of the count's MBR_COUNT_WATCHERS places; those of dead processes are used again. Who
 * advances must be able to open the watching process's descriptors: the same user (and dumpable,
 * and not sandboxed from it: proc(5), /proc/PID/fd) or a privileged one, in the same PID namespace.
 * Otherwise use mbr_count_await().
 * Errors: -ENOSPC all places are in use; -ENOENT, -EPROTO /proc is not mounted, or not ours;
 * -EMFILE, -ENFILE.
 */
MBR_API int mbr_watch_count(struct mbr_waitset *ws, struct mbr_watch *w, struct mbr_count *c,
                            uint64_t value, mbr_watch_fn *fn);

/* Goes on with another value. -EINVAL w is not an active watch on a count; -EPERM as above. */
MBR_API int mbr_watch_count_next(struct mbr_watch *w, uint64_t value);

/*
 * Watches a descriptor for `events`: EPOLLIN, EPOLLOUT, EPOLLET and so on of <sys/epoll.h>, with
 * the meaning of epoll_ctl(2). The descriptor stays the caller's; end the watch before closing it.
 * Errors: -EBADF not open; -EPERM a file that cannot be polled (also: inherited, as above); -EEXIST
 * this set watches it already; -EINVAL also a descriptor of this very set, or EPOLLEXCLUSIVE;
 * -ELOOP wait sets that watch each other; -ENOMEM, -ENOSPC limits of the kernel.
 */
MBR_API int mbr_watch_fd(struct mbr_waitset *ws, struct mbr_watch *w, int fd, uint32_t events,
                         mbr_watch_fn *fn);

/* Changes the events of a descriptor's watch. -EINVAL w is not one; others as above. */
MBR_API int mbr_watch_fd_events(struct mbr_watch *w, uint32_t events);

/*
 * Fires once, `timeout_ns` from now, or at `deadline_ns`; MBR_FOREVER never. Never early; those
 * that are due fire in the order of their deadlines, equal ones in the order they were begun. It
 * has ended when its callback is called, which may begin it anew. -ENOMEM.
 */
MBR_API int mbr_watch_timer(struct mbr_waitset *ws, struct mbr_watch *w, uint64_t timeout_ns,
                            mbr_watch_fn *fn);
MBR_API int mbr_watch_deadline(struct mbr_waitset *ws, struct mbr_watch *w, uint64_t deadline_ns,
                               mbr_watch_fn *fn);

/*
 * Fires once, when the process that has this pid now is dead, all of its threads, reaped or not; by
 * a pidfd (pidfd_open(2), Linux 5.3), so the pid's later reuse does not matter. It has ended when
 * its callback is called. Keeps one descriptor meanwhile.
 * Errors: -ESRCH there is no such process, or it is dead; -EPERM also: refused by a sandbox;
 * -ENOENT it lives, but /proc does not show it; -ENOSYS; -EMFILE, -ENFILE, -ENOMEM, -ENOSPC.
 */
MBR_API int mbr_watch_death(struct mbr_waitset *ws, struct mbr_watch *w, int pid, mbr_watch_fn *fn);

/* Ends a watch, also from within callbacks: its own is not called again. Harmless for one that is
 * not active, or NULL. */
MBR_API void mbr_watch_end(struct mbr_watch *w);

/* 1 the watch has begun and not ended; 0. */
MBR_API int mbr_watch_active(const struct mbr_watch *w);

/*
 * Blocks until something fires, and returns how many callbacks were called (at least 1).
 * `timeout_ns`: 0 looks once, MBR_FOREVER has no end. Spins at first, as mbr_count_await() does, if
 * a count is watched; then sleeps in epoll. However busy one watch is, the others get their turn. A
 * signal handler is run, but does not end it.
 * Errors: -ETIMEDOUT nothing has fired; -EINTR mbr_waitset_interrupt() was called; -EBUSY called
 * from within a callback of this set; -EPERM inherited through fork(); -EINVAL ws is NULL.
 */
MBR_API int mbr_waitset_wait(struct mbr_waitset *ws, uint64_t timeout_ns);

/* Looks at everything once without blocking: the number of callbacks called, also 0, or -EINTR,
 * -EBUSY, -EPERM, -EINVAL as above. */
MBR_API int mbr_waitset_poll(struct mbr_waitset *ws);

/*
 * Ends one wait with -EINTR, the one under way or the next that has nothing else to report; several
 * calls before that count as one. Any thread, signal handlers; the set must not be freed meanwhile.
 */
MBR_API void mbr_waitset_interrupt(struct mbr_waitset *ws);

/*
 * For other event loops (epoll, poll, libuv, GLib): a descriptor that becomes readable when the set
 * has something to do. It belongs to the set and stays the same. Sometimes it is readable for
 * nothing. Watch it level-triggered, and each time
 *     before the loop sleeps: mbr_waitset_prepare(); if that returns 1, do not sleep;
 *     afterwards:             mbr_waitset_poll().
 * -EINVAL ws is NULL.
 */
MBR_API int mbr_waitset_fd(const struct mbr_waitset *ws);

/*
 * Makes the descriptor tell of counts and timers, too, until the next poll or wait. Call it after
 * the last change to the set's watches. 1 there is something to do already: call
 * mbr_waitset_poll(); 0 go to sleep.
 * Errors: -EMFILE, -ENFILE, -ENOMEM, -ENOSPC no timer descriptor can be had; -EBUSY, -EPERM,
 * -EINVAL as above.
 */
MBR_API int mbr_waitset_prepare(struct mbr_waitset *ws);

MBR_END_DECLS

#endif
