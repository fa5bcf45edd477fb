/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer: a program that opens or creates a pipe as it should and then writes random and
 * adversarial values over every word of its own that its victim reads, while the victim works; that
 * floods wake-ups and mailboxes with rubbish; and that tries to map, truncate, punch and grow what
 * it may not. The victim may end the pipe with a typed error or carry on; it must not crash, hang,
 * lose a descriptor, or harm the pipe it has with an honest peer. Best run under ASan. The argument
 * is the number of seconds. Not here: what dead processes leave (kill_test.c), links that lie
 * (rendezvous_test.c).
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../multi/native_util.h"
#include "assault.h"
#include "scribble.h"

#include <cmocka.h>

static unsigned int seconds = 20;

#define PIPE "hostile"

/* All choices of one round; the same in every process. */
struct round {
    uint64_t random;
    bool attacker_creates;
    bool talks;      /* goes on using the pipe while it scribbles */
    bool heads_only; /* scribbles where indices are, not over the messages */
    bool storms;     /* without pause, else word by word */
    bool floods;     /* descriptors and mailboxes, too */
};

static struct round round_of(uint64_t index)
{
    uint64_t random = stage_seed() + index * 1000003;

    return (struct round){
        .attacker_creates = stage_below(&random, 2),
        .talks = stage_below(&random, 2),
        .heads_only = stage_below(&random, 4),
        .storms = stage_below(&random, 2),
        .floods = stage_below(&random, 4) == 0,
        .random = stage_random(&random),
    };
}

/* ---- the attacker ---- */

/* Rubbish into everything that could be a way to wake the victim or to post something to it. */
static void flood_descriptors(const struct stage_actor *parent, uint64_t *random)
{
    unsigned char rubbish[300];
    struct stat st;

    stage_fill(rubbish, sizeof(rubbish), stage_random(random));
    for (int fd = 3; fd < 100; fd++) {
        if (fd == parent->to || fd == parent->from || fstat(fd, &st) < 0)
            continue;
        int flags = fcntl(fd, F_GETFL);
        if ((flags & O_ACCMODE) == O_RDONLY || !(flags & O_NONBLOCK))
            continue;
        (void)!write(fd, rubbish, 1 + stage_below(random, sizeof(rubbish)));
    }
}

/* Connects to every socket among the names, says something or nothing, and stays for a while. */
static void flood_mailboxes(uint64_t *random)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    unsigned char rubbish[400];
    DIR *d = opendir(stage_names_dir());

    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        int n = snprintf(to.sun_path, sizeof(to.sun_path), "%s/%s", stage_names_dir(), e->d_name);
        if (n >= (int)sizeof(to.sun_path))
            continue;
        for (int i = 0; i < 40; i++) {
            int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
                close(fd);
                break;
            }
            stage_fill(rubbish, sizeof(rubbish), stage_random(random));
            if (i % 2)
                (void)!send(fd, rubbish, 1 + stage_below(random, sizeof(rubbish)), MSG_NOSIGNAL);
            if (i % 4)
                close(fd); /* the others stay open, silent, until this process ends */
        }
    }
    closedir(d);
}

/* Uses the pipe as if nothing were wrong. Its own library may notice, fail or crash: never mind. */
static void talk(struct mbr_libos *l, int qd, uint64_t *random)
{
    demi_sgarray_t sga = native_filled(1 + stage_below(random, 20000), 1);
    demi_qtoken_t qt;
    demi_qresult_t qr;

    if (mbr_push(l, qd, &sga, &qt) == 0)
        (void)mbr_wait(l, qt, 10000, &qr);
    (void)mbr_sga_free(&sga);
    if (mbr_pop(l, qd, 0, &qt) == 0 && mbr_wait(l, qt, 10000, &qr) == 0 &&
        qr.qr_opcode == DEMI_OPC_POP)
        (void)mbr_sga_free(&qr.qr_value.sga);
}

enum word { SCRIBBLES = 1, FINDS_NOTHING = 2 };

static void attack(struct stage_actor *parent, void *arg)
{
    struct round r = round_of(*(uint64_t *)arg);
    struct target targets[TARGETS_MAX];
    struct mbr_libos *l = open_libos();
    int qd = -1;

    if (r.attacker_creates)
        qd = native_create(l, PIPE);
    else
        qd = native_open_soon(l, PIPE);
    for (int i = 0; i < 5; i++) /* messages make for better indices */
        talk(l, qd, &r.random);
    int n = find_targets(targets, r.heads_only);
    stage_say(parent, n > 0 ? SCRIBBLES : FINDS_NOTHING);
    /* From now on this process may crash, and nobody wants to read about it. */
    CHECK(freopen("/dev/null", "w", stderr) != NULL);
    for (uint64_t i = 0;; i++) {
        scribble(&targets[stage_below(&r.random, (uint64_t)n)], &r.random);
        if (r.floods && i % 5000 == 0) {
            flood_descriptors(parent, &r.random);
            flood_mailboxes(&r.random);
        }
        if (r.talks && i % 16 == 0)
            talk(l, qd, &r.random);
        for (volatile int pause = 0; !r.storms && pause < 2000; pause++)
            continue;
    }
}

