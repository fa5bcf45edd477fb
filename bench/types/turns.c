/* SPDX-License-Identifier: MIT */
/*
 * membrane-types-turns WHAT N [marked]: as membrane-turns, for closures, exceptions and the type
 * system, all from the shared library. Each thing stands beside what it is compared with.
 */
#include <errno.h>
#include <setjmp.h>

#include <membrane/exn.h>
#include <membrane/types.h>
#include <middl/Closure.h>

#include "bench/lib/things.h"

/* ---- a call through a closure, and through a table as C programmers write them ---- */

struct counter {
    const struct counter_ops *ops;
    uint64_t *count;
};

struct counter_ops {
    void (*apply)(struct counter *self);
};

static void table_apply(struct counter *self)
{
    ++*self->count;
}

static void closure_apply(Closure_clp self)
{
    ++*(uint64_t *)self->st;
}

/* Hides where a pointer comes from, so that neither call is resolved at compile time. */
#define OPAQUE(p) __asm__ volatile("" : "+r"(p))

static int call_table(uint64_t count)
{
    static const struct counter_ops ops = {table_apply};
    uint64_t calls = 0;
    struct counter counter = {&ops, &calls};
    struct counter *c = &counter;

    bench_mark();
    for (uint64_t i = 0; i < count; i++) {
        OPAQUE(c);
        c->ops->apply(c);
    }
    bench_mark();
    return calls == count ? 0 : -EIO;
}

static int call_closure(uint64_t count)
{
    static const Closure_op ops = {.Apply = closure_apply};
    uint64_t calls = 0;
    Closure_cl closure = {&ops, &calls};
    Closure_clp c = &closure;

    bench_mark();
    for (uint64_t i = 0; i < count; i++) {
        OPAQUE(c);
        Closure_Apply(c);
    }
    bench_mark();
    return calls == count ? 0 : -EIO;
}

/* ---- TRY in which nothing is raised, and the _setjmp it cannot do without ---- */

static int only_setjmp(uint64_t count)
{
    volatile uint64_t done = 0;
    struct mbr_exn_frame frame;

    bench_mark();
    for (volatile uint64_t i = 0; i < count; i++) {
        if (_setjmp(frame.env) == 0) {
            done++;
        }
    }
    bench_mark();
    return done == count ? 0 : -EIO;
}

static int try(uint64_t count)
{
    volatile uint64_t done = 0;

    bench_mark();
    for (volatile uint64_t i = 0; i < count; i++) {
        TRY
        {
            done++;
        }
        CATCH_ALL
        {
            return -EIO;
        }
        ENDTRY
    }
    bench_mark();
    return done == count ? 0 : -EIO;
}

static int try_finally(uint64_t count)
{
    volatile uint64_t done = 0;

    bench_mark();
    for (volatile uint64_t i = 0; i < count; i++) {
        TRY
        {
        }
        FINALLY
        {
            done++;
        }
        ENDTRY
    }
    bench_mark();
    return done == count ? 0 : -EIO;
}

/* ---- looking up among few types and many ---- */

#define PER_INTERFACE 100u

static uint64_t code_of(uint32_t interface)
{
    return (UINT64_C(0x100000000) + interface * UINT64_C(2654435761)) << 16;
}

/* INTERFACES interfaces with EACH types. */
static int fill(struct mbr_types *types, uint32_t interfaces, uint32_t each)
{
    static char names[PER_INTERFACE][8];
    static struct mbr_type_record records[PER_INTERFACE];
    int result = 0;

    for (uint32_t i = 0; i < interfaces && result == 0; i++) {
        struct mbr_intf_record record = {.magic = MBR_INTF_MAGIC,
                                         .version = MBR_INTF_VERSION,
                                         .code = code_of(i),
                                         .types = records,
                                         .n_types = each,
                                         .n_named = each};
        char name[16];

        (void)snprintf(name, sizeof(name), "I%u", i);
        record.name = name;
        for (uint32_t t = 0; t < each; t++) {
            (void)snprintf(names[t], sizeof(names[t]), "T%u", t);
            records[t] = (struct mbr_type_record){.code = code_of(i) | (t + 1),
                                                  .name = names[t],
                                                  .kind = MBR_TYPE_ALIAS,
                                                  .size = 4,
                                                  .align = 4,
                                                  .base = MBR_CODE_CARDINAL};
        }
        result = mbr_types_register(types, &record);
    }
    return result;
}

/* COUNT look-ups, spread over all types. */
static int look_up(uint64_t count, uint32_t interfaces, uint32_t each, bool by_name)
{
    struct mbr_types *types;
    struct mbr_type_info info;
    int result = mbr_types_new(&types);
    char names[64][32];
    uint64_t code;

    if (result == 0) {
        result = fill(types, interfaces, each);
    }
    for (uint32_t i = 0; i < 64; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "I%u.T%u", i * 7919 % interfaces, i % each);
    }
    bench_mark();
    for (uint64_t i = 0; i < count && result == 0; i++) {
        result =
            by_name
                ? mbr_types_lookup(types, names[i % 64], &code)
                : mbr_types_info(types, code_of((uint32_t)(i * 7919 % interfaces)) | (i % each + 1),
                                 &info);
    }
    bench_mark();
    if (types != NULL) {
        mbr_types_free(types);
    }
    return result;
}

static int code_few(uint64_t count)
{
    return look_up(count, 1, 10, false);
}

static int code_many(uint64_t count)
{
    return look_up(count, 1000, PER_INTERFACE, false);
}

static int name_few(uint64_t count)
{
    return look_up(count, 1, 10, true);
}

static int name_many(uint64_t count)
{
    return look_up(count, 1000, PER_INTERFACE, true);
}

static const struct bench_thing things[] = {
    {"table", "calls through a hand-written operation table", call_table},
    {"closure", "calls through a closure", call_closure},
    {"setjmp", "_setjmp", only_setjmp},
    {"try", "TRY without RAISE", try},
    {"finally", "TRY with FINALLY, without RAISE", try_finally},
    {"code10", "look-ups of a code among 10 types", code_few},
    {"code100000", "look-ups of a code among 100,000 types", code_many},
    {"name10", "look-ups of a name among 10 types", name_few},
    {"name100000", "look-ups of a name among 100,000 types", name_many},
};
#define PROGRAM "membrane-types-turns"

int main(int argc, char **argv)
{
    struct bench_order order;

    if (!bench_ordered(PROGRAM, things, sizeof(things) / sizeof(things[0]), argc, argv, &order)) {
        return BENCH_EXIT_USAGE;
    }
    return bench_done(PROGRAM, &order, order.thing->run(order.count));
}
