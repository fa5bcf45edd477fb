/* SPDX-License-Identifier: MIT */
/*
 * Transactions of a client, and the loop that tries again until one succeeds.
 */
#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "store/client.h"

#define PAUSE_FIRST UINT64_C(50000)    /* after the second conflict, nanoseconds */
#define PAUSE_LAST  UINT64_C(20000000) /* it doubles up to this */
#define SECOND      UINT64_C(1000000000)

int mbr_store_begin(struct mbr_store *s, uint64_t *tx)
{
    const struct mbr_store_request r = {.op = MBR_STORE_OP_BEGIN};
    struct mbr__client_msg *m = NULL;
    int rc = tx == NULL ? -EINVAL : mbr__client_call(s, &r, &m);

    if (rc < 0)
        return rc;
    *tx = m->tx;
    mbr__client_msg_free(m);
    return 0;
}

int mbr_store_end(struct mbr_store *s, uint64_t tx, int commit)
{
    const struct mbr_store_request r = {.op = commit ? MBR_STORE_OP_COMMIT : MBR_STORE_OP_DROP,
                                        .tx = tx};

    return tx == 0 ? -ENOENT : mbr__client_call(s, &r, NULL);
}

/* Two who collide must not go on in step: part of the pause is chance, taken from the clock. */
static void rest(uint64_t pause, uint64_t deadline)
{
    uint64_t now = mbr__now_ns();
    uint64_t until = now + pause / 2 + (now ^ now >> 7) % (pause / 2 + 1);
    struct timespec ts;

    if (until > deadline)
        until = deadline;
    ts.tv_sec = (time_t)(until / SECOND);
    ts.tv_nsec = (long)(until % SECOND);
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* A daemon that has not answered in time is not waited for once more. */
static void drop(struct mbr_store *s, uint64_t tx, bool silent)
{
    const struct mbr_store_request r = {.size = sizeof(r), .op = MBR_STORE_OP_DROP, .tx = tx};

    if (silent)
        (void)mbr_store_submit(s, &r, NULL, NULL);
    else
        (void)mbr_store_end(s, tx, 0);
}

/* One attempt. *commit_sent: its failure may have come too late to undo anything. */
static int attempt(struct mbr_store *s, mbr_store_transact_fn *fn, void *arg, bool *commit_sent)
{
    uint64_t tx;
    int rc = mbr_store_begin(s, &tx);

    if (rc < 0)
        return rc;
    rc = fn(s, tx, arg);
    if (rc != 0) {
        drop(s, tx, rc == -ETIMEDOUT);
        return rc;
    }
    /* A transaction of an earlier connection is known for that before anything is sent. */
    *commit_sent = tx >> 32 == s->era;
    s->end_unsent = false;
    rc = mbr_store_end(s, tx, 1);
    if (s->end_unsent)
        *commit_sent = false;
    return rc;
}

int mbr_store_transact(struct mbr_store *s, mbr_store_transact_fn *fn, void *arg,
                       uint64_t timeout_ns)
{
    uint64_t deadline = mbr__deadline_ns(timeout_ns);
    uint64_t pause = 0;
    int rc = mbr__client_enter(s);

    if (rc == 0 && fn == NULL)
        rc = -EINVAL;
    while (rc == 0) {
        bool commit_sent = false;

        rc = attempt(s, fn, arg, &commit_sent);
        if (rc != -EAGAIN && !(rc == -ECONNRESET && !commit_sent))
            return rc;
        if (timeout_ns == 0 || mbr__now_ns() >= deadline)
            return rc;
        if (pause > 0)
            rest(pause, deadline);
        pause = pause == 0 ? PAUSE_FIRST : pause * 2 < PAUSE_LAST ? pause * 2 : PAUSE_LAST;
        rc = 0;
    }
    return rc;
}
