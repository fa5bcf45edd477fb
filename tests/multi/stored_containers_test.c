/* SPDX-License-Identifier: MIT */
/*
 * Containers at membraned: who gets them, who does not, when they go, what is refused, and that a
 * live update loses none. What is in them is not looked at here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "object/broker.h"
#include "object/memory.h"
#include "shm/post.h"
#include "stored.h"

#define OWNER    61011u
#define MEMBER   61012u
#define STRANGER 61013u
#define GROUP    61020u

static struct stored daemon_;
static bool root;

static void start_daemon(const char *const *arguments)
{
    stored_start(&daemon_, NULL, arguments);
    CHECK_INT(setenv("XENSTORED_PATH", daemon_.path, 1), 0);
}

static int new_memory(void)
{
    int fd = -1;

    CHECK_INT(mbr__object_memory_new("test", &fd), 0);
    return fd;
}

static uint64_t inode_of(int fd)
{
    struct stat st;

    CHECK_INT(fstat(fd, &st), 0);
    return st.st_ino;
}

static void leave(struct mbr__broker_found *found)
{
    (void)close(found->memory);
    (void)close(found->session);
}

/* The daemon hears of an end when it looks: asks until it says so. */
static void await_gone(const char *name)
{
    struct mbr__broker_found found;
    int rc;

    while ((rc = mbr__broker_join(name, &found)) == 0)
        leave(&found);
    CHECK_INT(rc, -ENOENT);
}

static void test_lives_as_long_as_its_members(void **state)
{
    struct mbr__broker_found first;
    struct mbr__broker_found second;
    int memory = new_memory();
    int session = -1;

    (void)state;
    CHECK_INT(mbr__broker_join("c", &first), -ENOENT);
    CHECK_INT(mbr__broker_create("c", -1, 0, 0, memory, &session), 0);
    CHECK_INT(mbr__broker_join("c", &first), 0);
    CHECK_INT(inode_of(first.memory), inode_of(memory));
    CHECK_INT(first.group, -1);
    CHECK_INT(first.uid, geteuid());
    (void)close(session);
    (void)close(memory);
    CHECK_INT(mbr__broker_join("c", &second), 0);
    leave(&first);
    leave(&second);
    await_gone("c");
}

