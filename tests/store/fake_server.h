/* SPDX-License-Identifier: MIT */
/*
 * The other end of a client's connection, in a thread of the test: it says what a script makes it
 * say, true or not.
 */
#ifndef MBR_TESTS_STORE_FAKE_SERVER_H
#define MBR_TESTS_STORE_FAKE_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/wire.h"

struct fake_message {
    struct mbr__store_header head;
    char payload[MBR__STORE_PAYLOAD_MAX + 1]; /* a NUL behind it */
};

struct fake_server;

/* Runs in the thread. `fd` is a connection that has just been accepted, the first being number 0;
 * it is closed when this returns. False: accept no more. */
typedef bool fake_script(struct fake_server *f, int fd, int number);

struct fake_server {
    char directory[64];
    char path[80];
    int listener;
    pthread_t thread;
    fake_script *script;
    void *arg;
};

void fake_server_start(struct fake_server *f, fake_script *script, void *arg);
/* Ends it and waits for its thread. */
void fake_server_stop(struct fake_server *f);

/* Receives one request; false: the client has gone. */
bool fake_take(int fd, struct fake_message *m);
/* Sends bytes as they are; false: the client has gone. */
bool fake_say(int fd, const void *bytes, size_t length);
/* Sends one message. */
bool fake_send(int fd, uint32_t type, uint32_t id, const void *payload, size_t length);
/* Answers a request as an honest daemon with a small, fixed tree would. */
bool fake_answer(int fd, const struct fake_message *m);
/* An event for the watch whose WATCH was `m`. */
bool fake_event(int fd, const struct fake_message *watch, const char *path);

#endif
