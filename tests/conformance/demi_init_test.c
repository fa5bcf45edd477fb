/* SPDX-License-Identifier: MIT */
/*
 * demi_init() and what belongs to a thread. Each case runs in a new thread, since an instance ends
 * with its thread and there is no other way to end it. Upstream aborts on a bad LIBOS or file and
 * returns negative numbers; here a positive errno says what is wrong and nothing has changed.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demi_util.h"

#include <cmocka.h>

/* One try with LIBOS and CONFIG_PATH (NULL: not set), and the thread's result of it. */
struct attempt {
    const char *libos, *config;
    int result;
};

static void set_or_unset(const char *name, const char *value)
{
    CHECK((value ? setenv(name, value, 1) : unsetenv(name)) == 0);
}

/* A failed demi_init() leaves the thread as it was: without an instance, and free to try again. */
static void attempt_in_thread(void *arg)
{
    struct attempt *a = arg;
    int qd = 0;

    a->result = demi_init(NULL);
    CHECK(a->result >= 0);
    if (a->result != 0)
        CHECK_INT(demi_create_pipe(&qd, "attempt"), ENOSYS);
    else
        CHECK_INT(demi_init(NULL), EEXIST);
}

static int attempt(const char *libos, const char *config)
{
    char *good_libos = strdup(getenv("LIBOS")), *good_config = strdup(getenv("CONFIG_PATH"));
    struct attempt a = {libos, config, -1};

    set_or_unset("LIBOS", libos);
    set_or_unset("CONFIG_PATH", config);
    stage_in_thread(attempt_in_thread, &a);
    set_or_unset("LIBOS", good_libos);
    set_or_unset("CONFIG_PATH", good_config);
    free(good_libos);
    free(good_config);
    return a.result;
}

/* A configuration file with this text. */
static const char *config_of(const char *text, size_t length)
{
    static char path[4200];

    snprintf(path, sizeof(path), "%s/try.yaml", stage_dir());
    FILE *f = fopen(path, "w");
    CHECK(f && fwrite(text, 1, length, f) == length && fclose(f) == 0);
    return path;
}

static int attempt_text(const char *text)
{
    return attempt("catmem", config_of(text, strlen(text)));
}

static void init_without_libos(void **state)
{
    CHECK_INT(attempt(NULL, getenv("CONFIG_PATH")), EINVAL);
}

static void init_with_unknown_libos(void **state)
{
    static const char *const unknown[] = {"", "nonesuch", "cat", "catmemx", " catmem", "catmem "};

    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        CHECK_INT(attempt(unknown[i], getenv("CONFIG_PATH")), EINVAL);
}

