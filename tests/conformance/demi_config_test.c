/* SPDX-License-Identifier: MIT */
/*
 * The configuration of instances with sockets: each key of the file and each variable of the
 * environment, what a socket has of it, what goes before what, and everything that is refused. Each
 * case runs in a new thread. What belongs to every libOS (files that are missing or no YAML) is in
 * demi_init_test.c, too.
 *
 *   test_demi_config catnap|catloop
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "demi_util.h"

#include <cmocka.h>

#define ADDRESS "demikernel: {local_ipv4_addr: 127.0.0.1}\n"
#define TCP(x)  ADDRESS "tcp_socket_options: " x "\n"

static bool catnap;

/* What a new socket has. */
struct sight {
    const char *text; /* of the file; NULL: there is none */
    int result;
    struct linger linger;
    int nodelay, keepalive;
    int idle, interval; /* seconds; catnap only */
};

static void look_at_socket(struct sight *s)
{
    socklen_t size = sizeof(s->linger);
    int qd = -1;

    CHECK_INT(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), 0);
    CHECK_INT(demi_getsockopt(qd, SOL_SOCKET, SO_LINGER, &s->linger, &size), 0);
    size = sizeof(int);
    CHECK_INT(demi_getsockopt(qd, IPPROTO_TCP, TCP_NODELAY, &s->nodelay, &size), 0);
    CHECK_INT(demi_getsockopt(qd, SOL_SOCKET, SO_KEEPALIVE, &s->keepalive, &size), 0);
    s->nodelay = s->nodelay != 0;
    s->keepalive = s->keepalive != 0;
    if (catnap) {
        CHECK_INT(demi_getsockopt(qd, IPPROTO_TCP, TCP_KEEPIDLE, &s->idle, &size), 0);
        CHECK_INT(demi_getsockopt(qd, IPPROTO_TCP, TCP_KEEPINTVL, &s->interval, &size), 0);
    }
    CHECK_INT(demi_close(qd), 0);
}

static void init_and_look(void *arg)
{
    struct sight *s = arg;

    s->result = demi_init(NULL);
    CHECK(s->result >= 0);
    if (s->result == 0)
        look_at_socket(s);
}

static struct sight with(const char *text)
{
    struct sight s = {.text = text};
    char path[4200];

    snprintf(path, sizeof(path), "%s/%s.yaml", stage_dir(), text == NULL ? "nonesuch" : "try");
    if (text != NULL) {
        FILE *f = fopen(path, "w");

        CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
    }
    CHECK(setenv("CONFIG_PATH", path, 1) == 0);
    stage_in_thread(init_and_look, &s);
    return s;
}

static struct sight with_variable(const char *name, const char *value, const char *text)
{
    CHECK(setenv(name, value, 1) == 0);
    struct sight s = with(text);

    CHECK(unsetenv(name) == 0);
    return s;
}

static void expect(const struct sight *s, int result)
{
    if (s->result != result)
        print_error("configuration: %s\n", s->text == NULL ? "(none)" : s->text);
    CHECK_INT(s->result, result);
}

/* ---- the file ---- */

static void without_options(void **state)
{
    static const char *const texts[] = {
        ADDRESS,
        TCP("{}"),
        TCP(""),
        TCP("null"),
        TCP("{linger: {}, keepalive: {}}"),
        TCP("{linger: {enabled: false, time_seconds: 9}, keepalive: {enabled: false}}"),
        "demikernel:\n  local_ipv4_addr: 127.0.0.1\n  local_link_addr: ff:ff:ff:ff:ff:ff\n"
        "raw_socket:\n  linux_interface_name: abcde\ndpdk:\n  eal_init: [\"\", \"-c\", \"0xff\"]\n"
        "inetstack_config:\n  mtu: 1500\n  arp_table: {a: b}\nwho_knows: [1, {2: 3}]\n",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct sight s = with(texts[i]);

        expect(&s, 0);
        CHECK_INT(s.nodelay, 1);
        CHECK_INT(s.linger.l_onoff, 0);
        CHECK_INT(s.keepalive, 0);
    }
}

static void nodelay(void **state)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "on"};
    static const char *const no[] = {"false", "False", "FALSE", "no", "off"};
    char text[200];

    for (size_t i = 0; i < 5; i++) {
        snprintf(text, sizeof(text), TCP("{nodelay: %s}"), yes[i]);
        struct sight s = with(text);

        expect(&s, 0);
        CHECK_INT(s.nodelay, 1);
        snprintf(text, sizeof(text), TCP("{nodelay: %s}"), no[i]);
        s = with(text);
        expect(&s, 0);
        CHECK_INT(s.nodelay, 0);
    }
}

