/* SPDX-License-Identifier: MIT */
/* Finding the C library's own calls (dlsym(3), RTLD_NEXT). Two threads may do it at once: they
 * store the same pointers. */
#include "real.h"

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

#include "conn.h"

struct shim_real real;
int shim_is_ready;

/* ISO C has no conversion between pointers to objects and to functions; POSIX says they are alike.
 */
static void look_up(const char *name, void *slot)
{
    void *found = dlsym(RTLD_NEXT, name);

    memcpy(slot, &found, sizeof(found));
}

void shim_ready_slow(void)
{
#define X(result, name, parameters) look_up(#name, &real.name);
    SHIM_REAL_CALLS(X)
#undef X
    shim_settings_read();
    __atomic_store_n(&shim_is_ready, 1, __ATOMIC_RELEASE);
}
