/* SPDX-License-Identifier: MIT */
/*
 * CONTROL calls that name files, and those that say nothing with a wrong argument: what is written
 * where, and that neither a link nor a file of somebody else borrows the daemon's rights.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stored.h"

static struct stored daemon_;
static struct stored_reply reply;

static const char *in_stage(const char *name)
{
    static char place[600];

    (void)snprintf(place, sizeof(place), "%s/%s", stage_dir(), name);
    return place;
}

static int control(int fd, const char *verb, const char *argument)
{
    return stored_ask(fd, MBR__XS_CONTROL, 0, &reply, verb, argument, NULL);
}

/* Whether the file NAME of the stage has this text. */
static bool says(const char *name, const char *text)
{
    char content[8192];
    FILE *file = fopen(in_stage(name), "re");
    size_t n;

    if (file == NULL)
        return false;
    n = fread(content, 1, sizeof(content) - 1, file);
    (void)fclose(file);
    content[n] = '\0';
    return strstr(content, text) != NULL;
}

static void make(const char *name, const char *text)
{
    FILE *file = fopen(in_stage(name), "we");

    CHECK(file != NULL);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void test_report(void **state)
{
    int fd = stored_connect(daemon_.path);
    int guest;

    CHECK_INT(stored_control_fds(fd, "connect", 7, &guest, 1), 0);
    CHECK_INT(control(fd, "memreport", in_stage("report")), 0);
    CHECK(strcmp(reply.payload, "OK") == 0);
    CHECK(says("report", "memory report: nodes="));
    CHECK(says("report", "memory report: domain=7 nodes="));
    /* Appended to, what was there stays; a relative name is beside the socket. */
    make("more", "before\n");
    CHECK_INT(control(fd, "memreport", "more"), 0);
    CHECK(says("more", "before\nmemory report: nodes="));
    /* Without a file, into the log. */
    CHECK(!stored_said(&daemon_, "memory report: nodes="));
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "memreport", NULL), 0);
    CHECK(strcmp(reply.payload, "OK") == 0);
    CHECK(stored_said(&daemon_, "memory report: nodes="));
    CHECK(stored_said(&daemon_, "memory report: domain=7 nodes="));
    /* Not for guests. */
    CHECK_INT(control(guest, "memreport", in_stage("guests")), -EACCES);
    CHECK_INT(access(in_stage("guests"), F_OK), -1);
    (void)close(guest);
    (void)close(fd);
}

/* Both ways of naming a file refuse this one, and nothing has been written. */
static void refused(int fd, const char *name, int error)
{
    CHECK_INT(control(fd, "memreport", in_stage(name)), error);
    CHECK_INT(control(fd, "logfile", in_stage(name)), error);
}

static void test_no_such_file(void **state)
{
    int fd = stored_connect(daemon_.path);

    refused(fd, "none/file", -ENOENT);
    refused(fd, "directory/", -EINVAL);
    CHECK_INT(mkdir(in_stage("directory"), 0700), 0);
    CHECK(control(fd, "memreport", in_stage("directory")) < 0);
    CHECK_INT(control(fd, "memreport", ""), -EINVAL);
    CHECK_INT(control(fd, "memreport", "/"), -EINVAL);
    CHECK_INT(mkfifo(in_stage("fifo"), 0600), 0);
    CHECK(control(fd, "memreport", in_stage("fifo")) < 0); /* and does not wait */
    CHECK_INT(control(fd, "memreport", "/dev/full"), -ENOSPC);
    make("twice", "safe\n");
    {
        char first[600];

        (void)snprintf(first, sizeof(first), "%s", in_stage("twice"));
        CHECK_INT(link(first, in_stage("second")), 0);
    }
    refused(fd, "second", -EPERM);
    CHECK(!says("twice", "memory"));
    CHECK(stored_said(&daemon_, "memreport refused: "));
    CHECK(stored_said(&daemon_, "logfile refused: "));
    (void)close(fd);
}

