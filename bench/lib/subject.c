/* SPDX-License-Identifier: MIT */
/*
 * Questions about subjects and cases that need no measurement.
 */
#include "bench/lib/subject.h"

#include <stdio.h>

#include "bench/lib/table.h"

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

bool bench_subject_can(const struct bench_subject *subject, const struct bench_case *bc)
{
    unsigned need = (bc->blocking ? BENCH_BLOCKS : BENCH_SPINS) | (bc->idle ? BENCH_IDLES : 0) |
                    (bc->rest_ns ? BENCH_RESTS : 0);

    if ((subject->flags & need) != need) {
        return false;
    }
    if (subject->max_message != 0 && bc->size > subject->max_message) {
        return false;
    }
    switch (bc->kind) {
    case BENCH_RTT:
        return subject->ping != NULL && subject->pong != NULL;
    case BENCH_STREAM:
        return subject->send != NULL && subject->recv != NULL;
    case BENCH_DEATH:
        return subject->await_death != NULL;
    }
    return false;
}

size_t bench_ring_bytes(const struct bench_case *bc)
{
    if (bc->ring_bytes != 0) {
        return bc->ring_bytes;
    }
    if (bc->kind != BENCH_STREAM) {
        return bc->size < 16 * KIB ? 64 * KIB : 4 * MIB;
    }
    /* A ring beyond the writer's second-level cache streams fastest; the small one suffices for
     * small messages. */
    return bc->size <= 256 ? MIB : 8 * MIB;
}

const char *bench_case_name(const struct bench_case *bc, char *text, size_t size)
{
    static const char *const kinds[] = {"rtt", "stream", "death"};
    char bytes[16];
    char idle[24] = "";

    if (bc->idle != 0) {
        snprintf(idle, sizeof(idle), " idle%u", bc->idle);
    }
    if (bc->kind == BENCH_DEATH) {
        snprintf(text, size, "%s%s", kinds[bc->kind], bc->one_cpu ? " 1cpu" : "");
        return text;
    }
    snprintf(text, size, "%s %s%s%s%s", kinds[bc->kind],
             bench_size_text(bc->size, bytes, sizeof(bytes)),
             bc->rest_ns != 0 ? " woken"
             : bc->blocking   ? " block"
                              : "",
             bc->one_cpu ? " 1cpu" : "", idle);
    return text;
}
