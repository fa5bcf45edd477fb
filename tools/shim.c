/* SPDX-License-Identifier: MIT */
/*
 * membrane shim: another program, with the shim library preloaded. What the library does is its own
 * affair (shim/); here it is found, told what to do through the environment, and the program takes
 * our place.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exits.h"
#include "options.h"
#include "say.h"
#include "verbs.h"

/* `beside`, a path relative to this program's directory, in `out`. False: no such file. */
static bool find_beside(const char *beside, char out[PATH_MAX])
{
    char self[PATH_MAX];
    char path[2 * PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    if (n <= 0)
        return false;
    self[n] = '\0';
    slash = strrchr(self, '/');
    if (slash == NULL)
        return false;
    slash[1] = '\0';
    (void)snprintf(path, sizeof(path), "%s%s", self, beside);
    return realpath(path, out) != NULL;
}

/* In the build directory, where this program is installed, or where it was meant to be. */
static bool find_library(char out[PATH_MAX])
{
    return find_beside("../lib/libmembrane-shim.so", out) ||
           find_beside(MEMBRANE_SHIM_RELATIVE, out) ||
           realpath(MEMBRANE_SHIM_INSTALLED, out) != NULL;
}

/* In front of what is preloaded already. The loader takes blanks and colons for separators. */
static int preload(const char *library)
{
    const char *others = getenv("LD_PRELOAD");
    char *all = NULL;
    int rc;

    if (strpbrk(library, " :") != NULL)
        return -EINVAL;
    rc = others == NULL || others[0] == '\0' ? asprintf(&all, "%s", library)
                                             : asprintf(&all, "%s:%s", library, others);
    if (rc < 0)
        return -ENOMEM;
    rc = setenv("LD_PRELOAD", all, 1) < 0 ? -errno : 0;
    free(all);
    return rc;
}

/* AddressSanitizer's shared run-time, as gcc has it, wants to be in front of all libraries, and
 * else does not begin; being behind ours does it no harm. What the user says goes first. */
static int let_sanitizer_follow(void)
{
    const char *said = getenv("ASAN_OPTIONS");
    char *all = NULL;
    int rc;

    if (said != NULL && strstr(said, "verify_asan_link_order") != NULL)
        return 0;
    if (asprintf(&all, "%s%sverify_asan_link_order=0", said != NULL ? said : "",
                 said != NULL && said[0] != '\0' ? ":" : "") < 0)
        return -ENOMEM;
    rc = setenv("ASAN_OPTIONS", all, 1) < 0 ? -errno : 0;
    free(all);
    return rc;
}

static int prepare(const struct tool_args *args, uint64_t capacity)
{
    const char *libos = tool_given(args, OPT_LIBOS) ? args->value[OPT_LIBOS] : "catloop";
    char library[PATH_MAX];
    char bytes[24];
    int rc;

    if (!find_library(library))
        return tool_error(TOOL_EXIT_INCOMPATIBLE, "install it beside the tool, in lib/membrane",
                          "libmembrane-shim.so is not installed");
    if (setenv("MEMBRANE_SHIM", libos, 1) < 0)
        return tool_error_library(-errno, "the environment");
    (void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)capacity);
    if (capacity != 0 && setenv("MEMBRANE_CAPACITY", bytes, 1) < 0)
        return tool_error_library(-errno, "the environment");
    if (tool_given(args, OPT_NO_NAMES) && setenv("MEMBRANE_SHIM_NAMES", "off", 1) < 0)
        return tool_error_library(-errno, "the environment");
    rc = let_sanitizer_follow();
    if (rc < 0)
        return tool_error_library(rc, "the environment");
    rc = preload(library);
    return rc < 0 ? tool_error_library(rc, "%s", library) : TOOL_EXIT_OK;
}

int tool_shim(const struct tool_args *args)
{
    uint64_t capacity = 0;
    int rc = tool_size(args, OPT_CAPACITY, 0, 4096, UINT64_C(1) << 30, &capacity);

    if (rc == TOOL_EXIT_OK)
        rc = prepare(args, capacity);
    if (rc != TOOL_EXIT_OK)
        return rc;
    execvp(args->command[0], args->command);
    return tool_error_system(-errno, "%s", args->command[0]);
}
