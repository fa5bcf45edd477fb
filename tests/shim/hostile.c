/* SPDX-License-Identifier: MIT */
/*
 * A peer that lies. It lets a connection move into shared memory, then writes rubbish over all that
 * its end shows the other, and sends wake-up bytes nobody has asked for; or it leaves links in the
 * directory of names that lead to something else. The victim, which reads and writes in all ways
 * there are, must neither crash nor hang: it hears ECONNRESET, or the end, or rubbish, and then
 * serves the next one, who is honest and gets everything back as it was.
 *
 *   shim_hostile SECONDS
 */
#include <dirent.h>
#include <linux/memfd.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "../../shim/stream_shm.h"
#include "calls.h"

static uint64_t chance;
static uint64_t any64(void)
{
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    return chance ^ chance >> 31;
}

static uint32_t any(uint32_t below)
{
    return (uint32_t)(any64() >> 20) % below;
}

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- the victim ------------------------------------------------------------------------------ */

static int scratch[2]; /* a pipe */
static int file;

/* Whether the connection goes on. */
static bool fine(ssize_t r)
{
    if (r > 0 || (r < 0 && errno == EAGAIN))
        return true;
    if (r < 0 && errno != ECONNRESET && errno != EPIPE && errno != ENOTCONN) {
        perror("the victim");
        _exit(3);
    }
    return false;
}

static bool send_all(int fd, const char *buf, size_t n)
{
    for (size_t at = 0; at < n;) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        ssize_t w = send(fd, buf + at, n - at, MSG_NOSIGNAL);

        if (!fine(w))
            return false;
        if (w < 0)
            (void)poll(&p, 1, 1000);
        at += w > 0 ? (size_t)w : 0;
    }
    return true;
}

static void wait_for_input(int fd, int how, int e)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLRDHUP};
    struct epoll_event ev;

    if (how == 1)
        (void)poll(&p, 1, 1000);
    if (how == 2 || how == 3)
        (void)epoll_wait(e, &ev, 1, 1000);
}

static ssize_t receive(int fd, int how, char *buf, size_t n)
{
    int count = 0;
    int error = 0;
    socklen_t len = sizeof(error);
    ssize_t r;

    if (how != 4)
        return read(fd, buf, n);
    (void)ioctl(fd, FIONREAD, &count);
    (void)ioctl(fd, TIOCOUTQ, &count);
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    r = recv(fd, buf, n / 2, MSG_PEEK);
    return r > 0 ? recv(fd, buf, n, 0) : r;
}

/* Through a pipe and a file. */
static bool relay(int fd)
{
    char buf[4096];
    off_t at = 0;
    ssize_t n = splice(fd, NULL, scratch[1], NULL, sizeof(buf), 0);
    ssize_t r;

    if (!fine(n) || n <= 0)
        return n < 0 && fine(n);
    must(read(scratch[0], buf, sizeof(buf)) == n && pwrite(file, buf, (size_t)n, 0) == n, "pipe");
    for (ssize_t left = n; left > 0; left -= r) {
        r = sendfile(fd, file, &at, (size_t)left);
        if (!fine(r) || r <= 0)
            return false;
    }
    return true;
}

static void serve(int fd, int how)
{
    static char buf[20000];
    int e = how == 2 || how == 3 ? epoll_create1(0) : -1;
    struct epoll_event ev = {.events = how == 3 ? EPOLLIN | EPOLLRDHUP | EPOLLET : EPOLLIN};
    ssize_t r = 1;

    if (e >= 0)
        must(epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev) == 0, "epoll_ctl");
    if (how >= 1 && how <= 3)
        nonblocking(fd);
    for (;;) {
        if (how == 5) {
            if (!relay(fd))
                break;
            continue;
        }
        r = receive(fd, how, buf, sizeof(buf));
        if (!fine(r) || (r > 0 && !send_all(fd, buf, (size_t)r)))
            break;
        if (r < 0)
            wait_for_input(fd, how, e);
    }
    if (e >= 0)
        close(e);
}

