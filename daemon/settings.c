/* SPDX-License-Identifier: MIT */
/*
 * The table of settings and its reader. libinih takes the file apart; it knows neither the line of
 * a key nor what a line means, so lines are counted by the reader that it is given.
 */
#include "settings.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tools/exits.h"
#include "../tools/say.h"
#include "../tools/suggest.h"
#include "../tools/units.h"

/* Bytes of a line: the longest path that a setting may be, with room around it. */
#define LINE_MAX_BYTES 5000

enum kind { KIND_PATH, KIND_NUMBER, KIND_SIZE, KIND_MODE, KIND_CHOICE };

struct row {
    const char *section;
    const char *key;
    enum kind kind;
    uint64_t min;
    uint64_t max;
    const char *otherwise; /* the default as text; NULL: none */
    const char *choices;   /* of KIND_CHOICE, separated by blanks */
    const char *detail;    /* for the file that is dumped and for the man page */
};

#define QUOTA(name, least, text, about)                                  \
    {                                                                    \
        "quota", name, KIND_NUMBER, least, UINT32_MAX, text, NULL, about \
    }

/* clang-format off */
static const struct row rows[SETTING_COUNT] = {
    [SETTING_SOCKET] = {"daemon", "socket", KIND_PATH, 0, 107, NULL, NULL,
        "The socket's path, absolute. Without it: $XENSTORED_PATH; else /run/membrane/store as "
        "root; else $XDG_RUNTIME_DIR/membrane/store."},
    [SETTING_SOCKET_MODE] = {"daemon", "socket-mode", KIND_MODE, 0, 0777, "0666", NULL,
        "Who may connect, as the socket's file mode. Whoever is neither root nor of the daemon's "
        "own user is an unprivileged domain."},
    [SETTING_STATE] = {"daemon", "state", KIND_PATH, 0, 4000, NULL, NULL,
        "A directory in which every acknowledged change is on disk before its reply goes out. "
        "Without it the store lives in memory."},
    [SETTING_OBJECTS] = {"daemon", "objects", KIND_PATH, 0, 4000, NULL, NULL,
        "A directory for persistent containers of shared objects, the daemon's alone; it is made "
        "if it is missing. Without it such containers are refused."},
    [SETTING_SANDBOX] = {"daemon", "sandbox", KIND_CHOICE, 0, 0, "yes", "no yes",
        "Give up, after start, new privileges and the system calls that are not needed."},
    [SETTING_LIVE_UPDATE] = {"daemon", "live-update", KIND_CHOICE, 0, 0, "yes", "no yes",
        "Whether domain 0 and SIGUSR2 may replace the running program. If not, the sandbox "
        "forbids running any program."},
    [SETTING_UPDATE_SECONDS] = {"daemon", "live-update-seconds", KIND_NUMBER, 1, 3600, "30", NULL,
        "How long a new program may take to read the state on trial, while the old one serves, and "
        "then again until it serves itself."},
    [SETTING_HOMES] = {"daemon", "homes", KIND_CHOICE, 0, 0, "yes", "no yes",
        "Whether a user who becomes a domain by connecting gets a directory of his own, "
        "/local/domain/DOMID with the node domid in it."},
    [SETTING_LOG_LEVEL] = {"log", "level", KIND_CHOICE, 0, 0, "info", "error warning info debug",
        "The least urgent messages that are logged."},
    [SETTING_LOG_FILE] = {"log", "file", KIND_PATH, 0, 4000, NULL, NULL,
        "Where messages are appended. Without it: standard error."},
    [SETTING_CONNECTIONS] = {"limits", "connections", KIND_NUMBER, 1, 1000000, "65536", NULL,
        "Connections in all. Beyond that new ones are closed at once."},
    [SETTING_CONNECTIONS_PER_USER] = {"limits", "connections-per-user", KIND_NUMBER, 1, 1000000,
        "64", NULL, "Connections of each unprivileged user."},
    [SETTING_UNREAD] = {"limits", "unread", KIND_SIZE, 8192, UINT64_C(1) << 30, "1M", NULL,
        "Bytes of replies and events that may wait for a connection that does not read them, "
        "before its requests are left unread too."},
    [SETTING_CONTAINERS_PER_USER] = {"limits", "containers-per-user", KIND_NUMBER, 0, 1000000,
        "64", NULL, "Containers of shared objects that are kept for an unprivileged user."},
    [SETTING_MEMBERS_PER_USER] = {"limits", "members-per-user", KIND_NUMBER, 0, 1000000, "2048",
        NULL, "Processes of an unprivileged user that may be in such containers, each counted "
        "once a container."},
    [SETTING_STORED_PER_USER] = {"limits", "stored-per-user", KIND_SIZE, 0, UINT64_C(1) << 50,
        "1G", NULL, "Bytes on disk of the persistent containers of an unprivileged user, an object "
        "counted as 1 KiB and each block that is not all zeroes as 1 MiB; 0 means any number."},
    [SETTING_QUOTA_NODES] = QUOTA("nodes", 0, "1000",
        "Nodes that an unprivileged domain may own; 0 means any number, here and below."),
    [SETTING_QUOTA_WATCHES] = QUOTA("watches", 0, "128", "Watches of a domain."),
    [SETTING_QUOTA_TRANSACTIONS] = QUOTA("transactions", 0, "10", "Open transactions of a domain."),
    [SETTING_QUOTA_TRANSACTION_NODES] = QUOTA("transaction-nodes", 0, "1024",
        "Nodes that one transaction of a domain may touch."),
    [SETTING_QUOTA_OUTSTANDING] = QUOTA("outstanding", 0, "20",
        "Requests of a domain whose replies it has not read."),
    [SETTING_QUOTA_MEMORY] = {"quota", "memory", KIND_SIZE, 0, UINT64_C(1) << 40, "2560K", NULL,
        "Bytes of memory that a domain may use."},
    [SETTING_QUOTA_NODE_SIZE] = QUOTA("node-size", 0, "2048",
        "Bytes of a node of a domain: value, permissions and names of children."),
    [SETTING_QUOTA_NODE_PERMISSIONS] = QUOTA("node-permissions", 0, "5",
        "Entries in the permissions of a node of a domain."),
};
/* clang-format on */

