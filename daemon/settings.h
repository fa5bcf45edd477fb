/* SPDX-License-Identifier: MIT */
/*
 * The daemon's settings: one table of rows (settings.c), from which the INI file is checked,
 * --dump-config is printed and the man page's CONFIGURATION is made. A value comes from the
 * built-in default, the environment, the file or the command line, the later of these winning, and
 * remembers where from.
 *
 * Not here: what the settings do.
 */
#ifndef DAEMON_SETTINGS_H
#define DAEMON_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum setting_id {
    SETTING_SOCKET,
    SETTING_SOCKET_MODE,
    SETTING_STATE,
    SETTING_OBJECTS,
    SETTING_SANDBOX,
    SETTING_LIVE_UPDATE,
    SETTING_UPDATE_SECONDS,
    SETTING_HOMES,
    SETTING_LOG_LEVEL,
    SETTING_LOG_FILE,
    SETTING_CONNECTIONS,
    SETTING_CONNECTIONS_PER_USER,
    SETTING_UNREAD,
    SETTING_CONTAINERS_PER_USER,
    SETTING_MEMBERS_PER_USER,
    SETTING_STORED_PER_USER,
    SETTING_QUOTA_NODES,
    SETTING_QUOTA_WATCHES,
    SETTING_QUOTA_TRANSACTIONS,
    SETTING_QUOTA_TRANSACTION_NODES,
    SETTING_QUOTA_OUTSTANDING,
    SETTING_QUOTA_MEMORY,
    SETTING_QUOTA_NODE_SIZE,
    SETTING_QUOTA_NODE_PERMISSIONS,
    SETTING_COUNT
};

struct setting_value {
    char *text;      /* NULL: not set, and there is no default */
    uint64_t number; /* of numbers, sizes, modes (octal) and yes/no; of choices the index */
    char *origin;    /* "default", "$XENSTORED_PATH", "FILE:LINE", "--socket" */
};

struct settings {
    struct setting_value value[SETTING_COUNT];
};

/* The defaults and the environment. 0, or an exit code after an error message. */
int settings_init(struct settings *settings);
void settings_fini(struct settings *settings);

/* Reads FILE over what is there. 0, or an exit code after an error message with file and line. */
int settings_read(struct settings *settings, const char *file);

/* Sets one value from the command line; `option` is named in the message when it is wrong. */
int settings_set(struct settings *settings, enum setting_id id, const char *option,
                 const char *text);

static inline const char *settings_text(const struct settings *settings, enum setting_id id)
{
    return settings->value[id].text;
}

static inline uint64_t settings_number(const struct settings *settings, enum setting_id id)
{
    return settings->value[id].number;
}

/* The section and the key of a setting. */
const char *settings_section(enum setting_id id);
const char *settings_key(enum setting_id id);

/* A file that settings_read() would take and that gives the same values, with their origins. */
void settings_dump(const struct settings *settings, FILE *out);

/* The man page's section CONFIGURATION in scdoc(5). */
void settings_man(FILE *out);

#endif
