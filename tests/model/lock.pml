/* SPDX-License-Identifier: MIT */
/*
 * The design of the locks of blocks (src/object/lock.h) without memory, deaths and code: who takes
 * what when, who waits for whom, who wakes whom. Writers and readers take regions over and over,
 * each time the first block, the last, or all.
 *
 * What must hold: no deadlock (spin's invalid end states; nobody sleeps for ever, since sleepers
 * here never wake by themselves); exclusion; no reader that comes after a writer has a word gets in
 * before it. -DNO_WAKE and -DNO_WAIT break it, which must be found.
 *
 * All that is modelled of the code is in all its states in lock_test.c; this is larger in the
 * number of blocks and of rounds. Run by lock_spin.sh.
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef READERS
#define READERS 2
#endif
#define N      (WRITERS + READERS)
#ifndef BLOCKS
#define BLOCKS 2
#endif
#define NOBODY 255

byte word[BLOCKS] = NOBODY; /* the writer that has it or waits for its readers to go */
bool holds[N * BLOCKS];     /* of readers: what they say that they read */
byte waits[N] = NOBODY;     /* of readers: the block that they may be granted */
bool asleep[N];             /* until somebody wakes them */
byte sleeps_at[N];
byte inside[BLOCKS];        /* readers that are in; 100 a writer */
bool wants[N];
byte before[N * BLOCKS] = NOBODY; /* of readers: the writer whose word they found, until it is in */

#define HOLDS(p, b) holds[(p) * BLOCKS + (b)]

/* Wakes all that sleep at block b. */
inline wake(b)
{
    i = 0;
    do
    :: i < N ->
        if
        :: asleep[i] && sleeps_at[i] == b -> asleep[i] = false
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

inline sleep_at(b)
{
    sleeps_at[_pid] = b;
    asleep[_pid] = true
}

inline any_region()
{
    if
    :: first = 0
    :: first = BLOCKS - 1
    fi;
    if
    :: end = first + 1
    :: end = BLOCKS
    fi
}

/* Whether a reader says that it reads block b. */
inline look(b)
{
    taken = false;
    i = 0;
    do
    :: i < N ->
        taken = taken || HOLDS(i, b);
        i++
    :: else -> break
    od;
    i = 0
}

active [WRITERS] proctype writer()
{
    byte first, end, b, i;
    bool taken;

    do
    :: true ->
        atomic { any_region(); wants[_pid] = true; b = first };
        do
        :: b < end ->
            /* the word; a sleeper looks once more after it has said that it sleeps */
            do
            :: d_step { word[b] == NOBODY -> word[b] = _pid }; break
            :: d_step { word[b] != NOBODY -> sleep_at(b) }; !asleep[_pid]
            od;
            do
            :: skip; d_step { look(b);
                        if
                        :: taken -> sleep_at(b)
                        :: else
                        fi };
                if
#ifndef NO_WAIT
                :: taken -> !asleep[_pid]
                :: !taken -> break
#else
                :: asleep[_pid] = false; break
#endif
                fi
            od;
            skip; /* a jump may not end in a d_step */
            d_step { assert(inside[b] == 0); inside[b] = 100 };
            b++
        :: else -> break
        od;
        skip;
        d_step {
            wants[_pid] = false;
            i = 0;
            do
            :: i < N * BLOCKS ->
                if
                :: before[i] == _pid -> before[i] = NOBODY
                :: else
                fi;
                i++
            :: else -> break
            od;
            i = 0;
            b = first
        };
        do
        :: b < end ->
            inside[b] = 0;
            /* grants to the readers that wait, then frees, then wakes */
            d_step {
                i = 0;
                do
                :: i < N ->
                    if
                    :: waits[i] == b -> HOLDS(i, b) = true; waits[i] = NOBODY
                    :: else
                    fi;
                    i++
                :: else -> break
                od;
                i = 0
            };
            word[b] = NOBODY;
            d_step { wake(b) };
            b++
        :: else -> break
        od
    od
}

active [READERS] proctype reader()
{
    byte first, end, b, i, k;

    do
    :: true ->
        atomic {
            any_region();
            wants[_pid] = true;
            b = first;
            k = 0;
            do
            :: k < BLOCKS ->
                if
                :: word[k] != NOBODY && wants[word[k]] -> before[_pid * BLOCKS + k] = word[k]
                :: else
                fi;
                k++
            :: else -> break
            od;
            k = 0
        }
        do
        :: b < end ->
            /* says that it reads all, then looks */
            d_step {
                k = b;
                do
                :: k < end -> HOLDS(_pid, k) = true; k++
                :: else -> break
                od;
                k = 0
            };
            do
            :: b < end && word[b] == NOBODY -> b++
            :: b == end || word[b] != NOBODY -> break
            od;
            if
            :: b == end
            :: b < end ->
                /* keeps what is below, gives up the rest, may be granted the block */
                d_step {
                    k = b;
                    do
                    :: k < end -> HOLDS(_pid, k) = false; k++
                    :: else -> break
                    od;
                    waits[_pid] = b
                };
                k = b;
                do
#ifndef NO_WAKE
                :: k < end -> d_step { wake(k) }; k++
                :: else -> k = 0; break
#else
                :: k = 0; break
#endif
                od;
                do
                :: d_step { waits[_pid] == NOBODY -> b++ }; break
                :: d_step { waits[_pid] != NOBODY && word[b] == NOBODY -> waits[_pid] = NOBODY };
                    break
                :: d_step { waits[_pid] != NOBODY && word[b] != NOBODY -> sleep_at(b) };
                    !asleep[_pid]
                od
            fi
        :: else -> break
        od;
        skip; /* a jump may not end in a d_step */
        d_step {
            k = first;
            do
            :: k < end ->
                assert(inside[k] < 100);
                /* whom it found there has been in, and has let us in */
                assert(before[_pid * BLOCKS + k] == NOBODY ||
                       word[k] != before[_pid * BLOCKS + k]);
                inside[k]++;
                k++
            :: else -> break
            od;
            k = 0;
            do
            :: k < BLOCKS -> before[_pid * BLOCKS + k] = NOBODY; k++
            :: else -> break
            od;
            k = 0;
            wants[_pid] = false
        };
        b = first;
        do
        :: b < end ->
            d_step { inside[b]--; HOLDS(_pid, b) = false };
            d_step { wake(b) };
            b++
        :: else -> break
        od
    od
}