const char *settings_section(enum setting_id id)
{
    return rows[id].section;
}

const char *settings_key(enum setting_id id)
{
    return rows[id].key;
}

/* ---- values ------------------------------------------------------------------------------------
 */

static int choice_index(const char *choices, const char *text, uint64_t *out)
{
    size_t length = strlen(text);

    for (uint64_t index = 0; *choices != '\0'; index++) {
        size_t word = strcspn(choices, " ");

        if (word == length && memcmp(choices, text, length) == 0) {
            *out = index;
            return 0;
        }
        choices += word;
        choices += strspn(choices, " ");
    }
    return -EINVAL;
}

static int parse_mode(const char *text, uint64_t *out)
{
    char *end;
    unsigned long mode = strtoul(text, &end, 8);

    if (text[0] < '0' || text[0] > '7' || *end != '\0')
        return -EINVAL;
    *out = mode;
    return 0;
}

static int parse_path(const struct row *row, const char *text, uint64_t *out)
{
    *out = 0;
    return text[0] == '/' && strlen(text) <= row->max ? 0 : -EINVAL;
}

static int parse_value(const struct row *row, const char *text, uint64_t *out)
{
    int rc = -EINVAL;

    switch (row->kind) {
    case KIND_PATH:
        return parse_path(row, text, out);
    case KIND_CHOICE:
        return choice_index(row->choices, text, out);
    case KIND_NUMBER:
        rc = tool_parse_number(text, out);
        break;
    case KIND_SIZE:
        rc = tool_parse_size(text, out);
        break;
    case KIND_MODE:
        rc = parse_mode(text, out);
        break;
    }
    return rc == 0 && (*out < row->min || *out > row->max) ? -ERANGE : rc;
}

