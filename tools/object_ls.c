/* SPDX-License-Identifier: MIT */
/*
 * membrane object ls and stat: looking.
 */
#include "object.h"

#include <stdio.h>
#include <string.h>

#include "exits.h"
#include "printable.h"
#include "say.h"
#include "units.h"

/* ---- ls ---- */

struct listing {
    int container;
    bool details;
    bool exact;    /* sizes in bytes */
    json_t *array; /* or NULL */
};

static const char *size_text(const struct listing *l, uint64_t bytes, char *text, size_t size)
{
    if (!l->exact)
        return tool_bytes_text(bytes, text, size);
    (void)snprintf(text, size, "%llu", (unsigned long long)bytes);
    return text;
}

static void print_object(const struct listing *l, const struct mbr_object_attr *attr)
{
    char size[32], used[32];

    if (!l->details) {
        printf("%s\n", printable_name(attr->name));
        return;
    }
    printf("%10s %10s %9s %5u users  v%-6llu %s%s\n", size_text(l, attr->size, size, sizeof(size)),
           size_text(l, attr->allocated, used, sizeof(used)), object_policy_text(attr->policy),
           attr->users, (unsigned long long)attr->version, printable_name(attr->name),
           attr->torn != 0 ? "  (torn)" : "");
}

/* One that is removed while we look is left out. */
static int list_object(void *arg, const char *name)
{
    struct listing *l = arg;
    struct mbr_object_attr attr;
    int object = mbr_object_join(l->container, name);
    int rc = object < 0 ? object : mbr_object_getattr(object, &attr);

    if (object >= 0)
        (void)mbr_object_leave(object);
    if (rc == -ENOENT)
        return TOOL_EXIT_OK;
    if (rc < 0)
        return object_error(rc, name);
    attr.users -= attr.users > 0; /* us */
    if (l->array == NULL)
        print_object(l, &attr);
    else if (json_array_append_new(l->array, object_json(&attr)) < 0)
        return tool_error_library(-ENOMEM, "%s", name);
    return TOOL_EXIT_OK;
}

static int list_container(void *arg, const char *name)
{
    struct listing *l = arg;
    struct mbr_container_attr attr;
    char bytes[32];
    int c = mbr_container_join(name);
    int rc = c < 0 ? c : mbr_container_getattr(c, &attr);

    if (c >= 0)
        (void)mbr_container_leave(c);
    if (rc == -ENOENT) /* its last member has died: a name without anything */
        return TOOL_EXIT_OK;
    if (rc < 0)
        return object_error(rc, name);
    attr.members -= attr.members > 0;
    if (l->array != NULL)
        return json_array_append_new(l->array, object_container_json(&attr)) < 0
                   ? tool_error_library(-ENOMEM, "%s", name)
                   : TOOL_EXIT_OK;
    if (l->details)
        printf("%10s %9s %6llu object%-1s %5u member%-1s  %s%s\n",
               size_text(l, attr.bytes, bytes, sizeof(bytes)), object_policy_text(attr.policy),
               (unsigned long long)attr.objects, tool_s(attr.objects), attr.members,
               tool_s(attr.members), printable_name(attr.name),
               (attr.flags & MBR_CONTAINER_PERSISTENT) != 0 ? "  (persistent)" : "");
    else
        printf("%s\n", printable_name(attr.name));
    return TOOL_EXIT_OK;
}

int object_ls(const struct tool_args *args)
{
    struct listing l = {
        .container = -1,
        .details = tool_given(args, OPT_LONG),
        .exact = tool_given(args, OPT_BYTES),
        .array = tool_given(args, OPT_JSON) ? json_array() : NULL,
    };
    const char *what = args->words > 0 ? "objects" : "containers";
    int code = args->words > 0 ? object_open(args, false, &l.container) : TOOL_EXIT_OK;

    if (code == TOOL_EXIT_OK)
        code = args->words > 0 ? object_each(l.container, list_object, &l)
                               : object_each_container(list_container, &l);
    if (l.container >= 0)
        (void)mbr_container_leave(l.container);
    if (code == TOOL_EXIT_OK && l.array != NULL)
        return tool_print_json(json_pack("{s:o}", what, l.array), stdout);
    json_decref(l.array);
    return code;
}

/* ---- stat ---- */

static void print_bytes(const char *label, uint64_t bytes)
{
    char text[32];

    printf("%-10s %s (%llu byte%s)\n", label, tool_bytes_text(bytes, text, sizeof(text)),
           (unsigned long long)bytes, tool_s(bytes));
}

static void print_object_stat(const struct mbr_object_attr *attr)
{
    printf("%-10s %s\n", "object", printable_text(attr->name));
    print_bytes("size", attr->size);
    print_bytes("memory", attr->allocated);
    printf("%-10s %s\n", "policy", object_policy_text(attr->policy));
    printf("%-10s %llu\n", "version", (unsigned long long)attr->version);
    printf("%-10s %u\n", "users", attr->users);
    printf("%-10s %u block%s\n", "torn", attr->torn, tool_s(attr->torn));
}

static void print_container_stat(const struct mbr_container_attr *attr)
{
    printf("%-10s %s\n", "container", printable_text(attr->name));
    printf("%-10s %llu\n", "objects", (unsigned long long)attr->objects);
    print_bytes("memory", attr->bytes);
    printf("%-10s %u\n", "members", attr->members);
    printf("%-10s %s\n", "policy", object_policy_text(attr->policy));
    printf("%-10s %s%s%s%s\n", "kind",
           (attr->flags & MBR_CONTAINER_PERSISTENT) != 0 ? "persistent" : "volatile",
           (attr->flags & MBR_CONTAINER_CHECKSUMS) != 0 ? ", checksums" : "",
           (attr->flags & MBR_CONTAINER_KEPT) != 0 ? ", kept" : "",
           (attr->flags & MBR_CONTAINER_BROKERED) != 0 ? ", by membraned" : "");
    printf("%-10s user %u", "owner", attr->uid);
    if (attr->group >= 0)
        printf(", group %d", attr->group);
    printf("\n");
}

static int stat_object(const struct tool_args *args, int container, const char *name)
{
    struct mbr_object_attr attr;
    int object, rc, code = object_find(container, name, &object);

    if (code != TOOL_EXIT_OK)
        return code;
    rc = mbr_object_getattr(object, &attr);
    (void)mbr_object_leave(object);
    if (rc < 0)
        return object_error(rc, name);
    attr.users -= attr.users > 0;
    if (tool_given(args, OPT_JSON))
        return tool_print_json(object_json(&attr), stdout);
    print_object_stat(&attr);
    return TOOL_EXIT_OK;
}

static int stat_container(const struct tool_args *args, int container)
{
    struct mbr_container_attr attr;
    int rc = mbr_container_getattr(container, &attr);

    if (rc < 0)
        return object_error(rc, args->word[0]);
    attr.members -= attr.members > 0;
    if (tool_given(args, OPT_JSON))
        return tool_print_json(object_container_json(&attr), stdout);
    print_container_stat(&attr);
    return TOOL_EXIT_OK;
}

int object_stat(const struct tool_args *args)
{
    int container, code = object_open(args, false, &container);

    if (code != TOOL_EXIT_OK)
        return code;
    code = args->words > 1 ? stat_object(args, container, args->word[1])
                           : stat_container(args, container);
    (void)mbr_container_leave(container);
    return code;
}
