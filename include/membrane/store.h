/* SPDX-License-Identifier: MIT */
/*
 * The store, as its clients see it: hierarchical names with permissions, watches and transactions,
 * in Xenstore's own protocol (docs/store.md). A handle is one connection, to membraned or any other
 * daemon that speaks this protocol, over a socket; or to a store of the caller's own, in its
 * process, with the same calls.
 *
 * Each call exists in a blocking form; mbr_store_submit() begins any of them without waiting. What
 * is sent before an answer has come is pipelined. Blocking calls end after the handle's timeout.
 *
 * When the daemon goes and comes back, the handle connects anew at its next use, begins its watches
 * again (each then reports once, as a new one does), and repeats what it had asked for if that
 * changes nothing. Writes whose answer is lost are not repeated: they fail with -ECONNRESET, and
 * may have been carried out. Transactions end.
 *
 * A handle is used by one thread at a time; different handles by different threads, except that
 * those of one embedded store belong to one thread at a time together. In a child of fork() they
 * are dead: calls fail with -EPERM, and closing them harms nobody. Callbacks are called from
 * mbr_store_process(), mbr_store_wait() and mbr_store_close() alone, never from other calls; they
 * may use the handle, also with blocking calls, and close it.
 *
 * Functions return 0 or a negative errno, and leave their outputs untouched when they fail. What
 * they hand out in a `**` is one block that the caller frees with free(). Times are nanoseconds.
 * Not here: the daemon, and how the tree is kept (membraned(8)).
 */
#ifndef MEMBRANE_STORE_H
#define MEMBRANE_STORE_H

#include <membrane/base.h>
#include <stddef.h>
#include <stdint.h>

MBR_BEGIN_DECLS

struct mbr_store;
struct mbr_store_watcher;

/* Limits of the protocol. */
#define MBR_STORE_PAYLOAD_MAX  4096 /* bytes of one message; so of path, NUL and value together */
#define MBR_STORE_PATH_MAX     3072 /* bytes of an absolute path */
#define MBR_STORE_RELATIVE_MAX 2048 /* bytes of one relative to the caller's /local/domain/N */

#define MBR_STORE_TIMEOUT_DEFAULT UINT64_C(30000000000) /* of blocking calls, nanoseconds */
#define MBR_STORE_PENDING_MAX     65536 /* requests of one handle that are not answered */

#define MBR_STORE_SELF    0x7ff0u    /* as a domain: the caller's */
#define MBR_STORE_DEFAULT UINT32_MAX /* as the domain of a quota: the default of all domains */

/* ---- errors that all calls have in common ----
 *
 * -EINVAL a NULL argument, or a path that cannot be one: empty, longer than MBR_STORE_PATH_MAX,
 * with a character outside A-Z a-z 0-9 - / _ @, with an empty part, or with a slash at its end.
 * -EPERM the handle was inherited through fork(). -ENOMEM. -E2BIG the request would be longer than
 * MBR_STORE_PAYLOAD_MAX. -ENOBUFS MBR_STORE_PENDING_MAX requests wait for an answer. -ETIMEDOUT the
 * answer has not come in time; what was asked for may still be carried out. -ECONNRESET the
 * connection was lost, see above. -ENOENT, -ECONNREFUSED, -EACCES there is no daemon, none that
 * listens, or it is not for this user. -EPROTO the daemon has broken the protocol; the connection
 * was closed. -EMFILE, -ENFILE.
 *
 * And what the store answers: -EACCES no right to do this, or to know whether the path exists;
 * -ENOENT no such node; -ENOSPC, -E2BIG, -ENOMEM a quota; -EINVAL, -EBUSY, -EEXIST, -EISDIR, -EIO,
 * -ENOTEMPTY, -EROFS, -EAGAIN, -EISCONN, -EPERM as its documentation says; -ENOSYS it does not have
 * this call. What it calls otherwise is -EINVAL.
 */

/* ---- opening ---- */

enum mbr_store_flags {
    MBR_STORE_STAY_CLOSED = 1, /* do not connect anew: once lost, calls fail with -ENOTCONN */
};

