/* SPDX-License-Identifier: MIT */
/*
 * The messages about domains, their features and their quotas.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "store/domain.h"
#include "store/lifecycle.h"
#include "store/request.h"
#include "store/watch.h"

/* A domid in TEXT that a domain other than 0 can have. */
static int parse_domid(const char *text, uint32_t *domid)
{
    uint64_t number;
    int error = mbr__st_number(text, MBR__STORE_DOMID_FIRST_RESERVED - 1, &number);

    if (!error && number == 0)
        error = -EINVAL;
    if (!error)
        *domid = (uint32_t)number;
    return error;
}

/* The introduced domain, not 0, that the only argument names. */
static int one_domain(struct mbr__st_req *req, struct mbr__st_domain **domain)
{
    const char *text = mbr__st_one_arg(req);
    uint32_t domid;
    int error = text ? parse_domid(text, &domid) : -EINVAL;

    if (error)
        return error;
    *domain = mbr__st_domain_find(req->store, domid);
    return *domain && (*domain)->introduced ? 0 : -ENOENT;
}

int mbr__st_do_introduce(struct mbr__st_req *req)
{
    struct mbr__store *store = req->store;
    const struct mbr__store_options *options = &store->options;
    const char *args[3];
    uint64_t gfn, port;
    uint32_t domid;
    bool known, again;
    int error = mbr__st_args(req, args, 3) == 3 ? parse_domid(args[0], &domid) : -EINVAL;

    /* The protocol has it signed, so that the upper half comes with a '-' from some. */
    if (!error)
        error = mbr__st_number(args[1] + (args[1][0] == '-'), UINT64_MAX, &gfn);
    if (!error)
        error = mbr__st_number(args[2], UINT32_MAX, &port);
    if (!error && port == 0)
        error = -EINVAL;
    if (error)
        return error;
    known = mbr__st_domain_find(store, domid);
    again = mbr__store_domain_introduced(store, domid);
    if (!mbr__st_domain_make(store, domid))
        return -ENOMEM;
    if (options->introduce)
        error = options->introduce(options->user, domid, gfn, (uint32_t)port, again);
    if (!error)
        error = mbr__store_introduce(store, domid);
    else if (!known && mbr__store_domain_conns(store, domid) == 0)
        mbr__st_domain_forget(store, mbr__st_domain_find(store, domid));
    return error ? error : mbr__st_ack(req);
}

int mbr__st_do_release(struct mbr__st_req *req)
{
    const struct mbr__store_options *options = &req->store->options;
    struct mbr__st_domain *domain;
    int error = one_domain(req, &domain);
    uint32_t domid;

    if (error)
        return error;
    if (domain == req->conn->domain)
        return -EINVAL; /* it would saw off the branch that it sits on */
    domid = domain->domid;
    error = mbr__store_release(req->store, domid);
    if (error)
        return error;
    if (options->release)
        options->release(options->user, domid);
    return mbr__st_ack(req);
}

int mbr__st_do_resume(struct mbr__st_req *req)
{
    const struct mbr__store_options *options = &req->store->options;
    struct mbr__st_domain *domain;
    int error = one_domain(req, &domain);

    if (!error && options->resume_domain)
        error = options->resume_domain(options->user, domain->domid);
    if (error)
        return error;
    domain->dead = false;
    return mbr__st_ack(req);
}

int mbr__st_do_get_domain_path(struct mbr__st_req *req)
{
    const char *text = mbr__st_one_arg(req);
    char path[MBR__ST_PREFIX_MAX];
    uint64_t domid;
    size_t len;

    if (!text || mbr__st_number(text, UINT32_MAX, &domid))
        return -EINVAL;
    len = mbr__st_path_prefix(path, (uint32_t)domid);
    path[len - 1] = '\0'; /* in the place of the last '/' */
    return mbr__st_reply(req, path, len);
}

int mbr__st_do_is_introduced(struct mbr__st_req *req)
{
    const char *text = mbr__st_one_arg(req);
    uint64_t domid;
    bool is;

    if (!text || mbr__st_number(text, UINT32_MAX, &domid))
        return -EINVAL;
    is =
        domid == MBR__STORE_DOMID_SELF || mbr__store_domain_introduced(req->store, (uint32_t)domid);
    return mbr__st_reply(req, is ? "T" : "F", 2);
}

int mbr__st_do_set_target(struct mbr__st_req *req)
{
    const char *args[2];
    struct mbr__st_domain *domain, *target;
    uint32_t domid, target_id;
    int error = mbr__st_args(req, args, 2) == 2 ? parse_domid(args[0], &domid) : -EINVAL;

    if (!error)
        error = parse_domid(args[1], &target_id);
    if (error)
        return error;
    domain = mbr__st_domain_find(req->store, domid);
    target = mbr__st_domain_find(req->store, target_id);
    if (!domain || !domain->introduced || !target || !target->introduced)
        return -ENOENT;
    target->refs++;
    mbr__st_domain_unref(domain->target);
    domain->target = target;
    if (domain == target) { /* it has its own rights anyway, and would keep itself alive */
        domain->target = NULL;
        mbr__st_domain_unref(target);
    }
    return mbr__st_ack(req);
}

