/* SPDX-License-Identifier: MIT */
/*
 * Mailboxes: notes with descriptors from the living and the dead, silent and hostile senders, other
 * users, exhausted descriptors, long paths, and the case they are for: an owner whose /proc is
 * closed to us hands over a sealed region.
 */
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "shm/post.h"
#include "shm/region.h"
#include "shm_test.h"

/* ---- wrapped calls --------------------------------------------------------------------------- */

static bool no_proc; /* nothing is found below /proc */

int __real_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);

int __wrap_stat(const char *path, struct stat *st)
{
    if (test_calls_now())
        return -1;
    if (no_proc && strncmp(path, "/proc/", 6) == 0) {
        errno = ENOENT;
        return -1;
    }
    return __real_stat(path, st);
}

TEST_WRAP(int, -1, socket, (int a, int b, int c), (a, b, c))
TEST_WRAP(int, -1, bind, (int fd, const void *addr, socklen_t len), (fd, addr, len))
TEST_WRAP(int, -1, listen, (int fd, int n), (fd, n))
TEST_WRAP(int, -1, connect, (int fd, const void *addr, socklen_t len), (fd, addr, len))
TEST_WRAP(int, -1, accept4, (int fd, void *addr, socklen_t *len, int flags), (fd, addr, len, flags))
TEST_WRAP(int, -1, epoll_create1, (int flags), (flags))
TEST_WRAP(int, -1, epoll_ctl, (int set, int op, int fd, struct epoll_event *ev), (set, op, fd, ev))
TEST_WRAP(ssize_t, -1, sendmsg, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags))
TEST_WRAP(ssize_t, -1, recvmsg, (int fd, struct msghdr *msg, int flags), (fd, msg, flags))
TEST_WRAP(int, -1, fchmodat, (int dir, const char *path, mode_t mode, int flags),
          (dir, path, mode, flags))
TEST_WRAP(int, -1, getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
          (fd, level, name, value, len))

int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);

/* Unlocking cannot fail. */
int __wrap_flock(int fd, int how)
{
    return how != LOCK_UN && test_calls_now() ? -1 : __real_flock(fd, how);
}

/* ---- the place of a test --------------------------------------------------------------------- */

static char scratch[] = "/tmp/membrane-post-XXXXXX";
static struct mbr__names names;
static struct mbr__mailbox box;
static struct test_held held;

static void clean_scratch(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s/*", scratch);
    if (system(command) != 0)
        fprintf(stderr, "cannot clean %s\n", scratch);
}

/* Opens the directory and a mailbox in it. */
static int setup(void **state)
{
    char place[64];

    snprintf(place, sizeof(place), "%s/d", scratch);
    setenv("MEMBRANE_DIR", place, 1);
    held = test_held();
    if (mbr__names_open(&names) != 0)
        return -1;
    return mbr__mailbox_open(&names, &box);
}

static int teardown(void **state)
{
    (void)test_calls_disarm();
    no_proc = false;
    mbr__mailbox_close(&names, &box);
    mbr__names_close(&names);
    clean_scratch();
    test_assert_held(held);
    return 0;
}

static int make_scratch(void **state)
{
    if (mkdtemp(scratch) == NULL)
        return -1;
    return chmod(scratch, 0755);
}

static int remove_scratch(void **state)
{
    return rmdir(scratch);
}

static void box_file(uint64_t inst, char out[32])
{
    snprintf(out, 32, "i.%016llx", (unsigned long long)inst);
}

static struct mbr__note text_note(const char *text)
{
    struct mbr__note note = {.len = strlen(text)};

    memcpy(note.data, text, note.len);
    return note;
}

static void assert_text(const struct mbr__note *note, const char *text)
{
    assert_int_equal(note->len, strlen(text));
    assert_memory_equal(note->data, text, note->len);
}

/* Connects without saying anything, as no sender of ours would. */
static int connect_raw(const struct mbr__names *n, uint64_t inst)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char file[32];
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    box_file(inst, file);
    assert_true(snprintf(addr.sun_path, sizeof(addr.sun_path), "%.70s/%s", n->path, file) > 0);
    if (connect(fd, &addr, sizeof(addr)) < 0) {
        close(fd);
        return -errno;
    }
    return fd;
}

static bool readable(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, 0) == 1;
}

/* ---- notes ----------------------------------------------------------------------------------- */