/* Zero means the default. `size` is sizeof(struct mbr_store_options), for growth. */
struct mbr_store_options {
    size_t size;
    uint64_t timeout_ns; /* of blocking calls, and of waiting for a daemon that has gone to return;
                            MBR_FOREVER: no end; 0: MBR_STORE_TIMEOUT_DEFAULT */
    unsigned flags;      /* enum mbr_store_flags */
};

/*
 * Connects to the daemon that listens at `path`; NULL means where mbr_store_path() says. options
 * may be NULL. Blocks while the daemon's queue of new connections is full, for the timeout at most.
 * Errors as above, also: -EINVAL options; -ENAMETOOLONG; -ENOTSOCK it is no stream socket that is
 * there; -EAGAIN that queue stayed full.
 */
MBR_API int mbr_store_open(const char *path, const struct mbr_store_options *options,
                           struct mbr_store **out);

/* The same over a connected stream socket, which then belongs to the handle: one that the domain
 * manager has handed out (mbr_store_domain_connect()), for example. It cannot connect anew. It may
 * be non-blocking. -EBADF; -ENOTSOCK, also for one that is no stream socket; -ENOTCONN; the socket
 * stays the caller's if this fails. */
MBR_API int mbr_store_open_fd(int fd, const struct mbr_store_options *options,
                              struct mbr_store **out);

/*
 * A new, empty store in the memory of this process, and a connection to it as its domain 0. It ends
 * with the last handle to it. options may be NULL. -EINVAL options; -ENOMEM.
 */
MBR_API int mbr_store_open_embedded(const struct mbr_store_options *options,
                                    struct mbr_store **out);

/* Another connection to the embedded store that `s` belongs to, as domain `domid`: 0 is privileged,
 * another is introduced if need be, and released with its last handle. -ENOTSUP `s` is not
 * embedded; -EINVAL domid is above 0x7fef. */
MBR_API int mbr_store_open_again(struct mbr_store *s, uint32_t domid, struct mbr_store **out);

/* Ends its watches and transactions and frees it; the callbacks of requests that were not answered
 * are called with -ECANCELED. Does not block. From a callback of this handle: it is freed when the
 * callback has returned. NULL is fine. */
MBR_API void mbr_store_close(struct mbr_store *s);

/*
 * Where mbr_store_open(NULL) looks: $XENSTORED_PATH; or else /run/membrane/store for root and
 * $XDG_RUNTIME_DIR/membrane/store for others. Writes at most size - 1 bytes and a NUL.
 * -ENAMETOOLONG; -ENOENT neither variable is set, and this is not root.
 */
MBR_API int mbr_store_path(char *path, size_t size);

/* Another timeout for the calls that follow. -EINVAL it is 0. */
MBR_API int mbr_store_set_timeout(struct mbr_store *s, uint64_t timeout_ns);

/* ---- nodes ----
 *
 * `tx` is a transaction of this handle, or 0. A path that does not begin with a slash is below the
 * caller's /local/domain/N.
 */

/* The value, with a NUL behind it that does not count. `length` may be NULL. */
MBR_API int mbr_store_read(struct mbr_store *s, uint64_t tx, const char *path, char **value,
                           size_t *length);

/* Sets the value of a node, and makes it and those above it if they do not exist. `value` may be
 * NULL if length is 0. */
MBR_API int mbr_store_write(struct mbr_store *s, uint64_t tx, const char *path, const void *value,
                            size_t length);

/* Makes a node with an empty value, and those above it, unless it exists, which is no error. */
MBR_API int mbr_store_mkdir(struct mbr_store *s, uint64_t tx, const char *path);

/* Removes a node and all below it. One that does not exist is no error if its parent does. */
MBR_API int mbr_store_rm(struct mbr_store *s, uint64_t tx, const char *path);

/* 1 the node exists and may be read, 0 it does not exist, or a negative errno. */
MBR_API int mbr_store_exists(struct mbr_store *s, uint64_t tx, const char *path);

/* The names of a node's children, in the store's order, and their number. However many there are:
 * a list that does not fit into one message is fetched in parts, anew if it changes meanwhile. */
