/* SPDX-License-Identifier: MIT */
/*
 * What the verbs of `membrane store` share. See store.h.
 */
#include "store.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exits.h"
#include "say.h"
#include "units.h"

#define COMPLETION_TIMEOUT (TOOL_SECOND / 2)

static uint64_t patience; /* nanoseconds */

int store_open(const struct tool_args *args, struct mbr_store **out)
{
    struct mbr_store_options options = {.size = sizeof(options)};
    const char *path = args->value[OPT_SOCKET];
    char standard[STORE_PATH_SIZE];
    uint64_t timeout = 0;
    int code = tool_duration(args, OPT_TIMEOUT, MBR_STORE_TIMEOUT_DEFAULT, &timeout);
    int rc;

    if (code != TOOL_EXIT_OK)
        return code;
    patience = options.timeout_ns = timeout > 0 ? timeout : 1;
    if (path == NULL && mbr_store_path(standard, sizeof(standard)) < 0)
        return tool_error(TOOL_EXIT_UNREACHABLE, "--socket PATH, or set XDG_RUNTIME_DIR",
                          "no place to look for the store's daemon");
    if (path == NULL)
        path = standard;
    rc = mbr_store_open(path, &options, out);
    switch (rc) {
    case 0:
        return TOOL_EXIT_OK;
    case -ENOENT:
    case -ECONNREFUSED:
        return tool_error(TOOL_EXIT_UNREACHABLE, "start membraned, or name its socket by --socket",
                          "%s: no daemon there", path);
    case -EACCES:
    case -EPERM:
        return tool_error(TOOL_EXIT_PERMISSION, "the user who runs membraned, or root",
                          "%s: permission denied", path);
    default:
        return tool_error_library(rc, "%s", path);
    }
}

uint64_t store_patience(void)
{
    return patience;
}

int store_error(int error, const char *what)
{
    switch (error) {
    case -ENOENT:
        return tool_error(TOOL_EXIT_NEGATIVE, "membrane store ls", "%s: no such node", what);
    case -ESRCH:
        return tool_error(TOOL_EXIT_NEGATIVE, "n0: domain 0 as the owner",
                          "%s: its new owner is no domain that is there", what);
    case -EACCES:
        return tool_error(TOOL_EXIT_PERMISSION, "membrane store ls -l of its parent, as its owner",
                          "%s: permission denied", what);
    case -EPERM:
        return tool_error(TOOL_EXIT_PERMISSION, "as domain 0",
                          "%s: only domain 0 changes the owner", what);
    case -EINVAL:
        return tool_error(TOOL_EXIT_USAGE, "letters, digits, - _ @ and single slashes",
                          "%s: the store takes no such path or argument", what);
    case -ENOSPC:
    case -EDQUOT:
        return tool_error(TOOL_EXIT_LIMIT, "membrane store stats", "%s: a quota is used up", what);
    case -E2BIG:
        return tool_error(TOOL_EXIT_LIMIT, "fewer bytes; path and value share 4096", "%s: too long",
                          what);
    case -EAGAIN:
        return tool_error(TOOL_EXIT_TIMEOUT, "a longer --timeout",
                          "%s: others changed the same nodes each time", what);
    case -ETIMEDOUT:
        return tool_error(TOOL_EXIT_TIMEOUT, "a longer --timeout", "%s: the daemon did not answer",
                          what);
    case -ENOSYS:
        return tool_error(TOOL_EXIT_INCOMPATIBLE, "membraned", "%s: this daemon cannot do that",
                          what);
    default:
        return tool_error_library(error, "%s", what);
    }
}

int store_set_perms(struct mbr_store *s, uint64_t tx, const char *path,
                    const struct mbr_store_perm *perms, size_t count)
{
    int rc = mbr_store_set_perms(s, tx, path, perms, count);

    return rc == -ENOENT && mbr_store_exists(s, tx, path) == 1 ? -ESRCH : rc;
}

int store_path(const char *typed, char path[STORE_PATH_SIZE])
{
    size_t length;

    if (typed == NULL)
        typed = "/";
    if (typed[0] == '\0')
        return tool_error(TOOL_EXIT_USAGE, "/ for all", "'': not a path: it is empty");
    length = strlen(typed);
    while (length > 1 && typed[length - 1] == '/')
        length--;
    if (length > MBR_STORE_PATH_MAX)
        return tool_error(TOOL_EXIT_USAGE, NULL, "%.60s...: longer than %d bytes", typed,
                          MBR_STORE_PATH_MAX);
    memcpy(path, typed, length);
    path[length] = '\0';
    return TOOL_EXIT_OK;
}

int store_removable(const char *path)
{
    if (strcmp(path, "/") != 0)
        return TOOL_EXIT_OK;
    return tool_error(TOOL_EXIT_USAGE, "membrane store ls, then what is in it",
                      "/: the root stays");
}

int store_perm(const char *typed, struct mbr_store_perm *perm)
{
    if (mbr_store_perm_parse(typed, perm) == 0)
        return TOOL_EXIT_OK;
    return tool_error(TOOL_EXIT_USAGE, "n0 r5: owner and the others, then domain 5",
                      "'%.40s': not a letter of n r w b and a domain", typed);
}