static void linger(void **state)
{
    struct sight s = with(TCP("{linger: {enabled: true, time_seconds: 7}}"));

    expect(&s, 0);
    CHECK_INT(s.linger.l_onoff, 1);
    CHECK_INT(s.linger.l_linger, 7);
    s = with(TCP("{linger: {enabled: true, time_seconds: 0}}"));
    expect(&s, 0);
    CHECK_INT(s.linger.l_onoff, 1);
    CHECK_INT(s.linger.l_linger, 0);
}

static void keepalive(void **state)
{
    struct sight s = with(TCP("{keepalive: {enabled: true, time_millis: 5001, interval: 2000}}"));

    expect(&s, 0);
    CHECK_INT(s.keepalive, 1);
    if (catnap) {
        CHECK_INT(s.idle, 6); /* rounded up */
        CHECK_INT(s.interval, 2);
    }
    s = with(TCP("{keepalive: {enabled: true}}"));
    expect(&s, 0);
    CHECK_INT(s.keepalive, 1);
}

static void wrong_values(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "demikernel: {}",
        "demikernel:",
        "demikernel: 127.0.0.1",
        "demikernel: [local_ipv4_addr, 127.0.0.1]",
        "demikernel: {local_ipv4_addr: }",
        "demikernel: {local_ipv4_addr: {}}",
        "demikernel: {local_ipv4_addr: [127.0.0.1]}",
        "demikernel: {local_ipv4_addr: localhost}",
        "demikernel: {local_ipv4_addr: 127.0.0.1.1}",
        "demikernel: {local_ipv4_addr: 127.0.0.256}",
        "demikernel: {local_ipv4_addr: '127.0.0.1 '}",
        "demikernel: {local_ipv4_addr: '::1'}",
        "demikernel: {local_ipv4_addr: 0.0.0.0}",
        "demikernel: {local_ipv4_addr: 255.255.255.255}",
        "local_ipv4_addr: 127.0.0.1",
        "- demikernel",
        TCP("7"),
        TCP("[nodelay]"),
        TCP("{nodelay: 2}"),
        TCP("{nodelay: maybe}"),
        TCP("{nodelay: }"),
        TCP("{nodelay: {}}"),
        TCP("{linger: 5}"),
        TCP("{linger: [enabled]}"),
        TCP("{linger: {enabled: 5}}"),
        TCP("{linger: {enabled: true, time_seconds: -1}}"),
        TCP("{linger: {enabled: true, time_seconds: 1.5}}"),
        TCP("{linger: {enabled: true, time_seconds: 2147483648}}"),
        TCP("{linger: {enabled: true, time_seconds: 99999999999999999999}}"),
        TCP("{linger: {enabled: true, time_seconds: [1]}}"),
        TCP("{linger: {enabled: false, time_seconds: soon}}"),
        TCP("{keepalive: true}"),
        TCP("{keepalive: {enabled: often}}"),
        TCP("{keepalive: {enabled: true, time_millis: 1s}}"),
        TCP("{keepalive: {enabled: true, interval: -5}}"),
        ADDRESS "catmem: 65536",
        ADDRESS "catmem: {capacity: lots}",
        ADDRESS "catmem: {capacity: 2G}",
        ADDRESS "---\n" ADDRESS,
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct sight s = with(texts[i]);

        expect(&s, EINVAL);
    }
    struct sight s = with(NULL);

    expect(&s, ENOENT);
}

/* ---- the environment ---- */

static void bind_to(void *arg)
{
    const struct sockaddr_in *a = arg;
    struct sockaddr_in other = *a;
    int qd = -1;

    CHECK_INT(demi_init(NULL), 0);
    CHECK_INT(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), 0);
    other.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 77);
    CHECK_INT(demi_bind(qd, (struct sockaddr *)&other, sizeof(other)), EADDRNOTAVAIL);
    CHECK_INT(demi_bind(qd, (const struct sockaddr *)a, sizeof(*a)), 0);
    CHECK_INT(demi_close(qd), 0);
}

static void address_variable(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    struct sight s = with_variable("LOCAL_IPV4_ADDR", "127.0.0.9", "{}");

    expect(&s, 0);
    s = with_variable("LOCAL_IPV4_ADDR", "127.0.0.9", "demikernel: {local_ipv4_addr: nonsense}");
    expect(&s, 0);
    static const char *const wrong[] = {"", "0.0.0.0", "nonsense", "255.255.255.255", "::1"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        s = with_variable("LOCAL_IPV4_ADDR", wrong[i], ADDRESS);
        expect(&s, EINVAL);
    }
    /* It is the address that can be bound, and the only one. */
    CHECK(setenv("LOCAL_IPV4_ADDR", "127.0.0.9", 1) == 0);
    s = with(ADDRESS);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 8);
    stage_in_thread(bind_to, &a);
    CHECK(unsetenv("LOCAL_IPV4_ADDR") == 0);
    s = with(ADDRESS);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    stage_in_thread(bind_to, &a);
}

