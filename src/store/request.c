/* SPDX-License-Identifier: MIT */
/*
 * From a message to its handler and back to an answer. The order of refusals is that of the C
 * daemon: unknown type, privilege, transaction, then the handler's own.
 */
#include "store/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "store/domain.h"
#include "store/job.h"
#include "store/journal.h"
#include "store/out.h"
#include "store/tx.h"

/* Removals and garbage that each request works off, so that they end even if nobody calls
 * mbr__store_work(); a few microseconds. */
#define SLICE 32

#define PRIVILEGED 1u /* of domain 0 only */
#define NO_TX      2u /* the transaction id is not looked at */

/* Longest answer that must never fail: "OK", or the name of an error. */
#define SHORT_ANSWER 16u

static const struct {
    mbr__st_handler *handler;
    unsigned flags;
} types[MBR__XS_TYPES] = {
    [MBR__XS_CONTROL] = {mbr__st_do_control, PRIVILEGED},
    [MBR__XS_DIRECTORY] = {mbr__st_do_directory, 0},
    [MBR__XS_READ] = {mbr__st_do_read, 0},
    [MBR__XS_GET_PERMS] = {mbr__st_do_get_perms, 0},
    [MBR__XS_WATCH] = {mbr__st_do_watch, NO_TX},
    [MBR__XS_UNWATCH] = {mbr__st_do_unwatch, NO_TX},
    [MBR__XS_TRANSACTION_START] = {mbr__st_do_tx_start, 0},
    [MBR__XS_TRANSACTION_END] = {mbr__st_do_tx_end, 0},
    [MBR__XS_INTRODUCE] = {mbr__st_do_introduce, PRIVILEGED},
    [MBR__XS_RELEASE] = {mbr__st_do_release, PRIVILEGED},
    [MBR__XS_GET_DOMAIN_PATH] = {mbr__st_do_get_domain_path, 0},
    [MBR__XS_WRITE] = {mbr__st_do_write, 0},
    [MBR__XS_MKDIR] = {mbr__st_do_mkdir, 0},
    [MBR__XS_RM] = {mbr__st_do_rm, 0},
    [MBR__XS_SET_PERMS] = {mbr__st_do_set_perms, 0},
    [MBR__XS_IS_DOMAIN_INTRODUCED] = {mbr__st_do_is_introduced, PRIVILEGED},
    [MBR__XS_RESUME] = {mbr__st_do_resume, PRIVILEGED},
    [MBR__XS_SET_TARGET] = {mbr__st_do_set_target, PRIVILEGED},
    [MBR__XS_RESET_WATCHES] = {mbr__st_do_reset_watches, 0},
    [MBR__XS_DIRECTORY_PART] = {mbr__st_do_directory_part, 0},
    [MBR__XS_GET_FEATURE] = {mbr__st_do_get_feature, 0},
    [MBR__XS_SET_FEATURE] = {mbr__st_do_set_feature, PRIVILEGED},
    [MBR__XS_GET_QUOTA] = {mbr__st_do_get_quota, PRIVILEGED},
    [MBR__XS_SET_QUOTA] = {mbr__st_do_set_quota, PRIVILEGED},
};

/* ---- Answers ---- */

unsigned char *mbr__st_reply_begin(struct mbr__st_req *req, size_t len)
{
    if (mbr__st_out_reserve(req->conn, len))
        return NULL;
    MBR_ASSERT(!req->answered && len <= MBR__STORE_PAYLOAD_MAX);
    req->answered = true;
    return mbr__st_out_reply(req->conn, req->header, req->header->type, (uint32_t)len);
}

int mbr__st_reply(struct mbr__st_req *req, const void *payload, size_t len)
{
    unsigned char *at;

    if (len > MBR__STORE_PAYLOAD_MAX)
        return -E2BIG;
    at = mbr__st_reply_begin(req, len);
    if (!at)
        return -MBR__ST_NO_OUTPUT;
    if (len)
        memcpy(at, payload, len);
    return 0;
}

int mbr__st_ack(struct mbr__st_req *req)
{
    struct mbr__store *store = req->store;
    bool noted = store->change_count > 0;
    int error;

    mbr__st_journal_flush(store);
    if (noted)
        mbr__st_out_hold(req->conn, store->seq);
    /* Events queued since the room was made may have used it, but then they have made room again
     * or broken the connection. */
    error = mbr__st_reply(req, "OK", 3);
    if (!error)
        return 0;
    mbr__st_break(req->conn, -ENOMEM);
    req->answered = true;
    return 0;
}

static void answer_error(struct mbr__st_req *req, int error)
{
    const char *name = mbr__store_error_name(error);
    uint32_t len = (uint32_t)strlen(name) + 1;

    if (mbr__st_out_reserve(req->conn, len)) {
        mbr__st_break(req->conn, -ENOMEM);
        return;
    }
    memcpy(mbr__st_out_reply(req->conn, req->header, MBR__XS_ERROR, len), name, len);
}

/* ---- Arguments ---- */

const char *mbr__st_one_arg(const struct mbr__st_req *req)
{
    if (req->len == 0 || memchr(req->payload, '\0', req->len) != req->payload + req->len - 1)
        return NULL;
    return req->payload;
}

size_t mbr__st_args(const struct mbr__st_req *req, const char **args, size_t max)
{
    const char *at = req->payload;
    const char *end = at + req->len;
    size_t count = 0;

    while (at < end) {
        const char *nul = memchr(at, '\0', (size_t)(end - at));

        if (!nul)
            break;
        if (count < max)
            args[count] = at;
        count++;
        at = nul + 1;
    }
    return count;
}