static void explain(const struct row *row, char *why, size_t size)
{
    char low[24];
    char high[24];

    switch (row->kind) {
    case KIND_PATH:
        (void)snprintf(why, size, "not an absolute path of at most %llu bytes",
                       (unsigned long long)row->max);
        break;
    case KIND_CHOICE:
        (void)snprintf(why, size, "not one of: %s", row->choices);
        break;
    case KIND_MODE:
        (void)snprintf(why, size, "not an octal mode from 0 to 0777");
        break;
    case KIND_NUMBER:
        (void)snprintf(why, size, "not a whole number from %llu to %llu",
                       (unsigned long long)row->min, (unsigned long long)row->max);
        break;
    case KIND_SIZE:
        (void)snprintf(why, size, "not a size from %s to %s",
                       tool_size_text(row->min, low, sizeof(low)),
                       tool_size_text(row->max, high, sizeof(high)));
        break;
    }
}

/* Stores a value that has been found good. */
static int keep(struct setting_value *value, const char *text, uint64_t number, const char *origin)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    char *from = strdup(origin);

    if ((text != NULL && copy == NULL) || from == NULL) {
        free(copy);
        free(from);
        return tool_error_system(ENOMEM, "settings");
    }
    free(value->text);
    free(value->origin);
    *value = (struct setting_value){.text = copy, .number = number, .origin = from};
    return TOOL_EXIT_OK;
}

/* `where` begins the message; `origin` is remembered. */
static int assign(struct settings *settings, enum setting_id id, const char *where,
                  const char *origin, const char *text)
{
    char why[128];
    uint64_t number = 0;

    if (parse_value(&rows[id], text, &number) != 0) {
        explain(&rows[id], why, sizeof(why));
        return tool_error(TOOL_EXIT_USAGE, "membraned --dump-config", "%s: %.100s: %s", where, text,
                          why);
    }
    return keep(&settings->value[id], text, number, origin);
}

int settings_set(struct settings *settings, enum setting_id id, const char *option,
                 const char *text)
{
    char origin[64];

    (void)snprintf(origin, sizeof(origin), "--%s", option);
    return assign(settings, id, origin, origin, text);
}

/* The socket's default depends on who runs the daemon and where. */
static int default_socket(struct settings *settings)
{
    const char *path = secure_getenv("XENSTORED_PATH");
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    char text[4096];

    if (path != NULL && path[0] != '\0')
        return assign(settings, SETTING_SOCKET, "$XENSTORED_PATH", "$XENSTORED_PATH", path);
    if (geteuid() == 0)
        return assign(settings, SETTING_SOCKET, "default", "default", "/run/membrane/store");
    if (runtime == NULL || runtime[0] == '\0')
        return TOOL_EXIT_OK; /* an error only if nothing else names it */
    (void)snprintf(text, sizeof(text), "%s/membrane/store", runtime);
    return assign(settings, SETTING_SOCKET, "$XDG_RUNTIME_DIR", "$XDG_RUNTIME_DIR", text);
}

int settings_init(struct settings *settings)
{
    *settings = (struct settings){0};
    for (int id = 0; id < SETTING_COUNT; id++) {
        uint64_t number = 0;
        int rc;

        if (rows[id].otherwise != NULL)
            (void)parse_value(&rows[id], rows[id].otherwise, &number);
        rc = keep(&settings->value[id], rows[id].otherwise, number, "default");
        if (rc != TOOL_EXIT_OK)
            return rc;
    }
    return default_socket(settings);
}

void settings_fini(struct settings *settings)
{
    for (int id = 0; id < SETTING_COUNT; id++) {
        free(settings->value[id].text);
        free(settings->value[id].origin);
    }
    *settings = (struct settings){0};
}

/* ---- the file ----------------------------------------------------------------------------------
 */

struct reading {
    struct settings *settings;
    const char *file;
    FILE *stream;
    unsigned line;
    int error; /* of the stream, 0 or an errno */
    int code;  /* the exit code after the first error */
    unsigned seen[SETTING_COUNT];
};

static int bad_line(struct reading *reading, const char *hint, const char *what)
{
    if (reading->code == TOOL_EXIT_OK)
        reading->code =
            tool_error(TOOL_EXIT_USAGE, hint, "%s:%u: %s", reading->file, reading->line, what);
    return 0;
}

