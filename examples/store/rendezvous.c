/* SPDX-License-Identifier: MIT */
/*
 * Two domains find each other: one offers a service under a name, with a transaction; the other
 * watches the name and hears of it, without asking again and again.
 *
 * With the path of a daemon's socket as argument both are clients of that daemon; without one, the
 * store is in this process.
 *
 *     cc rendezvous.c $(pkg-config --cflags --libs membrane)
 */
#include <membrane/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME   "/example/service"
#define SECOND UINT64_C(1000000000)

static void check(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, mbr_error_text(result));
        exit(1);
    }
}

/* Both nodes appear at once: who sees the one sees the other. */
static int offer(struct mbr_store *s, uint64_t tx, void *arg)
{
    int rc = mbr_store_write(s, tx, NAME "/kind", "echo", 4);

    (void)arg;
    return rc < 0 ? rc : mbr_store_write(s, tx, NAME "/state", "ready", 5);
}

/* Called for the name itself at once, and for each change below it. */
static void changed(struct mbr_store *s, const struct mbr_store_event *event)
{
    int *found = event->arg;
    char *value = NULL;
    int rc = mbr_store_read(s, 0, NAME "/state", &value, NULL);

    printf("%s has changed: %s\n", event->path, rc == 0 ? value : mbr_error_text(rc));
    *found = rc == 0 && strcmp(value, "ready") == 0;
    free(value);
}

int main(int argc, char **argv)
{
    struct mbr_store *server;
    struct mbr_store *client;
    struct mbr_store_watcher *watch;
    int found = 0;

    if (argc > 1) {
        check(mbr_store_open(argv[1], NULL, &server), argv[1]);
        check(mbr_store_open(argv[1], NULL, &client), argv[1]);
    } else {
        check(mbr_store_open_embedded(NULL, &server), "a store");
        check(mbr_store_open_again(server, 0, &client), "a second view of it");
    }
    check(mbr_store_watch(client, NAME, MBR_STORE_ALL_DEPTHS, changed, &found, &watch), "watch");
    check(mbr_store_wait(client, 10 * SECOND), "the first event");
    check(mbr_store_transact(server, offer, NULL, 10 * SECOND), "offer");
    while (!found)
        check(mbr_store_wait(client, 10 * SECOND), "the service");
    check(mbr_store_rm(server, 0, "/example"), "clean up");
    mbr_store_close(client);
    mbr_store_close(server);
    return 0;
}
