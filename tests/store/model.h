/* SPDX-License-Identifier: MIT */
/*
 * A second store, as simple as can be: arrays that are searched from end to end, names that are
 * compared as text, transactions that copy what they touch. It says what the engine should answer,
 * and whom it should tell. Written from the protocol's rules, not from the engine.
 *
 * Special names, targets, domains' limits other than that of nodes: not here.
 */
#ifndef MBR_TESTS_STORE_MODEL_H
#define MBR_TESTS_STORE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_PATH  80
#define MODEL_TEXT  160
#define MODEL_QUEUE 256
#define MODEL_KIDS  12
#define MODEL_PERMS 4

struct model;

struct model *model_new(uint64_t node_limit); /* of each guest; 0: none */
void model_free(struct model *m);

/* A request of the connection WHO (cases.h), with '|' for NUL in PAYLOAD. */
void model_request(struct model *m, char who, uint32_t type, uint32_t tx, const char *payload);

/* WHO has been closed; domain DOMID was released, or introduced. */
void model_close(struct model *m, char who);
void model_release(struct model *m, unsigned domid);
void model_introduce(struct model *m, unsigned domid);

/* A live update has happened. */
void model_update(struct model *m);

/* The messages queued for WHO, oldest first, as local_next() writes them; 0 empties the queue. */
size_t model_queue(struct model *m, char who, const char *out[MODEL_QUEUE]);
void model_drain(struct model *m, char who);

/* Nodes that DOMID owns; whether any transaction is open. */
uint64_t model_owned(const struct model *m, unsigned domid);
bool model_in_transaction(const struct model *m);

/* Transactions that WHO has open. */
unsigned model_open(const struct model *m, char who);

#endif
