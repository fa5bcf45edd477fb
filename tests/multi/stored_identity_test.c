/* SPDX-License-Identifier: MIT */
/*
 * Who a peer of membraned is: root and its own user are domain 0; each other user is one
 * unprivileged domain, from his first connection to his last; and domain 0 can have connections in
 * the name of any domain. Needs root, to be somebody else; skipped otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stored.h"

#define USER_A 61001u
#define USER_B 61002u

static struct stored daemon_;

/* An actor of another user: becomes him, connects, says his domid, and goes on when told. */
struct somebody {
    uid_t uid;
    int connections;
    void (*act)(int fd, const char *domid);
};

static void be_somebody(struct stage_actor *parent, void *argument)
{
    const struct somebody *who = argument;
    char domid[32] = "";
    int fds[100];

    CHECK_INT(setuid(who->uid), 0);
    for (int i = 0; i < who->connections; i++) {
        do /* the ends of an earlier test's connections may still have to be seen */
            fds[i] = stored_try_connect(daemon_.path);
        while (fds[i] < 0);
    }
    CHECK_INT(stored_read(fds[0], 0, "domid", domid, sizeof(domid)), 0);
    if (who->act != NULL)
        who->act(fds[0], domid);
    stage_say(parent, strtoull(domid, NULL, 10));
    (void)stage_hear(parent);
}

static void unprivileged(int fd, const char *domid)
{
    struct stored_reply reply;
    char path[64];

    CHECK_INT(stored_write(fd, 0, "mine", "1"), 0);
    (void)snprintf(path, sizeof(path), "/local/domain/%s/mine", domid);
    stored_expect(fd, path, "1");
    CHECK_INT(stored_write(fd, 0, "/tool/x", "1"), -EACCES);
    CHECK_INT(stored_ask(fd, MBR__XS_READ, 0, &reply, "/secret", NULL), -EACCES);
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "check", NULL), -EACCES);
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "connect", "5", NULL), -EACCES);
    CHECK_INT(stored_ask(fd, MBR__XS_INTRODUCE, 0, &reply, "5", "1", "1", NULL), -EACCES);
    CHECK_INT(stored_ask(fd, MBR__XS_RELEASE, 0, &reply, "5", NULL), -EACCES);
}

static void test_other_users_are_guests(void **state)
{
    struct somebody who = {USER_A, 1, unprivileged};
    struct stage_actor actor;
    int fd = stored_connect(daemon_.path);

    CHECK_INT(stored_write(fd, 0, "/secret", "s"), 0);
    stage_spawn(&actor, be_somebody, &who);
    CHECK(stage_hear(&actor) > 0);
    stage_say(&actor, 0);
    stage_join_ok(&actor);
    (void)close(fd);
}

static void wait_event(int fd, const char *path)
{
    struct stored_reply reply;

    do
        CHECK(stored_next(fd, &reply));
    while (reply.header.type != MBR__XS_WATCH_EVENT || strcmp(reply.payload, path) != 0);
}

static void watch(int fd, const char *path)
{
    struct stored_reply reply;

    CHECK_INT(stored_ask(fd, MBR__XS_WATCH, 0, &reply, path, "token", NULL), 0);
    wait_event(fd, path);
}

/* One user, one domain, however many connections; two users, two domains; told on the special
 * watches; gone with everything that was his. */
static void test_life_of_a_users_domain(void **state)
{
    struct somebody a = {USER_A, 3, NULL};
    struct somebody b = {USER_B, 1, NULL};
    struct stage_actor first;
    struct stage_actor second;
    struct stage_actor other;
    struct stored_reply reply;
    char path[64];
    char text[32];
    int fd = stored_connect(daemon_.path);
    int watcher = stored_connect(daemon_.path);
    uint64_t domid;
    uint64_t domid_b;

    watch(watcher, "@introduceDomain");
    watch(watcher, "@releaseDomain");
    stage_spawn(&first, be_somebody, &a);
    domid = stage_hear(&first);
    wait_event(watcher, "@introduceDomain");
    stage_spawn(&second, be_somebody, &a);
    CHECK_INT(stage_hear(&second), domid);
    stage_spawn(&other, be_somebody, &b);
    domid_b = stage_hear(&other);
    CHECK(domid_b != domid && domid_b != 0 && domid != 0);

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)domid);
    CHECK_INT(stored_ask(fd, MBR__XS_IS_DOMAIN_INTRODUCED, 0, &reply, text, NULL), 0);
    CHECK(strcmp(reply.payload, "T") == 0);
    stage_say(&first, 0);
    stage_join_ok(&first);
    CHECK_INT(stored_ask(fd, MBR__XS_IS_DOMAIN_INTRODUCED, 0, &reply, text, NULL), 0);
    CHECK(strcmp(reply.payload, "T") == 0); /* the second one is still there */
    stage_say(&second, 0);
    stage_join_ok(&second);
    wait_event(watcher, "@releaseDomain");
    CHECK_INT(stored_ask(fd, MBR__XS_IS_DOMAIN_INTRODUCED, 0, &reply, text, NULL), 0);
    CHECK(strcmp(reply.payload, "F") == 0);
    (void)snprintf(path, sizeof(path), "/local/domain/%s", text);
    CHECK_INT(stored_ask(fd, MBR__XS_DIRECTORY, 0, &reply, path, NULL), -ENOENT);
    stage_say(&other, 0);
    stage_join_ok(&other);
    (void)close(fd);
    (void)close(watcher);
}

static void too_many(struct stage_actor *parent, void *argument)
{
    int fds[80];
    int count = 0;

    CHECK_INT(setuid(USER_A), 0);
    while (count < 80 && (fds[count] = stored_try_connect(daemon_.path)) >= 0)
        count++;
    stage_say(parent, (uint64_t)count);
    (void)stage_hear(parent);
}

static void test_connections_of_a_user_are_limited(void **state)
{
    struct stage_actor actor;
    int fd;

    stage_spawn(&actor, too_many, NULL);
    CHECK_INT(stage_hear(&actor), 64); /* the default */
    fd = stored_connect(daemon_.path);
    CHECK_INT(stored_write(fd, 0, "/others", "served"), 0);
    stage_say(&actor, 0);
    stage_join_ok(&actor);
    (void)close(fd);
}

/* Domain 0 may end a user's domain: his connections break, and the next one is another domain. */
static void test_released_by_domain_0(void **state)
{
    struct somebody who = {USER_A, 1, NULL};
    struct stage_actor first;
    struct stage_actor second;
    struct stored_reply reply;
    char text[32];
    int fd = stored_connect(daemon_.path);
    uint64_t domid;

    stage_spawn(&first, be_somebody, &who);
    domid = stage_hear(&first);
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)domid);
    CHECK_INT(stored_ask(fd, MBR__XS_RELEASE, 0, &reply, text, NULL), 0);
    stage_spawn(&second, be_somebody, &who);
    CHECK(stage_hear(&second) != domid);
    stage_say(&first, 0);
    stage_join_ok(&first);
    stage_say(&second, 0);
    stage_join_ok(&second);
    (void)close(fd);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_users_are_guests),
        cmocka_unit_test(test_life_of_a_users_domain),
        cmocka_unit_test(test_connections_of_a_user_are_limited),
        cmocka_unit_test(test_released_by_domain_0),
    };

    stored_need();
    if (geteuid() != 0) {
        printf("skipped: only root can become another user\n");
        return STAGE_SKIPPED;
    }
    CHECK_INT(chmod(stage_dir(), 0755), 0);
    stored_start(&daemon_, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
