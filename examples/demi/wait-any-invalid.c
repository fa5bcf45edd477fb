/* SPDX-License-Identifier: MIT */
/*
 * How long demi_wait_any() takes to see that a token is invalid, given 1,048,576 of them: the cost
 * of entering and leaving the library.
 *
 *     wait-any-invalid [ITERATIONS]
 *
 * Each call must fail with EINVAL at the first token. Build: gcc -std=c99 -I include
 * wait-any-invalid.c -ldemikernel. Run with LIBOS=catmem and CONFIG_PATH set to a YAML file.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <demi/libos.h>
#include <demi/wait.h>

#define TOKENS (1 << 20)

static double nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

int main(int argc, char **argv)
{
    unsigned long iterations = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    demi_qtoken_t *qts = malloc(TOKENS * sizeof(*qts));
    struct demi_args args = {.argc = argc, .argv = argv};
    demi_qresult_t qr;
    int offset, rc;

    rc = demi_init(&args);
    if (rc != 0 || !qts || iterations == 0) {
        fprintf(stderr, "demi_init: %s\n", strerror(rc));
        return 1;
    }
    memset(qts, 0xff, TOKENS * sizeof(*qts)); /* UINT64_MAX names nothing */
    double begin = nanoseconds();
    for (unsigned long i = 0; i < iterations; i++) {
        rc = demi_wait_any(&qr, &offset, qts, TOKENS, NULL);
        if (rc != EINVAL) {
            fprintf(stderr, "demi_wait_any: %s\n", strerror(rc));
            return 1;
        }
    }
    printf("%.1f ns per call\n", (nanoseconds() - begin) / (double)iterations);
    free(qts);
    return 0;
}
