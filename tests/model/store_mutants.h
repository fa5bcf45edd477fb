/* SPDX-License-Identifier: MIT */
/*
 * Faults that are put into the engine's functions to see whether the model finds them: the linker
 * sends their calls here (CMakeLists.txt). With MUTANT_NONE nothing is changed.
 */
#ifndef MBR_TESTS_MODEL_STORE_MUTANTS_H
#define MBR_TESTS_MODEL_STORE_MUTANTS_H

enum mutant {
    MUTANT_NONE,
    MUTANT_READS_DO_NOT_CONFLICT,  /* a commit compares only what it changes */
    MUTANT_WRITES_DO_NOT_CONFLICT, /* and only what it does not */
    MUTANT_COMMIT_ALWAYS,          /* and nothing */
    MUTANT_REPLY_FIRST,            /* own events come after the answer */
    MUTANT_DEAF_TO_ITSELF,         /* own events do not come */
    MUTANT_TOLD_TWICE,             /* events that wait already are queued again */
    MUTANT_GONE_IS_NOT_TOLD,       /* nobody hears of what went with a removed node */
    MUTANT_TOLD_TO_STRANGERS,      /* permissions do not matter for events */
    MUTANT_UPDATE_LOSES_A_WATCH,   /* the first of a connection */
    MUTANT_UPDATE_LOSES_OUTPUT,    /* what a client had not read */
    MUTANT_UPDATE_FORGETS_READS,   /* a transaction comes without what it had only read */
    MUTANT_RESET_LEAVES_WATCHES,   /* of the connection's first life */
    MUTANT_RESET_LEAVES_A_TRANSACTION,
    MUTANTS
};

extern enum mutant mutant;
extern const char *const mutant_names[MUTANTS];

#endif