static void opens_and_closes(void **state)
{
    struct mbr__mailbox zero = {0};
    struct mbr__note note;
    struct stat st;
    char file[32];

    box_file(box.inst, file);
    assert_int_equal(fstatat(names.dir, file, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_false(readable(box.fd));
    assert_int_equal(mbr__mailbox_take(&box, &note, NULL), -EAGAIN);
    assert_false(names.locked);

    mbr__mailbox_close(&names, &box);
    assert_int_equal(fstatat(names.dir, file, &st, AT_SYMLINK_NOFOLLOW), -1);
    mbr__mailbox_close(&names, &box);
    mbr__mailbox_close(&names, &zero);
    mbr__mailbox_close(&names, NULL);
    note = text_note("x");
    assert_int_equal(mbr__post_send(&names, box.inst, &note, NULL), -ENOENT);
}

static void carries_notes(void **state)
{
    struct mbr__note a = text_note("first");
    struct mbr__note b = text_note("second");
    struct mbr__note got;
    int conn;
    int answer;

    assert_int_equal(mbr__post_send(&names, box.inst, &a, NULL), 0);
    assert_int_equal(mbr__post_send(&names, box.inst, &b, &conn), 0);
    assert_true(readable(box.fd));
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), 0);
    assert_text(&got, "first");
    assert_int_equal(got.pid, getpid());
    assert_int_equal(got.uid, geteuid());
    assert_int_equal(got.nfds, 0);
    assert_int_equal(mbr__mailbox_take(&box, &got, &answer), 0);
    assert_text(&got, "second");
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EAGAIN);
    assert_false(readable(box.fd));

    /* And back, and on. */
    assert_int_equal(mbr__conn_recv(conn, &got), -EAGAIN);
    assert_int_equal(mbr__conn_send(answer, &a), 0);
    assert_int_equal(mbr__conn_recv(conn, &got), 0);
    assert_text(&got, "first");
    close(answer);
    assert_int_equal(mbr__conn_recv(conn, &got), -ECONNRESET);
    assert_int_equal(mbr__conn_send(conn, &a), -ECONNRESET); /* and no SIGPIPE */
    close(conn);
    assert_int_equal(mbr__conn_recv(-1, &got), -EBADF);
}

static void notes_have_bounds(void **state)
{
    struct mbr__note note = {.len = MBR__POST_MAX};
    struct mbr__note got;

    memset(note.data, 0xa5, sizeof(note.data));
    assert_int_equal(mbr__post_send(&names, box.inst, &note, NULL), 0);
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), 0);
    assert_int_equal(got.len, MBR__POST_MAX);
    assert_memory_equal(got.data, note.data, MBR__POST_MAX);

    note.len = 0;
    assert_int_equal(mbr__post_send(&names, box.inst, &note, NULL), -EINVAL);
    note.len = MBR__POST_MAX + 1;
    assert_int_equal(mbr__post_send(&names, box.inst, &note, NULL), -EINVAL);
    note.len = 1;
    note.nfds = -1;
    assert_int_equal(mbr__post_send(&names, box.inst, &note, NULL), -EINVAL);
    note.nfds = MBR__POST_FDS + 1;
    assert_int_equal(mbr__post_send(&names, box.inst, &note, NULL), -EINVAL);
    note.nfds = 1;
    note.fds[0] = -1;
    assert_int_equal(mbr__post_send(&names, box.inst, &note, NULL), -EBADF);
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EAGAIN);
}

