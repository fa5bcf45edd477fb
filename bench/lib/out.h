/* SPDX-License-Identifier: MIT */
/*
 * The frame of a program that prints figures: its standard streams are open, and figures that did
 * not arrive are told. Not here: what it prints.
 */
#ifndef BENCH_LIB_OUT_H
#define BENCH_LIB_OUT_H

/* Runs `body`, and returns its exit code; another one, after a message with the program's name, if
 * that was 0 and what it has printed got lost. */
int bench_out(const char *program, int (*body)(int argc, char **argv), int argc, char **argv);

#endif
