/* SPDX-License-Identifier: MIT */
/*
 * A program over libxenstore that uses each of its calls, against the daemon at $XENSTORED_PATH.
 * It knows nothing of ours.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xenstore.h>

static int step;

#define MUST(condition)                                                                           \
    do {                                                                                          \
        step++;                                                                                   \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "line %d: not so: %s (%s)\n", __LINE__, #condition, strerror(errno)); \
            exit(1);                                                                              \
        }                                                                                         \
    } while (0)

static void nodes(struct xs_handle *h)
{
    unsigned length = 0;
    unsigned count = 0;
    char *value;
    char **names;

    MUST(xs_write(h, XBT_NULL, "/x/a", "va\0lue", 6));
    value = xs_read(h, XBT_NULL, "/x/a", &length);
    MUST(value != NULL && length == 6 && memcmp(value, "va\0lue", 7) == 0);
    free(value);
    MUST(xs_mkdir(h, XBT_NULL, "/x/d"));
    MUST(xs_mkdir(h, XBT_NULL, "/x/d"));
    names = xs_directory(h, XBT_NULL, "/x", &count);
    MUST(names != NULL && count == 2);
    free(names);
    MUST(xs_rm(h, XBT_NULL, "/x/d"));
    MUST(xs_rm(h, XBT_NULL, "/x/d"));
    MUST(xs_read(h, XBT_NULL, "/x/d", &length) == NULL && errno == ENOENT);
    MUST(!xs_rm(h, XBT_NULL, "/") && errno == EINVAL);
    MUST(!xs_write(h, XBT_NULL, "/x//y", "", 0) && errno == EINVAL);
    MUST(xs_directory(h, XBT_NULL, "/none", &count) == NULL && errno == ENOENT);
}

/* A list that does not fit into one message is fetched in parts. */
static void wide(struct xs_handle *h)
{
    xs_transaction_t t = xs_transaction_start(h);
    unsigned count = 0;
    char **names;

    MUST(t != XBT_NULL);
    for (int i = 0; i < 1000; i++) {
        char path[64];

        snprintf(path, sizeof(path), "/x/wide/child-%04d", i);
        MUST(xs_write(h, t, path, "", 0));
    }
    MUST(xs_transaction_end(h, t, false));
    names = xs_directory(h, XBT_NULL, "/x/wide", &count);
    MUST(names != NULL && count == 1000);
    free(names);
}

static void permissions(struct xs_handle *h)
{
    struct xs_permissions perms[2] = {{.id = 0, .perms = XS_PERM_READ},
                                      {.id = 3, .perms = XS_PERM_READ | XS_PERM_WRITE}};
    struct xs_permissions *found;
    unsigned count = 0;

    MUST(xs_set_permissions(h, XBT_NULL, "/x/a", perms, 2));
    found = xs_get_permissions(h, XBT_NULL, "/x/a", &count);
    MUST(found != NULL && count == 2 && found[0].id == 0 && found[1].id == 3);
    MUST(found[0].perms == XS_PERM_READ && found[1].perms == (XS_PERM_READ | XS_PERM_WRITE));
    free(found);
}

static void transactions(struct xs_handle *h, struct xs_handle *other)
{
    xs_transaction_t t = xs_transaction_start(h);
    unsigned length = 0;
    char *value;

    MUST(t != XBT_NULL);
    value = xs_read(h, t, "/x/a", &length);
    MUST(value != NULL);
    free(value);
    MUST(xs_write(other, XBT_NULL, "/x/a", "theirs", 6));
    MUST(xs_write(h, t, "/x/a", "ours", 4));
    MUST(!xs_transaction_end(h, t, false) && errno == EAGAIN);
    MUST((t = xs_transaction_start(h)) != XBT_NULL);
    MUST(xs_write(h, t, "/x/a", "dropped", 7));
    MUST(xs_transaction_end(h, t, true));
    value = xs_read(h, XBT_NULL, "/x/a", &length);
    MUST(value != NULL && strcmp(value, "theirs") == 0);
    free(value);
    MUST(!xs_transaction_end(h, 12345, false) && errno == ENOENT);
}