static void carries_descriptors(void **state)
{
    struct mbr__note note = text_note("with descriptors");
    struct mbr__note got;
    int ends[2];
    char byte;

    for (int n = 1; n <= MBR__POST_FDS; n++) {
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        note.nfds = n;
        for (int i = 0; i < n; i++)
            note.fds[i] = ends[1];
        assert_int_equal(mbr__post_send(&names, box.inst, &note, NULL), 0);
        close(ends[1]);
        assert_int_equal(mbr__mailbox_take(&box, &got, NULL), 0);
        assert_int_equal(got.nfds, n);
        for (int i = 0; i < n; i++) {
            assert_int_equal(fcntl(got.fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
            assert_int_equal(write(got.fds[i], "x", 1), 1);
            assert_int_equal(read(ends[0], &byte, 1), 1);
        }
        close(got.fds[0]);
        got.fds[0] = -1; /* taken over */
        mbr__note_close(&got);
        assert_int_equal(read(ends[0], &byte, 1), 0); /* no copy is left anywhere */
        close(ends[0]);
    }
    mbr__note_close(&got);
    mbr__note_close(NULL);
}

static void send_and_die(void *arg)
{
    struct mbr__note note = text_note("last words");
    int fd = memfd_create("testament", MFD_CLOEXEC);

    CHILD_CHECK(pwrite(fd, "gold", 4, 0) == 4);
    note.nfds = 1;
    note.fds[0] = fd;
    CHILD_CHECK(mbr__post_send(&names, box.inst, &note, NULL) == 0);
    (void)raise(SIGKILL);
}

static void keeps_notes_of_the_dead(void **state)
{
    struct mbr__note got;
    char text[4];

    assert_true(WIFSIGNALED(test_in_child(send_and_die, NULL)));
    assert_true(readable(box.fd));
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), 0);
    assert_text(&got, "last words");
    assert_int_not_equal(got.pid, getpid());
    assert_int_equal(got.nfds, 1);
    assert_int_equal(pread(got.fds[0], text, 4, 0), 4);
    assert_memory_equal(text, "gold", 4);
    mbr__note_close(&got);
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EAGAIN);
}

/* ---- hostile and odd senders ----------------------------------------------------------------- */

/* Sends any number of bytes and descriptors over a raw connection. */
static void send_raw(int conn, size_t len, int nfds, int fd)
{
    static char data[2 * MBR__POST_MAX];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(64 * sizeof(int))];
    } control;
    struct iovec iov = {data, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (nfds > 0) {
        size_t bytes = (size_t)nfds * sizeof(int);
        struct cmsghdr *c;

        memset(&control, 0, sizeof(control));
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(bytes);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(bytes);
        for (int i = 0; i < nfds; i++)
            memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &fd, sizeof(int));
    }
    assert_true(sendmsg(conn, &msg, 0) >= 0);
}

static void refuses_bad_messages(void **state)
{
    static const struct {
        size_t len;
        int nfds;
        int expected;
    } cases[] = {
        {MBR__POST_MAX + 1, 0, -EPROTO},
        {2 * MBR__POST_MAX, 3, -EPROTO},
        {1, MBR__POST_FDS + 1, -EPROTO},
        {1, MBR__POST_FDS + 2, -EPROTO},
        {1, 64, -EPROTO},
        {0, 0, -EAGAIN}, /* as good as closed */
        {0, 2, -EAGAIN},
        {0, 64, -EPROTO},
    };
    struct mbr__note got;
    int ends[2];
    char byte;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int conn = connect_raw(&names, box.inst);
        int fds;

        assert_true(conn >= 0);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        send_raw(conn, cases[i].len, cases[i].nfds, ends[1]);
        close(ends[1]);
        fds = test_count_fds();
        assert_int_equal(mbr__mailbox_take(&box, &got, NULL), cases[i].expected);
        assert_int_equal(test_count_fds(), fds);
        assert_int_equal(read(ends[0], &byte, 1), 0); /* all copies are closed */
        assert_int_equal(recv(conn, &byte, 1, MSG_DONTWAIT), 0);
        close(ends[0]);
        close(conn);
        assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EAGAIN);
        assert_false(readable(box.fd));
    }
}

static void waits_for_silent_senders(void **state)
{
    struct mbr__note got;
    int a = connect_raw(&names, box.inst);
    int b = connect_raw(&names, box.inst);
    int c = connect_raw(&names, box.inst);

    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EAGAIN);
    assert_false(readable(box.fd));
    send_raw(b, 7, 0, -1);
    assert_true(readable(box.fd));
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), 0);
    assert_int_equal(got.len, 7);
    close(a); /* left without a word */
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EAGAIN);
    assert_false(readable(box.fd));
    send_raw(c, 9, 0, -1);
    close(c);
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), 0);
    assert_int_equal(got.len, 9);
    close(b);
}

