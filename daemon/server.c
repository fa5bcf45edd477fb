/* SPDX-License-Identifier: MIT */
/*
 * The loop and the engine's callbacks; see server.h.
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "../tools/exits.h"
#include "accept.h"
#include "base/clock.h"
#include "conn.h"
#include "containers.h"
#include "control.h"
#include "journal.h"
#include "log.h"
#include "notify.h"
#include "ring.h"
#include "update.h"
#include "user.h"

#define EVENTS 256

/* Connections served before what they have caused is sent. A client that was woken by the first
 * answer is awake for the others: waking costs more than answering. */
#define GATHER 16

/* Nodes of removed subtrees worked off in one turn: a fraction of a millisecond. */
#define WORK_SLICE 512

/* How long those wait that found no memory. */
#define STARVED_NS UINT64_C(20000000)

/* ---- the engine's callbacks --------------------------------------------------------------------
 */

static void on_output(void *user, struct mbr__store_conn *store_conn)
{
    struct server *server = user;
    struct conn *conn = mbr__store_conn_user(store_conn);

    if (conn != NULL && !conn->dead && mbr__list_empty(&conn->dirty))
        mbr__list_push_back(&server->dirty, &conn->dirty);
}

static void on_resume(void *user, struct mbr__store_conn *store_conn)
{
    struct server *server = user;
    struct conn *conn = mbr__store_conn_user(store_conn);

    if (conn != NULL && !conn->dead && mbr__list_empty(&conn->resumable))
        mbr__list_push_back(&server->resumable, &conn->resumable);
}

static void on_broken(void *user, struct mbr__store_conn *store_conn, int error)
{
    struct conn *conn = mbr__store_conn_user(store_conn);

    (void)user;
    if (conn == NULL)
        return;
    conn_complain(conn, error == -ENOMEM ? "no memory for what it must be told"
                                         : "it does not read what it asked for");
    conn_close(conn);
}

/* INTRODUCE has no memory to offer here: it makes the domain known, and starts its rings anew. */
static int on_introduce(void *user, uint32_t domid, uint64_t gfn, uint32_t port, bool again)
{
    struct server *server = user;
    struct mbr__list *node;

    (void)gfn;
    (void)port;
    if (!again)
        return 0;
    mbr__list_for_each (node, &server->conns) {
        struct conn *conn = mbr__container_of(node, struct conn, node);

        if (conn->ring != NULL && conn->domid == domid && !conn->dead)
            ring_rebind(conn->ring);
    }
    return 0;
}

static void on_release(void *user, uint32_t domid)
{
    struct server *server = user;
    struct mbr__list *node;

    user_released(server, domid);
    mbr__list_for_each (node, &server->conns) {
        struct conn *conn = mbr__container_of(node, struct conn, node);

        if (conn->domid == domid)
            conn_close(conn);
    }
}

static void on_journal(void *user, const struct mbr__store_batch *batch)
{
    struct server *server = user;

    journal_append(server->journal, batch);
}

static void on_log(void *user, enum mbr_log_level level, const char *text)
{
    (void)user;
    log_line(level, "%s", text);
}

static uint64_t quota_of(const struct settings *settings, enum setting_id id)
{
    uint64_t value = settings_number(settings, id);

    /* 0 is "any number" to people and "the default" to the engine. */
    return value == 0 || value > INT32_MAX ? INT32_MAX : value;
}

void server_store_options(struct server *server, struct mbr__store_options *out)
{
    const struct settings *settings = server->settings;

    *out = (struct mbr__store_options){
        .user = server,
        .output = on_output,
        .resume = on_resume,
        .broken = on_broken,
        .introduce = on_introduce,
        .release = on_release,
        .control = control_called,
        .control_help = control_help,
        .journal = server->journal != NULL ? on_journal : NULL,
        .log = on_log,
    };
    out->quota[MBR__STORE_QUOTA_NODES] = quota_of(settings, SETTING_QUOTA_NODES);
    out->quota[MBR__STORE_QUOTA_WATCHES] = quota_of(settings, SETTING_QUOTA_WATCHES);
    out->quota[MBR__STORE_QUOTA_TRANSACTIONS] = quota_of(settings, SETTING_QUOTA_TRANSACTIONS);
    out->quota[MBR__STORE_QUOTA_TRANSACTION_NODES] =
        quota_of(settings, SETTING_QUOTA_TRANSACTION_NODES);
    out->quota[MBR__STORE_QUOTA_OUTSTANDING] = quota_of(settings, SETTING_QUOTA_OUTSTANDING);
    out->quota[MBR__STORE_QUOTA_MEMORY] = quota_of(settings, SETTING_QUOTA_MEMORY);
    out->quota[MBR__STORE_QUOTA_NODE_SIZE] = quota_of(settings, SETTING_QUOTA_NODE_SIZE);
    out->quota[MBR__STORE_QUOTA_PERMISSIONS] = quota_of(settings, SETTING_QUOTA_NODE_PERMISSIONS);
}