static void init_with_libos_in_any_case(void **state)
{
    static const char *const known[] = {"catmem", "CATMEM", "CatMem", "cATMEM"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        CHECK_INT(attempt(known[i], getenv("CONFIG_PATH")), 0);
}

static void init_without_config_path(void **state)
{
    CHECK_INT(attempt("catmem", NULL), EINVAL);
}

static void init_with_config_that_cannot_be_opened(void **state)
{
    char path[4200];

    CHECK_INT(attempt("catmem", "/nonesuch/config.yaml"), ENOENT);
    snprintf(path, sizeof(path), "%s/nonesuch.yaml", stage_dir());
    CHECK_INT(attempt("catmem", path), ENOENT);
    CHECK(attempt("catmem", "") > 0);
    CHECK(attempt("catmem", stage_dir()) > 0); /* a directory */
}

/* Neither with a writer nor without one does it keep demi_init() waiting. */
static void init_with_a_fifo(void **state)
{
    char path[4200];

    snprintf(path, sizeof(path), "%s/fifo", stage_dir());
    CHECK(mkfifo(path, 0600) == 0);
    CHECK_INT(attempt("catmem", path), EINVAL);
    int writer = open(path, O_RDWR | O_CLOEXEC);

    CHECK(writer >= 0);
    CHECK_INT(attempt("catmem", path), EINVAL);
    CHECK(close(writer) == 0 && unlink(path) == 0);
    CHECK_INT(attempt("catmem", "/dev/zero"), EINVAL);
}

static void init_without_permission(struct stage_actor *parent, void *arg)
{
    const char *path = arg;

    if (geteuid() == 0)
        CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    CHECK_INT(attempt("catmem", path), EACCES);
}

static void init_with_config_that_may_not_be_read(void **state)
{
    const char *path = config_of("{}\n", 3);
    struct stage_actor actor;

    CHECK(chmod(path, 0) == 0);
    stage_spawn(&actor, init_without_permission, (void *)(uintptr_t)path);
    stage_join_ok(&actor);
    CHECK(unlink(path) == 0);
}

static void init_with_bad_yaml(void **state)
{
    static const char *const bad[] = {
        "{",
        "[1, 2",
        "a: [",
        "a: 'b",
        "a: b: c\n",
        "\tx: 1\n",
        "a:\n- b\n  c: d\n e: f\n",
        "&a *b",
        "%YAML 9.9\n",
        "@",
        "`",
        "--- a\n--- b\n",
        "a: 1\n...\nb: 2\n",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int rc = attempt_text(bad[i]);
        if (rc != EINVAL)
            print_error("configuration: %s\n", bad[i]);
        CHECK_INT(rc, EINVAL);
    }
    CHECK_INT(attempt("catmem", config_of("a: \0b", 5)), EINVAL);
    CHECK_INT(attempt("catmem", config_of("a: \xff\xfe\xff", 6)), EINVAL);
    CHECK_INT(attempt("catmem", config_of("\x7f"
                                          "ELF\x02\x01\x01\0\0\0",
                                          10)),
              EINVAL);
}

/* catmem reads no key: whatever is YAML will do, also upstream's own configuration file. */
static void init_with_any_good_yaml(void **state)
{
    static const char *const good[] = {
        "{}\n",
        "demikernel: {}\n",
        "unknown: [1, 2, {a: b}]\n",
        "---\na: b\n",
        "- a\n- b\n",
        ("demikernel:\n  local_ipv4_addr: 10.0.0.1\ntcp_socket_options:\n  nodelay: true\n"
         "  keepalive:\n    enabled: false\n  linger:\n    enabled: true\n    time_seconds: 0\n"),
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int rc = attempt_text(good[i]);
        if (rc != 0)
            print_error("configuration: %s\n", good[i]);
        CHECK_INT(rc, 0);
    }
}

static void init_with_arguments_in_thread(void *arg)
{
    CHECK_INT(demi_init(arg), 0);
}

static void init_with_arguments(void **state)
{
    char *argv[] = {(char *)(uintptr_t) "prog", (char *)(uintptr_t) "--nonesuch", NULL};
    struct demi_args args = {.argc = 2, .argv = argv, .callback = NULL};

    stage_in_thread(init_with_arguments_in_thread, &args);
    args.argc = -1;
    args.argv = NULL;
    stage_in_thread(init_with_arguments_in_thread, &args);
}

/* ---- threads ---- */

static void calls_without_init(void *arg)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    const struct sockaddr *sa = (struct sockaddr *)&in;
    struct sockaddr out;
    struct linger linger = {0, 0};
    socklen_t size = sizeof(in);
    demi_sgarray_t sga = demi_sgaalloc(64), *given = arg;
    demi_qresult_t qr;
    demi_qtoken_t qt = 1;
    int qd, n;

    CHECK(sga.sga_buf == NULL && sga.sga_numsegs == 0);
    CHECK_INT(demi_create_pipe(&qd, "no-init"), ENOSYS);
    CHECK_INT(demi_open_pipe(&qd, "no-init"), ENOSYS);
    CHECK_INT(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), ENOSYS);
    CHECK_INT(demi_listen(500, 1), ENOSYS);
    CHECK_INT(demi_bind(500, sa, size), ENOSYS);
    CHECK_INT(demi_accept(&qt, 500), ENOSYS);
    CHECK_INT(demi_connect(&qt, 500, sa, size), ENOSYS);
    CHECK_INT(demi_close(500), ENOSYS);
    CHECK_INT(demi_push(&qt, 500, given), ENOSYS);
    CHECK_INT(demi_pushto(&qt, 500, given, sa, size), ENOSYS);
    CHECK_INT(demi_pop(&qt, 500), ENOSYS);
    CHECK_INT(demi_setsockopt(500, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), ENOSYS);
    size = sizeof(linger);
    CHECK_INT(demi_getsockopt(500, SOL_SOCKET, SO_LINGER, &linger, &size), ENOSYS);
    size = sizeof(out);
    CHECK_INT(demi_getpeername(500, &out, &size), ENOSYS);
    CHECK_INT(demi_getsockname(500, &out, &size), ENOSYS);
    CHECK_INT(demi_sgafree(given), ENOSYS);
    CHECK_INT(demi_wait(&qr, qt, &at_once), ENOSYS);
    CHECK_INT(demi_wait_any(&qr, &n, &qt, 1, &at_once), ENOSYS);
    CHECK_INT(demi_wait_next_n(&qr, 1, &n, &at_once), ENOSYS);
}