static int unknown_section(struct reading *reading, const char *section)
{
    struct tool_suggestion search = {.typed = section};
    char what[160];
    char hint[64];

    for (int id = 0; id < SETTING_COUNT; id++)
        tool_suggest(&search, rows[id].section);
    (void)snprintf(what, sizeof(what), "[%.100s]: no such section", section);
    (void)snprintf(hint, sizeof(hint), "[%s]", search.best != NULL ? search.best : "daemon");
    return bad_line(reading, hint, what);
}

/* The section in which a key of this name would be right, or NULL. */
static const char *section_of(const char *key)
{
    for (int id = 0; id < SETTING_COUNT; id++) {
        if (strcmp(rows[id].key, key) == 0)
            return rows[id].section;
    }
    return NULL;
}

static int unknown_key(struct reading *reading, const char *section, const char *key)
{
    struct tool_suggestion search = {.typed = key};
    const char *home = section_of(key);
    char what[160];
    char hint[64] = "membraned --dump-config shows all settings";

    for (int id = 0; id < SETTING_COUNT; id++) {
        if (strcmp(rows[id].section, section) == 0)
            tool_suggest(&search, rows[id].key);
    }
    if (home != NULL)
        (void)snprintf(hint, sizeof(hint), "it belongs into [%s]", home);
    else if (search.best != NULL)
        (void)snprintf(hint, sizeof(hint), "%s", search.best);
    (void)snprintf(what, sizeof(what), "%.100s: no such setting in [%.30s]", key, section);
    return bad_line(reading, hint, what);
}

static int take_value(struct reading *reading, enum setting_id id, const char *text)
{
    char where[4300];
    char origin[4200];
    char what[64];
    int rc;

    if (reading->seen[id] != 0) {
        (void)snprintf(what, sizeof(what), "%s: given twice, first in line %u", rows[id].key,
                       reading->seen[id]);
        return bad_line(reading, "remove one", what);
    }
    reading->seen[id] = reading->line;
    (void)snprintf(origin, sizeof(origin), "%.4000s:%u", reading->file, reading->line);
    (void)snprintf(where, sizeof(where), "%s: %s", origin, rows[id].key);
    rc = assign(reading->settings, id, where, origin, text);
    if (rc != TOOL_EXIT_OK && reading->code == TOOL_EXIT_OK)
        reading->code = rc;
    return rc == TOOL_EXIT_OK;
}

static bool known_section(const char *section)
{
    for (int id = 0; id < SETTING_COUNT; id++) {
        if (strcmp(rows[id].section, section) == 0)
            return true;
    }
    return false;
}

/* Called by libinih for each key. */
static int take(void *user, const char *section, const char *key, const char *text)
{
    struct reading *reading = user;

    if (reading->code != TOOL_EXIT_OK)
        return 0;
    if (section[0] == '\0')
        return bad_line(reading, "begin with [daemon]", "a setting before the first section");
    for (int id = 0; id < SETTING_COUNT; id++) {
        if (strcmp(rows[id].section, section) == 0 && strcmp(rows[id].key, key) == 0)
            return take_value(reading, (enum setting_id)id, text);
    }
    return unknown_key(reading, section, key);
}

/* libinih says nothing of a section without settings, so headings are judged as they are read. */
static void check_heading(struct reading *reading, const char *line)
{
    char section[128];
    size_t length;

    line += strspn(line, " \t");
    if (line[0] != '[')
        return;
    length = strcspn(line + 1, "]\r\n");
    (void)snprintf(section, sizeof(section), "%.*s", (int)length, line + 1);
    if (line[1 + length] == ']' && !known_section(section))
        (void)unknown_section(reading, section);
}

/* A line, or as much of it as fits; its length, 0 at the end or after an error. */
static int get_line(struct reading *reading, char *text, int size)
{
    int length = 0;
    int c = 0;

    while (length < size - 1 && c != '\n' && (c = getc(reading->stream)) != EOF)
        text[length++] = (char)c;
    text[length] = '\0';
    if (ferror(reading->stream))
        reading->error = errno;
    return reading->error == 0 ? length : 0;
}

