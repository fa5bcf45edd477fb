/* SPDX-License-Identifier: MIT */
/*
 * Users, guests and their domains; see user.h.
 */
#include "user.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn.h"
#include "log.h"

static uint64_t key_of(uid_t uid)
{
    return (uint64_t)uid + 1;
}

/* A number that nobody has, taking turns, so that one that was released is not used again soon. */
static int pick_domid(struct server *server, uint32_t *out)
{
    uint32_t range = MBR__STORE_DOMID_FIRST_RESERVED - USER_DOMID_FIRST;

    for (uint32_t i = 0; i < range; i++) {
        uint32_t domid = USER_DOMID_FIRST + (server->next_domid + i) % range;

        if (mbr__store_domain_known(server->store, domid))
            continue;
        server->next_domid = (domid - USER_DOMID_FIRST + 1) % range;
        *out = domid;
        return 0;
    }
    return -ENOSPC;
}

/* One request of domain 0 whose answer does not matter. */
static void ask(struct mbr__store_conn *conn, uint32_t type, const char *payload, size_t length)
{
    struct mbr__store_header header = {.type = type, .len = (uint32_t)length};

    (void)mbr__store_request(conn, &header, payload);
}

/* /local/domain/DOMID, the user's own, with his number in `domid`: what a toolstack does for a
 * guest. It goes with his domain, because it is his. */
static void make_home(struct server *server, uint32_t domid)
{
    struct mbr__store_conn *conn;
    char home[48];
    char text[80];
    int length;

    if (settings_number(server->settings, SETTING_HOMES) == 0 ||
        mbr__store_conn_new(server->store, server->next_conn, 0, MBR__STORE_PRIVILEGED, NULL,
                            &conn) != 0)
        return;
    server->next_conn++;
    length = snprintf(home, sizeof(home), "/local/domain/%u", domid);
    ask(conn, MBR__XS_MKDIR, home, (size_t)length + 1);
    length = snprintf(text, sizeof(text), "%s%cn%u", home, 0, domid);
    ask(conn, MBR__XS_SET_PERMS, text, (size_t)length + 1);
    length = snprintf(text, sizeof(text), "%s/domid%c%u", home, 0, domid);
    ask(conn, MBR__XS_WRITE, text, (size_t)length);
    mbr__store_conn_free(conn);
}

static int remember(struct server *server, struct user *user)
{
    int rc = mbr__hash_reserve(&server->domains, server->domains.count + 1);

    if (rc == 0)
        rc = mbr__hash_put(&server->users, key_of(user->uid), user);
    if (rc == 0)
        rc = mbr__hash_put(&server->domains, user->domid, user);
    if (rc == -EEXIST)
        (void)mbr__hash_del(&server->users, key_of(user->uid));
    return rc;
}

static int make_user(struct server *server, uid_t uid, uint32_t domid, struct user **out)
{
    struct user *user = malloc(sizeof(*user));
    int rc;

    if (user == NULL)
        return -ENOMEM;
    *user = (struct user){.server = server, .uid = uid, .domid = domid};
    rc = remember(server, user);
    if (rc != 0) {
        free(user);
        return rc;
    }
    *out = user;
    return 0;
}

int user_restore(struct server *server, uid_t uid, uint32_t domid, struct user **out)
{
    return make_user(server, uid, domid, out);
}

static int introduce(struct server *server, uid_t uid, struct user **out)
{
    uint32_t domid;
    int rc = pick_domid(server, &domid);

    if (rc == 0)
        rc = make_user(server, uid, domid, out);
    if (rc != 0)
        return rc;
    rc = mbr__store_domain_add(server->store, domid);
    if (rc == 0) {
        make_home(server, domid);
        rc = mbr__store_introduce(server->store, domid);
    }
    if (rc != 0) {
        user_forget_idle(*out);
        return rc;
    }
    log_debug("user connects: uid=%u domid=%u", (unsigned)uid, domid);
    return 0;
}

int user_find(struct server *server, uid_t uid, struct user **out)
{
    struct user *user;
    int rc;

    if (uid == 0 || uid == geteuid()) {
        *out = NULL;
        return 0;
    }
    user = mbr__hash_get(&server->users, key_of(uid));
    if (user == NULL) {
        rc = introduce(server, uid, &user);
        if (rc != 0)
            return rc;
    } else if (user->conns >= settings_number(server->settings, SETTING_CONNECTIONS_PER_USER)) {
        return -EAGAIN;
    }
    *out = user;
    return 0;
}

void user_join(struct user *user)
{
    user->conns++;
}

void user_forget_idle(struct user *user)
{
    struct server *server = user->server;

    if (user->conns != 0)
        return;
    /* Unless domain 0 has done it already, and perhaps given the number to somebody else. */
    if (mbr__hash_get(&server->domains, user->domid) == user) {
        (void)mbr__hash_del(&server->domains, user->domid);
        (void)mbr__store_release(server->store, user->domid);
    }
    if (mbr__hash_get(&server->users, key_of(user->uid)) == user)
        (void)mbr__hash_del(&server->users, key_of(user->uid));
    free(user);
}

void user_leave(struct user *user)
{
    user->conns--;
    user_forget_idle(user);
}

/* ---- guests ------------------------------------------------------------------------------------
 */

int guest_add(struct server *server, uint32_t domid)
{
    struct user *guest = malloc(sizeof(*guest));
    int rc;

    if (guest == NULL)
        return -ENOMEM;
    *guest = (struct user){.server = server, .domid = domid, .guest = true};
    rc = mbr__hash_put(&server->domains, domid, guest);
    if (rc != 0)
        free(guest);
    return rc;
}

static bool guest_known(const struct server *server, uint32_t domid)
{
    const struct user *user = mbr__hash_get(&server->domains, domid);

    return user != NULL && user->guest;
}

void guest_check(struct server *server, const struct conn *conn)
{
    if (conn->domid != 0)
        guest_drop(server, conn->domid);
}

void guest_drop(struct server *server, uint32_t domid)
{
    if (!guest_known(server, domid) || mbr__store_domain_conns(server->store, domid) != 0)
        return;
    free(mbr__hash_del(&server->domains, domid));
    (void)mbr__store_release(server->store, domid);
}

void user_released(struct server *server, uint32_t domid)
{
    struct user *user = mbr__hash_del(&server->domains, domid);

    if (user == NULL)
        return;
    /* His connections are broken and will be freed, and he with the last of them; the next one
     * makes him another domain. */
    if (user->guest)
        free(user);
    else
        (void)mbr__hash_del(&server->users, key_of(user->uid));
}

void users_free(struct server *server)
{
    size_t cursor = 0;
    struct user *user;

    while ((user = mbr__hash_next(&server->domains, &cursor)) != NULL)
        free(user);
    mbr__hash_fini(&server->users);
    mbr__hash_fini(&server->domains);
}
