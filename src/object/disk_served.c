/* SPDX-License-Identifier: MIT */
/*
 * See disk_served.h: requests about the disk, and the journal as far as the daemon vouches for it.
 */
#include "object/disk_served.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "object/broker.h"
#include "object/memory.h"
#include "shm/post.h"

static_assert(sizeof(struct mbr__broker_disk) + MBR_OBJECT_NAME_MAX <= MBR__POST_MAX, "fits");

struct mbr__served {
    int session; /* the container's, not ours to close */
    int desk_fd;
    uint8_t *desk;
    bool lent;        /* the daemon has the desk */
    bool outstanding; /* the reply to `seq` has not come */
    uint32_t seq;
    uint64_t deadline;
    uint64_t generation; /* as the daemon has said last */
    uint64_t end;
};

/* ---- requests -------------------------------------------------------------------------------- */

static int read_reply(struct mbr__served *s, struct mbr__note *note)
{
    struct mbr__broker_disk_reply reply;

    if (note->len < sizeof(reply))
        return -EPROTO;
    memcpy(&reply, note->data, sizeof(reply));
    if (reply.seq != s->seq)
        return -EPROTO;
    s->outstanding = false;
    if (reply.status > 0 || reply.status < -4095)
        return -EPROTO;
    if (reply.status == 0) {
        s->generation = reply.generation;
        s->end = reply.end;
    }
    return reply.status;
}

/* The reply to the last request; its descriptors stay in NOTE if it is 0. */
static int await(struct mbr__served *s, struct mbr__note *note)
{
    int rc = mbr__broker_receive(s->session, note, s->deadline);

    if (rc < 0)
        return rc;
    rc = read_reply(s, note);
    if (rc < 0)
        mbr__note_close(note);
    return rc;
}

/* One that nobody has waited for. */
static int drain(struct mbr__served *s)
{
    struct mbr__note note;
    int rc;

    if (!s->outstanding)
        return 0;
    rc = await(s, &note);
    if (rc == 0)
        mbr__note_close(&note);
    return s->outstanding ? rc : 0;
}

static int ask(struct mbr__served *s, struct mbr__broker_disk *request, const char *name,
               size_t name_len, int fd, struct mbr__note *note)
{
    int rc = drain(s);

    if (rc < 0)
        return rc;
    if (name_len > MBR_OBJECT_NAME_MAX)
        return -ENAMETOOLONG;
    request->seq = ++s->seq;
    *note = (struct mbr__note){.len = sizeof(*request) + name_len};
    memcpy(note->data, request, sizeof(*request));
    if (name_len > 0)
        memcpy(note->data + sizeof(*request), name, name_len);
    if (fd >= 0)
        note->fds[note->nfds++] = fd;
    rc = mbr__broker_send(s->session, note, s->deadline);
    if (rc < 0)
        return rc;
    s->outstanding = true;
    return await(s, note);
}

/* One that brings no descriptors. */
static int order(struct mbr__served *s, struct mbr__broker_disk *request, const char *name,
                 size_t name_len)
{
    struct mbr__note note;
    int rc = ask(s, request, name, name_len, -1, &note);

    if (rc == 0)
        mbr__note_close(&note);
    return rc;
}

/* ---- the journal ----------------------------------------------------------------------------- */

static void replace(int *at, int fd)
{
    if (*at >= 0)
        (void)close(*at);
    *at = fd;
}

/* Descriptors of what is there now; the whole of it is read anew. */
static int reopen(struct mbr__disk *d)
{
    struct mbr__served *s = d->served;
    struct mbr__broker_disk request = {.op = MBR__BROKER_DISK_OPEN};
    struct mbr__note note;
    int rc = ask(s, &request, NULL, 0, s->lent ? -1 : s->desk_fd, &note);

    if (rc < 0)
        return rc;
    if (note.nfds != 2) {
        mbr__note_close(&note);
        return -EPROTO;
    }
    s->lent = true;
    replace(&d->journal, note.fds[0]);
    replace(&d->blocks, note.fds[1]);
    rc = mbr__disk_load(d, s->end);
    if (rc == 0 && (d->header.generation != s->generation || d->end != s->end))
        rc = -EBADMSG;
    if (rc < 0)
        replace(&d->journal, -1);
    return rc;
}

/* Reads as far as the daemon has said. */
static int catch_up(struct mbr__disk *d)
{
    struct mbr__served *s = d->served;
    int rc;

    if (d->journal < 0 || s->generation != d->header.generation || s->end < d->end)
        return reopen(d);
    if (s->end == d->end)
        return 0;
    rc = mbr__disk_read_tail(d, s->end);
    if (rc == 0 && d->end != s->end)
        rc = -EBADMSG;
    if (rc < 0) /* it may have been half read */
        replace(&d->journal, -1);
    return rc;
}

int mbr__served_refresh(struct mbr__disk *d)
{
    struct mbr__broker_disk request = {.op = MBR__BROKER_DISK_STATE};
    int rc;

    if (d->journal < 0)
        return reopen(d);
    rc = order(d->served, &request, NULL, 0);
    return rc == 0 ? catch_up(d) : rc;
}