static void expect_event(struct xs_handle *h, const char *path, const char *token)
{
    unsigned count = 0;
    char **event = xs_read_watch(h, &count);

    MUST(event != NULL && count == 2);
    MUST(strcmp(event[XS_WATCH_PATH], path) == 0 && strcmp(event[XS_WATCH_TOKEN], token) == 0);
    free(event);
}

static void watches(struct xs_handle *h, struct xs_handle *other)
{
    struct pollfd pfd = {.fd = xs_fileno(h), .events = POLLIN};
    char **event;

    MUST(pfd.fd >= 0);
    MUST(xs_watch(h, "/x/w", "token"));
    MUST(!xs_watch(h, "/x/w", "token") && errno == EEXIST);
    expect_event(h, "/x/w", "token");
    MUST(xs_check_watch(h) == NULL && errno == EAGAIN);
    MUST(xs_write(other, XBT_NULL, "/x/w/below", "1", 1));
    MUST(poll(&pfd, 1, 20000) == 1);
    while ((event = xs_check_watch(h)) == NULL)
        MUST(errno == EAGAIN);
    MUST(strcmp(event[XS_WATCH_PATH], "/x/w/below") == 0);
    free(event);
    MUST(xs_unwatch(h, "/x/w", "token"));
    MUST(!xs_unwatch(h, "/x/w", "token") && errno == ENOENT);
    MUST(xs_watch(h, "@introduceDomain", "i") && xs_watch(h, "@releaseDomain", "r"));
    expect_event(h, "@introduceDomain", "i");
    expect_event(h, "@releaseDomain", "r");
    MUST(xs_unwatch(h, "@introduceDomain", "i") && xs_unwatch(h, "@releaseDomain", "r"));
}

static void domains(struct xs_handle *h)
{
    char *path = xs_get_domain_path(h, 5);
    char *text;

    MUST(path != NULL && strcmp(path, "/local/domain/5") == 0);
    free(path);
    MUST(!xs_is_domain_introduced(h, 5));
    MUST(xs_is_domain_introduced(h, 0));
    MUST(!xs_release_domain(h, 5) && errno == ENOENT);
    MUST(!xs_resume_domain(h, 5) && errno == ENOENT);
    MUST(!xs_set_target(h, 5, 6));
    /* A frame is of a kind that only a hypervisor has: whether it is taken is the daemon's affair,
     * but it has to answer, and go on. */
    if (xs_introduce_domain(h, 5, 1, 1)) {
        MUST(xs_is_domain_introduced(h, 5));
        MUST(xs_release_domain(h, 5));
    }
    MUST(!xs_is_domain_introduced(h, 5));
    text = xs_control_command(h, "help", NULL, 0);
    MUST(text != NULL);
    free(text);
    text = xs_debug_command(h, "check", NULL, 0);
    MUST(text != NULL);
    free(text);
    MUST(!xs_restrict(h, 5));
    MUST(xs_suspend_evtchn_port(5) == -1);
    MUST(xs_path_is_subpath("/a", "/a/b") && !xs_path_is_subpath("/a", "/ab"));
}

static void processes(struct xs_handle *h)
{
    pid_t pid = fork();
    int status;

    MUST(pid >= 0);
    if (pid == 0) {
        xs_daemon_destroy_postfork(h);
        _exit(0);
    }
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
    MUST(xs_write(h, XBT_NULL, "/x/after", "fork", 4));
}

int main(void)
{
    struct xs_handle *h = xs_open(0);
    struct xs_handle *other = xs_daemon_open();
    struct xs_handle *more;

    MUST(h != NULL && other != NULL);
    MUST((more = xs_domain_open()) != NULL);
    xs_daemon_close(more);
    MUST((more = xs_daemon_open_readonly()) != NULL);
    xs_close(more);
    MUST((more = xs_open(XS_OPEN_SOCKETONLY)) != NULL);
    xs_close(more);
    nodes(h);
    wide(h);
    permissions(h);
    transactions(h, other);
    watches(h, other);
    domains(h);
    processes(h);
    MUST(xs_rm(h, XBT_NULL, "/x"));
    xs_close(other);
    xs_close(h);
    printf("%d steps\n", step);
    return 0;
}
