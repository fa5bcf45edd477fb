/* SPDX-License-Identifier: MIT */
/*
 * What a member asks of a container on disk (daemon/container_stored.c) while each allocation of
 * the loop fails in turn: he gets -ENOMEM, nothing is left of what he asked for, and the same works
 * when it is asked again.
 *
 * Not here: the shelf's own allocations (shelf_fault_test.c).
 */
#define MBR_OBJECTS_NO_SHORT_NAMES /* the daemon has names of its own */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../daemon/container.h"
#include "../../daemon/containers.h"
#include "../../daemon/server.h"
#include "../../daemon/shelf.h"
#include "../../tools/exits.h"
#include "../../tools/say.h"
#include "disk_model.h"
#include "failalloc.h"
#include "shm/post.h"

static char scratch[] = "/tmp/mbr-stored.XXXXXX";
static char place[64];

/* ---- what the daemon has elsewhere; also daemon_alone.c -------------------------------------- */

int tool_error(int code, const char *hint, const char *format, ...)
{
    (void)hint;
    (void)format;
    return code;
}

int tool_error_system(int error, const char *format, ...)
{
    (void)error;
    (void)format;
    return TOOL_EXIT_LIMIT;
}

/* ---- the scene ------------------------------------------------------------------------------- */

struct scene {
    struct settings settings;
    struct server server;
    struct containers c;
    int client;
    struct session *session;
};

static void open_session(struct scene *s)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    s->client = ends[0];
    assert_int_equal(session_open(&s->c, ends[1], &s->session), 0);
}

static void close_session(struct scene *s)
{
    session_close(s->session);
    containers_bury(&s->c);
    (void)close(s->client);
}

static void begin(struct scene *s)
{
    memset(s, 0, sizeof(*s));
    assert_non_null(mkdtemp(strcpy(scratch, "/tmp/mbr-stored.XXXXXX")));
    (void)snprintf(place, sizeof(place), "%s/d", scratch);
    for (int i = 0; i < SETTING_COUNT; i++)
        s->settings.value[i].number = INT32_MAX;
    s->settings.value[SETTING_OBJECTS].text = place;
    s->settings.value[SETTING_STORED_PER_USER].number = 0; /* no limit */
    s->server.settings = &s->settings;
    s->server.epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_true(s->server.epoll >= 0);
    containers_init(&s->c, &s->server);
    assert_int_equal(containers_open_shelf(&s->c), TOOL_EXIT_OK);
    assert_int_equal(containers_start_shelf(&s->c), TOOL_EXIT_OK);
    open_session(s);
}

static void end(struct scene *s)
{
    close_session(s);
    containers_fini(&s->c);
    (void)close(s->server.epoll);
    model_remove_tree(scratch);
}

/* The status of the reply that has come. */
static int answered(struct scene *s)
{
    struct mbr__broker_reply reply;

    assert_true(containers_settle(&s->c));
    assert_int_equal(recv(s->client, &reply, sizeof(reply), MSG_DONTWAIT), sizeof(reply));
    return reply.status;
}

static int ask_to_make(struct scene *s, const char *name)
{
    struct container like = {.name = (char *)(uintptr_t)name,
                             .name_length = strlen(name),
                             .owner = s->session->user,
                             .group = -1,
                             .flags = MBR_CONTAINER_PERSISTENT,
                             .number = s->c.last + 1,
                             .memory = memfd_create("test", MFD_CLOEXEC)};
    int rc = stored_create(s->session, &like, MBR_WRITE_IN_PLACE);

    if (rc != -EINPROGRESS)
        (void)close(like.memory);
    return rc;
}

static void assert_nothing(const struct scene *s)
{
    assert_true(mbr__list_empty(&s->c.all));
    assert_null(mbr__bytes_map_get(&s->c.named, "c", 1));
    assert_null(s->session->desk);
    assert_int_equal(s->session->user->containers, 0);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_create(void **state)
{
    struct scene s;
    unsigned n;

    (void)state;
    begin(&s);
    for (n = 0;; n++) {
        bool hit;
        int rc;

        failalloc_arm(n);
        rc = ask_to_make(&s, "c");
        hit = failalloc_disarm();
        if (rc == -EINPROGRESS)
            break;
        assert_true(hit);
        assert_int_equal(rc, -ENOMEM);
        assert_nothing(&s);
    }
    assert_true(n >= 3); /* what is on disk, the container, a desk */
    assert_int_equal(answered(&s), 0);
    assert_non_null(mbr__bytes_map_get(&s.c.named, "c", 1));
    end(&s);
}

/* It is joined by somebody else, when nobody has it open. */
static void test_join(void **state)
{
    struct container *container;
    struct scene s;
    bool hit = true;
    unsigned n;

    (void)state;
    begin(&s);
    assert_int_equal(ask_to_make(&s, "c"), -EINPROGRESS);
    assert_int_equal(answered(&s), 0);
    container = mbr__bytes_map_get(&s.c.named, "c", 1);
    close_session(&s);
    assert_true(containers_settle(&s.c));
    open_session(&s);
    for (n = 0; hit; n++) {
        int rc;

        failalloc_arm(n);
        rc = stored_join(s.session, container);
        hit = failalloc_disarm();
        assert_int_equal(rc, hit ? -ENOMEM : -EINPROGRESS);
        if (hit) {
            assert_null(s.session->desk);
            assert_int_equal(container->desks, 0);
        }
    }
    assert_true(n >= 2);
    assert_int_equal(answered(&s), 0);
    assert_ptr_equal(s.session->container, container);
    end(&s);
}

/* A member asks for an object to be made, and lends his memory. */
static void test_ask(void **state)
{
    struct mbr__broker_disk asked = {.seq = 1,
                                     .op = MBR__BROKER_DISK_CREATE,
                                     .id = 1,
                                     .size = MBR_OBJECT_BLOCK,
                                     .more = MBR_WRITE_IN_PLACE};
    struct mbr__broker_disk_reply reply;
    struct container *container;
    struct scene s;
    bool hit = true;
    unsigned n;

    (void)state;
    begin(&s);
    assert_int_equal(ask_to_make(&s, "c"), -EINPROGRESS);
    assert_int_equal(answered(&s), 0);
    container = s.session->container;
    assert_non_null(container);
    for (n = 0; hit; n++) {
        int rc;

        failalloc_arm(n);
        rc = stored_ask(s.session, &asked, "object", 6, -1);
        hit = failalloc_disarm();
        assert_int_equal(rc, hit ? -ENOMEM : -EINPROGRESS);
    }
    assert_true(containers_settle(&s.c));
    assert_int_equal(recv(s.client, &reply, sizeof(reply), MSG_DONTWAIT), sizeof(reply));
    assert_int_equal(reply.seq, 1);
    assert_int_equal(reply.status, 0);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_ask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