int mbr__served_moved(struct mbr__disk *d, uint64_t id, uint32_t block,
                      const struct mbr__catalog_place *before)
{
    const struct mbr__catalog_object *o;
    struct mbr__catalog_place now;
    struct stat st;
    int rc = fstat(d->journal, &st) == 0 ? 0 : -errno;

    /* A slot is given to others after the record that says so was written. */
    if (rc == 0 && st.st_nlink != 0 && (uint64_t)st.st_size == d->end)
        return 0;
    if (rc == 0)
        rc = mbr__served_refresh(d);
    if (rc < 0)
        return rc;
    o = mbr__catalog_by_id(d->catalog, id);
    if (o == NULL)
        return -ENOENT;
    now = mbr__catalog_place(o, block);
    return memcmp(&now, before, sizeof(now)) != 0;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* What is done is done: what cannot be read now is an error of the next refresh. Only who goes on
 * from the new size must know it. */
static int change(struct mbr__disk *d, struct mbr__broker_disk *request, const char *name,
                  size_t name_len)
{
    int rc = order(d->served, request, name, name_len);
    int read = rc == 0 ? catch_up(d) : 0;

    return rc == 0 && request->op == MBR__BROKER_DISK_RESIZE ? read : rc;
}

int mbr__served_change(struct mbr__disk *d, const struct mbr__journal_record *record)
{
    struct mbr__broker_disk request = {
        .id = record->id, .size = record->size, .more = record->policy};

    switch (record->kind) {
    case MBR__JOURNAL_CREATE:
        request.op = MBR__BROKER_DISK_CREATE;
        break;
    case MBR__JOURNAL_REMOVE:
        request.op = MBR__BROKER_DISK_REMOVE;
        break;
    case MBR__JOURNAL_RENAME:
        request.op = MBR__BROKER_DISK_RENAME;
        break;
    case MBR__JOURNAL_RESIZE:
        request.op = MBR__BROKER_DISK_RESIZE;
        request.more = d->served->deadline;
        break;
    case MBR__JOURNAL_BLOCKS:
        return -EINVAL;
    }
    return change(d, &request, record->name, record->name_len);
}

int mbr__served_begin(struct mbr__disk *d, uint64_t id)
{
    const struct mbr__catalog_object *o = mbr__catalog_by_id(d->catalog, id);
    struct mbr__broker_disk request = {.op = MBR__BROKER_DISK_BEGIN, .id = id};

    if (o == NULL)
        return -ENOENT;
    request.size = o->size;
    return order(d->served, &request, NULL, 0);
}

int mbr__served_write(struct mbr__disk *d, struct mbr__disk_write *w,
                      const struct mbr__disk_dirty *dirty)
{
    const struct mbr__catalog_object *o = mbr__catalog_by_id(d->catalog, w->id);
    struct mbr__broker_disk request = {
        .op = MBR__BROKER_DISK_BLOCK, .id = w->id, .more = dirty->block};
    uint32_t bytes = o != NULL ? mbr__catalog_block_bytes(o->size, dirty->block) : 0;

    if (bytes == 0)
        return -ERANGE;
    memcpy(d->served->desk, dirty->bytes, bytes);
    return order(d->served, &request, NULL, 0);
}

int mbr__served_commit(struct mbr__disk *d, uint64_t id)
{
    struct mbr__broker_disk request = {.op = MBR__BROKER_DISK_COMMIT, .id = id};

    return change(d, &request, NULL, 0);
}

void mbr__served_abandon(struct mbr__disk *d)
{
    struct mbr__broker_disk request = {.op = MBR__BROKER_DISK_ABANDON};

    /* If it does not hear us it does so with the next one that is begun, or when we are gone. */
    (void)order(d->served, &request, NULL, 0);
}

int mbr__served_destroy(struct mbr__disk *d)
{
    struct mbr__broker_disk request = {.op = MBR__BROKER_DISK_DESTROY};

    return order(d->served, &request, NULL, 0);
}

/* ---- opening --------------------------------------------------------------------------------- */

void mbr__served_free(struct mbr__served *s)
{
    if (s == NULL)
        return;
    if (s->desk != NULL)
        (void)munmap(s->desk, MBR__BROKER_DESK);
    if (s->desk_fd >= 0)
        (void)close(s->desk_fd);
    free(s);
}

static int make_desk(struct mbr__served *s)
{
    void *at;
    int rc = mbr__object_desk_new(MBR__BROKER_DESK, &s->desk_fd);

    if (rc < 0)
        return rc;
    at = mmap(NULL, MBR__BROKER_DESK, PROT_READ | PROT_WRITE, MAP_SHARED, s->desk_fd, 0);
    if (at == MAP_FAILED)
        return -ENOMEM;
    s->desk = at;
    return madvise(at, MBR__BROKER_DESK, MADV_DONTFORK) == 0 ? 0 : -ENOMEM;
}

int mbr__disk_serve(int session, struct mbr__disk **out)
{
    struct mbr__disk *d = mbr__disk_new();
    struct mbr__served *s = calloc(1, sizeof(*s));
    int rc;

    if (d == NULL || s == NULL) {
        free(d);
        free(s);
        return -ENOMEM;
    }
    *s = (struct mbr__served){.session = session, .desk_fd = -1, .deadline = UINT64_MAX};
    d->served = s;
    rc = make_desk(s);
    if (rc < 0)
        mbr__disk_close(d);
    else
        *out = d;
    return rc;
}

void mbr__disk_deadline(struct mbr__disk *d, uint64_t deadline)
{
    if (d->served != NULL)
        d->served->deadline = deadline;
}

void mbr__disk_resume(struct mbr__disk *d)
{
    d->served->outstanding = false;
    d->served->lent = false;
    replace(&d->journal, -1); /* it is read anew */
}