/* ---- Features ---- */

int mbr__st_do_get_feature(struct mbr__st_req *req)
{
    const struct mbr__st_domain *domain = req->conn->domain;
    const char *args[1];
    uint64_t domid;
    char text[16];
    size_t count = mbr__st_args(req, args, 1);

    if (count > 1 || (count == 0 && req->len > 0))
        return -EINVAL;
    if (count == 1) {
        if (mbr__st_number(args[0], UINT16_MAX, &domid))
            return -EINVAL;
        if (!req->conn->privileged && domid != domain->domid)
            return -EACCES;
        domain = mbr__st_domain_find(req->store, (uint32_t)domid);
        if (!domain)
            return -ENOENT;
    }
    return mbr__st_reply(req, text,
                         (size_t)snprintf(text, sizeof(text), "%u", domain->features) + 1);
}

int mbr__st_do_set_feature(struct mbr__st_req *req)
{
    const char *args[2];
    struct mbr__st_domain *domain;
    uint64_t domid, bits;

    if (mbr__st_args(req, args, 2) != 2 ||
        mbr__st_number(args[0], MBR__STORE_DOMID_FIRST_RESERVED - 1, &domid) ||
        mbr__st_number(args[1], UINT32_MAX, &bits) || (bits & ~(uint64_t)MBR__XS_FEATURES))
        return -EINVAL;
    if (mbr__store_domain_introduced(req->store, (uint32_t)domid))
        return -EBUSY;
    domain = mbr__st_domain_make(req->store, (uint32_t)domid);
    if (!domain)
        return -ENOMEM;
    domain->features = (uint32_t)bits;
    return mbr__st_ack(req);
}

/* ---- Quotas ---- */

static int list_quotas(struct mbr__st_req *req)
{
    char text[256];
    struct mbr__strbuf buf;

    mbr__strbuf_init_fixed(&buf, text, sizeof(text));
    for (int i = 0; i < MBR__STORE_QUOTAS; i++)
        mbr__strbuf_printf(&buf, "%s ", mbr__st_quota_name(i));
    mbr__strbuf_printf(&buf, "soft-%s", mbr__st_quota_name(MBR__STORE_QUOTA_MEMORY));
    return mbr__st_reply(req, text, buf.length + 1);
}

/* The domain of a quota request; NULL: the defaults. */
static int quota_domain(struct mbr__st_req *req, const char *text, struct mbr__st_domain **domain)
{
    uint64_t domid;

    *domain = NULL;
    if (!text)
        return 0;
    if (mbr__st_number(text, UINT16_MAX, &domid))
        return -EINVAL;
    *domain = mbr__st_domain_find(req->store, (uint32_t)domid);
    return *domain ? 0 : -ENOENT;
}

static uint64_t *quota_place(struct mbr__store *store, struct mbr__st_domain *domain, int what,
                             bool soft)
{
    if (domain)
        return soft ? &domain->soft[what] : &domain->hard[what];
    return soft ? &store->soft[what] : &store->hard[what];
}

int mbr__st_do_get_quota(struct mbr__st_req *req)
{
    const char *args[2];
    size_t count = mbr__st_args(req, args, 2);
    struct mbr__st_domain *domain;
    uint64_t value;
    char text[24];
    bool soft;
    int what;
    int error;

    if (count == 0 && req->len == 0)
        return list_quotas(req);
    if (count < 1 || count > 2)
        return -EINVAL;
    error = quota_domain(req, count == 2 ? args[0] : NULL, &domain);
    if (error)
        return error;
    what = mbr__st_quota_parse(args[count - 1], strlen(args[count - 1]), &soft);
    if (what < 0)
        return what;
    value = *quota_place(req->store, domain, what, soft);
    if (value == UINT64_MAX)
        value = *quota_place(req->store, NULL, what, soft);
    return mbr__st_reply(
        req, text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)value) + 1);
}

int mbr__st_do_set_quota(struct mbr__st_req *req)
{
    const char *args[3];
    size_t count = mbr__st_args(req, args, 3);
    struct mbr__st_domain *domain;
    uint64_t value;
    bool soft;
    int what;
    int error;

    if (count < 2 || count > 3)
        return -EINVAL;
    error = quota_domain(req, count == 3 ? args[0] : NULL, &domain);
    if (error)
        return error;
    what = mbr__st_quota_parse(args[count - 2], strlen(args[count - 2]), &soft);
    if (what < 0 || mbr__st_number(args[count - 1], INT32_MAX, &value))
        return -EINVAL;
    *quota_place(req->store, domain, what, soft) = value;
    return mbr__st_ack(req);
}
