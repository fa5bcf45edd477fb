/* SPDX-License-Identifier: MIT */
/*
 * What catloop reads of strangers when a connection is made: the note, the control page of the half
 * that comes with it, and the records in its ring, as a server and as a client. Input: a byte of
 * choices, the 88 bytes of the note, then the bytes of the ring. Choices put right what a random
 * input never gets right, so that what lies behind it is reached. Whatever comes, nothing crashes
 * and nothing is left.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <membrane/socket.h>

#include "queue/catloop/catloop.h"
#include "queue/catmem/hello.h"
#include "shm/post.h"
#include "shm/region.h"

#define CAPACITY 4096u
#define PORT     80

enum choice { NOTE_RIGHT = 1, HALF_RIGHT = 2, TARGET_RIGHT = 4, AS_CLIENT = 8, RECORD_RIGHT = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char names_dir[] = "/tmp/mbr-fuzz.XXXXXX";

static void remove_names(void)
{
    (void)rmdir(names_dir);
}

static void demand(bool well)
{
    if (!well)
        abort();
}

static struct sockaddr_in address(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static void turn(struct mbr_libos *l)
{
    demi_qresult_t qr;
    int offset;

    (void)mbr_wait_any(l, &(demi_qtoken_t){0}, 0, 0, &qr, &offset);
}

/* A stranger's half and the note that presents it. */
struct stranger {
    struct mbr__region half;
    struct mbr__hello hello;
    struct mbr__note note;
};

static void fill_half(struct stranger *s, unsigned choices, const uint64_t target[2],
                      const uint8_t *ring, size_t size)
{
    struct mbr__half_shm *h = (struct mbr__half_shm *)(void *)s->half.base;
    uint64_t *body = (uint64_t *)(void *)(s->half.base + MBR__HALF_HEAD);
    struct mbr__connect_shm *ask = (struct mbr__connect_shm *)(void *)(body + 1);

    memcpy(body, ring, size < CAPACITY ? size : CAPACITY);
    if ((choices & HALF_RIGHT) != 0)
        *h = (struct mbr__half_shm){.magic = MBR__HALF_MAGIC,
                                    .version = MBR__HALF_VERSION,
                                    .head_size = MBR__HALF_HEAD,
                                    .capacity = CAPACITY,
                                    .id = {s->hello.id[0], s->hello.id[1]}};
    else
        memcpy(h, ring, size < sizeof(*h) ? size : sizeof(*h));
    if ((choices & RECORD_RIGHT) == 0)
        return;
    body[0] = (uint64_t)((choices & AS_CLIENT) != 0 ? MBR__REC_ACCEPT : MBR__REC_CONNECT) << 32 |
              ((choices & AS_CLIENT) != 0 ? 4 : sizeof(*ask));
    memcpy(ask->target, target, sizeof(ask->target));
    ask->to.family = 4;
    ask->to.port = PORT;
}

static void make_stranger(struct stranger *s, unsigned choices, const uint64_t target[2],
                          const uint8_t *data, size_t size)
{
    size_t n = size < sizeof(s->hello) ? size : sizeof(s->hello);
    struct mbr__proc self;

    *s = (struct stranger){.half = {.fd = -1}};
    memcpy(&s->hello, data, n);
    demand(mbr__proc_self(&self) == 0);
    if ((choices & NOTE_RIGHT) != 0) {
        s->hello.capacity = CAPACITY;
        s->hello.pid = self.pid;
        s->hello.proc_start = self.start;
        s->hello.proc_ns = self.ns;
        s->hello.wake = 0;
    }
    s->hello.magic = MBR__HELLO_MAGIC;
    s->hello.kind = (choices & AS_CLIENT) != 0 ? MBR__HELLO_PAIRED : MBR__HELLO_CONNECT;
    demand(mbr__region_create("fuzz", MBR__HALF_HEAD, CAPACITY, &s->half) == 0);
    fill_half(s, choices, target, data + n, size - n);
}

/* The note with descriptors of its own; the wake pipe is the instance's. */
static void write_note(struct stranger *s, struct mbr_libos *l)
{
    int pidfd = -1;
    struct mbr__proc self;

    demand(mbr__proc_self(&self) == 0 && mbr__proc_pidfd(&self, &pidfd) == 0);
    s->note = (struct mbr__note){.len = sizeof(s->hello), .nfds = 3, .pid = getpid()};
    memcpy(s->note.data, &s->hello, sizeof(s->hello));
    s->note.fds[0] = dup(s->half.fd);
    s->note.fds[1] = dup(l->ws.bell);
    s->note.fds[2] = pidfd;
}