static void drops_the_oldest_silent_sender(void **state)
{
    int conns[MBR__POST_SILENT + 1];
    struct mbr__note got;
    char byte;

    for (int i = 0; i <= MBR__POST_SILENT; i++) {
        conns[i] = connect_raw(&names, box.inst);
        assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EAGAIN);
    }
    assert_int_equal(recv(conns[0], &byte, 1, MSG_DONTWAIT), 0); /* closed by the mailbox */
    for (int i = 1; i <= MBR__POST_SILENT; i++) {
        assert_int_equal(recv(conns[i], &byte, 1, MSG_DONTWAIT), -1);
        send_raw(conns[i], (size_t)i, 0, -1);
        assert_int_equal(mbr__mailbox_take(&box, &got, NULL), 0);
        assert_int_equal(got.len, i);
    }
    for (int i = 0; i <= MBR__POST_SILENT; i++)
        close(conns[i]);
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EAGAIN);
}

static void survives_a_flood_of_silence(void **state)
{
    struct mbr__note note = text_note("heard");
    struct mbr__note got;
    int conns[300];
    int calls = 0;
    int err;

    for (int i = 0; i < 300; i++)
        conns[i] = connect_raw(&names, box.inst);
    assert_int_equal(mbr__post_send(&names, box.inst, &note, NULL), 0);
    do {
        assert_true(calls++ < 10);
        assert_true(readable(box.fd));
        err = mbr__mailbox_take(&box, &got, NULL);
    } while (err == -EAGAIN);
    assert_int_equal(err, 0);
    assert_text(&got, "heard");
    for (int i = 0; i < 300; i++)
        close(conns[i]);
}

static void says_when_the_queue_is_full(void **state)
{
    struct mbr__note note = text_note("n");
    struct mbr__note got;
    int sent = 0;
    int err;

    while ((err = mbr__post_send(&names, box.inst, &note, NULL)) == 0)
        assert_true(++sent < 100000);
    assert_int_equal(err, -EAGAIN);
    for (int i = 0; i < sent; i++)
        assert_int_equal(mbr__mailbox_take(&box, &got, NULL), 0);
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EAGAIN);
    assert_int_equal(mbr__post_send(&names, box.inst, &note, NULL), 0);
}

static void finds_nobody(void **state)
{
    struct mbr__note note = text_note("n");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char file[32];
    int fd;

    assert_int_equal(mbr__post_send(&names, box.inst ^ 1, &note, NULL), -ENOENT);
    assert_int_equal(mbr__mailbox_unlink(&names, box.inst ^ 1), -ENOENT);
    assert_false(mbr__mailbox_dead(&names, box.inst));
    assert_false(mbr__mailbox_dead(&names, box.inst ^ 1));

    /* A socket whose owner died, one of another type, and something else. */
    box_file(2, file);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%.70s/%s", names.path, file);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &addr, sizeof(addr)), 0);
    close(fd);
    assert_int_equal(mbr__post_send(&names, 2, &note, NULL), -ECONNREFUSED);
    assert_true(mbr__mailbox_dead(&names, 2));
    assert_int_equal(mbr__mailbox_unlink(&names, 2), 0);
    assert_int_equal(mbr__mailbox_unlink(&names, 2), -ENOENT);

    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &addr, sizeof(addr)), 0);
    assert_int_equal(mbr__post_send(&names, 2, &note, NULL), -ECONNREFUSED);
    close(fd);
    assert_int_equal(mbr__mailbox_unlink(&names, 2), 0);

    close(openat(names.dir, file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(mbr__post_send(&names, 2, &note, NULL), -ECONNREFUSED);
    assert_int_equal(mbr__mailbox_unlink(&names, 2), -EPROTO);
}

/* ---- users ----------------------------------------------------------------------------------- */

static void knock_as_nobody(void *arg)
{
    int conn;

    test_drop_root();
    conn = connect_raw(&names, box.inst);
    CHILD_CHECK(conn >= 0);
    CHILD_CHECK(send(conn, "x", 1, 0) == 1);
}

static void refuses_other_users(void **state)
{
    struct mbr__note got;
    char file[32];

    if (geteuid() != 0)
        skip();
    box_file(box.inst, file);
    assert_int_equal(fchmodat(names.dir, file, 0666, 0), 0);
    assert_int_equal(fchmod(names.dir, 0755), 0);
    test_child_passes(knock_as_nobody, NULL);
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EPERM);
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EAGAIN);
}

static intptr_t squat_as_nobody(void *arg)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char file[32];
    int fd;

    test_drop_root();
    box_file(2, file);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%.70s/%s", names.path, file);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHILD_CHECK(bind(fd, &addr, sizeof(addr)) == 0 && listen(fd, 5) == 0);
    return 0;
}

