/* SPDX-License-Identifier: MIT */
/*
 * The wait set: the one way to wait for anything.
 *
 * It holds watches on words (a peer's ring index or event count), descriptors, deaths of processes
 * and timers. A wait looks at the words, spins for a time that adapts to what spinning has bought
 * lately, then shows its wish to be woken on every word's own line and parks in epoll. Who
 * publishes rings its bell, a pipe, only when the wish is shown.
 *
 * A word that stays silent is demoted: its wish is shown once and it is then looked at in turn, one
 * per round. So a thousand idle watches cost a busy one nothing, and its peer rings even while we
 * are awake elsewhere.
 *
 * epoll, edge-triggered on the bell and without reading it, was measured beside futex_waitv: it
 * wakes as fast as a bare futex (2.86 us a round trip on one CPU beside 2.8, futex_waitv 3.1),
 * takes any number of words, and mixes with descriptors; so it is the only way we park
 * (docs/performance.md).
 *
 * One thread at a time, except mbr__waitset_interrupt() and mbr__bell_ring().
 * What is not here: operations and tasks (sched/, queue/); counts (count.h).
 */
#ifndef MBR_EVENT_WAIT_H
#define MBR_EVENT_WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/list.h"
#include "event/spin.h"
#include "event/timer.h"
#include "event/want_shm.h"

struct mbr__waitset;
struct mbr__watch;

/* Called from within a wait on the waiting thread. It may add, change and remove any watch, itself
 * too. */
typedef void mbr__watch_fn(struct mbr__watch *w, uint32_t events);

enum mbr__watch_kind { MBR__WATCH_NONE = 0, MBR__WATCH_WORD, MBR__WATCH_FD };
enum mbr__watch_side { MBR__WANT_DATA = 0, MBR__WANT_SPACE = 1 };

/* Embedded by its user; zero it before first use. All fields are private to this module. */
struct mbr__watch {
    struct mbr__list node;
    mbr__watch_fn *fire;
    enum mbr__watch_kind kind;
    /* words */
    const uint64_t *word;
    uint64_t seen;
    uint64_t span;             /* the values seen + 1 to seen + 1 + span are news */
    uint32_t *wish;            /* where our wish is shown */
    uint32_t token;            /* as what; 0: a new number each time */
    struct mbr__want_shm *own; /* where we say on which CPU we park, or NULL */
    const struct mbr__want_shm *peer;
    bool cold;
    uint32_t armed; /* the value our wish shows, 0 none */
    uint32_t misses;
    /* descriptors */
    int fd;
};

/*
 * Something that only a system call can look at, for a wait that spins: a socket that a pop waits
 * for. `look` is called at each round for the probe begun last, the others wait for epoll; true: it
 * has done something. Embedded by its user; zero it before first use.
 */
struct mbr__probe {
    struct mbr__list node;
    bool (*look)(struct mbr__probe *p);
};

struct mbr__waitset {
    int ep;       /* also what foreign event loops may poll */
    int bell;     /* the wake pipe, both ends in one descriptor */
    int timer_fd; /* for foreign loops only; -1 until needed */
    struct mbr__watch timer_watch;
    uint32_t fork_mark;
    struct mbr__list hot;
    struct mbr__list cold;
    struct mbr__list *walk; /* the next hot node of the round under way */
    struct mbr__timers timers;
    struct mbr__spin spin;
    uint32_t nhot, ncold, nfds;
    uint32_t nprobes;
    struct mbr__list probes; /* the one begun last is first */
    uint32_t arming;         /* the last arming's number */
    uint32_t interrupted;    /* set by other threads and signal handlers */
    bool sweep;              /* a bell was lost or said nothing: look at all cold words */
    bool shown;              /* the wishes of hot words are shown, by mbr__waitset_prepare() */
    struct epoll_event batch[16];
    int nbatch;
    /* Which of the user's rings a bell names; set by the user or NULL. */
    void (*rang)(struct mbr__waitset *ws, uint32_t bell);
};

/* Errors: -EMFILE, -ENFILE, -ENOMEM. */
int mbr__waitset_init(struct mbr__waitset *ws);
/* All watches must be gone. In a forked child only descriptors are closed. */
void mbr__waitset_fini(struct mbr__waitset *ws);

