/* SPDX-License-Identifier: MIT */
/*
 * The blocking calls on nodes and their permissions.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/client.h"

/* The payload of the answer as the caller's own block, with its NUL. */
static char *take_text(struct mbr__client_msg *m)
{
    char *text = m->data != NULL ? m->data : calloc(1, 1);

    m->data = NULL;
    return text;
}

static int call_for_text(struct mbr_store *s, const struct mbr_store_request *r, char **text,
                         size_t *length)
{
    struct mbr__client_msg *m = NULL;
    char *taken;
    int rc = text == NULL ? -EINVAL : mbr__client_call(s, r, &m);

    if (rc < 0)
        return rc;
    taken = take_text(m);
    if (taken != NULL) {
        *text = taken;
        if (length != NULL)
            *length = m->length;
    }
    mbr__client_msg_free(m);
    return taken != NULL ? 0 : -ENOMEM;
}

int mbr_store_read(struct mbr_store *s, uint64_t tx, const char *path, char **value, size_t *length)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_READ, .tx = tx, .path = path};

    return call_for_text(s, &r, value, length);
}

int mbr_store_write(struct mbr_store *s, uint64_t tx, const char *path, const void *value,
                    size_t length)
{
    const struct mbr_store_request r = {
        .op = MBR_STORE_OP_WRITE, .tx = tx, .path = path, .value = value, .length = length};

    return mbr__client_call(s, &r, NULL);
}

int mbr_store_mkdir(struct mbr_store *s, uint64_t tx, const char *path)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_MKDIR, .tx = tx, .path = path};

    return mbr__client_call(s, &r, NULL);
}

int mbr_store_rm(struct mbr_store *s, uint64_t tx, const char *path)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_RM, .tx = tx, .path = path};

    return mbr__client_call(s, &r, NULL);
}

int mbr_store_exists(struct mbr_store *s, uint64_t tx, const char *path)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_READ, .tx = tx, .path = path};
    int rc = mbr__client_call(s, &r, NULL);

    if (rc == 0)
        return 1;
    /* Also -ENOENT: there is no daemon. That one is known by its missing connection. */
    return rc == -ENOENT && (s->fd >= 0 || s->embedded != NULL) ? 0 : rc;
}

int mbr_store_list(struct mbr_store *s, uint64_t tx, const char *path, char ***names, size_t *count)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_LIST, .tx = tx, .path = path};
    struct mbr__client_msg *m = NULL;
    int rc = names == NULL || count == NULL ? -EINVAL : mbr__client_call(s, &r, &m);

    if (rc < 0)
        return rc;
    rc = mbr__client_list(m->data, m->length, names, count);
    mbr__client_msg_free(m);
    return rc;
}

int mbr_store_get_perms(struct mbr_store *s, uint64_t tx, const char *path,
                        struct mbr_store_perm **perms, size_t *count)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_GET_PERMS, .tx = tx, .path = path};
    struct mbr__client_msg *m = NULL;
    struct mbr_store_perm *list;
    char **texts = NULL;
    size_t n = 0;
    int rc = perms == NULL || count == NULL ? -EINVAL : mbr__client_call(s, &r, &m);

    if (rc < 0)
        return rc;
    rc = mbr__client_list(m->data, m->length, &texts, &n);
    mbr__client_msg_free(m);
    if (rc < 0)
        return rc;
    list = malloc((n + 1) * sizeof(*list));
    if (list == NULL)
        rc = -ENOMEM;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = mbr_store_perm_parse(texts[i], &list[i]) < 0 ? -EPROTO : 0;
    free(texts);
    if (rc == 0 && n == 0)
        rc = -EPROTO;
    if (rc < 0) {
        free(list);
        return rc;
    }
    *perms = list;
    *count = n;
    return 0;
}

int mbr_store_set_perms(struct mbr_store *s, uint64_t tx, const char *path,
                        const struct mbr_store_perm *perms, size_t count)
{
    const struct mbr_store_request r = {
        .op = MBR_STORE_OP_SET_PERMS, .tx = tx, .path = path, .perms = perms, .count = count};

    return mbr__client_call(s, &r, NULL);
}

/* ---- control and domains ---- */

int mbr_store_control(struct mbr_store *s, const char *const words[], size_t count, char **text,
                      size_t *length)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_CONTROL, .words = words, .count = count};

    return call_for_text(s, &r, text, length);
}

int mbr_store_domain_introduce(struct mbr_store *s, uint32_t domid, uint64_t frame, uint32_t port)
{
    const struct mbr_store_request r = {
        .op = MBR_STORE_OP_INTRODUCE, .domid = domid, .number = frame, .second = port};

    return mbr__client_call(s, &r, NULL);
}

