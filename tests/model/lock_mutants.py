#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lock_mutants.py COMPILER [NAME...]: breaks object/lock.c in many ways, one at a time, and sees to
it that tests/model/lock_test.c finds each of them. A mutant whose text is no longer in the source
is an error here: write it anew. Left out: what only weaker processors than x86 would notice.
"""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "tests", "model")

# What it breaks, the text, what stands there instead.
MUTANTS = [
    ("a reader looks before its hold is seen",
     "    mbr_fence_full(); /* pair B with drain() */\n", ""),
    ("a reader leaves without a fence",
     "    mbr_fence_full(); /* pair B with a writer's, between saying that it waits and its look"
     " */\n    for", "    for"),
    ("a reader does not set its bit",
     "            (void)mbr_fetch_or(&l->readers[self / 64], bit);\n", ""),
    ("the turn is read too late",
     "mbr__futex_wait(&l->turn, turn, who, until)",
     "mbr__futex_wait(&l->turn, mbr_load_acquire(&l->turn), who, until)"),
    ("the turn does not grow",
     "    (void)mbr_fetch_add(&l->turn, 1);\n", ""),
    ("a writer grants to nobody",
     "        granted = grant(s, block);\n", ""),
    ("a writer frees the word before it grants",
     "        granted = grant(s, block);\n"
     "        (void)mbr_cas(&l->writer, &owner, 0); /* pair A: readers and the next writer acquire"
     " it */\n",
     "        (void)mbr_cas(&l->writer, &owner, 0);\n        granted = grant(s, block);\n"),
    ("a writer that leaves wakes nobody",
     "    if (granted || mbr_load_relaxed(&l->waiters) != 0)\n", "    if (granted)\n"),
    ("a writer takes the word before it says so",
     "                                             MBR__HOLD_WRITE | MBR__HOLD_WAITING);\n"
     "        int r = take_word(a, b);\n",
     "                                             MBR__HOLD_WRITE);\n"
     "        int r = take_word(a, b);\n"),
    ("a writer does not wait for readers",
     "            r = drain(a, b);\n", "            r = 0;\n"),
    ("a writer sleeps without a second look at readers",
     "        if (!readers_in(a->s, block, NULL))\n            break;\n", ""),
    ("a writer does not say that it writes",
     "mbr_load_relaxed(&h->what) | MBR__HOLD_WRITING);", "mbr_load_relaxed(&h->what));"),
    ("what was written as a whole stays torn",
     "            mbr_store_relaxed(&l->torn, 0);", "            (void)0;"),
    ("a dead writer's blocks are not torn",
     "        mbr_store_release(&l->torn, 1);", "        (void)0;"),
    ("everybody is told of a torn block",
     "        if (mbr_cas(&l->torn, &torn, 2))", "        if (torn == 1)"),
    ("nobody is told of a torn block",
     "    while (torn != 0) {\n", "    while (torn > 2) {\n"),
    ("a reader that waits does not tell writers that it has given up",
     "    left(a->s, block, a->end);\n", ""),
    ("a reader that leaves wakes nobody",
     "    left(s, first, end < s->blocks ? end : s->blocks);\n", ""),
    ("nobody buries a dead writer",
     "    if (known && !w->alive(w, slot)) {\n        w->bury(w, slot);\n",
     "    if (known && !w->alive(w, slot)) {\n"),
    ("nobody buries a dead reader",
     "            w->bury(w, slot);\n            *mended = true;\n",
     "            *mended = true;\n"),
    ("every word is taken for false",
     "    if (known && member_writes(s, slot, holder, block))\n        return false;\n", ""),
    ("a dead writer keeps its words",
     "    for (uint32_t b = first; b < end && b < s->blocks && ticket != 0; b++)\n"
     "        give_back(s, b, ticket);\n", ""),
    ("a hold accounts for one block too few",
     "return mbr__hold_held(what) + ((what & MBR__HOLD_WAITING) != 0);",
     "return mbr__hold_held(what);"),
    ("readers pass a reserved word",
     "mbr_load_relaxed(&l->next)) != 0) /* pair A */", "0) != 0)"),
]


def build(compiler, folder, source):
    program = os.path.join(folder, "model")
    command = [compiler, "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-w",
               '-DLOCK_SOURCE="%s"' % source, "-I", os.path.join(ROOT, "src"),
               "-I", os.path.join(ROOT, "include"), "-I", MODEL,
               os.path.join(MODEL, "lock_test.c"), os.path.join(MODEL, "space.c"),
               "-lcmocka", "-o", program]
    subprocess.run(command, check=True)
    return program


def finds(compiler, folder, text):
    """The violation that is printed, or None."""
    source = os.path.join(folder, "lock.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    run = subprocess.run([build(compiler, folder, source), "first"], stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True, check=False)
    said = run.stderr.split("\n")[0]
    return said if run.returncode == 1 and not said.startswith("[") else None


def main():
    with open(os.path.join(ROOT, "src", "object", "lock.c"), encoding="utf-8") as file:
        text = file.read()
    missed = 0
    only = sys.argv[2:]
    for name, old, new in MUTANTS:
        if only and name not in only:
            continue
        if text.count(old) != 1:
            print("%s: its text is %d times in lock.c" % (name, text.count(old)))
            missed += 1
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = finds(sys.argv[1], folder, text.replace(old, new))
        print("%s: %s" % (name, found or "NOT FOUND"), flush=True)
        missed += found is None
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
