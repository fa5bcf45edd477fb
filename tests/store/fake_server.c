/* SPDX-License-Identifier: MIT */
/*
 * A scripted daemon in a thread. See fake_server.h.
 */
#include "fake_server.h"

#include "../multi/receive.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void *serve(void *arg)
{
    struct fake_server *f = arg;
    bool more = true;

    for (int number = 0; more; number++) {
        int fd = accept(f->listener, NULL, NULL);

        if (fd < 0)
            break;
        more = f->script(f, fd, number);
        (void)close(fd);
    }
    return NULL;
}

/* Directories of servers that were not stopped: cmocka jumps out of a test that fails. */
#define LEFT_MAX 16

static char left[LEFT_MAX][64];

static void remove_left(void)
{
    for (int i = 0; i < LEFT_MAX; i++) {
        char path[80];

        if (left[i][0] == '\0')
            continue;
        (void)snprintf(path, sizeof(path), "%.63s/store", left[i]);
        (void)unlink(path);
        (void)rmdir(left[i]);
    }
}

static char *place_of(const char *directory)
{
    int i = 0;

    while (i < LEFT_MAX && strcmp(left[i], directory) != 0)
        i++;
    assert_true(i < LEFT_MAX);
    return left[i];
}

static void note_directory(const char *directory)
{
    static bool noted;

    if (!noted)
        assert_int_equal(atexit(remove_left), 0);
    noted = true;
    (void)snprintf(place_of(""), sizeof(left[0]), "%s", directory);
}

void fake_server_start(struct fake_server *f, fake_script *script, void *arg)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *f = (struct fake_server){.script = script, .arg = arg};
    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/membrane-fake.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    note_directory(f->directory);
    (void)snprintf(f->path, sizeof(f->path), "%s/store", f->directory);
    memcpy(address.sun_path, f->path, sizeof(f->path));
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(f->listener >= 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(f->listener, 8), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

void fake_server_stop(struct fake_server *f)
{
    (void)shutdown(f->listener, SHUT_RDWR);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    (void)close(f->listener);
    (void)unlink(f->path);
    assert_int_equal(rmdir(f->directory), 0);
    *place_of(f->directory) = '\0';
}

bool fake_take(int fd, struct fake_message *m)
{
    unsigned char head[MBR__STORE_HEADER_SIZE];

    if (!receive_all(fd, head, sizeof(head)))
        return false;
    mbr__store_header_parse(&m->head, head);
    if (m->head.len > MBR__STORE_PAYLOAD_MAX || !receive_all(fd, m->payload, m->head.len))
        return false;
    m->payload[m->head.len] = '\0';
    return true;
}

bool fake_say(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;

    while (length > 0) {
        ssize_t n = send(fd, at, length, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        at += n;
        length -= (size_t)n;
    }
    return true;
}

bool fake_send(int fd, uint32_t type, uint32_t id, const void *payload, size_t length)
{
    unsigned char all[MBR__STORE_HEADER_SIZE + MBR__STORE_PAYLOAD_MAX];
    const struct mbr__store_header head = {type, id, 0, (uint32_t)length};

    mbr__store_header_pack(all, &head);
    if (length > 0)
        memcpy(all + sizeof(all) - MBR__STORE_PAYLOAD_MAX, payload, length);
    return fake_say(fd, all, MBR__STORE_HEADER_SIZE + length);
}

bool fake_event(int fd, const struct fake_message *watch, const char *path)
{
    const char *token = watch->payload + strlen(watch->payload) + 1;
    char payload[512];
    int length = snprintf(payload, sizeof(payload), "%s%c%s", path, '\0', token);

    return fake_send(fd, MBR__XS_WATCH_EVENT, 0, payload, (size_t)length + 1);
}

bool fake_answer(int fd, const struct fake_message *m)
{
    uint32_t type = m->head.type;
    uint32_t id = m->head.req_id;

    switch (type) {
    case MBR__XS_READ:
        if (strcmp(m->payload, "/none") == 0)
            return fake_send(fd, MBR__XS_ERROR, id, "ENOENT", 7);
        return fake_send(fd, type, id, "value", 5);
    case MBR__XS_DIRECTORY:
        if (strcmp(m->payload, "/wide") == 0)
            return fake_send(fd, MBR__XS_ERROR, id, "E2BIG", 6);
        return fake_send(fd, type, id, "a\0b\0c", 6);
    case MBR__XS_DIRECTORY_PART:
        if (strcmp(m->payload + strlen(m->payload) + 1, "0") == 0)
            return fake_send(fd, type, id, "7\0a\0b", 6);
        return fake_send(fd, type, id, "7\0c\0", 5);
    case MBR__XS_GET_PERMS:
        return fake_send(fd, type, id, "n0\0r5", 6);
    case MBR__XS_TRANSACTION_START:
        return fake_send(fd, type, id, "1", 2);
    case MBR__XS_WATCH:
        return fake_send(fd, type, id, "OK", 3) && fake_event(fd, m, m->payload);
    default:
        return fake_send(fd, type, id, "OK", 3);
    }
}
