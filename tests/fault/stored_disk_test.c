/* SPDX-License-Identifier: MIT */
/*
 * membraned --state on a disk that takes no more (a limit on the size of files stands for it):
 * writes wait, unacknowledged; reads are served; when the disk takes more again they are answered,
 * and are there after a kill. And on a file that somebody has cut off.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../multi/stored.h"

static struct stored daemon_;
static char value[3000];

static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    char bytes[4096];
    size_t n;

    CHECK(in != NULL && out != NULL);
    while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
        CHECK(fwrite(bytes, 1, n, out) == n);
    CHECK(fclose(in) == 0 && fclose(out) == 0);
}

/* Sends writes, one at a time, until the daemon says that there is no room for one; its number. */
static unsigned fill(int fd)
{
    for (unsigned i = 0;; i++) {
        struct pollfd answer = {.fd = fd, .events = POLLIN};
        struct stored_reply reply;
        char payload[MBR__STORE_PAYLOAD_MAX];
        int length = snprintf(payload, sizeof(payload), "/fill/%u%c%s", i, 0, value);

        CHECK(i < 100000);
        stored_send(fd, MBR__XS_WRITE, i, 0, payload, (size_t)length);
        while (poll(&answer, 1, 100) == 0) {
            if (stored_said(&daemon_, "the state cannot be written"))
                return i;
        }
        stored_reply(fd, &reply);
        CHECK_INT(reply.header.type, MBR__XS_WRITE);
    }
}

/* A file that has lost its end is refused, with words and not by a signal. */
static void cut_off(const char *dir, const char *const *arguments)
{
    off_t lengths[] = {0, 100, 4096, 3 * 4096, 0};
    struct stat whole;
    char kept[700];
    char file[700];

    (void)snprintf(file, sizeof(file), "%s/data.mdb", dir);
    (void)snprintf(kept, sizeof(kept), "%s/kept", dir);
    CHECK_INT(stat(file, &whole), 0);
    CHECK_INT(rename(file, kept), 0);
    lengths[4] = whole.st_size / 2;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        copy_file(kept, file);
        CHECK_INT(truncate(file, lengths[i]), 0);
        stored_refuses(1, NULL, arguments);
    }
    CHECK_INT(rename(kept, file), 0);
    stored_start(&daemon_, NULL, arguments);
    stored_stop(&daemon_);
}

static int run(int argc, char **argv)
{
    struct rlimit little = {3u << 20, RLIM_INFINITY};
    struct rlimit much = {RLIM_INFINITY, RLIM_INFINITY};
    char dir[600];
    char path[64];
    const char *arguments[] = {"--state", dir, NULL};
    struct stored_reply reply;
    unsigned last;
    int other;
    int fd;

    stored_need();
    (void)snprintf(dir, sizeof(dir), "%s/state", stage_dir());
    memset(value, 'v', sizeof(value) - 1);
    stored_start(&daemon_, NULL, arguments);
    fd = stored_connect(daemon_.path);
    other = stored_connect(daemon_.path);
    CHECK_INT(stored_write(other, 0, "/before", "kept"), 0);
    CHECK_INT(prlimit(daemon_.pid, RLIMIT_FSIZE, &little, NULL), 0);
    last = fill(fd);
    CHECK(last > 10);
    for (int i = 0; i < 100; i++)
        stored_expect(other, "/before", "kept");
    CHECK_INT(prlimit(daemon_.pid, RLIMIT_FSIZE, &much, NULL), 0);
    stored_reply(fd, &reply); /* the one that was kept waiting */
    CHECK_INT(reply.header.type, MBR__XS_WRITE);
    CHECK_INT(reply.header.req_id, last);
    stored_kill(&daemon_);
    (void)close(fd);
    (void)close(other);

    stored_start(&daemon_, NULL, arguments);
    fd = stored_connect(daemon_.path);
    stored_expect(fd, "/before", "kept");
    for (unsigned i = 0; i <= last; i++) {
        (void)snprintf(path, sizeof(path), "/fill/%u", i);
        stored_expect(fd, path, value);
    }
    (void)close(fd);
    stored_stop(&daemon_);
    cut_off(dir, arguments);
    return 0;
}

int main(int argc, char **argv)
{
    return stage_main(80, argc, argv, run);
}