MBR_API int mbr_store_list(struct mbr_store *s, uint64_t tx, const char *path, char ***names,
                           size_t *count);

/* ---- permissions ---- */

enum mbr_store_access {
    MBR_STORE_NONE = 0,
    MBR_STORE_READ = 1,
    MBR_STORE_WRITE = 2,
    MBR_STORE_BOTH = 3,
};

/* The first of a list names the owner, and what all have who are not in the list; the others name
 * what one domain has. */
struct mbr_store_perm {
    uint32_t domid;
    uint32_t access; /* enum mbr_store_access */
};

MBR_API int mbr_store_get_perms(struct mbr_store *s, uint64_t tx, const char *path,
                                struct mbr_store_perm **perms, size_t *count);
/* At least one; only for the owner and domain 0. -EINVAL none, or an access that is none. */
MBR_API int mbr_store_set_perms(struct mbr_store *s, uint64_t tx, const char *path,
                                const struct mbr_store_perm *perms, size_t count);

#define MBR_STORE_PERM_TEXT 12 /* bytes of the longest, with its NUL */

/* From and to the text used everywhere: a letter of n, r, w, b and the domain, "r5". Neither needs
 * a handle. -EINVAL the text is no such thing; or the access is none, or size is too small. */
MBR_API int mbr_store_perm_parse(const char *text, struct mbr_store_perm *perm);
MBR_API int mbr_store_perm_text(const struct mbr_store_perm *perm, char *text, size_t size);

/* ---- transactions ---- */

/* Begins one. It sees its own changes; others see them when it has been committed. It belongs to
 * the handle and ends with the connection; calls that name it then fail with -ECONNRESET.
 * -ENOSPC too many are open. */
MBR_API int mbr_store_begin(struct mbr_store *s, uint64_t *tx);

/* Commits it (`commit` is not 0) or drops it; it has ended in either case. -EAGAIN nothing was
 * changed, because somebody else changed what it had looked at: begin again. -ENOENT the
 * store has no such transaction; -ECONNRESET it was begun on a connection that has gone, or by
 * nobody. */
MBR_API int mbr_store_end(struct mbr_store *s, uint64_t tx, int commit);

/* One attempt: does its reads and writes with `tx`. 0: commit; a negative errno: drop it, and
 * -EAGAIN: and try again. */
typedef int mbr_store_transact_fn(struct mbr_store *s, uint64_t tx, void *arg);

/*
 * Begins a transaction, calls `fn` and commits, again and again until the commit succeeds; between
 * attempts it waits, longer and longer up to 20 ms. Conflicts and connections that are lost before
 * the commit was sent are tried again, for `timeout_ns` at most (0: once, MBR_FOREVER: for ever).
 * Returns what fn returned if that is neither 0 nor -EAGAIN. -EAGAIN the time was up and all
 * attempts had met a conflict; -ECONNRESET the answer to a commit was lost: it may have taken
 * effect.
 */
MBR_API int mbr_store_transact(struct mbr_store *s, mbr_store_transact_fn *fn, void *arg,
                               uint64_t timeout_ns);

/* ---- watches ---- */

#define MBR_STORE_ALL_DEPTHS UINT32_MAX

struct mbr_store_event {
    struct mbr_store_watcher *watch;
    void *arg;        /* as given to mbr_store_watch() */
    const char *path; /* what has changed: the watched path or one below it; written as the watched
                         path is, so relative if that is. Valid until the next call */
    int error;        /* 0; or why the watch is not served: it reports nothing more, and is to be
                         ended with mbr_store_unwatch() */
};

typedef void mbr_store_watch_fn(struct mbr_store *s, const struct mbr_store_event *event);

/*
 * Watches a node and what is below it, down to `depth` levels (0: only the node; a daemon that
 * cannot do that is asked for all, and the rest is dropped here). The first event comes at once,
 * for the path itself, which need not exist; the others when a node was written, made, removed, or
 * given other permissions. "@introduceDomain" and "@releaseDomain" tell of domains.
 *
 * With `fn` events are reported to it; with NULL they wait for mbr_store_next_event(). Equal events
 * that were not fetched are one. A watch with 4,096 events waiting, or one for which there is no
 * memory, reports its own path instead: look at all of it again.
 *
 * mbr_store_watch() blocks until the store has agreed. The other does not, and reports a refusal as
 * an event with an error, also that of a path that cannot be one. Also -ENOSPC, -E2BIG quota.
 */
