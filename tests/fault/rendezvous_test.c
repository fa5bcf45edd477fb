/* SPDX-License-Identifier: MIT */
/*
 * Names that lie: whatever lies in the directory of names in the place of a pipe's link, opening it
 * gives a typed error and nothing else happens. The links of a real pipe are taken and changed in
 * every way: other processes, other descriptors, other numbers, single characters. Also files,
 * directories, FIFOs and sockets where a link should be. The form of the links is not assumed: what
 * a pipe leaves in the directory is looked up. Not here: the parsers alone (unit/shm_names_test.c).
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../multi/native_util.h"

#include <cmocka.h>

#define PATHS (2 * PATH_MAX)

/* The links of the pipe "true", by the suffix of their names. */
#define LINKS_MAX 4

struct link {
    char suffix[64];
    char text[1024];
};

static struct link links[LINKS_MAX];
static int link_count;
static struct mbr_libos *l;
static struct stage_actor owner;
static uint64_t popped; /* messages of the owner so far */

static void path_of(char *path, const char *name, const struct link *link)
{
    snprintf(path, PATHS, "%s/%s%s", stage_names_dir(), name, link->suffix);
}

/* The true pipe is another process's, which pushes until the ring is full and answers whoever asks
 * for its descriptors. */
static void own_true_pipe(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *mine = open_libos();
    int qd = native_create(mine, "true");

    alarm(0); /* it lives as long as the test */
    stage_say(parent, 1);
    for (uint64_t i = 0;; i++)
        native_push(mine, qd, 1000, i);
}

static void find_links(void)
{
    DIR *d = opendir(stage_names_dir());

    CHECK(d != NULL);
    link_count = 0;
    for (struct dirent *e; (e = readdir(d));) {
        char path[PATHS];
        struct link *link = &links[link_count];
        if (strncmp(e->d_name, "true", 4) != 0 || link_count == LINKS_MAX)
            continue;
        snprintf(link->suffix, sizeof(link->suffix), "%s", e->d_name + 4);
        path_of(path, "true", link);
        ssize_t n = readlink(path, link->text, sizeof(link->text) - 1);
        CHECK(n > 0);
        link->text[n] = '\0';
        link_count++;
    }
    closedir(d);
    CHECK(link_count > 0);
}

static void renew_owner(void)
{
    if (owner.pid)
        stage_kill(&owner);
    CHECK(mbr_gc(0, NULL, NULL) >= 0);
    stage_spawn(&owner, own_true_pipe, NULL);
    (void)stage_hear(&owner);
    popped = 0;
    find_links();
}

static int set_up(void **state)
{
    l = open_libos();
    renew_owner();
    return 0;
}

static int tear_down(void **state)
{
    mbr_libos_close(l);
    stage_kill(&owner);
    return 0;
}

/* Everything that the name "false" has come to stand for. */
static void remove_false(void)
{
    char path[PATHS];
    DIR *d = opendir(stage_names_dir());

    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d));) {
        snprintf(path, sizeof(path), "%s/%s", stage_names_dir(), e->d_name);
        if (strncmp(e->d_name, "false", 5) == 0 && unlink(path) != 0)
            CHECK(rmdir(path) == 0);
    }
    closedir(d);
}

/* The name "false": the true pipe's links, but one with another text. */
static void put_links(int which, const char *text)
{
    char path[PATHS];

    remove_false();
    for (int i = 0; i < link_count; i++) {
        path_of(path, "false", &links[i]);
        CHECK(symlink(i == which ? text : links[i].text, path) == 0 || errno == ENAMETOOLONG);
    }
}

static bool is_typed(int rc)
{
    return rc == -ENOENT || rc == -EPROTO || rc == -EBUSY || rc == -ETIMEDOUT;
}

