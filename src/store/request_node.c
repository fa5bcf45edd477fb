/* SPDX-License-Identifier: MIT */
/*
 * The messages about nodes: READ, DIRECTORY, DIRECTORY_PART, GET_PERMS, SET_PERMS, WRITE, MKDIR,
 * RM.
 *
 * Who may not read a node is not told whether it is there: what is missing is reported as such
 * only to those who may read, or for changes write, the nearest thing above it that exists.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/change.h"
#include "store/domain.h"
#include "store/journal.h"
#include "store/out.h"
#include "store/request.h"
#include "store/tx.h"
#include "store/watch.h"

/* Goes to store->path, as the request's transaction or the living tree has it; TO: where. */
static int look(struct mbr__st_req *req, const struct mbr__st_walk **to)
{
    struct mbr__store *store = req->store;

    *to = req->tx ? &store->view : &store->walk;
    if (req->tx)
        return mbr__st_tx_read(req->tx);
    mbr__st_tree_walk(&store->tree, &store->path, &store->walk);
    mbr__st_seen(req->conn, store->walk.node[store->walk.found]->generation);
    return 0;
}

/* The node at store->path, for which RIGHTS are needed. */
static int find_node(struct mbr__st_req *req, unsigned rights, struct mbr__st_node **node)
{
    const struct mbr__st_walk *walk;
    struct mbr__st_node *near;
    unsigned had;
    int error = look(req, &walk);

    if (error)
        return error;
    near = walk->node[walk->found];
    had = mbr__st_rights(req->conn, near->perms);
    if (walk->found < req->store->path.count)
        return had & rights ? -ENOENT : -EACCES;
    if ((had & rights) != rights)
        return -EACCES;
    *node = near;
    return 0;
}

/* The node that is the only argument, to be read. */
static int get_node(struct mbr__st_req *req, struct mbr__st_node **node)
{
    int error = mbr__st_one_path(req);

    return error ? error : find_node(req, MBR__ST_READ, node);
}

int mbr__st_do_read(struct mbr__st_req *req)
{
    struct mbr__st_node *node;
    int error = get_node(req, &node);

    return error ? error : mbr__st_reply(req, mbr__st_value(node), node->value_len);
}

/* Copies the names from byte OFFSET of the list on, LEN bytes, which end with a name's NUL. */
static void copy_names(const struct mbr__st_node *node, uint64_t offset, unsigned char *out,
                       size_t len)
{
    uint64_t into;
    const struct mbr__st_node *child;

    if (len == 0)
        return;
    child = mbr__st_trie_seek(node->by_id, offset, &into);
    for (;;) {
        size_t part = child->name_len - (size_t)into;

        memcpy(out, child->name + into, part);
        out[part] = '\0';
        out += part + 1;
        len -= part + 1;
        if (len == 0)
            return;
        into = 0;
        child = mbr__st_trie_ceil(node->by_id, child->id + 1, MBR__ST_BY_ID);
    }
}

int mbr__st_do_directory(struct mbr__st_req *req)
{
    struct mbr__st_node *node;
    unsigned char *out;
    uint64_t len;
    int error = get_node(req, &node);

    if (error)
        return error;
    len = mbr__st_node_list_len(node);
    if (len > MBR__STORE_PAYLOAD_MAX)
        return -E2BIG;
    out = mbr__st_reply_begin(req, len);
    if (!out)
        return -MBR__ST_NO_OUTPUT;
    copy_names(node, 0, out, len);
    return 0;
}

/* Bytes of whole names from OFFSET on that fit into ROOM. */
static size_t fitting(const struct mbr__st_node *node, uint64_t offset, size_t room)
{
    uint64_t list = mbr__st_node_list_len(node);
    uint64_t into;
    size_t len = 0;
    const struct mbr__st_node *child;

    if (offset >= list)
        return 0;
    if (list - offset <= room)
        return (size_t)(list - offset);
    child = mbr__st_trie_seek(node->by_id, offset, &into);
    while (len + child->name_len + 1u - into <= room) {
        len += child->name_len + 1u - into;
        into = 0;
        child = mbr__st_trie_ceil(node->by_id, child->id + 1, MBR__ST_BY_ID);
    }
    return len;
}

