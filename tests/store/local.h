/* SPDX-License-Identifier: MIT */
/*
 * A store in the test's own process, with connections by letter, and the means to send requests to
 * it and to look at what comes.
 *
 * Not here: sockets.
 */
#ifndef MBR_TESTS_STORE_LOCAL_H
#define MBR_TESTS_STORE_LOCAL_H

#include "cases.h"
#include "store/engine.h"

struct local {
    struct mbr__store *store;
    struct mbr__store_conn *conn[128]; /* by letter */
    uint64_t now;
    struct mbr__store_options options; /* as the store was made */
    unsigned outputs;                  /* calls of the callback */
    unsigned resumes;
    int broken; /* the last error, 0: none */
};

/* A new store with domains 1 and 2 introduced. OPTIONS may be NULL; its user is replaced. */
int local_init(struct local *local, const struct mbr__store_options *options);
void local_fini(struct local *local);

/* The connection WHO, made if need be; NULL if it cannot be. */
struct mbr__store_conn *local_conn(struct local *local, char who);

/* The port of cases.h for it. */
struct store_port local_port(struct local *local);

/* Sends a request whose payload is TEXT with '|' for NUL; what mbr__store_request() says. */
int local_send(struct local *local, char who, uint32_t type, uint32_t tx_id, const char *text);

/* The next message to WHO, as text: "OK|", "!ENOENT", "@/a|t|", "=" for an empty one; "" if there
 * is none. */
const char *local_next(struct local *local, char who);

/* Both. */
const char *local_ask(struct local *local, char who, uint32_t type, uint32_t tx_id,
                      const char *text);

/* Throws away what is queued for WHO. */
void local_drain(struct local *local, char who);

/* A live update: the store goes through its stream into another one. 0 or a negative errno. */
int local_update(struct local *local);

/* Closes WHO; a later use opens it anew. */
void local_close(struct local *local, char who);

/* Asserts with mbr__st_check() that everything is counted right. */
void local_check(struct local *local);

#endif