static void every_call_needs_init(void *arg)
{
    start_demi();
    demi_sgarray_t sga = demi_sgaalloc(64);
    /* This thread has an instance, the other one has not. */
    stage_in_thread(calls_without_init, &sga);
    CHECK_INT(demi_sgafree(&sga), 0);
}

static void calls_without_init_fail(void **state)
{
    stage_in_thread(every_call_needs_init, NULL);
}

/* Descriptors and tokens of the first thread mean nothing in the second, which has its own. */
struct others {
    int made;
    demi_qtoken_t qt;
};

static void second_thread(void *arg)
{
    const struct others *others = arg;
    demi_qtoken_t qt;
    demi_qresult_t qr;

    start_demi();
    CHECK_INT(demi_close(others->made), EBADF);
    CHECK_INT(demi_pop(&qt, others->made), EBADF);
    CHECK_INT(demi_wait(&qr, others->qt, &at_once), EINVAL);
    int opened = open_pipe("threads");
    CHECK_INT(opened, 500);
    push_message(opened, 10, 1);
    pop_message(opened, 10, 2);
    CHECK_INT(demi_close(opened), 0);
}

static void first_thread(void *arg)
{
    struct others others;

    start_demi();
    others.made = create_pipe("threads");
    CHECK_INT(others.made, 500);
    others.qt = start_pop(others.made);
    push_message(others.made, 10, 2);
    stage_in_thread(second_thread, &others);
    demi_qresult_t qr = finish(others.qt);
    expect_message(&qr, others.made, 10, 1);
    pop_eof(others.made);
    CHECK_INT(demi_close(others.made), 0);
}

static void every_thread_has_its_own_instance(void **state)
{
    stage_in_thread(first_thread, NULL);
}

static void hundred_instances(void **state)
{
    stage_in_thread(first_thread, NULL); /* whatever is made once, is made now */
    size_t fds = stage_count_fds();

    for (int i = 0; i < 100; i++)
        stage_in_thread(first_thread, NULL);
    CHECK_INT(stage_count_fds(), fds);
    CHECK_INT(stage_count_entries(stage_names_dir()), 0);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_without_libos),
        cmocka_unit_test(init_with_unknown_libos),
        cmocka_unit_test(init_with_libos_in_any_case),
        cmocka_unit_test(init_without_config_path),
        cmocka_unit_test(init_with_config_that_cannot_be_opened),
        cmocka_unit_test(init_with_a_fifo),
        cmocka_unit_test(init_with_config_that_may_not_be_read),
        cmocka_unit_test(init_with_bad_yaml),
        cmocka_unit_test(init_with_any_good_yaml),
        cmocka_unit_test(init_with_arguments),
        cmocka_unit_test(calls_without_init_fail),
        cmocka_unit_test(every_thread_has_its_own_instance),
        cmocka_unit_test(hundred_instances),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