MBR_API int mbr_store_watch(struct mbr_store *s, const char *path, uint32_t depth,
                            mbr_store_watch_fn *fn, void *arg, struct mbr_store_watcher **out);
MBR_API int mbr_store_watch_start(struct mbr_store *s, const char *path, uint32_t depth,
                                  mbr_store_watch_fn *fn, void *arg,
                                  struct mbr_store_watcher **out);

/* Ends it and frees it: nothing more is reported for it. Does not block, cannot fail. NULL is fine;
 * after mbr_store_close() it must not be called. */
MBR_API void mbr_store_unwatch(struct mbr_store_watcher *w);

/*
 * The next event of the watches without a function; blocks for at most `timeout_ns`. 0; -ETIMEDOUT
 * there is none; others as above, while the daemon cannot be reached.
 */
MBR_API int mbr_store_next_event(struct mbr_store *s, uint64_t timeout_ns,
                                 struct mbr_store_event *out);

/* Ends all watches (their pointers become invalid) and transactions of this connection, at the
 * daemon in one request. */
MBR_API int mbr_store_reset(struct mbr_store *s);

/* ---- domains, for domain 0 ----
 *
 * All but mbr_store_domain_path() need a privileged connection: -EACCES.
 */

/* Makes a domain known and serves its ring; again: resets the connection. */
MBR_API int mbr_store_domain_introduce(struct mbr_store *s, uint32_t domid, uint64_t frame,
                                       uint32_t port);
/*
 * A connection of the domain `domid` to the same daemon, for handing to a process that will be this
 * domain: *fd is a stream socket, close-on-exec, for mbr_store_open_fd() or any client of the
 * protocol. The domain is introduced if need be, and then released with its last connection. Only
 * membraned can do this, over a socket; others, and one that has no descriptor left: -EINVAL. This
 * process has none left: -EMFILE. -EPROTO none has come.
 */
MBR_API int mbr_store_domain_connect(struct mbr_store *s, uint32_t domid, int *fd);
MBR_API int mbr_store_domain_release(struct mbr_store *s, uint32_t domid);
MBR_API int mbr_store_domain_resume(struct mbr_store *s, uint32_t domid);
/* Gives `domid` all rights of `target`. */
MBR_API int mbr_store_domain_target(struct mbr_store *s, uint32_t domid, uint32_t target);
/* 1, 0, or a negative errno. */
MBR_API int mbr_store_domain_introduced(struct mbr_store *s, uint32_t domid);
/* "/local/domain/N". Any connection. */
MBR_API int mbr_store_domain_path(struct mbr_store *s, uint32_t domid, char **path);

/* A control command and its arguments: what `membrane store stats` and xenstore-control(8) ask
 * for. The answer is text, with a NUL behind it; `length` may be NULL. */
MBR_API int mbr_store_control(struct mbr_store *s, const char *const words[], size_t count,
                              char **text, size_t *length);

/* What the store offers a domain: bits of Xen's public/io/xs_wire.h. Daemons before Xen 4.21:
 * -ENOSYS. Setting: before the domain is introduced, else -EBUSY. */
MBR_API int mbr_store_get_features(struct mbr_store *s, uint32_t domid, uint32_t *bits);
MBR_API int mbr_store_set_features(struct mbr_store *s, uint32_t domid, uint32_t bits);

/* Names of quotas, as a list; values, where 0 is no limit. domid: MBR_STORE_DEFAULT for what new
 * domains get. */
MBR_API int mbr_store_quota_names(struct mbr_store *s, char ***names, size_t *count);
MBR_API int mbr_store_get_quota(struct mbr_store *s, uint32_t domid, const char *name,
                                uint64_t *value);
MBR_API int mbr_store_set_quota(struct mbr_store *s, uint32_t domid, const char *name,
                                uint64_t value);

/* ---- without blocking ---- */