static void sends_nothing_to_other_users(void **state)
{
    struct mbr__note note = text_note("secret");
    struct test_peer peer;

    if (geteuid() != 0)
        skip();
    assert_int_equal(fchmod(names.dir, 0777), 0);
    peer = test_peer_start(squat_as_nobody, NULL, NULL);
    assert_int_equal(mbr__post_send(&names, 2, &note, NULL), -EPERM);
    test_peer_end(&peer, true);
    test_peer_reap(&peer);
}

/* ---- the fallback ---------------------------------------------------------------------------- */

static struct mbr__names nobodys;
static struct mbr__mailbox nobodys_box;

/* An owner that nobody can look into through /proc. Its mailbox is open when this returns; the note
 * it answers comes later, so the answering is the child's last act. */
static void serve_privately(int ready)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct mbr__region region;
    struct mbr__note note;
    struct pollfd pfd;
    struct {
        uint64_t inst;
        int fd;
    } hello;
    int conn;
    int err;

    test_drop_root();
    CHILD_CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
    CHILD_CHECK(mbr__names_open(&nobodys) == 0);
    CHILD_CHECK(mbr__mailbox_open(&nobodys, &nobodys_box) == 0);
    CHILD_CHECK(mbr__region_create("private", page, page, &region) == 0);
    memcpy(region.base, "sealed", 6);
    hello.inst = nobodys_box.inst;
    hello.fd = region.fd;
    CHILD_CHECK(write(ready, &hello, sizeof(hello)) == sizeof(hello));

    pfd = (struct pollfd){.fd = nobodys_box.fd, .events = POLLIN};
    do { /* the asker may have connected and not yet sent */
        CHILD_CHECK(poll(&pfd, 1, -1) == 1);
        err = mbr__mailbox_take(&nobodys_box, &note, &conn);
    } while (err == -EAGAIN);
    CHILD_CHECK(err == 0);
    CHILD_CHECK(note.len == 4 && memcmp(note.data, "give", 4) == 0);
    note.nfds = 1;
    note.fds[0] = region.fd;
    CHILD_CHECK(mbr__conn_send(conn, &note) == 0);
    mbr__mailbox_close(&nobodys, &nobodys_box);
    _exit(0);
}

static void ask_privately(struct mbr__proc owner, uint64_t inst, int fd)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct mbr__note note = text_note("give");
    struct mbr__region region;
    struct pollfd pfd;
    int conn;
    int got;

    test_drop_root();
    CHILD_CHECK(mbr__proc_open_fd(&owner, fd, 'm', O_RDONLY, &got) == -EACCES);
    CHILD_CHECK(mbr__names_open(&nobodys) == 0);
    CHILD_CHECK(mbr__post_send(&nobodys, inst, &note, &conn) == 0);
    pfd = (struct pollfd){.fd = conn, .events = POLLIN};
    CHILD_CHECK(poll(&pfd, 1, -1) == 1);
    CHILD_CHECK(mbr__conn_recv(conn, &note) == 0 && note.nfds == 1);
    CHILD_CHECK(mbr__region_attach(note.fds[0], page, page, &region) == 0);
    CHILD_CHECK(memcmp(region.base, "sealed", 6) == 0);
    _exit(0);
}

static void serves_where_proc_does_not(void **state)
{
    struct {
        uint64_t inst;
        int fd;
    } hello;
    struct mbr__proc owner = {0};
    char place[64];
    int ready[2];
    int status;
    pid_t asker;

    snprintf(place, sizeof(place), "%s/nobody", scratch);
    assert_int_equal(mkdir(place, 0700), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(place, 65534, 65534), 0);
    setenv("MEMBRANE_DIR", place, 1);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    owner.pid = fork();
    if (owner.pid == 0) {
        alarm(50);
        serve_privately(ready[1]);
    }
    assert_int_equal(read(ready[0], &hello, sizeof(hello)), sizeof(hello));
    assert_int_equal(mbr__proc_start(owner.pid, &owner.start), 0);
    asker = fork();
    if (asker == 0) {
        alarm(50);
        ask_privately(owner, hello.inst, hello.fd);
    }
    assert_int_equal(waitpid(asker, &status, 0), asker);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(owner.pid, &status, 0), owner.pid);
    assert_int_equal(status, 0);
    close(ready[0]);
    close(ready[1]);
}