static void serve_back(int fd)
{
    static char buf[20000];
    int rounds = (int)any(12);
    int one = 1;
    ssize_t r;

    for (;;) {
        r = read(fd, buf, sizeof(buf));
        if (!fine(r) || (r > 0 && !send_all(fd, buf, (size_t)r)))
            return;
        if (rounds-- == 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
    }
}

static void victim(void)
{
    char name[] = "/tmp/membrane-hostile.XXXXXX";

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    file = mkstemp(name);
    must(file >= 0 && unlink(name) == 0 && pipe(scratch) == 0, "scratch");
    for (int how = 0;; how = (how + 1) % 8) {
        int b = accept(listener, NULL, NULL);
        char first[8];

        must(b >= 0 && b < 100, "accept: descriptors");
        if (how == 7) { /* it goes back to the kernel at some time */
            serve_back(b);
            close(b);
            continue;
        }
        if (how == 6) { /* the child has it after it has moved */
            pid_t child;

            for (int i = 0; i < 6; i++)
                if (recv(b, first, 4, MSG_WAITALL) != 4 || !send_all(b, first, 4))
                    break;
            child = fork();
            if (child == 0) {
                serve(b, 0);
                _exit(0);
            }
            must(child > 0, "fork");
            if (any(2) == 0)
                serve(b, 0); /* both */
            close(b);
            int status = 0;

            must(waitpid(child, &status, 0) == child && status == 0, "the victim's child");
            continue;
        }
        serve(b, how);
        close(b);
    }
}

/* ---- the liar -------------------------------------------------------------------------------- */

static int reach(void)
{
    struct timeval patient = {.tv_sec = 20};
    int a = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &patient, sizeof(patient));
    setsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &patient, sizeof(patient));
    must(connect(a, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    return a;
}

static void converse(int a, int rounds)
{
    char buf[4];

    for (int i = 0; i < rounds; i++)
        must(write(a, "ping", 4) == 4 && recv(a, buf, 4, MSG_WAITALL) == 4 &&
                 memcmp(buf, "ping", 4) == 0,
             "the victim does not answer");
}

/* Our own region, which the peer reads. */
static struct shim_half *own_region(size_t *size)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned long from = 0;
    unsigned long to = 0;
    bool found = false;

    while (!found && maps != NULL && fgets(line, sizeof(line), maps) != NULL)
        found = strstr(line, "memfd:membrane-shim") != NULL && strstr(line, " rw-s ") != NULL &&
                sscanf(line, "%lx-%lx", &from, &to) == 2;
    if (maps != NULL)
        fclose(maps);
    *size = to - from;
    return found ? (struct shim_half *)from : NULL;
}

/* A number that is wrong by a little, by much, or not at all. */
static uint64_t lie(uint64_t truth)
{
    switch (any(6)) {
    case 0:
        return truth + any(3) - 1;
    case 1:
        return truth + any(200000);
    case 2:
        return truth - any(200000);
    case 3:
        return any64();
    case 4:
        return any(2) == 0 ? 0 : UINT64_MAX;
    default:
        return truth;
    }
}

static void scribble(volatile struct shim_half *h)
{
    switch (any(17)) {
    case 12:
        h->left = any(4);
        break;
    case 13:
        h->bells = lie(h->bells);
        break;
    case 14:
        h->copied = lie(any(2) == 0 ? h->copied : h->tail);
        break;
    case 15:
        h->taken = lie(h->taken);
        break;
    case 16:
        h->frozen = any(3);
        break;
    case 0:
    case 1:
        h->tail = lie(h->tail);
        break;
    case 2:
    case 3:
        h->head = lie(h->head);
        break;
    case 4:
        h->start = lie(h->start);
        break;
    case 5:
        h->switched = any(3);
        break;
    case 6:
        h->fin = any(8) == 0;
        break;
    case 7:
        h->closed = any(8) == 0 ? any(4) : 0;
        break;
    case 8:
        h->rx_parked = (uint32_t)any64();
        break;
    case 9:
        h->tx_parked = (uint32_t)any64();
        break;
    case 10:
        h->attached = any(5);
        break;
    default:
        ((volatile uint64_t *)h)[any(4096 / 8)] = any64();
        break;
    }
}

/* From here on the shim of this process knows nothing that is true: only the kernel is used. */
static void rave(int a, struct shim_half *h, size_t size)
{
    uint64_t end = now_ms() + any(25);
    char some[64] = "";

    while (now_ms() < end) {
        for (int i = 0; i < 20; i++) {
            scribble(h);
            if (size > 8192 && any(4) == 0)
                ((volatile uint8_t *)h)[4096 + any((uint32_t)size - 4096)] = (uint8_t)any64();
        }
        if (any(3) == 0)
            (void)syscall(SYS_sendto, a, some, any(sizeof(some)), MSG_DONTWAIT | MSG_NOSIGNAL, NULL,
                          0);
        if (any(3) == 0)
            (void)syscall(SYS_recvfrom, a, some, sizeof(some), MSG_DONTWAIT, NULL, NULL);
    }
    if (any(3) == 0)
        (void)syscall(SYS_shutdown, a, any(3));
}

static void liar(bool moves)
{
    size_t size = 0;
    struct shim_half *h;
    int a = reach();

    converse(a, 8);
    h = own_region(&size);
    must(!moves || h != NULL, "nothing has moved");
    if (h != NULL)
        rave(a, h, size);
    _exit(0);
}

