/* SPDX-License-Identifier: MIT */
/*
 * Messages to people, and the remembered first error. See say.h.
 */
#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exits.h"
#include "options.h"
#include "output.h"
#include "printable.h"

#include <membrane/base.h>

static struct {
    const char *verb;
    bool quiet;
    bool mute;
    void (*before)(void);
    int code; /* of the first error */
    char message[512];
    char hint[256];
} say;

void tool_say_verb(const char *verb)
{
    say.verb = verb;
}

void tool_say_quiet(void)
{
    say.quiet = true;
}

void tool_say_mute(void)
{
    say.mute = true;
    say.quiet = true;
}

void tool_say_before(void (*hook)(void))
{
    say.before = hook;
}

static void print(const char *message, const char *hint)
{
    if (say.before != NULL)
        say.before();
    fprintf(stderr, "%s: %s%s%s", tool_program.name, say.verb != NULL ? say.verb : "",
            say.verb != NULL ? ": " : "", message);
    if (hint[0] != '\0')
        fprintf(stderr, " (try: %s)", hint);
    fputc('\n', stderr);
}

/* One line is one error; only the first is remembered, because later ones follow from it. */
static int raise_error(int code, const char *hint, const char *message)
{
    char line[sizeof(say.message)];
    char try_this[sizeof(say.hint)];

    (void)printable(message, line, sizeof(line));
    (void)printable(hint != NULL ? hint : "", try_this, sizeof(try_this));
    if (say.code == 0) {
        say.code = code;
        memcpy(say.message, line, sizeof(line));
        memcpy(say.hint, try_this, sizeof(try_this));
    }
    if (!say.mute)
        print(line, try_this);
    return code;
}

int tool_error(int code, const char *hint, const char *format, ...)
{
    char message[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return raise_error(code, hint, message);
}

/* The library's hints are sentences; within brackets they read better without their full stop. */
static void trim_hint(char *text, size_t size, const char *hint)
{
    (void)snprintf(text, size, "%s", hint);

    size_t length = strlen(text);

    if (length > 0 && text[length - 1] == '.')
        text[length - 1] = '\0';
    if (text[0] >= 'A' && text[0] <= 'Z')
        text[0] = (char)(text[0] - 'A' + 'a');
}

int tool_error_library(int error, const char *format, ...)
{
    char what[256];
    char message[512];
    char hint[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    (void)snprintf(message, sizeof(message), "%s: %s", what, mbr_error_text(error));
    trim_hint(hint, sizeof(hint), mbr_error_hint(error));
    return raise_error(tool_exit_of(error), hint, message);
}

static const char *system_hint(int error)
{
    switch (error) {
    case ENOENT:
        return "check the path";
    case EACCES:
    case EPERM:
        return "check owner and mode";
    case ENOSPC:
    case EDQUOT:
        return "free some space";
    case EMFILE:
        return "raise the limit with ulimit -n";
    case EFBIG:
        return "raise the limit with ulimit -f";
    case EISDIR:
        return "name a file; tar packs directories";
    default:
        return "";
    }
}

int tool_error_system(int error, const char *format, ...)
{
    char what[256];
    char message[512];
    va_list args;

    if (error < 0)
        error = -error;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    (void)snprintf(message, sizeof(message), "%s: %s", what, strerror(error));
    return raise_error(tool_exit_of(error), system_hint(error), message);
}

void tool_note(const char *format, ...)
{
    char message[512];
    va_list args;

    if (say.quiet)
        return;
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    print(printable_text(message), "");
}

/* Names of files need not be UTF-8, JSON must be. */
json_t *tool_text_json(const char *text)
{
    json_t *value = json_string(text);

    if (value != NULL)
        return value;

    char *copy = strdup(text);

    if (copy == NULL)
        return NULL;
    for (char *c = copy; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    }
    value = json_string(copy);
    free(copy);
    return value;
}

json_t *tool_error_json(void)
{
    if (say.code == 0)
        return NULL;

    json_t *object =
        json_pack("{s:i, s:o}", "code", say.code, "message", tool_text_json(say.message));

    if (object != NULL && say.hint[0] != '\0')
        (void)json_object_set_new(object, "try", tool_text_json(say.hint));
    return object;
}

int tool_print_json(json_t *object, FILE *out)
{
    char *text =
        object == NULL ? NULL : json_dumps(object, JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));

    json_decref(object);
    if (text == NULL)
        return tool_error_library(-ENOMEM, "--json");
    (void)fputs(text, out);
    free(text);
    (void)fputc('\n', out);
    return TOOL_EXIT_OK;
}

bool tool_colour(const char *when, FILE *stream)
{
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");

    if (when != NULL && strcmp(when, "always") == 0)
        return true;
    if (when != NULL && strcmp(when, "never") == 0)
        return false;
    return (no_color == NULL || no_color[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0 &&
           isatty(fileno(stream)) == 1;
}

int tool_finish_stdout(int code)
{
    int rc = output_end(stdout);

    return rc == 0 || code != TOOL_EXIT_OK ? code : tool_error_system(rc, "standard output");
}