/* ---- paths, forks ---------------------------------------------------------------------------- */

static void copes_with_long_paths(void **state)
{
    struct mbr__note note = text_note("from afar");
    struct mbr__note got;
    struct mbr__names far_names;
    struct mbr__mailbox far_box;
    char place[300];
    int len = snprintf(place, sizeof(place), "%s/", scratch);

    memset(place + len, 'l', 200);
    place[len + 200] = '\0';
    setenv("MEMBRANE_DIR", place, 1);
    assert_int_equal(mbr__names_open(&far_names), 0);
    assert_int_equal(mbr__mailbox_open(&far_names, &far_box), 0);
    assert_int_equal(mbr__post_send(&far_names, far_box.inst, &note, NULL), 0);
    assert_int_equal(mbr__mailbox_take(&far_box, &got, NULL), 0);
    assert_text(&got, "from afar");

    no_proc = true;
    assert_int_equal(mbr__post_send(&far_names, far_box.inst, &note, NULL), -ENAMETOOLONG);
    mbr__mailbox_close(&far_names, &far_box);
    assert_int_equal(mbr__mailbox_open(&far_names, &far_box), -ENAMETOOLONG);
    mbr__names_close(&far_names);
}

static void close_inherited(void *arg)
{
    int silent = box.silent[0];

    CHILD_CHECK(silent >= 0);
    mbr__mailbox_close(&names, &box);
    CHILD_CHECK(fcntl(silent, F_GETFD) < 0);
}

static void child_closes_only_its_copies(void **state)
{
    struct mbr__note note = text_note("still here");
    struct mbr__note got;
    int conn = connect_raw(&names, box.inst);

    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EAGAIN);
    test_child_passes(close_inherited, NULL);
    assert_int_equal(mbr__post_send(&names, box.inst, &note, NULL), 0);
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), 0);
    assert_text(&got, "still here");
    send_raw(conn, 3, 0, -1); /* the silent one, too */
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), 0);
    assert_int_equal(got.len, 3);
    close(conn);
}

/* ---- failures -------------------------------------------------------------------------------- */

static rlim_t limit_fds(rlim_t n)
{
    struct rlimit limit;
    rlim_t old;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    old = limit.rlim_cur;
    limit.rlim_cur = n;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return old;
}

/* Without descriptors nothing can be taken, and nothing is lost either. The limit goes up one by
 * one: it suffices first for the connection, then for more and more of what it brings. */
static void loses_nothing_without_descriptors(void **state)
{
    struct mbr__note note = text_note("heavy");
    struct mbr__note got;
    rlim_t old;
    int first; /* descriptor number that is free; all below it are taken */
    int room = 0;
    int err;

    note.nfds = 3;
    note.fds[0] = note.fds[1] = note.fds[2] = names.dir;
    assert_int_equal(mbr__post_send(&names, box.inst, &note, NULL), 0);
    first = fcntl(names.dir, F_DUPFD_CLOEXEC, 0);
    close(first);
    do {
        old = limit_fds((rlim_t)(first + room));
        err = mbr__mailbox_take(&box, &got, NULL);
        limit_fds(old);
        if (err < 0) {
            assert_int_equal(err, -EMFILE);
            assert_true(readable(box.fd));
        }
    } while (err < 0 && room++ < 1000);
    assert_int_equal(err, 0);
    assert_true(room >= 4);
    assert_text(&got, "heavy");
    assert_int_equal(got.nfds, 3);
    mbr__note_close(&got);
}

static bool is_unwanted(const void *data, size_t len)
{
    return len == strlen("unwanted") && memcmp(data, "unwanted", len) == 0;
}

