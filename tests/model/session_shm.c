/* SPDX-License-Identifier: MIT */
/*
 * Stands in for src/shm and the clock in the interleaver's world: names, processes, mailboxes,
 * regions and buffers in memory, by the contracts of their headers. Each call that another process
 * could see, or that sees another, is a scheduling point; a read under our own lock is not, since
 * nobody can change what it reads.
 *
 * A rename takes two steps, as it does: a writer may be killed between its temporary link and the
 * real one. Not here: /proc that lies, hostile texts, failing system calls (tests/unit, tests/fault
 * do that to the real code).
 */
#include "session_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/list.h"
#include "event/spin.h"
#include "queue/libos.h"
#include "shm/buf.h"
#include "shm/proc.h"
#include "shm/region.h"

#define ENTRIES_MAX 24

struct entry {
    char name[MBR__NAME_MAX + 3]; /* empty: a free place */
    bool link;                    /* or a socket */
    struct mbr__link value;
    struct file *box;
};

static struct entry entries[ENTRIES_MAX];
static int lock_holder; /* an actor's number, or -1 */
static uint64_t ids;

void shm_reset(void)
{
    for (int i = 0; i < ENTRIES_MAX; i++)
        entries[i].name[0] = '\0';
    lock_holder = -1;
    ids = 0;
}

static bool has_lock(void)
{
    return lock_holder == world_self()->number;
}

void shm_exit(struct actor *a)
{
    if (lock_holder == a->number)
        lock_holder = -1;
    if (a->libos != NULL) /* its memory is not used again before the next schedule */
        mbr__list_del(&a->libos->registry);
    a->libos = NULL;
}

int shm_entries(const char **one)
{
    int n = 0;

    for (int i = 0; i < ENTRIES_MAX; i++) {
        if (entries[i].name[0] != '\0') {
            *one = entries[i].name;
            n++;
        }
    }
    return n;
}

/* ---- clock and spinning ---------------------------------------------------------------------- */

uint32_t mbr__ticks_source = MBR__TICKS_NS;

uint64_t mbr__now_ns(void)
{
    return world_now();
}

uint64_t mbr__deadline_ns(uint64_t timeout_ns)
{
    return timeout_ns > UINT64_MAX - world_now() ? MBR__NEVER : world_now() + timeout_ns;
}

uint64_t mbr__ticks_slow(void)
{
    return world_now();
}

uint64_t mbr__ticks_to_ns(uint64_t ticks)
{
    return ticks;
}

/* Time stands still while somebody runs, so nobody spins. */
void mbr__spin_init(struct mbr__spin *s)
{
    *s = (struct mbr__spin){0};
}

void mbr__spin_won(struct mbr__spin *s, uint64_t ns)
{
    (void)s;
    (void)ns;
}

void mbr__spin_lost(struct mbr__spin *s, uint64_t spun, uint64_t parked)
{
    (void)s;
    (void)spun;
    (void)parked;
}

/* ---- processes ------------------------------------------------------------------------------- */

int mbr__proc_self(struct mbr__proc *out)
{
    *out = (struct mbr__proc){.pid = PID_BASE + world_self()->number, .start = 7, .ns = 9};
    return 0;
}

bool mbr__proc_same_namespace(const struct mbr__proc *p)
{
    return p->ns == 0 || p->ns == 9;
}

static bool lives(const struct mbr__proc *p)
{
    const struct actor *a = world_process(p);

    return a != NULL && actor_lives(a) && p->start == 7;
}

int mbr__proc_alive(const struct mbr__proc *p)
{
    world_step("alive?");
    return lives(p);
}

int mbr__proc_pidfd(const struct mbr__proc *p, int *out)
{
    if (world_process(p) != world_self()) /* that of our own, kept for later, tells nothing */
        world_step("pidfd");
    if (!lives(p))
        return -ESRCH;
    if (knobs.no_pidfd && world_process(p) != world_self())
        return -ENOENT;
    struct file *f = file_new(FILE_PIDFD);

    f->process = world_process(p);
    *out = file_install(f);
    return 0;
}

bool mbr__pidfd_dead(int pidfd)
{
    return !actor_lives(file_at(world_self(), pidfd)->process);
}

