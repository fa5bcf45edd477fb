/* SPDX-License-Identifier: MIT */
/*
 * A stage for tests with several processes.
 *
 * stage_main() runs a test in a process of its own under a supervisor that gives it a private
 * directory of names (MEMBRANE_DIR), a configuration for demi_init() (LIBOS, CONFIG_PATH) and a
 * time limit, and that afterwards kills what the test left running and removes the directory,
 * however the test ended. Within it, actors are forked processes that talk with the test through
 * two kernel pipes; nothing here sleeps to wait for somebody. An actor that hangs is ended by
 * SIGALRM, which the test sees in its status.
 *
 * CHECK works everywhere: in the test's own process it fails the cmocka test, in an actor or
 * another thread it prints and ends the process with status 1. Not here: anything of Membrane.
 */
#ifndef MBR_TESTS_STAGE_H
#define MBR_TESTS_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STAGE_SKIPPED 77 /* exit code: what the test needs is not to be had here */

/* Runs body(argc, argv) on a stage for at most SECONDS (more under sanitizers). Returns main's
 * status. */
int stage_main(unsigned int seconds, int argc, char **argv, int (*body)(int argc, char **argv));

/* The stage's directory: the configuration lies in it, and the directory of names ("names"). */
const char *stage_dir(void);
const char *stage_names_dir(void);

/* How much slower this build is expected to run: 1, or more with a sanitizer. */
unsigned int stage_slowness(void);
bool stage_sanitized(void);

/* ---- checks ---- */

void stage_fail(const char *file, int line, const char *text) __attribute__((noreturn));
void stage_fail_int(const char *file, int line, const char *text, int64_t got, int64_t wanted)
    __attribute__((noreturn));

#define CHECK(cond)                                \
    do {                                           \
        if (!(cond))                               \
            stage_fail(__FILE__, __LINE__, #cond); \
    } while (0)

#define CHECK_INT(got, wanted)                                                                \
    do {                                                                                      \
        int64_t stage_got = (int64_t)(got), stage_wanted = (int64_t)(wanted);                 \
        if (stage_got != stage_wanted)                                                        \
            stage_fail_int(__FILE__, __LINE__, #got " is " #wanted, stage_got, stage_wanted); \
    } while (0)

/* ---- actors ---- */

struct stage_actor {
    pid_t pid;
    int to;   /* written by whoever holds this, read by the other */
    int from; /* the other way */
};

/* What an actor does; PARENT is its line to who spawned it. Returning ends it with status 0. */
typedef void stage_role(struct stage_actor *parent, void *arg);

/* Forks an actor. It dies with its parent, and by SIGALRM after 60 s (more under sanitizers). */
void stage_spawn(struct stage_actor *actor, stage_role *role, void *arg);

/* As stage_spawn(), but the actor executes ARGV (found by its path); its lines are descriptors 3
 * (to read) and 4 (to write). stage_parent() is for the program that was started. */
void stage_spawn_program(struct stage_actor *actor, char *const argv[]);
struct stage_actor stage_parent(void);

/* One number along the line. Hearing ends with a failure when the other is gone; stage_listen()
 * returns false then, and stage_peek() whether there is something to hear, without waiting. */
void stage_say(struct stage_actor *actor, uint64_t number);
uint64_t stage_hear(struct stage_actor *actor);
bool stage_listen(struct stage_actor *actor, uint64_t *number);
bool stage_peek(const struct stage_actor *actor);

/* Waits for the end of an actor and returns its wait status; _ok wants exit status 0, _kill kills
 * it first (SIGKILL). The lines are closed. */
int stage_join(struct stage_actor *actor);
void stage_join_ok(struct stage_actor *actor);
void stage_kill(struct stage_actor *actor);

/* Waits until a process sleeps in the kernel and stays there: its state is S and it has not been
 * run for some hundred looks. For an actor that was told to wait for something. */
void stage_await_parked(pid_t pid);

/* ---- users ---- */

/* For an actor of root's: becomes this user, in the group of that number, in GROUP, too, unless
 * that is 0, and with a directory of names of its own (MEMBRANE_DIR). The stage's directory must be
 * open to it. */
void stage_become_user(uid_t uid, gid_t group);

/* ---- threads ---- */

/* Runs fn(arg) in a new thread to its end. */
void stage_in_thread(void (*fn)(void *arg), void *arg);

/* ---- what there is ---- */

size_t stage_count_fds(void);                 /* open descriptors of this process */
size_t stage_count_entries(const char *path); /* entries of a directory; 0 when there is none */
void stage_remove_tree(const char *path);

/* ---- data ---- */

/* SplitMix64. The seed of a run is printed; MBR_TEST_SEED repeats it. */
uint64_t stage_random(uint64_t *state);
uint64_t stage_below(uint64_t *state, uint64_t limit);
uint64_t stage_seed(void);

/* A settings number of the environment, for experiments by hand. */
uint64_t stage_setting(const char *name, uint64_t otherwise);

/* N bytes that depend on KEY and their place, and whether they are these. */
void stage_fill(void *data, size_t n, uint64_t key);
bool stage_filled(const void *data, size_t n, uint64_t key);

#endif
