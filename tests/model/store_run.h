/* SPDX-License-Identifier: MIT */
/*
 * One run of the store's model: programs of three connections, step by step in a given order, on a
 * real engine and on the specification beside it (store_spec.h). After each step every byte in
 * every queue is looked at.
 *
 * A program is text: requests with a blank between them, each the letter of its kind, of its path
 * and its argument as in store_spec.h, "T" before it if it is of the transaction: "S TRa TWb1 C".
 * "e" reads everything that waits for the connection, "e20" so many bytes of it.
 *
 * Not here: which programs, and which orders (store_test.c).
 */
#ifndef MBR_TESTS_MODEL_STORE_RUN_H
#define MBR_TESTS_MODEL_STORE_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "store_spec.h"

#define RUN_CONNS 3 /* the fourth judges */
#define RUN_OPS   6 /* of one program */
#define RUN_STEPS (RUN_CONNS * RUN_OPS)

struct run_program {
    char who[RUN_CONNS + 1]; /* their letters, as in ../store/cases.h */
    char setup[96];          /* "A.Wa1 B.wp1": done first, and what it causes is read */
    char text[RUN_CONNS][64];
};

enum run_trouble {
    RUN_NONE,
    RUN_UPDATE,         /* a live update after step AT */
    RUN_UPDATE_ALWAYS,  /* after each */
    RUN_UPDATE_AND_EAT, /* after step AT, with half a message on its way to WHO */
    RUN_DEATH,          /* of WHO after step AT */
    RUN_RESET,          /* of WHO, which lives on as after the reset of a ring */
};

struct run_plan {
    int order[RUN_STEPS]; /* whose turn it is */
    int steps;
    enum run_trouble trouble;
    int at, who;
};

/* Requests of a program; 0: it is none. */
int run_length(const char *text);

/* Runs it. False: run_wrong() tells what was wrong, and run_trace() what had happened. */
bool run(const struct run_program *program, const struct run_plan *plan);
const char *run_wrong(void);
const char *run_trace(void);

/* For mutants: whether a ring's reset is going on, and what is to be done after each request. */
extern bool run_resetting;
extern void (*run_after_request)(void);

#endif