/* What a program does with whoever has come. */
static void use(struct mbr_libos *l, int qd)
{
    char data[600];
    demi_qtoken_t qt;
    demi_qresult_t qr;

    for (int i = 0; i < 4; i++) {
        (void)mbr_sock_recv(l, qd, data, sizeof(data), 0, NULL, NULL);
        (void)mbr_sock_send(l, qd, "some", 4, NULL, 0);
        turn(l);
    }
    if (mbr_pop(l, qd, 0, &qt) == 0 && mbr_wait(l, qt, 0, &qr) == 0 && qr.qr_opcode == DEMI_OPC_POP)
        demand(mbr_sga_free(&qr.qr_value.sga) == 0);
    demand(mbr_close(l, qd) == 0);
    turn(l);
}

static void serve(struct mbr_libos *l, unsigned choices, const uint8_t *data, size_t size)
{
    struct sockaddr_in a = address();
    struct stranger s;
    int listener = -1;
    int qd = -1;
    int conn[2];

    demand(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &listener) == 0 &&
           mbr_bind(l, listener, (struct sockaddr *)&a, sizeof(a)) == 0 &&
           mbr_listen(l, listener, 2) == 0 &&
           socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, conn) == 0);
    const uint64_t *id = mbr__libos_sock(l, listener)->u.loop->id;
    static const uint64_t nobody[2] = {1, 2};

    make_stranger(&s, choices, (choices & TARGET_RIGHT) != 0 ? id : nobody, data, size);
    write_note(&s, l);
    mbr__pair_hello(l, &s.hello, &s.note, conn[0]);
    mbr__note_close(&s.note);
    turn(l);
    if (mbr_sock_accept(l, listener, &qd) == 0)
        use(l, qd);
    mbr__region_release(&s.half);
    close(conn[0]);
    close(conn[1]);
}

/* Somebody's mailbox and link, and a client that finds them. */
static void answer(struct mbr_libos *l, struct mbr_libos *other, unsigned choices,
                   const uint8_t *data, size_t size)
{
    struct sockaddr_in a = address();
    struct mbr__note asked;
    struct stranger s;
    int conn = -1;
    int listener = -1;
    int qd = -1;

    demand(mbr_socket(other, AF_INET, SOCK_STREAM, 0, &listener) == 0 &&
           mbr_bind(other, listener, (struct sockaddr *)&a, sizeof(a)) == 0 &&
           mbr_listen(other, listener, 2) == 0 && mbr_socket(l, AF_INET, SOCK_STREAM, 0, &qd) == 0);
    demand(mbr_sock_connect(l, qd, (struct sockaddr *)&a, sizeof(a)) == -EINPROGRESS);
    demand(mbr__mailbox_take(&other->box, &asked, &conn) == 0);
    struct mbr__hello theirs;

    memcpy(&theirs, asked.data, sizeof(theirs));
    make_stranger(&s, choices, theirs.id, data, size);
    s.hello.inst = other->box.inst;
    if ((choices & TARGET_RIGHT) != 0)
        memcpy(s.hello.target, theirs.id, sizeof(theirs.id));
    write_note(&s, other);
    (void)mbr__conn_send(conn, &s.note);
    mbr__note_close(&s.note);
    mbr__note_close(&asked);
    close(conn);
    turn(l);
    turn(l);
    use(l, qd);
    mbr__region_release(&s.half);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mbr_libos_options options = {.size = sizeof(options), .capacity = CAPACITY};
    struct mbr_libos *l = NULL;
    struct mbr_libos *other = NULL;
    static bool ready;

    if (!ready) {
        demand(mkdtemp(names_dir) != NULL && setenv("MEMBRANE_DIR", names_dir, 1) == 0);
        demand(atexit(remove_names) == 0);
        ready = true;
    }
    if (size < 1)
        return 0;
    demand(mbr_libos_open("catloop", &options, &l) == 0 &&
           mbr_libos_open("catloop", &options, &other) == 0);
    if ((data[0] & AS_CLIENT) != 0)
        answer(l, other, data[0], data + 1, size - 1);
    else
        serve(l, data[0], data + 1, size - 1);
    mbr_libos_close(l);
    mbr_libos_close(other);
    return 0;
}
