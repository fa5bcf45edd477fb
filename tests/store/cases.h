/* SPDX-License-Identifier: MIT */
/*
 * The conformance cases of the store's protocol, and what runs them over any transport: a script
 * of messages sent and expected, and a port that a test implements.
 *
 * A script is lines "WHO[.TX] TYPE payload": that message is sent; and "WHO < what": the next
 * message to WHO must be that:
 *     A < = payload       a reply to the request sent last
 *     A < ! ENOENT        the error reply
 *     A < @ path|token|   an event
 *     A < ?               any reply that is no error
 *     A < -               nothing is there (found out by asking something harmless)
 * In payloads '|' stands for NUL, '~' for a newline, {x*100} for a hundred x. TX is a transaction's
 * id; the first of a connection is 1. A line "A READ /a| = x" is a sending and an expectation in
 * one; so with !. A and B are connections of domain 0; a and b of domains 1 and 2, which are
 * introduced; c is of domain 3, which the case must introduce. x is a second connection of
 * domain 1.
 *
 * Not here: how the messages travel.
 */
#ifndef MBR_TESTS_STORE_CASES_H
#define MBR_TESTS_STORE_CASES_H

#include <stdbool.h>
#include <stddef.h>

#include "store/wire.h"

struct store_case {
    const char *name;
    const char *script;
    bool one_per_domain; /* has no connection x: can be run where a domain has only one */
};

extern const struct store_case store_cases[];
extern const size_t store_case_count;

/* How a test reaches the store. A case begins with a store that nobody has touched, in which
 * domains 1 and 2 are introduced. Connections are opened at their first use. */
struct store_port {
    void *user;
    /* 0 or a negative errno. */
    int (*send)(void *user, char who, const struct mbr__store_header *header, const void *payload);
    /* The next message to WHO, waited for; a negative errno if none comes. */
    int (*receive)(void *user, char who, struct mbr__store_header *header,
                   char payload[MBR__STORE_PAYLOAD_MAX]);
};

/* The domain that WHO belongs to. */
unsigned store_case_domid(char who);

/* Runs one case. False: what went wrong is in ERROR. */
bool store_case_run(const struct store_port *port, const struct store_case *c, char *error,
                    size_t size);

#endif
