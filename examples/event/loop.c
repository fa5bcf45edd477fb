/* SPDX-License-Identifier: MIT */
/*
 * A plain epoll loop that also waits for what only a wait set can wait for: an event count that
 * another process advances, that process's death, and a timer.
 *
 * A worker process finishes jobs and counts them in shared memory, without a system call while we
 * are awake. The loop has a descriptor of its own, a pipe on which the worker says goodbye, and
 * treats the wait set as one more: prepare before the sleep, poll after it. libuv and GLib have the
 * same two hooks (uv_prepare_t, GSourceFuncs).
 *
 *     cc loop.c $(pkg-config --cflags --libs membrane)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <membrane/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS 100000

static struct mbr_count *finished; /* shared with the worker */
static int worker_alive = 1;
static int goodbye_said;

static void check(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, mbr_error_text(result));
        exit(1);
    }
}

/* Called when at least the awaited number of jobs is finished; there may be more already. */
static void on_finished(struct mbr_watch *w, uint32_t events)
{
    uint64_t *seen = w->data;

    (void)events;
    *seen = mbr_count_read(finished);
    if (*seen < JOBS)
        check(mbr_watch_count_next(w, *seen + 1), "watch the next job");
    else
        mbr_watch_end(w);
}

static void on_death(struct mbr_watch *w, uint32_t events)
{
    (void)w;
    (void)events;
    worker_alive = 0;
}

static void on_timeout(struct mbr_watch *w, uint32_t events)
{
    (void)w;
    (void)events;
    fprintf(stderr, "no end after 50 s\n");
    exit(1);
}

static pid_t start_worker(int goodbye)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    for (int i = 0; i < JOBS; i++)
        mbr_count_advance(finished, 1);
    _exit(write(goodbye, "bye", 3) == 3 ? 0 : 1);
}

static void run_loop(struct mbr_waitset *ws, int goodbye)
{
    struct epoll_event own = {.events = EPOLLIN, .data.fd = goodbye};
    struct epoll_event set = {.events = EPOLLIN, .data.fd = mbr_waitset_fd(ws)};
    struct epoll_event ready;
    int loop = epoll_create1(EPOLL_CLOEXEC);

    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, own.data.fd, &own) < 0 ||
        epoll_ctl(loop, EPOLL_CTL_ADD, set.data.fd, &set) < 0) {
        perror("epoll");
        exit(1);
    }
    while (worker_alive || !goodbye_said) {
        int more = mbr_waitset_prepare(ws);

        check(more, "prepare");
        int n = epoll_wait(loop, &ready, 1, more ? 0 : -1);

        if (n > 0 && ready.data.fd == goodbye) {
            char text[4] = "";

            goodbye_said = read(goodbye, text, 3) > 0;
            printf("the worker says %s\n", text);
        }
        check(mbr_waitset_poll(ws), "poll");
    }
    close(loop);
}

int main(void)
{
    struct mbr_waitset *ws;
    uint64_t seen = 0;
    struct mbr_watch count = {.data = &seen};
    struct mbr_watch death = {.data = NULL};
    struct mbr_watch timeout = {.data = NULL};
    int goodbye[2];

    finished =
        mmap(NULL, sizeof(*finished), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (finished == MAP_FAILED || pipe(goodbye) < 0)
        return 1;
    mbr_count_init(finished, 0);

    check(mbr_waitset_new(&ws), "wait set");
    check(mbr_watch_count(ws, &count, finished, 1, on_finished), "watch the count");
    check(mbr_watch_timer(ws, &timeout, UINT64_C(50000000000), on_timeout), "timer");
    pid_t worker = start_worker(goodbye[1]);

    if (worker < 0)
        return 1;
    int r = mbr_watch_death(ws, &death, worker, on_death);

    if (r == -ESRCH) /* it was quick */
        worker_alive = 0;
    else
        check(r, "watch the worker");
    run_loop(ws, goodbye[0]);
    waitpid(worker, NULL, 0);
    seen = mbr_count_read(finished);
    printf("%llu jobs finished, the worker has ended\n", (unsigned long long)seen);
    mbr_waitset_free(ws);
    return seen == JOBS ? 0 : 1;
}