/* ---- the victim ---- */

static bool is_typed(int error)
{
    return error == EPROTO || error == ECONNRESET || error == EBADF;
}

/* Reads every byte, as a program would: ASan sees one that is not there. */
static void touch(const void *data, uint64_t n)
{
    const volatile unsigned char *p = data;
    unsigned int sum = 0;

    for (uint64_t i = 0; i < n; i++)
        sum += p[i];
    (void)sum;
}

struct victim {
    struct mbr_libos *l;
    int honest, qd;
    uint64_t random, honest_count;
    demi_qtoken_t push, pop; /* 0: none under way */
};

/* The same as ever with the honest peer, who sends everything back. */
static void talk_honestly(struct victim *v)
{
    for (int i = 0; i < 3; i++) {
        size_t size = 1 + v->honest_count * 977 % 9000;
        native_push(v->l, v->honest, size, v->honest_count);
        native_pop(v->l, v->honest, size, v->honest_count);
        v->honest_count++;
    }
}

/* What has come of an operation; true when the pipe has ended. */
static bool judge(demi_qresult_t *qr)
{
    if (qr->qr_opcode == DEMI_OPC_FAILED) {
        if (!is_typed((int)qr->qr_ret) && qr->qr_ret != ENOMEM)
            stage_fail_int(__FILE__, __LINE__, "a hostile peer's error", qr->qr_ret, EPROTO);
        return qr->qr_ret != ENOMEM;
    }
    if (qr->qr_opcode == DEMI_OPC_POP) {
        uint32_t n = qr->qr_value.sga.sga_segs[0].sgaseg_len;
        CHECK(n <= MBR_MESSAGE_MAX);
        touch(qr->qr_value.sga.sga_segs[0].sgaseg_buf, n);
        CHECK_INT(mbr_sga_free(&qr->qr_value.sga), 0);
        return n == 0; /* the end of file */
    }
    CHECK_INT(qr->qr_opcode, DEMI_OPC_PUSH);
    return false;
}

static bool finish_one(struct victim *v, demi_qtoken_t *qt)
{
    demi_qresult_t qr;
    int rc = mbr_wait(v->l, *qt, stage_below(&v->random, 2) ? 0 : 200000, &qr);

    if (rc == -ETIMEDOUT)
        return false;
    CHECK_INT(rc, 0);
    *qt = 0;
    return judge(&qr);
}

static bool accept_error(int rc)
{
    if (rc == -ENOMEM || rc == -EAGAIN || rc == -EBUSY || rc == -ENOTCONN)
        return false;
    if (!is_typed(-rc))
        stage_fail_int(__FILE__, __LINE__, "a hostile peer's error", rc, -EPROTO);
    return true;
}

static bool push_something(struct victim *v)
{
    demi_sgarray_t sga;
    size_t size = 1 + stage_below(&v->random, stage_below(&v->random, 8) ? 2000 : 150000);

    if (v->push)
        return finish_one(v, &v->push);
    /* Now and then out of memory that the attacker may read and has to give back. */
    int rc = stage_below(&v->random, 4) ? -EAGAIN : mbr_lend_alloc(v->l, v->qd, size, &sga);
    if (rc < 0 && rc != -EAGAIN && accept_error(rc))
        return true;
    if (rc < 0)
        sga = mbr_sga_alloc(size);
    CHECK(sga.sga_buf != NULL);
    memset(sga.sga_segs[0].sgaseg_buf, 1, size);
    rc = mbr_push(v->l, v->qd, &sga, &v->push);
    CHECK_INT(mbr_sga_free(&sga), 0);
    return rc < 0 ? accept_error(rc) : finish_one(v, &v->push);
}

static bool pop_something(struct victim *v)
{
    int rc;

    if (v->pop)
        return finish_one(v, &v->pop);
    if (stage_below(&v->random, 3) == 0)
        rc = mbr_pop_in_place(v->l, v->qd, &v->pop);
    else
        rc = mbr_pop(v->l, v->qd, stage_below(&v->random, 3) * 100, &v->pop);
    return rc < 0 ? accept_error(rc) : finish_one(v, &v->pop);
}