int store_join(const char *directory, const char *name, char path[STORE_PATH_SIZE])
{
    const char *between = "/";
    int length;

    if (directory[0] == '\0' || directory[strlen(directory) - 1] == '/' || name[0] == '\0')
        between = "";
    length = snprintf(path, STORE_PATH_SIZE, "%s%s%s", directory, between, name);
    return length >= 0 && length < STORE_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

/* ---- values ---- */

void store_print_value(FILE *out, const char *value, size_t length)
{
    fputc('"', out);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)value[i];

        if (c == '\n')
            fputs("\\n", out);
        else if (c == '\t')
            fputs("\\t", out);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static json_t *base64_json(const unsigned char *bytes, size_t length)
{
    char *text = malloc(length / 3 * 4 + 5);
    char *end = text;
    json_t *json;

    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        unsigned word = (unsigned)bytes[i] << 16;

        word |= left > 1 ? (unsigned)bytes[i + 1] << 8 : 0;
        word |= left > 2 ? bytes[i + 2] : 0;
        *end++ = base64[word >> 18 & 63];
        *end++ = base64[word >> 12 & 63];
        *end++ = (char)(left > 1 ? base64[word >> 6 & 63] : '=');
        *end++ = (char)(left > 2 ? base64[word & 63] : '=');
    }
    *end = '\0';
    json = json_string(text);
    free(text);
    return json;
}

/* 1 and the bytes, or -1: not base64. `out` has room for length / 4 * 3 bytes. */
static int base64_decode(const char *text, size_t length, char *out, size_t *bytes)
{
    size_t n = 0;

    if (length % 4 != 0)
        return -1;
    for (size_t i = 0; i < length; i += 4) {
        bool end = i + 4 == length;
        size_t pad = end ? (size_t)(text[i + 3] == '=') + (size_t)(text[i + 2] == '=') : 0;
        unsigned word = 0;

        for (size_t k = 0; k < 4; k++) {
            const char *found =
                k < 4 - pad && text[i + k] != '\0' ? strchr(base64, text[i + k]) : base64;

            if (found == NULL || (k < 4 - pad && text[i + k] == '\0'))
                return -1;
            word = word << 6 | (unsigned)(found - base64);
        }
        for (size_t k = 0; k < 3 - pad; k++)
            out[n++] = (char)(word >> (16 - 8 * k) & 0xff);
    }
    *bytes = n;
    return 1;
}

int store_value_json(json_t *object, const char *value, size_t length)
{
    json_t *text = memchr(value, '\0', length) == NULL ? json_stringn(value, length) : NULL;

    if (text != NULL)
        return json_object_set_new(object, "value", text);
    text = base64_json((const unsigned char *)value, length);
    return text != NULL ? json_object_set_new(object, "value64", text) : -1;
}

int store_value_of_json(const json_t *object, char **value, size_t *length)
{
    const json_t *text = json_object_get(object, "value");
    const json_t *coded = json_object_get(object, "value64");
    char *copy;
    int rc = 1;

    if (text == NULL && coded == NULL)
        return 0;
    if (!json_is_string(text != NULL ? text : coded) || (text != NULL && coded != NULL))
        return -1;
    copy = malloc(json_string_length(text != NULL ? text : coded) + 1);
    if (copy == NULL)
        return -2;
    if (text != NULL) {
        *length = json_string_length(text);
        memcpy(copy, json_string_value(text), *length);
    } else {
        rc = base64_decode(json_string_value(coded), json_string_length(coded), copy, length);
    }
    if (rc < 0)
        free(copy);
    else
        *value = copy;
    return rc;
}

/* ---- permissions ---- */

void store_print_perms(FILE *out, const struct mbr_store_perm *perms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[MBR_STORE_PERM_TEXT];

        if (mbr_store_perm_text(&perms[i], text, sizeof(text)) == 0)
            fprintf(out, "%s%s", i > 0 ? "," : "", text);
    }
}

json_t *store_perms_json(const struct mbr_store_perm *perms, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < count; i++) {
        char text[MBR_STORE_PERM_TEXT] = "";

        (void)mbr_store_perm_text(&perms[i], text, sizeof(text));
        if (json_array_append_new(array, json_string(text)) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* ---- completion ---- */

/* Those with something below them end in a slash, so that one can go on typing. */
static void print_completion(struct mbr_store *s, const char *path, FILE *out)
{
    char **names = NULL;
    size_t count = 0;

    if (mbr_store_list(s, 0, path, &names, &count) == 0)
        fprintf(out, "%s%s\n", path, count > 0 ? "/" : "");
    free(names);
}

int store_paths(const char *begun, FILE *out)
{
    const struct mbr_store_options options = {.size = sizeof(options),
                                              .timeout_ns = COMPLETION_TIMEOUT};
    const char *slash = strrchr(begun, '/');
    size_t head = slash != NULL ? (size_t)(slash - begun) + 1 : 0;
    struct mbr_store *s = NULL;
    char directory[STORE_PATH_SIZE];
    char **names = NULL;
    size_t count = 0;
    int rc;

    if (head >= sizeof(directory) || head == 0)
        return head == 0 ? (fputs("/\n", out), TOOL_EXIT_OK) : TOOL_EXIT_USAGE;
    memcpy(directory, begun, head);
    directory[head > 1 ? head - 1 : 1] = '\0';
    rc = mbr_store_open(NULL, &options, &s);
    if (rc == 0)
        rc = mbr_store_list(s, 0, directory, &names, &count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char path[STORE_PATH_SIZE];

        if (strncmp(names[i], begun + head, strlen(begun + head)) == 0 &&
            store_join(directory, names[i], path) == 0)
            print_completion(s, path, out);
    }
    free(names);
    mbr_store_close(s);
    return rc == 0 ? TOOL_EXIT_OK : tool_exit_of(rc);
}