/* One's own links are followed, others' are not; nor are their files written to. */
static void test_links(void **state)
{
    int fd = stored_connect(daemon_.path);

    CHECK_INT(mkdir(in_stage("real"), 0755), 0);
    CHECK_INT(symlink("real", in_stage("way")), 0);
    CHECK_INT(symlink("../way/./target", in_stage("real/last")), 0);
    CHECK_INT(control(fd, "memreport", in_stage("way/last")), 0);
    CHECK(says("real/target", "memory report"));
    CHECK_INT(symlink("loop", in_stage("loop")), 0);
    CHECK(control(fd, "memreport", in_stage("loop")) < 0);
    if (geteuid() == 0) {
        make("secret", "safe\n");
        CHECK_INT(symlink("secret", in_stage("trap")), 0);
        CHECK_INT(lchown(in_stage("trap"), 65534, 65534), 0);
        CHECK(control(fd, "memreport", in_stage("trap")) < 0);
        CHECK(control(fd, "logfile", in_stage("trap")) < 0);
        CHECK(!says("secret", "memory"));
        CHECK_INT(lchown(in_stage("way"), 65534, 65534), 0);
        CHECK(control(fd, "memreport", in_stage("way/other")) < 0);
        CHECK_INT(access(in_stage("real/other"), F_OK), -1);
        make("theirs", "safe\n");
        CHECK_INT(chown(in_stage("theirs"), 65534, 65534), 0);
        refused(fd, "theirs", -EPERM);
        CHECK(!says("theirs", "memory"));
    }
    (void)close(fd);
}

static void test_log(void **state)
{
    int fd = stored_connect(daemon_.path);

    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "log", "on", NULL), 0);
    CHECK_INT(control(fd, "logfile", in_stage("log")), 0);
    CHECK_INT(stored_write(fd, 0, "/traced", "x"), 0);
    CHECK(says("log", "/traced"));
    CHECK_INT(control(fd, "log", "-io"), 0);
    CHECK_INT(stored_write(fd, 0, "/silent", "x"), 0);
    CHECK(!says("log", "/silent"));
    /* The switches survive a live update. */
    CHECK_INT(control(fd, "log", "+acc"), 0);
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-s", NULL), 0);
    CHECK(strcmp(reply.payload, "OK") == 0);
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "log", NULL), 0);
    CHECK(strstr(reply.payload, "io      : off\n") != NULL);
    CHECK(strstr(reply.payload, "acc     : on\n") != NULL);
    CHECK_INT(control(fd, "log", "off"), 0);
    (void)close(fd);
}

static void test_wrong_arguments(void **state)
{
    int fd = stored_connect(daemon_.path);
    const char verb[] = "live-update";

    CHECK_INT(control(fd, verb, "-x"), -EINVAL);
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, verb, NULL), -EINVAL);
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, verb, "-s", "-t", NULL), -EINVAL);
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, verb, "-s", "-q", NULL), -EINVAL);
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, verb, "-s", "-v", "9", NULL), 0);
    CHECK(strstr(reply.payload, "version") != NULL);
    CHECK_INT(
        stored_ask(fd, MBR__XS_CONTROL, 0, &reply, verb, "-s", "-F", "-t", "5", "-v", "2", NULL),
        0);
    CHECK(strcmp(reply.payload, "OK") == 0);
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "logfile", NULL), -EINVAL);
    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "help", NULL), 0);
    CHECK(strstr(reply.payload, "memreport       [<file>]\n") != NULL);
    CHECK(strstr(reply.payload, "logfile         <file>\n") != NULL);
    (void)close(fd);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report), cmocka_unit_test(test_no_such_file),
        cmocka_unit_test(test_links),  cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_log), /* last: the log goes elsewhere */
    };
    int rc;

    stored_need();
    stored_start(&daemon_, NULL, NULL);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    stored_stop(&daemon_);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
