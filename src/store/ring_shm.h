/* SPDX-License-Identifier: MIT */
/*
 * Layout of the shared page through which a domain speaks to the store, as Xen's guests do (source:
 * xs_wire.h and docs/misc/xenstore-ring.txt of Xen), followed by one page of ours that saves
 * wake-ups. Client: the domain. Server: the daemon. Both have both pages mapped writable; the
 * memory is sealed against changes of its size before it is handed out.
 *
 * Indices count bytes without end and are taken modulo 1024; PRODUCER - CONSUMER is what is in the
 * ring and never above 1024. Each is stored with release by its writer and loaded with acquire by
 * the other (pair A of base/atomic.h), once, and bounded before use.
 *
 * | field | written by | what a hostile writer can do |
 * |---|---|---|
 * | req | client | send any bytes: they are a request like others, copied before they are read |
 * | rsp | server | (as client) spoil its own replies |
 * | req_prod, rsp_cons | client | bounded by the server's own copies of req_cons and rsp_prod; an
 *   impossible value ends the service of this page: error 2 |
 * | req_cons, rsp_prod | server | the server never reads them back, except when it takes over |
 * | features | server | nothing; never read by the server |
 * | connection | both | 1 drops the client's own watches and transactions |
 * | error | server | nothing; never read by the server |
 * | evtchn_port | server | nothing; 0 here: the eventfds take the event channel's place |
 * | server_asleep | server | (as client) keep itself from being heard |
 * | client_asleep | client | have the server write to its eventfd, or not |
 */
#ifndef MBR_STORE_RING_SHM_H
#define MBR_STORE_RING_SHM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define MBR__STORE_RING_BYTES 1024u

/* Of `connection`. */
#define MBR__STORE_RING_CONNECTED 0u
#define MBR__STORE_RING_RECONNECT 1u /* the client asks for a fresh start */

/* Of `error`. */
#define MBR__STORE_RING_OK             0u
#define MBR__STORE_RING_ERROR_COMM     1u
#define MBR__STORE_RING_ERROR_INDEX    2u
#define MBR__STORE_RING_ERROR_PROTOCOL 3u

struct mbr__store_ring_shm {
    uint8_t req[MBR__STORE_RING_BYTES];
    uint8_t rsp[MBR__STORE_RING_BYTES];
    uint32_t req_cons;
    uint32_t req_prod;
    uint32_t rsp_cons;
    uint32_t rsp_prod;
    uint32_t features; /* MBR__XS_FEATURE_* */
    uint32_t connection;
    uint32_t error;
    uint32_t evtchn_port;
    uint8_t pad[4096 - 2080];

    /*
     * The second page. Each word is stored by its owner before it sleeps (1) and after it woke (0),
     * then both look once more at what they wait for; whoever has moved an index reads the other's
     * word after a full fence, and rings only if it is not 0 (pair B). A client that knows nothing
     * of this leaves client_asleep at 1, as it was made, and is rung for each change; and it rings
     * for each change itself, which does no harm.
     */
    uint32_t server_asleep;
    uint8_t pad_server[60];
    uint32_t client_asleep;
    uint8_t pad_client[4096 - 68];
};

static_assert(sizeof(struct mbr__store_ring_shm) == 8192, "two pages");
static_assert(offsetof(struct mbr__store_ring_shm, rsp) == 1024 &&
                  offsetof(struct mbr__store_ring_shm, req_cons) == 2048 &&
                  offsetof(struct mbr__store_ring_shm, req_prod) == 2052 &&
                  offsetof(struct mbr__store_ring_shm, rsp_cons) == 2056 &&
                  offsetof(struct mbr__store_ring_shm, rsp_prod) == 2060 &&
                  offsetof(struct mbr__store_ring_shm, features) == 2064 &&
                  offsetof(struct mbr__store_ring_shm, connection) == 2068 &&
                  offsetof(struct mbr__store_ring_shm, error) == 2072 &&
                  offsetof(struct mbr__store_ring_shm, evtchn_port) == 2076 &&
                  offsetof(struct mbr__store_ring_shm, server_asleep) == 4096 &&
                  offsetof(struct mbr__store_ring_shm, client_asleep) == 4160,
              "the layout of Xen, then ours");

#endif
