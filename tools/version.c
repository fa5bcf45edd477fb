/* SPDX-License-Identifier: MIT */
/*
 * membrane version.
 */
#include "version.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <jansson.h>

#include <membrane/base.h>

#include "exits.h"
#include "probe.h"
#include "say.h"
#include "verbs.h"

#ifndef MEMBRANE_COMMIT
#define MEMBRANE_COMMIT ""
#endif
#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

const char *tool_commit(void)
{
    return MEMBRANE_COMMIT;
}

/* Asked of the library itself: the tool does not need it, so it is not linked. */
const char *tool_libyaml_version(char *text, size_t size)
{
    void *library = dlopen("libyaml-0.so.2", RTLD_LAZY | RTLD_LOCAL);
    const char *(*version)(void) = NULL;

    if (library == NULL)
        return NULL;

    /* dlsym() gives an object pointer; POSIX promises that it may be copied into a function's. */
    void *symbol = dlsym(library, "yaml_get_version_string");

    memcpy(&version, &symbol, sizeof(version));
    (void)snprintf(text, size, "%s", symbol != NULL ? version() : "unknown");
    (void)dlclose(library);
    return text;
}

static json_t *features(void)
{
    json_t *object = json_object();

    for (const struct tool_probe *p = tool_probes; p->name != NULL; p++)
        (void)json_object_set_new(object, p->name, json_boolean(p->try_it() == 0));
    return object;
}

static int print_json(const struct utsname *system)
{
    char yaml[32];

    return tool_print_json(
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:o}", "version", MBR_VERSION_STRING,
                  "library", mbr_version(), "commit", tool_commit(), "compiler", COMPILER, "kernel",
                  system->release, "jansson", jansson_version_str(), "libyaml",
                  tool_libyaml_version(yaml, sizeof(yaml)), "features", features()),
        stdout);
}

static void print_verbose(const struct utsname *system)
{
    char yaml[32];
    const char *found = tool_libyaml_version(yaml, sizeof(yaml));

    printf("library   %s\n", mbr_version());
    printf("commit    %s\n", tool_commit()[0] != '\0' ? tool_commit() : "not known");
    printf("compiler  %s\n", COMPILER);
    printf("kernel    %s %s %s\n", system->sysname, system->release, system->machine);
    printf("jansson   %s\n", jansson_version_str());
    printf("libyaml   %s\n", found != NULL ? found : "not installed");
    for (const struct tool_probe *p = tool_probes; p->name != NULL; p++) {
        int rc = p->try_it();

        printf("kernel    %-16s %s\n", p->name, rc == 0 ? "yes" : mbr_error_name(rc));
    }
}

int tool_version(const struct tool_args *args)
{
    struct utsname system;

    (void)uname(&system);
    if (tool_given(args, OPT_JSON))
        return print_json(&system);
    printf("membrane %s", MBR_VERSION_STRING);
    if (strcmp(mbr_version(), MBR_VERSION_STRING) != 0)
        printf(" (library %s)", mbr_version());
    printf("\n");
    if (tool_given(args, OPT_VERBOSE))
        print_verbose(&system);
    return TOOL_EXIT_OK;
}