int mbr__st_number(const char *text, uint64_t max, uint64_t *number)
{
    uint64_t value = 0;

    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        unsigned digit = (unsigned)(unsigned char)*text - '0';

        if (digit > 9 || value > (max - digit) / 10)
            return -EINVAL;
        value = value * 10 + digit;
    }
    *number = value;
    return 0;
}

int mbr__st_req_path(struct mbr__st_req *req, const char *text, size_t len, bool special)
{
    struct mbr__store_conn *conn = req->conn;
    uint64_t max = UINT64_MAX;

    if (!conn->privileged) {
        uint64_t limit = mbr__st_limit(req->store, conn->domain, MBR__STORE_QUOTA_PATH);

        if (limit != 0)
            max = limit;
    }
    if (mbr__st_path_parse(&req->store->path, conn->domain->domid, text, len, max))
        return -EINVAL;
    return req->store->path.special && !special ? -EINVAL : 0;
}

int mbr__st_one_path(struct mbr__st_req *req)
{
    const char *text = mbr__st_one_arg(req);

    return text ? mbr__st_req_path(req, text, req->len - 1, false) : -EINVAL;
}

/* ---- Dispatch ---- */

static void trace(const struct mbr__st_req *req, int result)
{
    const struct mbr__store_options *options = &req->store->options;
    char text[160];

    snprintf(text, sizeof(text), "%llu (domain %u): %s %.80s: %s",
             (unsigned long long)req->conn->id, req->conn->domain->domid,
             mbr__store_type_name(req->header->type),
             req->len && memchr(req->payload, '\0', req->len) ? req->payload : "",
             result ? mbr__store_error_name(result) : "OK");
    if (options->log)
        options->log(options->user, MBR_LOG_INFO, text);
    else
        mbr__log(MBR_LOG_INFO, "%s", text);
}

static int dispatch(struct mbr__st_req *req)
{
    uint32_t type = req->header->type;

    if (type >= MBR__XS_TYPES || !types[type].handler)
        return -ENOSYS;
    if ((types[type].flags & PRIVILEGED) && !req->conn->privileged)
        return -EACCES;
    if (req->header->tx_id != 0 && !(types[type].flags & NO_TX)) {
        req->tx = mbr__st_tx_find(req->conn, req->header->tx_id);
        if (!req->tx)
            return -ENOENT;
    }
    return types[type].handler(req);
}

/* Room for what cannot be done without when something has been changed: a short answer, and the
 * note that it must wait for the journal. */
static bool prepare(struct mbr__store_conn *conn)
{
    if (mbr__st_out_reserve(conn, SHORT_ANSWER))
        return false;
    return !conn->store->options.journal || mbr__st_out_reserve_hold(conn) == 0;
}

static int carry_out(struct mbr__store_conn *conn, struct mbr__st_req *req)
{
    struct mbr__store *store = conn->store;
    int error = dispatch(req);

    if (error == -MBR__ST_NO_OUTPUT)
        error = -ENOMEM; /* for which prepare() has made room */
    if (error && !req->answered)
        answer_error(req, error);
    mbr__st_journal_flush(store);
    store->stats.requests++;
    if ((store->tracing & MBR__ST_LOG_ON) && (store->tracing & MBR__ST_LOG_IO))
        trace(req, error);
    mbr__st_out_tell(conn);
    return 0;
}

int mbr__store_request(struct mbr__store_conn *conn, const struct mbr__store_header *header,
                       const void *payload)
{
    struct mbr__store *store = conn->store;
    struct mbr__st_req req = {store, conn, NULL, header, payload, header->len, false, false};
    int error;

    if (header->len > MBR__STORE_PAYLOAD_MAX)
        return -EMSGSIZE;
    if (conn->broken)
        return -EPIPE;
    if (!mbr__st_conn_ready(conn))
        return -EBUSY;
    if (!mbr__st_charge_begin(conn))
        return -ENOMEM;
    error = prepare(conn) && mbr__st_out_reserve_mark(conn) == 0 ? carry_out(conn, &req) : -ENOMEM;
    mbr__st_charge_end(store);
    if (!mbr__list_empty(&store->purges) || store->tree.heap.garbage)
        (void)mbr__st_jobs_run(store, SLICE);
    return error;
}

bool mbr__store_conn_ready(struct mbr__store_conn *conn)
{
    return mbr__st_conn_ready(conn);
}

int mbr__store_control_done(struct mbr__store_conn *conn, int error, const char *text)
{
    struct mbr__store_header header = {MBR__XS_CONTROL, conn->later_req, conn->later_tx, 0};
    struct mbr__st_req req = {conn->store, conn, NULL, &header, "", 0, false, false};
    size_t len = text ? strlen(text) : 0;

    if (!conn->later)
        return 0;
    if (mbr__st_out_reserve(conn, MBR__STORE_PAYLOAD_MAX))
        return -ENOMEM;
    conn->later = false;
    if (error)
        answer_error(&req, error);
    else if (len == 0)
        (void)mbr__st_reply(&req, "OK", 3);
    else
        (void)mbr__st_reply(&req, text,
                            len < MBR__STORE_PAYLOAD_MAX ? len : MBR__STORE_PAYLOAD_MAX);
    mbr__st_out_tell(conn);
    mbr__st_resume_domain(conn->store, conn->domain);
    return 0;
}
