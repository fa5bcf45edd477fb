/* SPDX-License-Identifier: MIT */
/* Functions as Closures. */
#include <membrane/apply.h>

static void closure_apply(Closure_clp self)
{
    const struct mbr_apply *apply = self->st;

    apply->entry(apply->data);
}

static const Closure_op closure_ops = {.Apply = closure_apply};

Closure_clp mbr_apply_init(struct mbr_apply *apply, void (*entry)(void *data), void *data)
{
    apply->closure.op = &closure_ops;
    apply->closure.st = apply;
    apply->entry = entry;
    apply->data = data;
    return &apply->closure;
}