/* A lie that leads to the true pipe may spoil it (a wrong position, for instance), and no more. */
static void use_falsely_opened(int qd)
{
    demi_qresult_t qr;
    demi_qtoken_t qt;
    bool spoilt = true;
    int rc = mbr_pop(l, qd, 0, &qt);

    if (rc == 0 && mbr_wait(l, qt, 1000000, &qr) == 0) {
        if (qr.qr_opcode == DEMI_OPC_POP) {
            demi_sgaseg_t seg = qr.qr_value.sga.sga_segs[0];
            spoilt = seg.sgaseg_len != 1000 || !stage_filled(seg.sgaseg_buf, 1000, popped++);
            CHECK_INT(mbr_sga_free(&qr.qr_value.sga), 0);
        } else {
            CHECK(qr.qr_ret == EPROTO || qr.qr_ret == ECONNRESET || qr.qr_ret == EBADF);
        }
    }
    CHECK_INT(mbr_close(l, qd), 0);
    if (spoilt)
        renew_owner();
}

/* Tries to open and reports what is not a typed error. */
static void try_false_name(const char *text)
{
    size_t fds = stage_count_fds();
    int qd = -1, rc = mbr_pipe_open(l, "false", NULL, &qd);

    if (rc != 0 && !is_typed(rc)) {
        print_error("link text: %s\n", text);
        stage_fail_int(__FILE__, __LINE__, "the error for a false link", rc, -EPROTO);
    }
    if (rc == 0)
        use_falsely_opened(qd);
    if (stage_count_fds() != fds)
        print_error("link text: %s, result %d\n", text, rc);
    CHECK_INT(stage_count_fds(), fds);
}

static void true_links_work(void **state)
{
    for (int i = 0; i < 100; i++) {
        int qd = -1, rc;
        /* The owner may not yet have seen that the last opener is gone. */
        while ((rc = mbr_pipe_open(l, "true", NULL, &qd)) == -EBUSY)
            sched_yield();
        CHECK_INT(rc, 0);
        native_pop(l, qd, 1000, popped++);
        CHECK_INT(mbr_close(l, qd), 0);
    }
}

static void texts_that_are_no_links(void **state)
{
    static const char *const texts[] = {
        "x",
        " ",
        "/",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/mem",
        "..",
        "0",
        "-1 -1 -1 -1 -1",
        "99999999999999999999999999",
        "1 2 3 4 5 6 7 8 9",
        "%s%s%s%n",
        "\n",
        "\xff\xff",
        "m1 0 0 0 0 0 0 0 0",
        "9223372036854775807 9223372036854775807 9223372036854775807",
    };
    static char longest[4000];

    memset(longest, '9', sizeof(longest) - 1);
    for (int i = 0; i < link_count; i++) {
        for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
            put_links(i, texts[k]);
            try_false_name(texts[k]);
        }
        put_links(i, longest);
        try_false_name("999...");
    }
}

/* The place of number WHICH of a text, decimal or hexadecimal, and its length; NULL: no such. */
static const char *find_number(const char *text, int which, size_t *length)
{
    static const char digits[] = "0123456789abcdef";

    for (const char *p = text; *p; p += *length + (*length == 0)) {
        *length = strspn(p, digits);
        if (*length && which-- == 0)
            return p;
    }
    return NULL;
}

static bool try_number(int i, int which, const char *value)
{
    char text[2048];
    size_t length;
    const char *whole = links[i].text, *p = find_number(whole, which, &length);

    if (!p)
        return false;
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(p - whole), whole, value, p + length);
    if (*text) {
        put_links(i, text);
        try_false_name(text);
    }
    return true;
}

/* Every number in a link, replaced by others. The owner is renewed when that spoils the pipe, and
 * the links change with it, but not their form. */
static void numbers_changed(void **state)
{
    char self[16], parent[16];
    const char *const values[] = {
        self,
        parent,
        "",
        "0",
        "1",
        "2",
        "-1",
        "3",
        "4",
        "5",
        "7",
        "100",
        "2147483647",
        "2147483648",
        "4294967296",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "x",
    };

    snprintf(self, sizeof(self), "%d", (int)getpid());
    snprintf(parent, sizeof(parent), "%d", (int)getppid());
    for (int i = 0; i < link_count; i++) {
        bool more = true;
        for (int which = 0; more; which++) {
            for (size_t k = 0; more && k < sizeof(values) / sizeof(values[0]); k++)
                more = try_number(i, which, values[k]);
        }
    }
}