/* What is asked for. The values are those of the protocol. */
enum mbr_store_op {
    MBR_STORE_OP_CONTROL = 0,        /* words */
    MBR_STORE_OP_LIST = 1,           /* path; the answer: names, each with its NUL */
    MBR_STORE_OP_READ = 2,           /* path; the value */
    MBR_STORE_OP_GET_PERMS = 3,      /* path; texts of mbr_store_perm_text(), each with its NUL */
    MBR_STORE_OP_BEGIN = 6,          /* the transaction, in `tx` of the result */
    MBR_STORE_OP_COMMIT = 7,         /* tx */
    MBR_STORE_OP_INTRODUCE = 8,      /* domid, number: frame, second: port */
    MBR_STORE_OP_RELEASE = 9,        /* domid */
    MBR_STORE_OP_DOMAIN_PATH = 10,   /* domid; the path */
    MBR_STORE_OP_WRITE = 11,         /* path, value, length */
    MBR_STORE_OP_MKDIR = 12,         /* path */
    MBR_STORE_OP_RM = 13,            /* path */
    MBR_STORE_OP_SET_PERMS = 14,     /* path, perms, count */
    MBR_STORE_OP_IS_INTRODUCED = 17, /* domid; "T" or "F" */
    MBR_STORE_OP_RESUME = 18,        /* domid */
    MBR_STORE_OP_SET_TARGET = 19,    /* domid, second: target */
    MBR_STORE_OP_GET_FEATURES = 23,  /* domid; a decimal number */
    MBR_STORE_OP_SET_FEATURES = 24,  /* domid, number */
    MBR_STORE_OP_GET_QUOTA = 25,     /* domid, name; a decimal number. No name: names and blanks */
    MBR_STORE_OP_SET_QUOTA = 26,     /* domid, name, number */
    MBR_STORE_OP_DROP = 256          /* tx: ends it without commit */
};

/* One request; fields its op does not name are ignored. `size` is sizeof(struct
 * mbr_store_request), for growth. Nothing of it is used after the call. */
struct mbr_store_request {
    size_t size;
    enum mbr_store_op op;
    uint32_t domid;
    uint64_t tx;
    const char *path;
    const void *value;
    size_t length;
    const struct mbr_store_perm *perms;
    const char *const *words;
    size_t count; /* of perms or words */
    const char *name;
    uint64_t number;
    uint32_t second;
};

/* What has come of it. `data` has a NUL behind it that does not count; valid during the call. */
struct mbr_store_result {
    int error; /* 0 or a negative errno */
    uint64_t tx;
    const char *data; /* "" if there is none */
    size_t length;
};

typedef void mbr_store_done_fn(struct mbr_store *s, void *arg,
                               const struct mbr_store_result *result);

/*
 * Begins a request and returns; `fn` is called once with its result (NULL: nobody wants to know).
 * Requests of one handle are carried out in the order in which they were begun. As much as the
 * daemon takes is sent at once, the rest by mbr_store_process() or any blocking call. A request has
 * no deadline of its own; it ends at the latest with the handle, or with the connection.
 */
MBR_API int mbr_store_submit(struct mbr_store *s, const struct mbr_store_request *request,
                             mbr_store_done_fn *fn, void *arg);

/* Sends and receives what can be without blocking, and calls the callbacks of what has come; each
 * call at most 1,024 of them. Returns their number; -EBUSY from within a callback; others as above:
 * the connection is lost and cannot be had again now. */
MBR_API int mbr_store_process(struct mbr_store *s);

/* The same, but blocks until there was at least one callback, for at most `timeout_ns`:
 * -ETIMEDOUT. */
MBR_API int mbr_store_wait(struct mbr_store *s, uint64_t timeout_ns);

/*
 * A descriptor that is readable when mbr_store_process() has something to do, for wait sets
 * (mbr_watch_fd()) and other event loops, level-triggered. It belongs to the handle and stays the
 * same through reconnections. Sometimes it is readable for nothing. Errors: -EMFILE, -ENFILE,
 * -ENOMEM.
 */
MBR_API int mbr_store_fd(struct mbr_store *s);

MBR_END_DECLS

#endif
