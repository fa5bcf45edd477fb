/* SPDX-License-Identifier: MIT */
/*
 * What a store has to do, in as few words as can be: five paths, four connections, one open
 * transaction each. A state is plain data. A request that is in no transaction is a transaction of
 * its own that is committed at once; so there is one rule for reading, one for changing, and one
 * for telling.
 *
 *   - A transaction notes each node that an answer of it depends on, as that was at first; what it
 *     has not noted it sees as it is. The commit fails if one of them is another version by then: a
 *     version ends with another value, other permissions, another list of children, or the node.
 *   - A commit tells of each node that it has written, made as the one that was asked for, removed
 *     or given permissions: once, everybody who watches it or something above it, and of what went
 *     with something above it only those who watch that very node. Who may neither read it, nor
 *     what it is in, nor could before, is not told.
 *
 * Where the protocol does not say whether something is told (what a transaction has made and
 * removed again), both will do. Written from the published rules; it shares nothing with the engine
 * or with the naive store of the property test.
 *
 * Not here: quotas, domains that come and go, relative paths, special names.
 */
#ifndef MBR_TESTS_MODEL_STORE_SPEC_H
#define MBR_TESTS_MODEL_STORE_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#define SPEC_PATHS   5
#define SPEC_CONNS   4
#define SPEC_WATCHES 8
#define SPEC_TEXT    48

struct spec_perms {
    unsigned count;
    struct {
        char letter;
        unsigned domid;
    } at[3];
};

struct spec_node {
    uint32_t version; /* 0: it is not there */
    char value;       /* 0: empty */
    uint8_t kids;     /* a bit for each path */
    struct spec_perms perms;
};

enum spec_mark { SPEC_UNTOLD, SPEC_EXACT, SPEC_FULL };

struct spec_tx {
    bool open;
    int error; /* it cannot be committed any more */
    struct {
        bool noted, changed, wiped;
        uint32_t first; /* the version it had */
        struct spec_node now;
        enum spec_mark mark;
        bool went_alone; /* when it was last removed it was the one that was asked for */
    } at[SPEC_PATHS];
};

struct spec_watch {
    int conn; /* -1: the place is free */
    int path;
    unsigned depth;
    char token;
};

struct spec {
    unsigned domid[SPEC_CONNS];
    struct spec_node node[SPEC_PATHS];
    uint32_t versions;
    struct spec_tx tx[SPEC_CONNS];
    struct spec_watch watch[SPEC_WATCHES]; /* in the order in which they began */
    int watches;
};

/*
 * A request. KIND: R read, D directory, G permissions, W write, M mkdir, X rm, P set permissions;
 * S starts, C commits and F drops the connection's transaction; w watches, o watches the node
 * alone, u ends a watch, Z ends all. ARG: the value, the number of the permissions, or the token.
 */
struct spec_op {
    char kind;
    char arg;
    int path;
    bool in_tx;
};

enum spec_told { SPEC_NO, SPEC_MAY, SPEC_MUST };

/* What a request leads to. */
struct spec_effect {
    char reply[SPEC_TEXT]; /* "OK|", "!EAGAIN", "=" for an empty one; names in order; "": any */
    bool started;          /* the reply is the number of a transaction: "" above */
    int watch;             /* begun by it, -1: none */
    enum spec_told told[SPEC_WATCHES][SPEC_PATHS];
};

void spec_init(struct spec *s);

/* The permissions that ARG of P names, as text: "b0|r1|"; NULL: none. */
const char *spec_perms_text(char arg);
const char *spec_path_text(int path);
/* -1 if it is none of them. */
int spec_path_find(const char *text);
/* By the letter of programs: r p a x b. */
int spec_path_of(char letter);
bool spec_within(int path, int base);

void spec_request(struct spec *s, int conn, const struct spec_op *op, struct spec_effect *effect);

/* The connection has gone, or was made anew: its watches and its transaction end. */
void spec_close(struct spec *s, int conn);
/* A live update: nothing changes, but a transaction that has lost already stays lost. */
void spec_update(struct spec *s);

#endif
