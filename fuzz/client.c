/* SPDX-License-Identifier: MIT */
/*
 * The client library and a daemon that says anything: requests of every kind and two watches wait
 * for their answers, and the input is what comes instead. Each request ends exactly once, with a
 * text that is terminated; events are of a watch there is; nothing else happens.
 *
 * The input: pieces, each a byte for its length and that many bytes; 0 lets the client look at what
 * has come, 255 has it ask for more.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <membrane/store.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUESTS 64
#define WATCHES  2

static struct {
    struct mbr_store *s;
    int daemon;
    unsigned asked, done;
    bool ended[REQUESTS];
    struct mbr_store_watcher *watch[WATCHES];
} w;

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void on_done(struct mbr_store *s, void *arg, const struct mbr_store_result *r)
{
    bool *ended = arg;

    check(s == w.s && !*ended, "a request has ended twice");
    check(r->error <= 0 && r->data != NULL && r->data[r->length] == '\0', "no result");
    *ended = true;
    w.done++;
}

static void on_event(struct mbr_store *s, const struct mbr_store_event *e)
{
    check(e->watch == w.watch[0] && e->arg == &w && e->error <= 0, "an event of nothing");
    check(strlen(e->path) < MBR_STORE_PAYLOAD_MAX, "a path that is too long");
    (void)s;
}

/* One request of each kind. */
static void ask(void)
{
    static const enum mbr_store_op ops[] = {
        MBR_STORE_OP_READ,          MBR_STORE_OP_LIST,         MBR_STORE_OP_BEGIN,
        MBR_STORE_OP_GET_PERMS,     MBR_STORE_OP_WRITE,        MBR_STORE_OP_CONTROL,
        MBR_STORE_OP_IS_INTRODUCED, MBR_STORE_OP_GET_FEATURES, MBR_STORE_OP_GET_QUOTA,
    };
    static const char *const words[] = {"connect", "1"};

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]) && w.asked < REQUESTS; i++) {
        const struct mbr_store_request r = {.size = sizeof(r),
                                            .op = ops[i],
                                            .path = "/a/path",
                                            .value = "v",
                                            .length = 1,
                                            .words = words,
                                            .count = 2,
                                            .name = "nodes"};

        if (mbr_store_submit(w.s, &r, on_done, &w.ended[w.asked]) == 0)
            w.asked++;
    }
}

static void open_all(void)
{
    const struct mbr_store_options options = {.size = sizeof(options), .timeout_ns = 1000};
    int pair[2];

    memset(&w, 0, sizeof(w));
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0 &&
              mbr_store_open_fd(pair[0], &options, &w.s) == 0,
          "no connection");
    w.daemon = pair[1];
    check(mbr_store_watch_start(w.s, "/a", MBR_STORE_ALL_DEPTHS, on_event, &w, &w.watch[0]) == 0 &&
              mbr_store_watch_start(w.s, "/b", 1, NULL, &w, &w.watch[1]) == 0,
          "no watch");
    ask();
}

static void poll_events(void)
{
    struct mbr_store_event e;

    while (mbr_store_next_event(w.s, 0, &e) == 0)
        check(e.watch == w.watch[1] && strlen(e.path) < MBR_STORE_PAYLOAD_MAX, "another's event");
}

static void look(void)
{
    char *value = NULL;

    (void)mbr_store_process(w.s);
    poll_events();
    (void)mbr_store_wait(w.s, 0);
    (void)mbr_store_read(w.s, 0, "/blocking", &value, NULL);
    free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char drained[4096];
    size_t at = 0;

    open_all();
    while (at < size) {
        size_t n = data[at++];

        if (n == 0) {
            look();
        } else if (n == 255) {
            ask();
        } else {
            n = n < size - at ? n : size - at;
            if (send(w.daemon, data + at, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                look();
            at += n;
        }
        while (recv(w.daemon, drained, sizeof(drained), MSG_DONTWAIT) > 0)
            continue;
    }
    look();
    (void)close(w.daemon);
    look();
    mbr_store_close(w.s);
    check(w.done == w.asked, "a request has not ended");
    return 0;
}
