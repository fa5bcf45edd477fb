/* SPDX-License-Identifier: MIT */
/*
 * Stands in for an allocator that reads a file when it is first used, by dlsym() of all calls,
 * which allocates in some C libraries: then the shim's read() is called while the shim looks up
 * read(). Preloaded behind the shim.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static void *next_dlsym(void)
{
    static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5", "GLIBC_2.0"};
    void *found = NULL;

    for (size_t i = 0; found == NULL && i < sizeof(versions) / sizeof(versions[0]); i++)
        found = dlvsym(RTLD_NEXT, "dlsym", versions[i]);
    return found;
}

__attribute__((visibility("default"))) void *dlsym(void *restrict handle, const char *restrict name)
{
    void *(*real)(void *restrict, const char *restrict);
    void *found = next_dlsym();
    char text[16];
    int fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);

    if (found == NULL || fd < 0 || read(fd, text, sizeof(text)) <= 0 || close(fd) < 0)
        _exit(99);
    memcpy(&real, &found, sizeof(real));
    return real(handle, name);
}