/* ---- making ------------------------------------------------------------------------------------
 */

int server_init(struct server *server, const struct settings *settings)
{
    *server = (struct server){
        .settings = settings,
        .epoll = -1,
        .listener = -1,
        .lock = -1,
        .signals = -1,
        .spare = -1,
        .next_conn = 1,
        .unread_limit = (uint32_t)settings_number(settings, SETTING_UNREAD),
    };
    mbr__list_init(&server->conns);
    mbr__list_init(&server->dirty);
    mbr__list_init(&server->resumable);
    mbr__list_init(&server->starved);
    mbr__list_init(&server->closing);
    mbr__list_init(&server->rings);
    mbr__list_init(&server->later);
    mbr__hash_init(&server->users);
    mbr__hash_init(&server->domains);
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (server->epoll < 0 || server->spare < 0)
        return -errno;
    server->containers = malloc(sizeof(*server->containers));
    if (server->containers == NULL)
        return -ENOMEM;
    containers_init(server->containers, server);
    return spare_init(&server->spares);
}

static void free_closing(struct server *server)
{
    struct mbr__list *node;

    while ((node = mbr__list_first(&server->closing)) != NULL)
        conn_free(mbr__container_of(node, struct conn, closing));
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void server_fini(struct server *server)
{
    struct mbr__list *node;

    server->stopping = true;
    mbr__list_for_each (node, &server->conns) {
        conn_close(mbr__container_of(node, struct conn, node));
    }
    free_closing(server);
    mbr__store_free(server->store);
    users_free(server);
    if (server->containers != NULL)
        containers_fini(server->containers);
    free(server->containers);
    journal_close(server->journal);
    spare_fini(&server->spares);
    close_fd(&server->signals);
    close_fd(&server->spare);
    close_fd(&server->epoll);
}

int server_add(struct server *server, int fd, struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void server_remove(struct server *server, int fd)
{
    (void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* ---- signals -----------------------------------------------------------------------------------
 */

static void signal_ready(struct source *self, uint32_t events)
{
    struct server *server = mbr__container_of(self, struct server, signalled);
    struct signalfd_siginfo info;
    char why[256] = "";

    (void)events;
    while (read(server->signals, &info, sizeof(info)) == sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGHUP:
            log_reopen();
            break;
        case SIGUSR2:
            (void)update_begin(server, NULL, why, sizeof(why));
            break;
        default:
            log_info("stopping on signal %u", info.ssi_signo);
            server->stopping = true;
            break;
        }
    }
}

static int watch_signals(struct server *server)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGUSR2);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on files is an error like a full disk */
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -errno;
    server->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (server->signals < 0)
        return -errno;
    server->signalled.ready = signal_ready;
    return server_add(server, server->signals, &server->signalled, EPOLLIN);
}

static void journal_ready(struct source *self, uint32_t events)
{
    struct server *server = mbr__container_of(self, struct server, journaled);

    (void)events;
    journal_collect(server->journal);
}

int server_watch(struct server *server)
{
    int rc = watch_signals(server);

    server->accepting.ready = accept_ready;
    server->journaled.ready = journal_ready;
    if (rc == 0)
        rc = server_add(server, server->listener, &server->accepting, EPOLLIN);
    server->listening = rc == 0;
    if (rc == 0)
        rc = containers_watch(server->containers);
    if (rc == 0)
        rc = containers_watch_shelf(server->containers);
    if (rc == 0 && server->journal != NULL)
        rc = server_add(server, journal_descriptor(server->journal), &server->journaled,
                        EPOLLIN | EPOLLET);
    server->watchdog_ns = notify_watchdog_ns();
    return rc;
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

void server_settle(struct server *server)
{
    struct mbr__list *node;

    /* Each may cause the next: an answer is output, and what was sent lets others go on. */
    for (;;) {
        if ((node = mbr__list_first(&server->later)) != NULL)
            control_run(mbr__container_of(node, struct conn, later));
        else if ((node = mbr__list_pop_front(&server->dirty)) != NULL)
            conn_flush(mbr__container_of(node, struct conn, dirty));
        else
            break;
    }
}

/* Those that may go on, once each, so that one that is stopped again waits for the next turn. */
static void resume_all(struct server *server)
{
    struct mbr__list turn;
    struct mbr__list *node;

    if (mbr__list_empty(&server->resumable))
        return;
    mbr__list_init(&turn);
    while ((node = mbr__list_pop_front(&server->resumable)) != NULL)
        mbr__list_push_back(&turn, node);
    while ((node = mbr__list_pop_front(&turn)) != NULL) {
        conn_resume(mbr__container_of(node, struct conn, resumable));
        server_settle(server);
    }
}

static void feed_starved(struct server *server, uint64_t now)
{
    struct mbr__list *node;

    if (mbr__list_empty(&server->starved))
        return;
    if (server->starved_until == 0)
        server->starved_until = now + STARVED_NS;
    if (now < server->starved_until)
        return;
    server->starved_until = 0;
    while ((node = mbr__list_pop_front(&server->starved)) != NULL)
        mbr__list_push_back(&server->resumable, node);
}

static void pat_watchdog(struct server *server, uint64_t now)
{
    if (server->watchdog_ns == 0 || now < server->watchdog_next)
        return;
    server->watchdog_next = now + server->watchdog_ns;
    notify_send("WATCHDOG=1");
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When the loop must go on although nothing happens; 0: at once. */
static uint64_t next_deadline(const struct server *server)
{
    uint64_t deadline = mbr__store_deadline(server->store);

    if (server->work_left || !mbr__list_empty(&server->rings) ||
        !mbr__list_empty(&server->resumable))
        return 0;
    if (server->starved_until != 0)
        deadline = earlier(deadline, server->starved_until);
    if (server->watchdog_ns != 0)
        deadline = earlier(deadline, server->watchdog_next);
    if (server->journal != NULL)
        deadline = earlier(deadline, journal_deadline(server->journal));
    return earlier(deadline, update_deadline(server->update));
}

/* Waits for descriptors, until DEADLINE at most. */
static int wait_events(struct server *server, struct epoll_event *events, uint64_t deadline)
{
    struct timespec span = {0};
    uint64_t now;
    uint64_t left;

    if (deadline == 0)
        return epoll_wait(server->epoll, events, EVENTS, 0);
    if (deadline == MBR__NEVER)
        return epoll_wait(server->epoll, events, EVENTS, -1);
    now = mbr__now_ns();
    left = deadline > now ? deadline - now : 0;
    span.tv_sec = (time_t)(left / 1000000000u);
    span.tv_nsec = (long)(left % 1000000000u);

    int n = epoll_pwait2(server->epoll, events, EVENTS, &span, NULL);

    if (n < 0 && errno == ENOSYS) /* before Linux 5.11: whole milliseconds */
        n = epoll_wait(server->epoll, events, EVENTS,
                       left > 1000000000u ? 1000 : (int)((left + 999999) / 1000000));
    return n;
}

/* Frees what ends. With a domain's last connection its release is told to others, whose connections
 * may end over that. */
static void bury(struct server *server)
{
    while (!mbr__list_empty(&server->closing)) {
        free_closing(server);
        server->work_left = true;
        server_settle(server);
    }
}

/* What is done at the end of a turn, whatever the turn was. */
static void end_turn(struct server *server)
{
    bool trying = update_deadline(server->update) != MBR__NEVER;
    bool timed = trying || server->watchdog_ns != 0 || !mbr__list_empty(&server->starved);
    uint64_t now = timed ? mbr__now_ns() : 0;

    resume_all(server);
    containers_bury(server->containers);
    bury(server);
    server->work_left = mbr__store_work(server->store, WORK_SLICE);
    server_settle(server);
    feed_starved(server, now);
    pat_watchdog(server, now);
    if (trying)
        update_tick(server->update, now);
    if (server->journal != NULL && !journal_turn(server->journal)) {
        server->exit_code = TOOL_EXIT_LIMIT;
        server->stopping = true;
    }
    bury(server);
}

static void turn(struct server *server)
{
    struct epoll_event events[EVENTS];
    int n = wait_events(server, events, next_deadline(server));

    for (int i = 0; i < n; i++) {
        struct source *source = events[i].data.ptr;

        source->ready(source, events[i].events);
        if ((i + 1) % GATHER == 0)
            server_settle(server);
    }
    server_settle(server);
    (void)rings_serve(server);
    end_turn(server);
}

int server_run(struct server *server)
{
    while (!server->stopping)
        turn(server);
    if (server->journal != NULL) {
        (void)journal_flush(server->journal);
        server_settle(server);
    }
    return server->exit_code;
}