static bool peek_something(struct victim *v)
{
    const void *data;
    uint64_t left;
    uint32_t len;

    if (v->pop)
        return false;
    int rc = mbr_pipe_peek(v->l, v->qd, &data, &len, &left);
    if (rc == -ENODATA)
        return true;
    if (rc < 0)
        return accept_error(rc);
    touch(data, len);
    rc = mbr_pipe_release(v->l, v->qd);
    if (rc == 0)
        rc = mbr_pipe_retire(v->l, v->qd);
    return rc < 0 && accept_error(rc);
}

static bool write_something(struct victim *v)
{
    uint32_t size = 1 + (uint32_t)stage_below(&v->random, 8000);
    void *data;

    if (v->push)
        return false;
    int rc = mbr_pipe_reserve(v->l, v->qd, size, &data);
    if (rc == 0) {
        memset(data, 2, size);
        rc = mbr_pipe_commit(v->l, v->qd, size);
    }
    if (rc == 0)
        rc = mbr_pipe_flush(v->l, v->qd);
    return rc < 0 && accept_error(rc);
}

static bool do_something(struct victim *v)
{
    switch (stage_below(&v->random, 8)) {
    case 0:
        return peek_something(v);
    case 1:
        return write_something(v);
    case 2:
    case 3:
    case 4:
        return push_something(v);
    default:
        return pop_something(v);
    }
}

/* Opens the attacker's pipe while the attacker may already be at work on it. */
static bool come_together(struct victim *v, const struct round *r, struct stage_actor *parent)
{
    for (;;) {
        int rc = r->attacker_creates ? mbr_pipe_open(v->l, PIPE, NULL, &v->qd)
                                     : mbr_pipe_create(v->l, PIPE, NULL, &v->qd);
        if (rc == 0)
            return true;
        CHECK(r->attacker_creates); /* nobody can keep a name from us */
        CHECK(rc == -ENOENT || rc == -EPROTO || rc == -EBUSY || rc == -ETIMEDOUT);
        if (rc != -ENOENT || stage_peek(parent))
            return false;
    }
}

static void suffer(struct victim *v, const struct round *r, struct stage_actor *parent)
{
    bool ended = false, open = come_together(v, r, parent);

    stage_say(parent, open);
    v->push = v->pop = 0;
    while (!stage_peek(parent)) {
        if (open && !ended)
            ended = do_something(v);
        if (stage_below(&v->random, 64) == 0)
            talk_honestly(v);
    }
    (void)stage_hear(parent);
    if (open)
        CHECK_INT(mbr_close(v->l, v->qd), 0);
    /* What was under way has ended with the pipe, if not before. */
    for (demi_qtoken_t *qt = &v->push; qt; qt = qt == &v->push ? &v->pop : NULL) {
        demi_qresult_t qr;
        if (*qt) {
            CHECK_INT(mbr_wait(v->l, *qt, 0, &qr), 0);
            (void)judge(&qr);
        }
    }
    talk_honestly(v);
    stage_say(parent, ended);
}

/* Descriptors of the victim when it has had time to look at everything that was sent to it. */
static size_t settled_fds(struct victim *v)
{
    demi_qresult_t qr;
    int n;

    talk_honestly(v);
    for (int i = 0; i < 5; i++)
        CHECK_INT(mbr_wait_next_n(v->l, 1, 1000000, &qr, &n), -ETIMEDOUT);
    return stage_count_fds();
}

static void be_victim(struct stage_actor *parent, void *arg)
{
    struct victim v = {.l = open_libos()};
    uint64_t index;

    v.honest = native_open_soon(v.l, "honest");
    stage_say(parent, settled_fds(&v));
    while (stage_listen(parent, &index)) {
        struct round r = round_of(index);
        v.random = ~r.random;
        alarm(30 * stage_slowness()); /* a hang is the end of the test */
        suffer(&v, &r, parent);
        /* Once the attacker is dead nothing may be left of it. */
        (void)stage_hear(parent);
        stage_say(parent, settled_fds(&v));
    }
    mbr_libos_close(v.l);
}

static void be_honest(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int qd = native_create(l, "honest");

    alarm(0); /* it lives as long as the test */
    native_echo(l, qd);
    mbr_libos_close(l);
}

/* ---- what may not be done to memory ---- */

static void expect_refused(const char *what, bool done)
{
    char text[200];

    if (!done)
        return;
    snprintf(text, sizeof(text), "%s: it should be refused", what);
    stage_fail(__FILE__, __LINE__, text);
}