/* ---- links that lead astray ------------------------------------------------------------------ */

static void put_address(char *out, const struct sockaddr_in *in)
{
    sprintf(out, "00000000000000000000ffff%08x%04x", ntohl(in->sin_addr.s_addr),
            ntohs(in->sin_port));
}

/* A memfd that is wrong in one way. */
static int wrong_memory(int how)
{
    int fd = (int)syscall(SYS_memfd_create, "membrane-shim", MFD_ALLOW_SEALING);
    off_t size = how == 0 ? 0 : how == 1 ? 100 : 4096 + 65536;

    must(fd >= 0 && ftruncate(fd, size) == 0, "memfd");
    if (how == 3)
        must(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0, "seals");
    if (how == 4) /* sealed, but with holes */
        must(fcntl(fd, F_ADD_SEALS,
                   F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE) == 0,
             "seals");
    return fd;
}

static void lying_link(int how)
{
    int a = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    int memory = how == 5 ? (int)syscall(SYS_dup, a) : wrong_memory(how);
    struct sockaddr_in here = {0};
    socklen_t len = sizeof(here);
    struct stat net;
    char ends[2][64];
    char path[600];
    char text[200];
    const char *dir = getenv("MEMBRANE_DIR");
    unsigned long long start = 0;
    char buf[4];

    must(syscall(SYS_connect, a, &address, sizeof(address)) == 0, "connect");
    must(getsockname(a, (struct sockaddr *)&here, &len) == 0 &&
             stat("/proc/self/ns/net", &net) == 0,
         "names");
    put_address(ends[0], &here);
    put_address(ends[1], &address);
    snprintf(path, sizeof(path), "%s/tcp.%lx.%s.%s.a", dir, (unsigned long)net.st_ino, ends[0],
             ends[1]);
    FILE *stat_file = fopen("/proc/self/stat", "r");

    must(stat_file != NULL && fscanf(stat_file,
                                     "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
                                     "%*u %*u %*d %*d %*d %*d %*d %*d %llu",
                                     &start) == 1,
         "start");
    fclose(stat_file);
    if (how == 6)
        snprintf(text, sizeof(text), "/etc/passwd");
    else
        snprintf(text, sizeof(text), "m1 %d %llu 0 %d - t %x %x 0 0", getpid(), start, memory, 1,
                 2);
    (void)mkdir(dir, 0700);
    must(symlink(text, path) == 0 || errno == EEXIST, "symlink");
    for (int i = 0; i < 30; i++) {
        size_t got = 0;

        must(syscall(SYS_write, a, "ping", 4) == 4, "write");
        while (got < 4) {
            long r = syscall(SYS_read, a, buf + got, 4 - got);

            must(r > 0, "the victim does not answer on the kernel's connection");
            got += (size_t)r;
        }
        must(memcmp(buf, "ping", 4) == 0, "wrong answer");
    }
    unlink(path);
    _exit(0);
}

/* ---- both ------------------------------------------------------------------------------------ */

static pid_t run(void (*liar_of)(int), int what)
{
    pid_t pid = fork();

    if (pid == 0) {
        liar_of(what);
        _exit(0);
    }
    must(pid > 0, "fork");
    return pid;
}

static void lie_once(int moves)
{
    liar(moves != 0);
}

static void ended(pid_t pid, const char *who)
{
    int status = 0;

    must(waitpid(pid, &status, 0) == pid, "waitpid");
    if (status == 0)
        return;
    printf("%s: status %x\n", who, (unsigned)status);
    exit(1);
}

static void is_well(pid_t pid)
{
    int status = 0;
    int a;

    if (waitpid(pid, &status, WNOHANG) != 0) {
        printf("the victim has died: status %x\n", (unsigned)status);
        exit(1);
    }
    a = reach();
    converse(a, 10);
    close(a);
}

int main(int argc, char **argv)
{
    uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 5;
    uint64_t stop;
    unsigned rounds = 0;
    pid_t suffers;
    const char *libos = getenv("MEMBRANE_SHIM");
    bool moves = libos != NULL && strcmp(libos, "catloop") == 0;

    begin(1, argv);
    fflush(stdout);
    suffers = fork();
    if (suffers == 0)
        victim();
    for (int how = 0; moves && how < 7; how++) {
        ended(run(lying_link, how), "a link that leads astray");
        is_well(suffers);
    }
    stop = now_ms() + seconds * 1000;
    do {
        chance = ++rounds;
        (void)any(2);
        ended(run(lie_once, moves), "the liar");
        is_well(suffers);
    } while (now_ms() < stop);
    kill(suffers, SIGKILL);
    waitpid(suffers, NULL, 0);
    printf("%u rounds\n", rounds);
    return 0;
}