int mbr_store_domain_connect(struct mbr_store *s, uint32_t domid, int *fd)
{
    char number[16];
    const char *const words[] = {"connect", number};
    const struct mbr_store_request r = {.op = MBR_STORE_OP_CONTROL, .words = words, .count = 2};
    struct mbr__client_msg *m = NULL;
    int rc;

    (void)snprintf(number, sizeof(number), "%" PRIu32, domid);
    rc = fd == NULL ? -EINVAL : mbr__client_call(s, &r, &m);
    if (rc < 0)
        return rc;
    *fd = m->fd;
    m->fd = -1;
    mbr__client_msg_free(m);
    return 0;
}

int mbr_store_domain_release(struct mbr_store *s, uint32_t domid)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_RELEASE, .domid = domid};

    return mbr__client_call(s, &r, NULL);
}

int mbr_store_domain_resume(struct mbr_store *s, uint32_t domid)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_RESUME, .domid = domid};

    return mbr__client_call(s, &r, NULL);
}

int mbr_store_domain_target(struct mbr_store *s, uint32_t domid, uint32_t target)
{
    const struct mbr_store_request r = {
        .op = MBR_STORE_OP_SET_TARGET, .domid = domid, .second = target};

    return mbr__client_call(s, &r, NULL);
}

int mbr_store_domain_introduced(struct mbr_store *s, uint32_t domid)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_IS_INTRODUCED, .domid = domid};
    struct mbr__client_msg *m = NULL;
    int rc = mbr__client_call(s, &r, &m);

    if (rc < 0)
        return rc;
    rc = -EPROTO;
    if (m->length == 2 && memcmp(m->data, "T", 2) == 0)
        rc = 1;
    else if (m->length == 2 && memcmp(m->data, "F", 2) == 0)
        rc = 0;
    mbr__client_msg_free(m);
    return rc;
}

int mbr_store_domain_path(struct mbr_store *s, uint32_t domid, char **path)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_DOMAIN_PATH, .domid = domid};

    return call_for_text(s, &r, path, NULL);
}

/* ---- features and quotas ---- */

static int call_for_number(struct mbr_store *s, const struct mbr_store_request *r, uint64_t max,
                           uint64_t *out)
{
    struct mbr__client_msg *m = NULL;
    int rc = mbr__client_call(s, r, &m);

    if (rc < 0)
        return rc;
    rc = mbr__client_number(m->data, m->length, max, out);
    mbr__client_msg_free(m);
    return rc;
}

int mbr_store_get_features(struct mbr_store *s, uint32_t domid, uint32_t *bits)
{
    /* Of oneself it is asked without a number, which anybody may. */
    const struct mbr_store_request r = {
        .op = MBR_STORE_OP_GET_FEATURES,
        .domid = domid == MBR_STORE_SELF ? MBR_STORE_DEFAULT : domid,
    };
    uint64_t number;
    int rc = bits == NULL ? -EINVAL : call_for_number(s, &r, UINT32_MAX, &number);

    if (rc == 0)
        *bits = (uint32_t)number;
    return rc;
}

int mbr_store_set_features(struct mbr_store *s, uint32_t domid, uint32_t bits)
{
    const struct mbr_store_request r = {
        .op = MBR_STORE_OP_SET_FEATURES, .domid = domid, .number = bits};

    return mbr__client_call(s, &r, NULL);
}

int mbr_store_quota_names(struct mbr_store *s, char ***names, size_t *count)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_GET_QUOTA, .domid = MBR_STORE_DEFAULT};
    struct mbr__client_msg *m = NULL;
    int rc = names == NULL || count == NULL ? -EINVAL : mbr__client_call(s, &r, &m);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < m->length; i++) {
        if (m->data[i] == ' ')
            m->data[i] = '\0';
    }
    rc = mbr__client_list(m->data, m->length, names, count);
    mbr__client_msg_free(m);
    return rc;
}

int mbr_store_get_quota(struct mbr_store *s, uint32_t domid, const char *name, uint64_t *value)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_GET_QUOTA, .domid = domid, .name = name};

    if (name == NULL || value == NULL)
        return -EINVAL;
    return call_for_number(s, &r, UINT64_MAX, value);
}

int mbr_store_set_quota(struct mbr_store *s, uint32_t domid, const char *name, uint64_t value)
{
    const struct mbr_store_request r = {
        .op = MBR_STORE_OP_SET_QUOTA, .domid = domid, .name = name, .number = value};

    return mbr__client_call(s, &r, NULL);
}
