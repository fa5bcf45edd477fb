/* SPDX-License-Identifier: MIT */
/*
 * membrane doctor: runs the checks and shows what they found.
 */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "exits.h"
#include "printable.h"
#include "say.h"
#include "verbs.h"

static const char *const verdicts[] = {"ok", "warn", "fail"};
/* Green, yellow, red. */
static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};

void finding_value(struct finding *f, const char *format, ...)
{
    char value[sizeof(f->value)];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    (void)printable(value, f->value, sizeof(f->value));
}

bool doctor_read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    bool found;

    if (file == NULL)
        return false;
    found = fgets(line, (int)size, file) != NULL;
    (void)fclose(file);
    if (found)
        line[strcspn(line, "\n")] = '\0';
    return found;
}

static void add_json(struct doctor *d, const struct finding *f, bool advice)
{
    json_t *object = json_pack("{s:s, s:s, s:o}", "status", verdicts[f->verdict], "what", f->what,
                               "value", tool_text_json(f->value));

    if (advice && object != NULL) {
        (void)json_object_set_new(object, "why", json_string(f->why));
        (void)json_object_set_new(object, "fix", json_string(f->fix));
    }
    (void)json_array_append_new(d->checks, object);
}

void doctor_add(struct doctor *d, const struct finding *f)
{
    const char *verdict = verdicts[f->verdict];
    bool advice = f->verdict != VERDICT_OK;

    d->count[f->verdict]++;
    if (d->checks != NULL) {
        add_json(d, f, advice);
        return;
    }
    if (d->quiet && !advice)
        return;
    if (d->colour)
        printf("%s%-4s\033[0m", colours[f->verdict], verdict);
    else
        printf("%-4s", verdict);
    printf("  %-16s  %s", f->what, f->value);
    if (advice)
        printf(": %s (fix: %s)", f->why, f->fix);
    printf("\n");
}

static int print_json(const struct doctor *d)
{
    return tool_print_json(json_pack("{s:i, s:i, s:i, s:O}", "ok", (int)d->count[VERDICT_OK],
                                     "warn", (int)d->count[VERDICT_WARN], "fail",
                                     (int)d->count[VERDICT_FAIL], "checks", d->checks),
                           stdout);
}

int tool_doctor(const struct tool_args *args)
{
    bool json = tool_given(args, OPT_JSON);
    struct doctor d = {
        .quiet = tool_given(args, OPT_QUIET),
        .colour = !json && tool_colour(args->value[OPT_COLOR], stdout),
        .checks = json ? json_array() : NULL,
    };
    int code = TOOL_EXIT_OK;

    doctor_check_system(&d);
    doctor_check_memory(&d);
    doctor_check_daemon(&d);
    if (json)
        code = print_json(&d);
    else if (!d.quiet)
        printf("%u ok, %u to look at, %u failed\n", d.count[VERDICT_OK], d.count[VERDICT_WARN],
               d.count[VERDICT_FAIL]);
    json_decref(d.checks);
    return code == TOOL_EXIT_OK && d.count[VERDICT_FAIL] > 0 ? TOOL_EXIT_NEGATIVE : code;
}