int mbr__st_do_directory_part(struct mbr__st_req *req)
{
    struct mbr__st_node *node;
    const char *args[2];
    char generation[24];
    uint64_t offset;
    size_t head, len;
    bool last;
    unsigned char *out;
    int error = mbr__st_args(req, args, 2) == 2 ? 0 : -EINVAL;

    if (!error)
        error = mbr__st_req_path(req, args[0], strlen(args[0]), false);
    if (!error)
        error = find_node(req, MBR__ST_READ, &node);
    if (!error)
        error = mbr__st_number(args[1], UINT64_MAX, &offset);
    if (error)
        return error;
    head = mbr__store_digits(generation, node->generation) + 1;
    len = fitting(node, offset, MBR__STORE_PAYLOAD_MAX - head - 1);
    last = offset >= mbr__st_node_list_len(node) || offset + len == mbr__st_node_list_len(node);
    out = mbr__st_reply_begin(req, head + len + last);
    if (!out)
        return -MBR__ST_NO_OUTPUT;
    memcpy(out, generation, head);
    copy_names(node, offset, out + head, len);
    if (last)
        out[head + len] = '\0';
    return 0;
}

/* ---- Permissions ---- */

/* The largest list that fits into a message: "b65535" and its NUL. */
#define PERMS_MAX (MBR__STORE_PAYLOAD_MAX / 3)

static int reply_perms(struct mbr__st_req *req, const struct mbr__st_perms *perms)
{
    char text[MBR__STORE_PAYLOAD_MAX + 1 + MBR__STORE_DIGITS];
    size_t len = 0;

    for (uint32_t i = 0; i < perms->count; i++) {
        text[len] = perms->entry[i].letter;
        len += 1 + mbr__store_digits(text + len + 1, perms->entry[i].domid) + 1;
        if (len > MBR__STORE_PAYLOAD_MAX)
            return -E2BIG;
    }
    return mbr__st_reply(req, text, len);
}

/* The special name TEXT, on which RIGHTS are needed. */
static int get_special(struct mbr__st_req *req, const char *text, unsigned rights)
{
    int which = mbr__st_special_find(text, strlen(text));

    if (which < 0)
        return -EINVAL;
    if ((mbr__st_rights(req->conn, req->store->special[which].perms) & rights) != rights)
        return -EACCES;
    mbr__st_seen(req->conn, req->store->special[which].generation);
    return which;
}

int mbr__st_do_get_perms(struct mbr__st_req *req)
{
    const char *text = mbr__st_one_arg(req);
    struct mbr__st_node *node;
    int error;

    if (text && text[0] == '@') {
        int which = get_special(req, text, MBR__ST_READ);

        return which < 0 ? which : reply_perms(req, req->store->special[which].perms);
    }
    error = get_node(req, &node);
    return error ? error : reply_perms(req, node->perms);
}

static int parse_perm(const char *text, struct mbr__store_perm *perm)
{
    char *end;
    long domid;

    if (!text[0] || !strchr("nrwb", text[0]) || text[1] < '0' || text[1] > '9')
        return -EINVAL;
    errno = 0;
    domid = strtol(text + 1, &end, 0); /* 0x7f and 017 are understood, as by the C daemon */
    if (*end || errno || domid > UINT16_MAX)
        return -EINVAL;
    perm->letter = text[0];
    perm->domid = (uint16_t)domid;
    return 0;
}

/* The permissions in the payload, behind the path, with one reference. */
static int parse_perms(struct mbr__st_req *req, size_t count, struct mbr__st_perms **out)
{
    struct mbr__store_perm entries[PERMS_MAX];
    const char *text = req->payload;

    if (count > PERMS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        text += strlen(text) + 1;
        if (parse_perm(text, &entries[i]))
            return -EINVAL;
    }
    if (!mbr__st_domain_find(req->store, entries[0].domid))
        return -ENOENT; /* nobody would ever be charged for it */
    *out = mbr__st_perms_new(entries, (uint32_t)count, req->store->tree.generation);
    return *out ? 0 : -ENOMEM;
}

