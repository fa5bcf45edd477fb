/* SPDX-License-Identifier: MIT */
/*
 * WATCH, UNWATCH, RESET_WATCHES, TRANSACTION_START and TRANSACTION_END.
 */
#include <errno.h>
#include <string.h>

#include "store/domain.h"
#include "store/out.h"
#include "store/request.h"
#include "store/tx.h"
#include "store/watch.h"

/* The path of a watch: names that begin with '@' are all accepted, and those unknown never fire. */
static int watch_path(struct mbr__st_req *req, const char *text)
{
    if (text[0] == '@' && strlen(text) > MBR__STORE_REL_PATH_MAX)
        return -EINVAL;
    return mbr__st_req_path(req, text, strlen(text), true);
}

static int read_depth(const struct mbr__st_domain *domain, const char *text, uint64_t *depth)
{
    if (!(domain->features & MBR__XS_FEATURE_WATCH_DEPTH))
        return -EINVAL;
    return mbr__st_number(text, UINT32_MAX - 1, depth);
}

int mbr__st_do_watch(struct mbr__st_req *req)
{
    const char *args[3];
    size_t count = mbr__st_args(req, args, 3);
    struct mbr__st_watch *watch;
    uint64_t depth = UINT32_MAX;
    int error = count == 2 || count == 3 ? watch_path(req, args[0]) : -EINVAL;

    if (!error && count == 3)
        error = read_depth(req->conn->domain, args[2], &depth);
    if (!error)
        error = mbr__st_watch_add(req->conn, &req->store->path, args[1], (uint32_t)depth, &watch);
    if (error)
        return error;
    error = mbr__st_ack(req);
    /* Once at the beginning, so that a client need not look and watch in the right order; even if
     * there is nothing, or nothing for its eyes. */
    mbr__st_out_event(req->conn, watch, args[0], strlen(args[0]), false);
    return error;
}

int mbr__st_do_unwatch(struct mbr__st_req *req)
{
    const char *args[2];
    int error;

    if (mbr__st_args(req, args, 2) != 2)
        return -EINVAL;
    if (watch_path(req, args[0]))
        return -ENOENT; /* there can be no such watch */
    error = mbr__st_watch_del(req->conn, &req->store->path, args[1]);
    return error ? error : mbr__st_ack(req);
}

int mbr__st_do_reset_watches(struct mbr__st_req *req)
{
    mbr__st_watch_del_all(req->conn);
    mbr__st_tx_free_all(req->conn); /* also the one that this was sent in */
    req->tx = NULL;
    return mbr__st_ack(req);
}

int mbr__st_do_tx_start(struct mbr__st_req *req)
{
    struct mbr__st_tx *tx;
    char text[MBR__STORE_DIGITS];
    int error;

    if (req->tx)
        return -EBUSY;
    error = mbr__st_tx_start(req->conn, &tx);
    if (error)
        return error;
    error = mbr__st_reply(req, text, mbr__store_digits(text, tx->id) + 1);
    if (error)
        mbr__st_tx_free(tx);
    return error;
}

int mbr__st_do_tx_end(struct mbr__st_req *req)
{
    const char *how = mbr__st_one_arg(req);
    int error = 0;

    if (!how || (strcmp(how, "T") != 0 && strcmp(how, "F") != 0))
        return -EINVAL;
    if (!req->tx)
        return -ENOENT;
    if (how[0] == 'T')
        error = mbr__st_tx_commit(req->tx);
    mbr__st_tx_free(req->tx);
    req->tx = NULL;
    return error ? error : mbr__st_ack(req);
}
