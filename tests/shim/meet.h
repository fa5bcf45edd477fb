/* SPDX-License-Identifier: MIT */
/* What meet_loop.c and meet_sock.c must agree on: bytes that tell a lost, doubled or exchanged one.
 */
#ifndef MBR_TESTS_SHIM_MEET_H
#define MBR_TESTS_SHIM_MEET_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline uint8_t meet_byte(uint64_t at)
{
    return (uint8_t)(at * UINT64_C(0x9e3779b97f4a7c15) >> 45);
}

static inline void meet_fill(uint8_t *to, uint64_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = meet_byte(from + i);
}

static inline bool meet_same(const uint8_t *bytes, uint64_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != meet_byte(from + i))
            return false;
    return true;
}

/* Says what went wrong, and ends the program. */
static inline void meet_must(bool fine, const char *what, int error)
{
    if (fine)
        return;
    fprintf(stderr, "%s (%s)\n", what, error == 0 ? "-" : strerrorname_np(error));
    exit(1);
}
#define MUST(condition, error) meet_must(condition, __FILE__ ": " #condition, error)

/* What others wait for. */
static inline void meet_say(const char *text)
{
    puts(text);
    fflush(stdout);
}

static inline struct sockaddr_in meet_address(const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

/* The two names of a connection as its client sees them, and the other way round. */
static inline void meet_names(const struct sockaddr_in *client, const struct sockaddr_in *server)
{
    char text[INET_ADDRSTRLEN];

    printf("%s:%u", inet_ntop(AF_INET, &client->sin_addr, text, sizeof(text)),
           ntohs(client->sin_port));
    printf(" %s:%u\n", inet_ntop(AF_INET, &server->sin_addr, text, sizeof(text)),
           ntohs(server->sin_port));
    fflush(stdout);
}

#endif