static int set_special_perms(struct mbr__st_req *req, struct mbr__st_perms *perms)
{
    struct mbr__st_special *special;
    int which = get_special(req, req->payload, MBR__ST_WRITE | MBR__ST_OWN);

    if (which < 0)
        return which;
    if (!req->conn->privileged &&
        perms->entry[0].domid != req->store->special[which].perms->entry[0].domid)
        return -EPERM;
    if (mbr__st_journal_reserve(req->store, 1))
        return -ENOMEM;
    special = &req->store->special[which];
    mbr__st_perms_unref(special->perms);
    special->perms = mbr__st_perms_ref(perms);
    special->generation = ++req->store->tree.generation;
    mbr__st_journal_special(req->store, which);
    return 0;
}

/* What a node's size, and its new owner's quotas, have to say about new permissions. */
static int may_set_perms(struct mbr__store_conn *conn, const struct mbr__st_node *node,
                         const struct mbr__st_perms *perms)
{
    if (conn->privileged)
        return 0;
    if (perms->entry[0].domid != node->perms->entry[0].domid)
        return -EPERM;
    if (mbr__st_exceeds(
            conn, MBR__STORE_QUOTA_NODE_SIZE,
            mbr__st_node_extent(perms->count, node->value_len, mbr__st_node_list_len(node))))
        return mbr__st_refuse(conn, MBR__STORE_QUOTA_NODE_SIZE, -ENOSPC);
    return 0;
}

static int set_perms(struct mbr__st_req *req, struct mbr__st_perms *perms)
{
    struct mbr__st_node *node;
    int error;

    if (req->payload[0] == '@')
        return set_special_perms(req, perms);
    error = mbr__st_req_path(req, req->payload, strlen(req->payload), false);
    if (!error)
        error = find_node(req, MBR__ST_WRITE | MBR__ST_OWN, &node);
    if (!error)
        error = may_set_perms(req->conn, node, perms);
    if (error)
        return error;
    return req->tx ? mbr__st_tx_set_perms(req->tx, perms)
                   : mbr__st_live_set_perms(req->conn, perms);
}

int mbr__st_do_set_perms(struct mbr__st_req *req)
{
    size_t count = mbr__st_args(req, NULL, 0);
    struct mbr__st_perms *perms;
    int error;

    if (count < 2)
        return -EINVAL;
    if (mbr__st_exceeds(req->conn, MBR__STORE_QUOTA_PERMISSIONS, count - 1))
        return mbr__st_refuse(req->conn, MBR__STORE_QUOTA_PERMISSIONS, -ENOSPC);
    error = parse_perms(req, count - 1, &perms);
    if (error)
        return error;
    error = set_perms(req, perms);
    mbr__st_perms_unref(perms);
    return error ? error : mbr__st_ack(req);
}

/* ---- Changes ---- */

int mbr__st_do_write(struct mbr__st_req *req)
{
    const char *path = req->payload;
    const char *nul = req->len ? memchr(path, '\0', req->len) : NULL;
    const char *value;
    uint32_t len;
    int error;

    if (!nul)
        return -EINVAL;
    value = nul + 1;
    len = (uint32_t)(req->len - (size_t)(value - path));
    error = mbr__st_req_path(req, path, (size_t)(nul - path), false);
    if (!error)
        error = req->tx ? mbr__st_tx_write(req->tx, value, len)
                        : mbr__st_live_write(req->conn, value, len);
    return error ? error : mbr__st_ack(req);
}

int mbr__st_do_mkdir(struct mbr__st_req *req)
{
    int error = mbr__st_one_path(req);

    if (!error)
        error = req->tx ? mbr__st_tx_mkdir(req->tx) : mbr__st_live_mkdir(req->conn);
    return error ? error : mbr__st_ack(req);
}

int mbr__st_do_rm(struct mbr__st_req *req)
{
    int error = mbr__st_one_path(req);

    if (!error)
        error = req->tx ? mbr__st_tx_rm(req->tx) : mbr__st_live_rm(req->conn);
    return error ? error : mbr__st_ack(req);
}