int mbr__proc_open_fd(const struct mbr__proc *p, int fd, char want, int accmode, int *out)
{
    (void)accmode;
    world_step(want == 'm' ? "open-memory" : "open-bell");
    if (!lives(p))
        return -ESRCH;
    if (knobs.no_proc && world_process(p) != world_self())
        return -EACCES;
    struct file *f = file_at(world_process(p), fd);

    if (f == NULL)
        return -ENOENT;
    if (f->kind != (want == 'm' ? FILE_MEMORY : FILE_PIPE))
        return -EPROTO;
    struct file *mine = file_new(f->kind);

    mine->pipe = f->pipe;
    mine->memory = f->memory;
    *out = file_install(mine);
    return 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct entry *find_entry(const char *name)
{
    for (int i = 0; i < ENTRIES_MAX; i++) {
        if (strcmp(entries[i].name, name) == 0)
            return &entries[i];
    }
    return NULL;
}

static struct entry *new_entry(const char *name)
{
    struct entry *e = find_entry("");

    MBR_ASSERT(e != NULL);
    strcpy(e->name, name);
    return e;
}

int mbr__names_open(struct mbr__names *out)
{
    out->dir = 0;
    out->mark = mbr__fork_mark();
    out->locked = false;
    strcpy(out->path, "/names");
    return 0;
}

void mbr__names_close(struct mbr__names *n)
{
    mbr__names_unlock(n);
    n->dir = -1;
}

static bool lock_is_free(void *arg)
{
    (void)arg;
    return lock_holder < 0;
}

int mbr__names_lock(struct mbr__names *n, uint64_t patience_ns)
{
    MBR_ASSERT(!n->locked);
    if (patience_ns == 0) {
        world_step("try-lock");
        if (lock_holder >= 0)
            return -ETIMEDOUT;
    } else if (!world_block("lock", lock_is_free, NULL, mbr__deadline_ns(patience_ns))) {
        return -ETIMEDOUT;
    }
    lock_holder = world_self()->number;
    n->locked = true;
    return 0;
}

void mbr__names_unlock(struct mbr__names *n)
{
    if (!n->locked)
        return;
    world_step("unlock");
    lock_holder = -1;
    n->locked = false;
}

int mbr__names_read(struct mbr__names *n, const char *file, struct mbr__link *out)
{
    (void)n;
    if (!has_lock())
        world_step("read");
    const struct entry *e = find_entry(file);

    if (e == NULL)
        return -ENOENT;
    if (!e->link)
        return -EPROTO;
    *out = e->value;
    return 0;
}

static void put_link(const char *file, const struct mbr__link *l)
{
    struct entry *e = find_entry(file);

    if (e == NULL)
        e = new_entry(file);
    e->link = true;
    e->value = *l;
}

int mbr__names_write(struct mbr__names *n, const char *file, const struct mbr__link *l)
{
    char text[MBR__LINK_TEXT];

    (void)n;
    MBR_ASSERT(has_lock() && mbr__link_format(l, text) > 0);
    world_step("link-temp");
    put_link(MBR__NAMES_TEMP, l);
    world_step("link");
    find_entry(MBR__NAMES_TEMP)->name[0] = '\0';
    put_link(file, l);
    return 0;
}

int mbr__names_remove(struct mbr__names *n, const char *file)
{
    struct entry *e = find_entry(file);

    (void)n;
    MBR_ASSERT(has_lock());
    if (e == NULL)
        return -ENOENT;
    if (!e->link)
        return -EPROTO;
    world_step("unlink");
    e->name[0] = '\0';
    return 0;
}

int mbr__names_each(struct mbr__names *n, int (*fn)(void *arg, const char *file), void *arg)
{
    (void)n;
    for (int i = 0; i < knobs.crowd; i++) {
        int r = fn(arg, "something else");

        if (r != 0)
            return r;
    }
    for (int i = 0; i < ENTRIES_MAX; i++) {
        char name[sizeof(entries[i].name)];
        int r = 0;

        strcpy(name, entries[i].name);
        if (name[0] != '\0')
            r = fn(arg, name);
        if (r != 0)
            return r;
    }
    return 0;
}

uint64_t mbr__random_id(void)
{
    return ++ids * UINT64_C(0x9e3779b97f4a7c15);
}

/* ---- mailboxes ------------------------------------------------------------------------------- */

static void box_name(uint64_t inst, char out[20])
{
    (void)snprintf(out, 20, "i.%016llx", (unsigned long long)inst);
}

static struct entry *find_box(uint64_t inst)
{
    char name[20];

    box_name(inst, name);
    return find_entry(name);
}

/* Whether somebody listens: the socket's file stays when its process is gone. */
static bool listened(const struct entry *e)
{
    return e->box->refs > 0;
}

int mbr__mailbox_open(struct mbr__names *n, struct mbr__mailbox *out)
{
    struct file *f = file_new(FILE_BOX);
    char name[20];

    (void)n;
    world_step("open-box");
    f->inst = mbr__random_id();
    f->process = world_self();
    box_name(f->inst, name);
    struct entry *e = new_entry(name);

    e->link = false;
    e->box = f;
    *out = (struct mbr__mailbox){.fd = file_install(f), .listen = 0, .inst = f->inst};
    return 0;
}

void mbr__mailbox_close(struct mbr__names *n, struct mbr__mailbox *m)
{
    struct actor *a = world_self();

    world_step("unlink-box");
    (void)mbr__mailbox_unlink(n, m->inst);
    world_step("close-box");
    file_unref(a->files[m->fd]);
    a->files[m->fd] = NULL;
}

int mbr__mailbox_unlink(struct mbr__names *n, uint64_t inst)
{
    struct entry *e = find_box(inst);

    (void)n;
    if (e == NULL)
        return -ENOENT;
    e->name[0] = '\0';
    return 0;
}

bool mbr__mailbox_dead(struct mbr__names *n, uint64_t inst)
{
    (void)n;
    world_step("box-dead?");
    const struct entry *e = find_box(inst);

    return e != NULL && !listened(e);
}

static int put_letter(struct file *to, const struct mbr__note *note, struct file *conn)
{
    int room = to->kind == FILE_BOX && knobs.post_room != 0 ? knobs.post_room : LETTERS_MAX;

    if (to->mail->count == room)
        return -EAGAIN;
    struct letter *l = &to->mail->at[to->mail->count++];

    l->len = note->len;
    memcpy(l->data, note->data, note->len);
    l->nfds = note->nfds;
    l->conn = conn;
    l->sender = world_self()->number;
    for (int i = 0; i < note->nfds; i++) {
        l->files[i] = file_at(world_self(), note->fds[i]);
        if (l->files[i] == NULL) {
            world_violation("%s sends descriptor %d, which is not open", world_self()->name,
                            note->fds[i]);
            to->mail->count--;
            return -EBADF;
        }
    }
    for (int i = 0; i < note->nfds; i++)
        l->files[i]->refs++;
    return 0;
}

static int take_letter(struct file *from, struct mbr__note *out, int *conn_out)
{
    struct queue_of_letters *q = from->mail;

    if (q->count == 0)
        return from->kind == FILE_CONN && from->partner == NULL ? -ECONNRESET : -EAGAIN;
    struct letter *l = &q->at[0];

    *out = (struct mbr__note){
        .len = l->len, .nfds = l->nfds, .pid = PID_BASE + l->sender, .uid = geteuid()};
    memcpy(out->data, l->data, l->len);
    for (int i = 0; i < l->nfds; i++)
        out->fds[i] = file_install(l->files[i]); /* the letter's reference */
    if (conn_out != NULL)
        *conn_out = file_install(l->conn);
    else if (l->conn != NULL)
        file_unref(l->conn);
    memmove(q->at, q->at + 1, (size_t)--q->count * sizeof(q->at[0]));
    return 0;
}

int mbr__post_send(struct mbr__names *n, uint64_t inst, const struct mbr__note *note, int *conn_out)
{
    (void)n;
    world_step("post");
    const struct entry *e = find_box(inst);

    if (e == NULL)
        return -ENOENT;
    if (!listened(e))
        return -ECONNREFUSED;
    struct file *mine = file_new(FILE_CONN);
    struct file *theirs = file_new(FILE_CONN);
    int r = put_letter(e->box, note, theirs);

    if (r < 0)
        return r;
    mine->partner = theirs;
    theirs->partner = mine;
    if (conn_out != NULL)
        *conn_out = file_install(mine);
    else
        file_unref(mine);
    return 0;
}

int mbr__mailbox_take(struct mbr__mailbox *m, struct mbr__note *out, int *conn_out)
{
    world_step("take");
    return take_letter(file_at(world_self(), m->fd), out, conn_out);
}

/* Nobody runs out of descriptors in this world. */
void mbr__mailbox_shed(struct mbr__mailbox *m, int *spare,
                       bool (*refuse)(const void *data, size_t len))
{
    (void)m;
    (void)spare;
    (void)refuse;
    MBR_ASSERT(false);
}

int mbr__conn_send(int conn, const struct mbr__note *note)
{
    world_step("answer");
    struct file *f = file_at(world_self(), conn);

    return f->partner == NULL ? -ECONNRESET : put_letter(f->partner, note, NULL);
}

int mbr__conn_recv(int conn, struct mbr__note *out)
{
    return take_letter(file_at(world_self(), conn), out, NULL);
}

void mbr__note_close(struct mbr__note *note)
{
    struct actor *a = world_self();

    for (int i = 0; i < note->nfds; i++) {
        if (note->fds[i] >= 0) {
            file_unref(a->files[note->fds[i]]);
            a->files[note->fds[i]] = NULL;
        }
    }
    note->nfds = 0;
}

/* ---- regions --------------------------------------------------------------------------------- */

/* One address for all mappings. The second copy of the body is plain memory: the tests' messages
 * do not wrap. */
int mbr__region_create(const char *label, size_t head, size_t body, struct mbr__region *out)
{
    struct file *f = file_new(FILE_MEMORY);

    (void)label;
    f->memory = arena_alloc(sizeof(*f->memory));
    *f->memory = (struct memory){.base = arena_alloc(head + body), .head = head, .body = body};
    memset(f->memory->base, 0, head + body);
    *out = (struct mbr__region){.base = f->memory->base,
                                .head = head,
                                .body = body,
                                .fd = file_install(f),
                                .writable = true};
    return 0;
}

int mbr__region_attach_any(int fd, size_t head, size_t max_body, struct mbr__region *out)
{
    const struct file *f = file_at(world_self(), fd);

    if (f == NULL)
        return -EBADF;
    if (f->kind != FILE_MEMORY || f->memory->head != head || f->memory->body > max_body)
        return -EPROTO;
    *out = (struct mbr__region){
        .base = f->memory->base, .head = head, .body = f->memory->body, .fd = -1};
    return 0;
}

int mbr__region_attach(int fd, size_t head, size_t body, struct mbr__region *out)
{
    const struct file *f = file_at(world_self(), fd);

    if (f != NULL && f->kind == FILE_MEMORY && f->memory->body != body)
        return -EPROTO;
    return mbr__region_attach_any(fd, head, body, out);
}

void mbr__region_drop_fd(struct mbr__region *r)
{
    struct actor *a = world_self();

    if (r->base != NULL && r->fd >= 0) {
        file_unref(a->files[r->fd]);
        a->files[r->fd] = NULL;
    }
    r->fd = -1;
}

void mbr__region_release(struct mbr__region *r)
{
    if (r->base == NULL)
        return;
    mbr__region_drop_fd(r);
    r->base = NULL;
}

/* ---- buffers --------------------------------------------------------------------------------- */

struct mbr__buf *mbr__buf_alloc(size_t size)
{
    struct mbr__buf *b = malloc(sizeof(*b) + size);

    *b = (struct mbr__buf){.magic = MBR__BUF_LIVE,
                           .refs = 1,
                           .size = (uint32_t)size,
                           .capacity = size,
                           .data = (uint8_t *)b + sizeof(*b)};
    return b;
}

void mbr__buf_ref(struct mbr__buf *b)
{
    MBR_ASSERT(b->magic == MBR__BUF_LIVE);
    b->refs++;
}

void mbr__buf_unref(struct mbr__buf *b)
{
    if (b == NULL)
        return;
    MBR_ASSERT(b->magic == MBR__BUF_LIVE);
    if (--b->refs > 0)
        return;
    b->magic = MBR__BUF_DEAD;
    if (b->release != NULL)
        b->release(b);
    else
        free(b);
}

struct mbr__buf *mbr__buf_check(void *p)
{
    struct mbr__buf *b = p;

    return b != NULL && b->magic == MBR__BUF_LIVE ? b : NULL;
}
