/* SPDX-License-Identifier: MIT */
/*
 * A program on trial: before a live update it is run in a child, has the state to read, and must
 * say a word that only who has read it to the end can know. The daemon serves meanwhile; a trial
 * that does not end is ended.
 *
 * Not here: what the state is (update_state.h), and what follows a trial (update.h).
 */
#ifndef DAEMON_TRIAL_H
#define DAEMON_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* "membraned has read ", 16 digits, a newline, NUL. */
#define TRIAL_WORD_MAX 48

struct trial {
    pid_t pid; /* 0: there is none */
    int pidfd; /* readable when it has ended */
    int said;  /* what it writes to its standard output and error comes here */
    char expected[TRIAL_WORD_MAX];
    bool tells; /* it has said that it will tell when it serves (fallback.h) */
};

/* The word for a state of SIZE bytes at DATA. */
void trial_word(const void *data, size_t size, char word[TRIAL_WORD_MAX]);

/* Runs BINARY, which is expected to say WORD. 0 or a negative errno. */
int trial_start(struct trial *trial, const char *binary, char **argv, const char *word);

/* Ends the trial, whether it has ended or not; harmless if there is none. True if the program has
 * succeeded and said the word; if not, WHY is what else it has said, one line, or "". */
bool trial_end(struct trial *trial, char *why, size_t size);

#endif
