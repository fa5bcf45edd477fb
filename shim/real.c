/* SPDX-License-Identifier: MIT */
/* Finding the C library's own calls (dlsym(3), RTLD_NEXT). Two threads may do it at once: they
 * store the same pointers. */
#include "real.h"

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

#include "conn.h"

/* What an allocator may call when dlsym() makes it begin: the kernel itself, until all are found.
 */
static ssize_t early_read(int fd, void *buf, size_t n)
{
    return shim_kernel(SYS_read, fd, buf, n);
}

static ssize_t early_write(int fd, const void *buf, size_t n)
{
    return shim_kernel(SYS_write, fd, buf, n);
}

static int early_close(int fd)
{
    return (int)shim_kernel(SYS_close, fd);
}

struct shim_real real = {.read = early_read, .write = early_write, .close = early_close};
int shim_is_ready;
static __thread bool looking __attribute__((tls_model("initial-exec")));

/* ISO C has no conversion between pointers to objects and to functions; POSIX says they are alike.
 */
static void look_up(const char *name, void *slot)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found != NULL)
        memcpy(slot, &found, sizeof(found));
}

void shim_ready_slow(void)
{
    if (looking)
        return;
    looking = true;
#define X(result, name, parameters) look_up(#name, &real.name);
    SHIM_REAL_CALLS(X)
#undef X
    shim_settings_read();
    __atomic_store_n(&shim_is_ready, 1, __ATOMIC_RELEASE);
    looking = false;
}