/* Starts to watch *word until it is no longer `seen`; fires at each look until mbr__watch_seen()
 * says what is known now. `own` shows our wish, `peer` (may be NULL) is where the other side says
 * on which CPU it parks. Cannot fail. */
void mbr__watch_word(struct mbr__waitset *ws, struct mbr__watch *w, const uint64_t *word,
                     uint64_t seen, struct mbr__want_shm *own, enum mbr__watch_side side,
                     const struct mbr__want_shm *peer, mbr__watch_fn *fire);
static inline void mbr__watch_seen(struct mbr__watch *w, const uint64_t *word, uint64_t seen)
{
    w->word = word;
    w->seen = seen;
}

/*
 * The same for an event count: starts to watch for *word to reach `value`, in the order of signed
 * differences; fires at each look while it has. The wish is shown at `wish` as `token` (not 0),
 * each time the same one; who publishes may take it back once he has rung for a value that is
 * reached.
 */
void mbr__watch_reach(struct mbr__waitset *ws, struct mbr__watch *w, const uint64_t *word,
                      uint64_t value, uint32_t *wish, uint32_t token, mbr__watch_fn *fire);
/* Goes on with another value. */
void mbr__watch_reach_next(struct mbr__waitset *ws, struct mbr__watch *w, uint64_t value,
                           uint32_t token);

/* Looks at a cold watch at every round again (it was named by a bell, or its user is busy with it).
 */
void mbr__watch_heat(struct mbr__waitset *ws, struct mbr__watch *w);

/* Watches a descriptor for EPOLL events (EPOLLET allowed); fires with what epoll reports. A pidfd
 * makes a death watch. The descriptor stays the caller's and must outlive the watch. Errors:
 * -ENOMEM, -ENOSPC, -EPERM as epoll_ctl says. */
int mbr__watch_fd(struct mbr__waitset *ws, struct mbr__watch *w, int fd, uint32_t events,
                  mbr__watch_fn *fire);
/* Changes the events of a descriptor's watch. */
int mbr__watch_fd_events(struct mbr__waitset *ws, struct mbr__watch *w, uint32_t events);

/* Begins a probe, or makes it the first again; ends it. The descriptor behind it should be watched
 * as well: a probe is not looked at while the wait sleeps. */
void mbr__probe_begin(struct mbr__waitset *ws, struct mbr__probe *p,
                      bool (*look)(struct mbr__probe *p));
void mbr__probe_end(struct mbr__waitset *ws, struct mbr__probe *p);

/* Ends any watch, also from within a fire. Harmless for one that is not active. */
void mbr__watch_end(struct mbr__waitset *ws, struct mbr__watch *w);
static inline bool mbr__watch_active(const struct mbr__watch *w)
{
    return w->kind != MBR__WATCH_NONE;
}

/* One look without blocking: hot words, one cold word and due timers; with `kernel` also
 * descriptors. Returns how many watches fired. */
int mbr__waitset_poll(struct mbr__waitset *ws, bool kernel);

/* Waits until a watch fires: the number that fired. -ETIMEDOUT at the deadline (CLOCK_MONOTONIC ns,
 * MBR__NEVER none), -EINTR after mbr__waitset_interrupt() (one call ends one wait, at once or the
 * next). */
int mbr__waitset_wait(struct mbr__waitset *ws, uint64_t deadline);

/* Whether a caller who waits for one word only may look at it by itself for a moment before it
 * begins a wait: nothing else is to be looked at as often, and spinning can help. */
bool mbr__waitset_may_glance(struct mbr__waitset *ws, const struct mbr__want_shm *peer);

/* Looks at the words for a microsecond or two, without clock or kernel. Returns how many fired. */
int mbr__waitset_look(struct mbr__waitset *ws);

/* Ends a wait from another thread or a signal handler. */
void mbr__waitset_interrupt(struct mbr__waitset *ws);

/* For foreign event loops: shows all wishes, so that the epoll descriptor `ws->ep` becomes readable
 * when there is something to do. 1 something is to be done already, 0 poll now; -EMFILE... when a
 * timer descriptor cannot be made. The next poll or wait takes the wishes back. */
int mbr__waitset_prepare(struct mbr__waitset *ws);

/* Rings the bell behind a wake pipe: 4 bytes that say which. Never blocks; a full pipe rings as
 * well. Async-signal-safe. */
void mbr__bell_ring(int wake_fd, uint32_t bell);

#endif
