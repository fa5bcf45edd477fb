/* SPDX-License-Identifier: MIT */
/*
 * The cache-line game and the judgement of its results. The median over stretches of a few
 * microseconds is used because one preemption would spoil a mean over 2 ms.
 */
#include "bench/lib/linecheck.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/clock.h"

#define STRETCH           32 /* round trips between two looks at the clock */
#define STRETCHES         1024
#define STOP              UINT64_MAX
#define SHARED_CORE_LIMIT 0.55
#define KNOWN_ENOUGH      8

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* Waits until `*word` is `value` (0) or STOP (1). */
static int await(const uint64_t *word, uint64_t value, uint64_t deadline)
{
    for (uint32_t spins = 1;; spins++) {
        uint64_t now = mbr_load_acquire(word);

        if (now == value) {
            return 0;
        }
        if (now == STOP) {
            return 1;
        }
        if ((spins & 4095) == 0 && bench_ticks() > deadline) {
            return -ETIMEDOUT;
        }
    }
}

/* Side A: odd values in one line, any in two; B answers with the next number. */
static int lead(struct bench_lines *lines, bool two, uint64_t stop_at, uint64_t deadline,
                double *rtt_ns)
{
    uint64_t *answer = two ? &lines->b : &lines->a;
    double stretch[STRETCHES];
    size_t count = 0;
    uint64_t value = 1;
    uint64_t from = bench_ticks();

    while (count < STRETCHES && (count == 0 || from < stop_at)) {
        uint64_t now;

        for (int i = 0; i < STRETCH; i++, value += 2) {
            int result;

            mbr_store_release(&lines->a, value);
            result = await(answer, value + 1, deadline);
            if (result != 0) {
                return result < 0 ? result : -EPROTO;
            }
        }
        now = bench_ticks();
        stretch[count++] = bench_ticks_to_ns((double)(now - from)) / STRETCH;
        from = now;
    }
    mbr_store_release(&lines->a, STOP);
    qsort(stretch, count, sizeof(stretch[0]), compare_doubles);
    *rtt_ns = stretch[count / 2];
    return 0;
}

static int follow(struct bench_lines *lines, bool two, uint64_t deadline)
{
    uint64_t *answer = two ? &lines->b : &lines->a;

    for (uint64_t value = 1;; value += 2) {
        int result = await(&lines->a, value, deadline);

        if (result != 0) {
            return result < 0 ? result : 0;
        }
        mbr_store_release(answer, value + 1);
    }
}

int bench_linecheck(struct bench_lines *lines, int side, bool two, uint64_t span_ns,
                    uint64_t timeout_ns, double *rtt_ns)
{
    uint64_t now = bench_ticks();
    uint64_t deadline = now + bench_ns_to_ticks(timeout_ns);
    int result;

    if (side == 0) {
        return lead(lines, two, now + bench_ns_to_ticks(span_ns), deadline, rtt_ns);
    }
    result = follow(lines, two, deadline);
    if (result == 0) {
        *rtt_ns = 0;
    }
    return result;
}

void bench_line_note(struct bench_line_log *log, double rtt_ns)
{
    log->rtt_ns[log->count % BENCH_LINE_LOG] = rtt_ns;
    log->count++;
}

double bench_line_usual(const struct bench_line_log *log)
{
    double sorted[BENCH_LINE_LOG];
    size_t count = log->count < BENCH_LINE_LOG ? log->count : BENCH_LINE_LOG;

    if (count == 0) {
        return 0;
    }
    memcpy(sorted, log->rtt_ns, count * sizeof(sorted[0]));
    qsort(sorted, count, sizeof(sorted[0]), compare_doubles);
    return sorted[count * 9 / 10];
}

bool bench_line_shared_core(const struct bench_line_log *log, double rtt_ns)
{
    return log->count >= KNOWN_ENOUGH && rtt_ns < SHARED_CORE_LIMIT * bench_line_usual(log);
}
