/* SPDX-License-Identifier: MIT */
/*
 * What tests of membraned share: starting it on a stage, and a client of the wire protocol that is
 * as plain as can be, so that it does not share mistakes with the library.
 */
#ifndef MBR_TESTS_STORED_H
#define MBR_TESTS_STORED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stage.h"
#include "store/ring.h"
#include "store/wire.h"

/* ---- the daemon ---- */

struct stored {
    pid_t pid;
    char path[512];
    char errors[512]; /* the file with its standard error */
};

/* Ends the test with "skipped" if the daemon is not built. */
void stored_need(void);

/* Starts membraned on PATH (NULL: "store" in the stage's directory) with these arguments more,
 * ended by NULL, and waits until it listens. */
void stored_start(struct stored *daemon, const char *path, const char *const *arguments);

/* As stored_start(), but expects it to end by itself, with this exit code. */
void stored_refuses(int code, const char *path, const char *const *arguments);

/* SIGTERM, and exit code 0. */
void stored_stop(struct stored *daemon);

/* SIGKILL. */
void stored_kill(struct stored *daemon);

/* Whether its standard error has this text by now. */
bool stored_said(const struct stored *daemon, const char *text);

/* ---- clients ---- */

struct stored_reply {
    struct mbr__store_header header;
    char payload[MBR__STORE_PAYLOAD_MAX + 1]; /* with a NUL behind it */
};

/* Connects; -1 if nobody listens, or if he hangs up at once (try_ only). */
int stored_connect(const char *path);
int stored_try_connect(const char *path);

/* One request, however long the socket takes. */
void stored_send(int fd, uint32_t type, uint32_t req, uint32_t tx, const void *payload,
                 size_t length);

/* The next message, events too. False at the end of the stream. */
bool stored_next(int fd, struct stored_reply *reply);

/* The next message that is no event; events before it are counted in stored_events. */
void stored_reply(int fd, struct stored_reply *reply);
extern unsigned stored_events;

/* Request and reply; the reply has this type and number. */
void stored_call(int fd, uint32_t type, uint32_t tx, const void *payload, size_t length,
                 struct stored_reply *reply);

/* As stored_call() with a payload of strings, each with its NUL, the last followed by one more
 * NULL. Returns 0, or the error's number as a negative errno. */
int stored_ask(int fd, uint32_t type, uint32_t tx, struct stored_reply *reply, ...)
    __attribute__((sentinel));

/* Writes VALUE; reads and compares. Return as stored_ask(); read fails the test if it differs. */
int stored_write(int fd, uint32_t tx, const char *path, const char *value);
int stored_read(int fd, uint32_t tx, const char *path, char *value, size_t size);
void stored_expect(int fd, const char *path, const char *value);

/* Starts and ends a transaction. */
uint32_t stored_begin(int fd);
int stored_end(int fd, uint32_t tx, bool commit);

/* A control call whose reply brings COUNT descriptors. 0 or a negative errno. */
int stored_control_fds(int fd, const char *verb, uint32_t domid, int *fds, int count);

/* ---- a client over a shared page ---- */

struct stored_ring {
    struct mbr__store_ring page;
    int to_server;
    int to_client;
    bool plain; /* rings for each change and never says that it sleeps, as Xen's guests do */
};

void stored_ring_open(int control, uint32_t domid, struct stored_ring *ring);
void stored_ring_close(struct stored_ring *ring);
/* Puts in all bytes, waiting for room. */
void stored_ring_push(struct stored_ring *ring, const void *data, size_t length);
void stored_ring_send(struct stored_ring *ring, uint32_t type, uint32_t tx, const void *payload,
                      size_t length);
void stored_ring_next(struct stored_ring *ring, struct stored_reply *reply);
void stored_ring_bell(struct stored_ring *ring);
/* Waits for the server's eventfd. */
void stored_ring_wait(struct stored_ring *ring);

#endif