static void characters_changed(void **state)
{
    uint64_t random = stage_seed();
    char text[2048];

    for (int round = 0; round < 3000; round++) {
        int i = (int)stage_below(&random, (uint64_t)link_count);
        size_t n = strlen(links[i].text);
        memcpy(text, links[i].text, n + 1);
        for (uint64_t k = stage_below(&random, 3); k < 3; k++) {
            char c = (char)(1 + stage_below(&random, 255));
            char likely = "0123456789 "[stage_below(&random, 11)];
            text[stage_below(&random, n)] = stage_below(&random, 2) ? c : likely;
        }
        if (round % 5 == 0)
            text[1 + stage_below(&random, n - 1)] = '\0';
        put_links(i, text);
        try_false_name(text);
    }
}

/* ---- what is no link at all ---- */

static void make_file(const char *path, int kind)
{
    switch (kind) {
    case 0:
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        return;
    case 1:
        CHECK(mkdir(path, 0700) == 0);
        return;
    case 2:
        CHECK(mkfifo(path, 0600) == 0); /* opening it would block for ever */
        return;
    default:
        CHECK(mknod(path, S_IFSOCK | 0600, 0) == 0);
        return;
    }
}

/* Neither followed nor removed, whatever is asked of the name. */
static void files_in_place_of_links(void **state)
{
    char path[PATHS];
    struct stat st;

    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < link_count; i++) {
            int qd = 77;
            put_links(i, links[i].text);
            path_of(path, "false", &links[i]);
            CHECK(unlink(path) == 0);
            make_file(path, kind);
            int rc = mbr_pipe_open(l, "false", NULL, &qd);
            CHECK(is_typed(rc));
            rc = mbr_pipe_create(l, "false", NULL, &qd);
            CHECK(rc == -EPROTO || rc == -EEXIST);
            CHECK_INT(qd, 77);
            CHECK(mbr_gc(0, NULL, NULL) >= 0);
            CHECK(lstat(path, &st) == 0);
        }
    }
    remove_false();
}

/* ---- links to memory that is no pipe ---- */

enum { SHAPES = 6 };

/* Another process's descriptor at the place where a pipe's memory would be. */
static int odd_memory(int shape)
{
    int fd = memfd_create("membrane-odd", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    static const off_t sizes[SHAPES] = {0, 4096, 100, 65536 + 4096, 1 << 20, 8192};

    CHECK(fd >= 0 && ftruncate(fd, sizes[shape]) == 0);
    if (shape == 3)
        CHECK(fallocate(fd, 0, 0, sizes[shape]) == 0);
    /* Without a seal; with all, but with holes; with all and all zero. */
    if (shape != 4)
        CHECK(fcntl(fd, F_ADD_SEALS, shape == 5 ? F_SEAL_SHRINK : all) == 0);
    return fd;
}

/* The number of the descriptor in the link of the pipe, found by what it leads to. */
static bool replace_descriptor(char *text, size_t size, const char *from, int fd)
{
    for (const char *p = from; *p;) {
        size_t n = strspn(p, "0123456789");
        char path[64], target[64];

        if (n == 0 || n > 4) {
            p += n + (n == 0);
            continue;
        }
        snprintf(path, sizeof(path), "/proc/%d/fd/%.*s", (int)owner.pid, (int)n, p);
        ssize_t length = readlink(path, target, sizeof(target) - 1);
        if (length > 7 && strncmp(target, "/memfd:", 7) == 0) {
            snprintf(text, size, "%.*s%d%s", (int)(p - from), from, fd, p + n);
            return true;
        }
        p += n;
    }
    return false;
}

static void links_to_other_memory(void **state)
{
    char text[2048];
    int replaced = 0;

    for (int i = 0; i < link_count; i++) {
        for (int shape = 0; shape < SHAPES; shape++) {
            int fd = odd_memory(shape);
            if (replace_descriptor(text, sizeof(text), links[i].text, fd)) {
                int qd = 77;
                put_links(i, text);
                CHECK_INT(mbr_pipe_open(l, "false", NULL, &qd), -EPROTO);
                CHECK_INT(qd, 77);
                replaced++;
            }
            close(fd);
        }
    }
    CHECK(replaced > 0);
    remove_false();
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(true_links_work),         cmocka_unit_test(texts_that_are_no_links),
        cmocka_unit_test(numbers_changed),         cmocka_unit_test(characters_changed),
        cmocka_unit_test(files_in_place_of_links), cmocka_unit_test(links_to_other_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