static void test_names(void **state)
{
    struct mbr__broker_found found;
    char longest[MBR_OBJECT_NAME_MAX + 1];
    int memory = new_memory();
    int session = -1;
    int other = -1;

    (void)state;
    memset(longest, 'n', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    CHECK_INT(mbr__broker_create("", -1, 0, 0, memory, &session), -EINVAL);
    CHECK_INT(mbr__broker_create("a/b", -1, 0, 0, memory, &session), -EINVAL);
    CHECK_INT(mbr__broker_create("\xff", -1, 0, 0, memory, &session), -EINVAL);
    CHECK_INT(mbr__broker_create(longest, -1, 0, 0, memory, &session), 0);
    CHECK_INT(mbr__broker_create(longest, -1, 0, 0, memory, &other), -EEXIST);
    CHECK_INT(mbr__broker_join(longest, &found), 0);
    leave(&found);
    (void)close(session);
    (void)close(memory);
    await_gone(longest);
}

static void test_removed(void **state)
{
    struct mbr__broker_found found;
    int memory = new_memory();
    int session = -1;
    int again = -1;

    (void)state;
    CHECK_INT(mbr__broker_create("c", -1, MBR_CONTAINER_KEPT, 0, memory, &session), 0);
    CHECK_INT(mbr__broker_remove(session), 0);
    CHECK_INT(mbr__broker_remove(session), -ENOENT);
    CHECK_INT(mbr__broker_join("c", &found), -ENOENT);
    CHECK_INT(mbr__broker_create("c", -1, 0, 0, memory, &again), 0);
    (void)close(session);
    (void)close(again);
    (void)close(memory);
    await_gone("c");
}

static void test_kept(void **state)
{
    struct mbr__broker_found found;
    int memory = new_memory();
    uint64_t inode = inode_of(memory);
    int session = -1;

    (void)state;
    CHECK_INT(mbr__broker_create("kept", -1, MBR_CONTAINER_KEPT, 0, memory, &session), 0);
    (void)close(session);
    (void)close(memory);
    CHECK_INT(mbr__broker_join("kept", &found), 0);
    CHECK_INT(inode_of(found.memory), inode);
    CHECK_INT(found.flags, MBR_CONTAINER_KEPT);
    CHECK_INT(mbr__broker_remove(found.session), 0);
    leave(&found);
    CHECK_INT(mbr__broker_join("kept", &found), -ENOENT);
}

static void test_listed(void **state)
{
    struct mbr__broker_entry entry;
    uint64_t cursor = 0;
    int memory = new_memory();
    int sessions[3];
    static const char *const names[] = {"one", "two", "three"};

    (void)state;
    for (int i = 0; i < 3; i++)
        CHECK_INT(mbr__broker_create(names[i], -1, 0, 0, memory, &sessions[i]), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(mbr__broker_list(&cursor, &entry), 1);
        CHECK(strcmp(entry.name, names[i]) == 0);
        CHECK_INT(entry.members, 1);
    }
    CHECK_INT(mbr__broker_list(&cursor, &entry), 0);
    for (int i = 0; i < 3; i++)
        (void)close(sessions[i]);
    (void)close(memory);
    for (int i = 0; i < 3; i++)
        await_gone(names[i]);
}

/* Memory that could shrink, or that is something else, is not passed on to anybody. */
static void test_memory_is_checked(void **state)
{
    int plain = memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int session = -1;
    char path[64];
    int memory = new_memory();
    int reader;

    (void)state;
    CHECK(plain >= 0 && null >= 0);
    CHECK_INT(mbr__broker_create("c", -1, 0, 0, plain, &session), -EPROTO);
    CHECK_INT(mbr__broker_create("c", -1, 0, 0, null, &session), -EPROTO);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
    reader = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(reader >= 0);
    CHECK_INT(mbr__broker_create("c", -1, 0, 0, reader, &session), -EPROTO);
    (void)close(plain);
    (void)close(null);
    (void)close(memory);
    (void)close(reader);
}

/* Notes that make no sense, by hand. */
static void test_nonsense(void **state)
{
    struct mbr__broker_request request = {.op = 1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char bytes[600] = {0};
    struct mbr__broker_reply reply;
    int fd;

    (void)state;
    CHECK(strlen(daemon_.path) + sizeof(".objects") <= sizeof(address.sun_path));
    (void)strcpy(address.sun_path, daemon_.path);
    (void)strcat(address.sun_path, ".objects");
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_INT(send(fd, &request, sizeof(request), 0), sizeof(request));
    CHECK_INT(recv(fd, &reply, sizeof(reply), 0), sizeof(reply));
    CHECK_INT(reply.status, -EOPNOTSUPP);
    request.op = MBR__BROKER_REMOVE;
    CHECK_INT(send(fd, &request, sizeof(request), 0), sizeof(request));
    CHECK_INT(recv(fd, &reply, sizeof(reply), 0), sizeof(reply));
    CHECK_INT(reply.status, -EINVAL);
    request.op = MBR__BROKER_CREATE; /* without memory */
    memcpy(bytes, &request, sizeof(request));
    bytes[sizeof(request)] = 'x';
    CHECK_INT(send(fd, bytes, sizeof(request) + 1, 0), sizeof(request) + 1);
    CHECK_INT(recv(fd, &reply, sizeof(reply), 0), sizeof(reply));
    CHECK_INT(reply.status, -EINVAL);
    CHECK_INT(send(fd, bytes, sizeof(bytes), 0), sizeof(bytes)); /* too long */
    CHECK_INT(recv(fd, &reply, sizeof(reply), 0), 0);
    (void)close(fd);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_INT(send(fd, bytes, 3, 0), 3); /* too short */
    CHECK_INT(recv(fd, &reply, sizeof(reply), 0), 0);
    (void)close(fd);
}

/* ---- other users ------------------------------------------------------------------------------
 */

struct who {
    uid_t uid;
    gid_t group; /* a supplementary one; 0: none */
    const char *name;
    int create; /* 1: creates it for GROUP */
    int wanted;
};

static void as_somebody(struct stage_actor *parent, void *argument)
{
    const struct who *who = argument;
    struct mbr__broker_found found;
    int session = -1;
    int memory;
    int rc;

    CHECK_INT(setgroups(who->group != 0 ? 1 : 0, &who->group), 0);
    CHECK_INT(setgid(who->uid), 0);
    CHECK_INT(setuid(who->uid), 0);
    memory = new_memory();
    rc = who->create ? mbr__broker_create(who->name, GROUP, 0, 0, memory, &session)
                     : mbr__broker_join(who->name, &found);
    CHECK_INT(rc, who->wanted);
    if (rc == 0 && !who->create) {
        CHECK_INT(found.group, GROUP);
        CHECK_INT(mbr__broker_remove(found.session), who->uid == OWNER ? 0 : -EACCES);
    }
    stage_say(parent, 1);
    (void)stage_hear(parent);
}

static void begin(struct stage_actor *actor, struct who *who)
{
    stage_spawn(actor, as_somebody, who);
    CHECK_INT(stage_hear(actor), 1);
}

static void end(struct stage_actor *actor)
{
    stage_say(actor, 0);
    stage_join_ok(actor);
}

static void test_only_the_group(void **state)
{
    struct who outside = {OWNER, 0, "g", 1, -EPERM};
    struct who owner = {OWNER, GROUP, "g", 1, 0};
    struct who member = {MEMBER, GROUP, "g", 0, 0};
    struct who stranger = {STRANGER, 0, "g", 0, -EACCES};
    struct who owner_again = {OWNER, 0, "g", 0, 0};
    struct mbr__broker_entry entry;
    struct stage_actor a;
    struct stage_actor b;
    uint64_t cursor = 0;

    (void)state;
    if (!root)
        skip();
    begin(&a, &outside);
    end(&a);
    begin(&a, &owner);
    begin(&b, &stranger);
    end(&b);
    begin(&b, &member);
    CHECK_INT(mbr__broker_list(&cursor, &entry), 1); /* root sees everything */
    CHECK(strcmp(entry.name, "g") == 0);
    CHECK_INT(entry.uid, OWNER);
    end(&b);
    begin(&b, &owner_again); /* and removes it */
    end(&b);
    end(&a);
    await_gone("g");
}

static void fill_quota(struct stage_actor *parent, void *argument)
{
    int memory;
    int session;
    int made = 0;
    int rc;

    (void)argument;
    CHECK_INT(setgid(OWNER), 0);
    CHECK_INT(setuid(OWNER), 0);
    memory = new_memory();
    do {
        char name[32];

        (void)snprintf(name, sizeof(name), "q%d", made);
        rc = mbr__broker_create(name, -1, 0, 0, memory, &session);
        made += rc == 0;
    } while (rc == 0 && made < 200);
    CHECK_INT(rc, -EDQUOT);
    stage_say(parent, (uint64_t)made);
    (void)stage_hear(parent);
}

static void test_a_user_has_a_quota(void **state)
{
    struct stage_actor actor;

    (void)state;
    if (!root)
        skip();
    stage_spawn(&actor, fill_quota, NULL);
    CHECK_INT(stage_hear(&actor), 64);
    stage_kill(&actor);
    await_gone("q0");
    await_gone("q63");
}

/* ---- as programs see it -----------------------------------------------------------------------
 */

struct visit {
    uid_t uid;
    gid_t group;
    int wanted; /* of joining */
};

/* Reads what the owner wrote, writes an answer, cannot destroy it, and leaves. */
static void as_visitor(struct stage_actor *parent, void *argument)
{
    const struct visit *v = argument;
    struct mbr_container_attr attr;
    char text[16] = "";
    int object;
    int c;

    stage_become_user(v->uid, v->group);
    c = mbr_container_join("shared");
    CHECK_INT(v->wanted == 0 ? (c < 0 ? c : 0) : c, v->wanted);
    if (c < 0)
        return;
    CHECK_INT(mbr_container_getattr(c, &attr), 0);
    CHECK_INT(attr.group, GROUP);
    CHECK_INT(attr.members, 2);
    CHECK(attr.flags & MBR_CONTAINER_BROKERED);
    object = mbr_object_join(c, "o");
    CHECK(object >= 0);
    CHECK_INT(mbr_object_read(object, 0, text, 6), 0);
    CHECK(strcmp(text, "hello") == 0);
    CHECK_INT(mbr_object_write(object, 100, "world", 6), 0);
    CHECK_INT(mbr_container_destroy(c), -EACCES);
    stage_say(parent, 1);
    (void)stage_hear(parent);
    CHECK_INT(mbr_container_leave(c), 0);
}

static void test_two_users_share(void **state)
{
    struct visit member = {MEMBER, GROUP, 0};
    struct visit stranger = {STRANGER, 0, -EACCES};
    struct stage_actor actor;
    char text[16] = "";
    int object;
    int c;

    (void)state;
    if (!root)
        skip();
    c = mbr_container_create("shared", GROUP);
    CHECK(c >= 0);
    CHECK_INT(mbr_container_create("shared", GROUP), -EEXIST);
    object = mbr_object_create(c, "o", 4096);
    CHECK(object >= 0);
    CHECK_INT(mbr_object_write(object, 0, "hello", 6), 0);
    stage_spawn(&actor, as_visitor, &stranger);
    stage_join_ok(&actor);
    stage_spawn(&actor, as_visitor, &member);
    CHECK_INT(stage_hear(&actor), 1);
    CHECK_INT(mbr_object_read(object, 100, text, 6), 0);
    CHECK(strcmp(text, "world") == 0);
    CHECK_INT(mbr_container_destroy_until(c, 0), -ETIMEDOUT);
    stage_say(&actor, 0);
    stage_join_ok(&actor);
    CHECK_INT(mbr_container_destroy(c), 0);
    CHECK_INT(mbr_container_join("shared"), -ENOENT);
}

/* A member of another user is killed while it holds a block: who waits for it is freed. */
static void as_holder(struct stage_actor *parent, void *argument)
{
    char *bytes = NULL;
    int c;

    (void)argument;
    stage_become_user(MEMBER, GROUP);
    c = mbr_container_join("shared");
    CHECK(c >= 0);
    CHECK(mbr_object_get(mbr_object_join(c, "o"), 0, 10, &bytes) >= 0);
    stage_say(parent, 1);
    (void)stage_hear(parent);
}

static void test_a_dead_user_holds_nothing(void **state)
{
    struct stage_actor actor;
    int object;
    int c;

    (void)state;
    if (!root)
        skip();
    c = mbr_container_create("shared", GROUP);
    object = mbr_object_create(c, "o", 4096);
    CHECK(object >= 0);
    stage_spawn(&actor, as_holder, NULL);
    CHECK_INT(stage_hear(&actor), 1);
    CHECK_INT(mbr_object_write_until(object, 0, "x", 1, 0), -ETIMEDOUT);
    stage_kill(&actor);
    CHECK_INT(mbr_object_write(object, 0, "x", 1), 0);
    CHECK_INT(mbr_container_destroy(c), 0);
}

static void test_kept_for_later(void **state)
{
    struct mbr_container_options options = {.size = sizeof(options), .flags = MBR_CONTAINER_KEPT};
    struct mbr_container_attr attr;
    char byte = 0;
    int c = mbr_container_create_with("later", -1, &options);
    int object = mbr_object_create(c, "o", 4096);

    (void)state;
    CHECK(c >= 0 && object >= 0);
    CHECK_INT(mbr_object_write(object, 5, "k", 1), 0);
    CHECK_INT(mbr_container_leave(c), 0);
    c = mbr_container_join("later");
    CHECK(c >= 0);
    CHECK_INT(mbr_container_getattr(c, &attr), 0);
    CHECK_INT(attr.flags, MBR_CONTAINER_KEPT | MBR_CONTAINER_BROKERED);
    CHECK_INT(attr.objects, 1);
    CHECK_INT(mbr_object_read(mbr_object_join(c, "o"), 5, &byte, 1), 0);
    CHECK_INT(byte, 'k');
    CHECK_INT(mbr_container_destroy(c), 0);
    CHECK_INT(mbr_container_join("later"), -ENOENT);
}

/* ---- live update ------------------------------------------------------------------------------
 */

static void test_live_update(void **state)
{
    struct mbr__broker_found found;
    struct mbr__broker_entry entry;
    struct stored_reply reply;
    int memory = new_memory();
    uint64_t inode = inode_of(memory);
    uint64_t cursor = 0;
    int fd = stored_connect(daemon_.path);
    int session = -1;
    int kept = -1;

    (void)state;
    CHECK_INT(mbr__broker_create("member", -1, 0, 0, memory, &session), 0);
    CHECK_INT(mbr__broker_create("kept", -1, MBR_CONTAINER_KEPT, 0, memory, &kept), 0);
    (void)close(kept);
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-s", NULL), 0);
    CHECK(strcmp(reply.payload, "OK") == 0);
    CHECK_INT(mbr__broker_list(&cursor, &entry), 1);
    CHECK(strcmp(entry.name, "member") == 0);
    CHECK_INT(mbr__broker_join("kept", &found), 0);
    CHECK_INT(inode_of(found.memory), inode);
    CHECK_INT(mbr__broker_remove(found.session), 0);
    leave(&found);
    CHECK_INT(mbr__broker_remove(session), 0);
    (void)close(session);
    (void)close(memory);
    await_gone("member");
    (void)close(fd);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lives_as_long_as_its_members),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_removed),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_listed),
        cmocka_unit_test(test_memory_is_checked),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_only_the_group),
        cmocka_unit_test(test_a_user_has_a_quota),
        cmocka_unit_test(test_two_users_share),
        cmocka_unit_test(test_a_dead_user_holds_nothing),
        cmocka_unit_test(test_kept_for_later),
        cmocka_unit_test(test_live_update),
    };

    (void)argc;
    (void)argv;
    stored_need();
    root = geteuid() == 0;
    if (root)
        CHECK_INT(chmod(stage_dir(), 0755), 0);
    start_daemon(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