/* FD is a region's, of this process or another; SIZE its length. */
static void abuse(int fd, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    expect_refused("mapping a peer's memory writable", p != MAP_FAILED);
    p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED) {
        expect_refused("mprotect", mprotect(p, size, PROT_READ | PROT_WRITE) == 0);
        expect_refused("MADV_REMOVE", madvise(p, size, MADV_REMOVE) == 0);
        munmap(p, size);
    }
    expect_refused("truncating", ftruncate(fd, 0) == 0);
    expect_refused("truncating by a page", ftruncate(fd, (off_t)size - 4096) == 0);
    expect_refused("growing", ftruncate(fd, (off_t)size + 4096) == 0);
    expect_refused("growing", fallocate(fd, 0, (off_t)size, 4096) == 0);
    expect_refused("punching",
                   fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0);
    expect_refused("zeroing",
                   fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0);
    expect_refused("collapsing", fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096) == 0);
    expect_refused("writing", pwrite(fd, "x", 1, 0) == 1);
    expect_refused("sealing", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
}

/* Every region among the descriptors of a process; how many there were. */
static int abuse_process(pid_t pid)
{
    char dir[64], path[400], link[PATH_MAX];
    struct stat st;
    int n = 0;

    snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)pid);
    DIR *d = opendir(dir);
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d));) {
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        ssize_t length = readlink(path, link, sizeof(link) - 1);
        if (length < 0)
            continue;
        link[length] = '\0';
        if (strncmp(link, "/memfd:", 7) != 0 || !strstr(link, "membrane"))
            continue;
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            continue;
        CHECK(fstat(fd, &st) == 0);
        abuse(fd, (size_t)st.st_size);
        close(fd);
        n++;
    }
    closedir(d);
    return n;
}

/* The writable mappings that the owner keeps may be written, and nothing else. */
static void abuse_own_mappings(void)
{
    struct target targets[TARGETS_MAX];
    int n = find_targets(targets, false);

    CHECK(n > 0);
    for (int i = 0; i < n; i++) {
        size_t size = targets[i].count * sizeof(uint64_t);
        expect_refused("MADV_REMOVE", madvise(targets[i].words, size, MADV_REMOVE) == 0);
    }
}

static void hold_a_pipe(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int qd = native_create(l, "held"), opened;

    stage_say(parent, 1);
    opened = (int)stage_hear(parent);
    for (uint64_t i = 0; i < 100; i++)
        native_push(l, qd, 100, i);
    (void)opened;
    stage_say(parent, 1);
    (void)stage_hear(parent);
    mbr_libos_close(l);
}

static void open_and_abuse(struct stage_actor *parent, void *arg)
{
    pid_t owner = *(pid_t *)arg;
    struct mbr_libos *l = open_libos();
    int qd = native_open(l, "held");

    CHECK(abuse_process(owner) > 0);
    (void)abuse_process(getpid()); /* which may have closed them: see the mappings */
    abuse_own_mappings();
    stage_say(parent, 1);
    (void)stage_hear(parent);
    for (uint64_t i = 0; i < 100; i++)
        native_pop(l, qd, 100, i);
    mbr_libos_close(l);
}

static void memory_cannot_be_taken_away(void **state)
{
    struct stage_actor owner, guest;

    stage_spawn(&owner, hold_a_pipe, NULL);
    (void)stage_hear(&owner);
    stage_spawn(&guest, open_and_abuse, &owner.pid);
    (void)stage_hear(&guest);
    stage_say(&owner, 1);
    (void)stage_hear(&owner);
    stage_say(&guest, 1);
    stage_join_ok(&guest);
    stage_say(&owner, 1);
    stage_join_ok(&owner);
}

/* ---- the test ---- */

static void play_round(struct stage_actor *victim, uint64_t index, struct assault *assault)
{
    struct stage_actor attacker;
    uint64_t word;

    stage_spawn(&attacker, attack, &index);
    stage_say(victim, index);
    assault->met += stage_hear(victim);
    assault_goes_on(100 + (unsigned int)(index % 5) * 50);
    if (index % 3)
        kill(attacker.pid, SIGKILL); /* else it goes on while the victim closes */
    stage_say(victim, 1);
    assault->ended += stage_hear(victim);
    kill(attacker.pid, SIGKILL);
    while (stage_listen(&attacker, &word)) {
        CHECK_INT(word, SCRIBBLES);
        assault->scribbled++;
    }
    (void)stage_join(&attacker); /* however it ended */
    stage_say(victim, 1);
    assault_check_fds(assault, victim, stage_hear(victim));
}

static void scribbling_peer(void **state)
{
    struct stage_actor victim, honest;

    (void)stage_seed();
    stage_spawn(&honest, be_honest, NULL);
    stage_spawn(&victim, be_victim, NULL);
    struct assault assault = assault_run(seconds, &victim, &honest, play_round);

    CHECK(assault.scribbled > assault.rounds / 2 && assault.met > assault.rounds / 2);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_cannot_be_taken_away),
        cmocka_unit_test(scribbling_peer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds = (unsigned int)strtoul(argv[1], NULL, 10);
    return stage_main(60 + seconds, argc, argv, run);
}