/* Who may be refused sees the end of his connection; the others' notes stay where they are. */
static void says_no_without_descriptors(void **state)
{
    static const char *const texts[] = {"unwanted", "wanted", "unwanted"};
    int conns[3];
    int spare = fcntl(names.dir, F_DUPFD_CLOEXEC, 0);
    struct mbr__note got;

    for (int i = 0; i < 3; i++) {
        struct mbr__note note = text_note(texts[i]);

        assert_int_equal(mbr__post_send(&names, box.inst, &note, &conns[i]), 0);
    }
    int first = fcntl(names.dir, F_DUPFD_CLOEXEC, 0);

    close(first);
    rlim_t old = limit_fds((rlim_t)first);

    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), -EMFILE);
    mbr__mailbox_shed(&box, &spare, is_unwanted);
    assert_int_equal(mbr__conn_recv(conns[0], &got), -ECONNRESET);
    assert_int_equal(mbr__conn_recv(conns[1], &got), -EAGAIN);
    assert_int_equal(mbr__conn_recv(conns[2], &got), -EAGAIN);
    assert_int_equal(spare, -1); /* the one that is kept has its place */
    limit_fds(old);
    mbr__mailbox_shed(&box, &spare, is_unwanted);
    assert_int_equal(mbr__conn_recv(conns[1], &got), -EAGAIN);
    assert_int_equal(mbr__conn_recv(conns[2], &got), -ECONNRESET);
    assert_true(spare >= 0);
    assert_int_equal(mbr__mailbox_take(&box, &got, NULL), 0);
    assert_text(&got, "wanted");
    for (int i = 0; i < 3; i++)
        close(conns[i]);
    close(spare);
}

static int try_open(void)
{
    struct mbr__mailbox m;
    int err = mbr__mailbox_open(&names, &m);

    if (err == 0)
        mbr__mailbox_close(&names, &m);
    return err;
}

static int try_send(void)
{
    struct mbr__note note = text_note("n");

    note.nfds = 1;
    note.fds[0] = names.dir;
    return mbr__post_send(&names, box.inst, &note, NULL);
}

static int count_entry(void *arg, const char *file)
{
    (*(int *)arg)++;
    return 0;
}

static void each_call_fails(int (*fn)(void), int error, int turns_min)
{
    int fds = test_count_fds();
    int turns = 0;

    for (;; turns++) {
        int count = 0;
        bool hit;
        int err;

        test_calls_arm(turns, error);
        err = fn();
        hit = test_calls_disarm();
        assert_int_equal(test_count_fds(), fds);
        assert_int_equal(mbr__names_each(&names, count_entry, &count), 0);
        assert_int_equal(count, 1); /* the mailbox of the fixture */
        assert_false(names.locked);
        if (!hit) {
            assert_int_equal(err, 0);
            break;
        }
        assert_true(err < 0);
    }
    assert_true(turns >= turns_min);
}

static void survives_failures(void **state)
{
    each_call_fails(try_open, ENOMEM, 7);
    each_call_fails(try_open, EMFILE, 7);
    each_call_fails(try_send, ENOMEM, 4);
    each_call_fails(try_send, ETOOMANYREFS, 4);
}

/* A failed take loses at most the one note, and never a descriptor. */
static void survives_failures_of_take(void **state)
{
    static const int errors[] = {ENOMEM, EMFILE, ECONNABORTED, EIO};

    for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
        for (int turns = 0;; turns++) {
            struct mbr__note got;
            int fds = test_count_fds();
            bool hit;
            int err;

            assert_int_equal(try_send(), 0);
            test_calls_arm(turns, errors[e]);
            err = mbr__mailbox_take(&box, &got, NULL);
            hit = test_calls_disarm();
            if (err < 0)
                err = mbr__mailbox_take(&box, &got, NULL);
            assert_true(err == 0 || err == -EAGAIN);
            if (err == 0)
                mbr__note_close(&got);
            assert_int_equal(test_count_fds(), fds);
            if (!hit)
                break;
        }
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opens_and_closes),
        TEST(carries_notes),
        TEST(notes_have_bounds),
        TEST(carries_descriptors),
        TEST(keeps_notes_of_the_dead),
        TEST(refuses_bad_messages),
        TEST(waits_for_silent_senders),
        TEST(drops_the_oldest_silent_sender),
        TEST(survives_a_flood_of_silence),
        TEST(says_when_the_queue_is_full),
        TEST(finds_nobody),
        TEST(refuses_other_users),
        TEST(sends_nothing_to_other_users),
        TEST(serves_where_proc_does_not),
        TEST(copes_with_long_paths),
        TEST(child_closes_only_its_copies),
        TEST(loses_nothing_without_descriptors),
        TEST(says_no_without_descriptors),
        TEST(survives_failures),
        TEST(survives_failures_of_take),
    };

    return cmocka_run_group_tests_name("shm_post", tests, make_scratch, remove_scratch);
}