static void linger_variable(void **state)
{
    static const char *const wrong[] = {"", "-1", "x", "1s", "2147483648", " 1"};
    struct sight s = with_variable("LINGER", "11", ADDRESS);

    expect(&s, 0);
    CHECK_INT(s.linger.l_onoff, 1);
    CHECK_INT(s.linger.l_linger, 11);
    s = with_variable("LINGER", "0", TCP("{linger: {enabled: false, time_seconds: 3}}"));
    expect(&s, 0);
    CHECK_INT(s.linger.l_onoff, 1);
    CHECK_INT(s.linger.l_linger, 0);
    s = with_variable("LINGER", "3", TCP("{linger: nonsense}"));
    expect(&s, 0);
    CHECK_INT(s.linger.l_linger, 3);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        s = with_variable("LINGER", wrong[i], ADDRESS);
        expect(&s, EINVAL);
    }
}

static void nodelay_variable(void **state)
{
    static const char *const wrong[] = {"", "2", "x", "truely"};
    struct sight s = with_variable("NODELAY", "false", ADDRESS);

    expect(&s, 0);
    CHECK_INT(s.nodelay, 0);
    s = with_variable("NODELAY", "true", TCP("{nodelay: false}"));
    expect(&s, 0);
    CHECK_INT(s.nodelay, 1);
    s = with_variable("NODELAY", "0", TCP("{nodelay: nonsense}"));
    expect(&s, 0);
    CHECK_INT(s.nodelay, 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        s = with_variable("NODELAY", wrong[i], ADDRESS);
        expect(&s, EINVAL);
    }
}

/* Variables of upstream that are for hardware are not looked at, whatever they say. */
static void other_variables(void **state)
{
    static const char *const names[] = {"LOCAL_LINK_ADDR",
                                        "ARP_CACHE_TTL",
                                        "ARP_REQUEST_TIMEOUT",
                                        "ARP_REQUEST_RETRIES",
                                        "INTERFACE_NAME",
                                        "INTERFACE_INDEX",
                                        "MTU",
                                        "MSS",
                                        "RUST_LOG"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct sight s = with_variable(names[i], "nonsense", ADDRESS);

        expect(&s, 0);
    }
}

static void capacity_variable(void **state)
{
    static const char *const wrong[] = {"", "0", "x", "-1", "2G", "1KK", "1T", "5x", "64 "};
    struct sight s = with_variable("MEMBRANE_CAPACITY", "64K", ADDRESS);

    expect(&s, 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        s = with_variable("MEMBRANE_CAPACITY", wrong[i], ADDRESS);
        expect(&s, EINVAL);
    }
}

/* A file as deep as a parser's patience must not cost more than saying no to it. */
static void deep_and_long(void **state)
{
    char *text = malloc(2000000);
    size_t n = 0;

    CHECK(text != NULL);
    memset(text, '[', 1999999);
    text[1999999] = '\0';
    struct sight s = with(text);

    expect(&s, EINVAL);
    n = (size_t)sprintf(text, ADDRESS "more:\n");
    for (int i = 0; n < 1900000; i++)
        n += (size_t)sprintf(text + n, "  k%d: [{a: b}]\n", i);
    s = with(text);
    expect(&s, 0);
    /* Neither a text nor an end. */
    CHECK(setenv("CONFIG_PATH", "/dev/zero", 1) == 0);
    s = (struct sight){.text = "/dev/zero"};
    stage_in_thread(init_and_look, &s);
    expect(&s, EINVAL);
    free(text);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options), cmocka_unit_test(nodelay),
        cmocka_unit_test(linger),          cmocka_unit_test(keepalive),
        cmocka_unit_test(wrong_values),    cmocka_unit_test(address_variable),
        cmocka_unit_test(linger_variable), cmocka_unit_test(nodelay_variable),
        cmocka_unit_test(other_variables), cmocka_unit_test(capacity_variable),
        cmocka_unit_test(deep_and_long),
    };

    CHECK_INT(argc, 2);
    catnap = strcmp(argv[1], "catnap") == 0;
    CHECK(setenv("LIBOS", argv[1], 1) == 0 && unsetenv("LOCAL_IPV4_ADDR") == 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