/* fgets() that counts, and lets no NUL hide what follows it; for libinih. */
static char *read_line(char *text, int size, void *stream)
{
    struct reading *reading = stream;
    int length = reading->code == TOOL_EXIT_OK ? get_line(reading, text, size) : 0;

    if (length == 0)
        return NULL;
    reading->line++;
    if (strlen(text) != (size_t)length) {
        (void)bad_line(reading, "remove it", "a NUL byte");
        return NULL;
    }
    check_heading(reading, text);
    return text;
}

int settings_read(struct settings *settings, const char *file)
{
    struct reading reading = {.settings = settings, .file = file};
    int line;

    reading.stream = fopen(file, "re");
    if (reading.stream == NULL)
        return tool_error_system(errno, "%s", file);
    ini_allow_multiline = false;
    ini_use_stack = false;
    ini_max_line = LINE_MAX_BYTES;
    ini_initial_alloc = LINE_MAX_BYTES;
    ini_stop_on_first_error = true;
    line = ini_parse_stream(read_line, &reading, take, &reading);
    if (line < 0)
        reading.error = ENOMEM;
    if (reading.error != 0)
        reading.code = tool_error_system(reading.error, "%s", file);
    else if (line != 0 && reading.code == TOOL_EXIT_OK)
        (void)bad_line(&reading, "KEY = VALUE, [SECTION] or # COMMENT",
                       "neither a section nor a setting");
    (void)fclose(reading.stream);
    return reading.code;
}

/* ---- output ------------------------------------------------------------------------------------
 */

/* Paragraphs of comment, 78 columns wide. */
static void print_comment(FILE *out, const char *text)
{
    int column = 0;

    while (*text != '\0') {
        int word = (int)strcspn(text, " ");

        if (column == 0 || column + 1 + word > 78) {
            if (column > 0)
                fputc('\n', out);
            column = fprintf(out, "# %.*s", word, text);
        } else {
            column += fprintf(out, " %.*s", word, text);
        }
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

void settings_dump(const struct settings *settings, FILE *out)
{
    const char *section = "";

    for (int id = 0; id < SETTING_COUNT; id++) {
        const struct setting_value *value = &settings->value[id];

        if (strcmp(section, rows[id].section) != 0)
            fprintf(out, "%s[%s]\n", id == 0 ? "" : "\n", rows[id].section);
        section = rows[id].section;
        fputc('\n', out);
        print_comment(out, rows[id].detail);
        if (value->text != NULL)
            fprintf(out, "# from: %s\n%s = %s\n", value->origin, rows[id].key, value->text);
        else
            fprintf(out, "# not set\n#%s =\n", rows[id].key);
    }
}

static void print_plain(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("*_\\<>#[]|", *text) != NULL)
            fputc('\\', out);
        fputc(*text, out);
    }
}

void settings_man(FILE *out)
{
    const char *section = "";

    fputs("# CONFIGURATION\n\n"
          "An INI file: lines KEY = VALUE under \\[SECTION\\], comments after # or ;. What is "
          "unknown, given twice or out of range is an error, with file and line. *membraned "
          "--dump-config* prints a file with all settings and where their values come from.\n\n",
          out);
    for (int id = 0; id < SETTING_COUNT; id++) {
        if (strcmp(section, rows[id].section) != 0)
            fprintf(out, "## [%s]\n\n", rows[id].section);
        section = rows[id].section;
        fprintf(out, "*%s* = ", rows[id].key);
        if (rows[id].choices != NULL)
            print_plain(out, rows[id].choices);
        else
            fputs(rows[id].kind == KIND_PATH   ? "_PATH_"
                  : rows[id].kind == KIND_SIZE ? "_SIZE_"
                  : rows[id].kind == KIND_MODE ? "_MODE_"
                                               : "_NUMBER_",
                  out);
        if (rows[id].otherwise != NULL)
            fprintf(out, " (default: %s)", rows[id].otherwise);
        fputs("\n\t", out);
        print_plain(out, rows[id].detail);
        fputs("\n\n", out);
    }
}
