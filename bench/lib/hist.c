/* SPDX-License-Identifier: MIT */
/*
 * The log-linear histogram. Bucket numbers grow with values, so a quantile is one walk.
 */
#include "bench/lib/hist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* 11 bits of mantissa: the half that is used above the linear part resolves 1/1024. */
#define MANTISSA_BITS 11
#define HALF          ((size_t)1 << (MANTISSA_BITS - 1))
#define TOP_BITS      42
#define BUCKETS       ((TOP_BITS - MANTISSA_BITS + 2) * HALF)

static size_t bucket_of(uint64_t value)
{
    unsigned bits;
    unsigned shift;

    if (value < 2 * HALF) {
        return (size_t)value;
    }
    if (value >> TOP_BITS != 0) {
        return BUCKETS - 1;
    }
    bits = 64u - (unsigned)__builtin_clzll(value);
    shift = bits - MANTISSA_BITS;
    /* value >> shift lies in [HALF, 2 * HALF): each power of two continues where the last ended. */
    return (size_t)shift * HALF + (size_t)(value >> shift);
}

static uint64_t bucket_top(size_t bucket)
{
    size_t shift;

    if (bucket < 2 * HALF) {
        return bucket;
    }
    shift = bucket / HALF - 1;
    return ((uint64_t)(bucket - shift * HALF + 1) << shift) - 1;
}

int bench_hist_init(struct bench_hist *hist)
{
    uint64_t *bucket = calloc(BUCKETS, sizeof(*bucket));

    if (bucket == NULL) {
        return -ENOMEM;
    }
    *hist = (struct bench_hist){.bucket = bucket, .min = UINT64_MAX};
    return 0;
}

void bench_hist_fini(struct bench_hist *hist)
{
    free(hist->bucket);
    hist->bucket = NULL;
}

void bench_hist_clear(struct bench_hist *hist)
{
    memset(hist->bucket, 0, BUCKETS * sizeof(*hist->bucket));
    *hist = (struct bench_hist){.bucket = hist->bucket, .min = UINT64_MAX};
}

void bench_hist_record(struct bench_hist *hist, uint64_t value)
{
    hist->bucket[bucket_of(value)]++;
    hist->count++;
    hist->sum += (double)value;
    hist->min = value < hist->min ? value : hist->min;
    hist->max = value > hist->max ? value : hist->max;
}

void bench_hist_merge(struct bench_hist *into, const struct bench_hist *from)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        into->bucket[i] += from->bucket[i];
    }
    into->count += from->count;
    into->sum += from->sum;
    into->min = from->min < into->min ? from->min : into->min;
    into->max = from->max > into->max ? from->max : into->max;
}

uint64_t bench_hist_quantile(const struct bench_hist *hist, double q)
{
    /* The rank is rounded up, so that q = 1 is the last value and q = 0 the first. */
    uint64_t rank = (uint64_t)(q * (double)hist->count + 0.999999);
    uint64_t seen = 0;

    if (hist->count == 0) {
        return 0;
    }
    rank = rank == 0 ? 1 : rank;
    for (size_t i = 0; i < BUCKETS - 1; i++) {
        seen += hist->bucket[i];
        if (seen >= rank) {
            uint64_t top = bucket_top(i);

            return top < hist->max ? top : hist->max;
        }
    }
    return hist->max;
}

double bench_hist_mean(const struct bench_hist *hist)
{
    return hist->count == 0 ? 0 : hist->sum / (double)hist->count;
}
