#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""object_mutants.py COMPILER [NAME...]: breaks locks and versions of objects in many ways, one at a
time, and sees to it that tests/model/lock_test.c and version_test.c find each of them. A mutant
whose text is no longer in the source is an error here: write it anew. Left out: what only weaker
processors than x86 would notice, and readers that pass a reserved word, for which more states would
be needed than lock_test.c looks at.
"""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "tests", "model")

# What it breaks, the text, what stands there instead.
LOCK = [
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
     "        mbr_store_release(&l->torn, MBR__TORN);", "        (void)0;"),
    ("everybody is told of a torn block",
     "        if (mbr_cas(&l->torn, &torn, MBR__TORN_TOLD))", "        if (torn == MBR__TORN)"),
    ("nobody is told of a torn block",
     "    while (is_torn(torn)) {\n", "    while (torn > MBR__LOST) {\n"),
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
    ("readers look at who is next after they have looked at the word",
     "    uint32_t next = mbr_load_acquire(&l->next); /* pair A with take() */\n\n"
     "    return (next | mbr_load_acquire(&l->writer)) != 0; /* pair A with give_back() */\n",
     "    uint32_t word = mbr_load_acquire(&l->writer);\n\n"
     "    return (word | mbr_load_acquire(&l->next)) != 0;\n"),
    ("a thread that goes from one hold to another is not looked at again",
     "        if (mbr_load_acquire(&m->passed) == passed)\n            return false;\n",
     "        return false;\n"),
]

MUTEX = [
    ("a mutex is freed before its ticket is stated",
     "            mbr_store_release(&m->tickets[i], word);\n", ""),
    ("the mutex of a living owner is taken",
     "    if (old == 0 || (slot < MBR_CONTAINER_MEMBERS && is_accounted(w, old)))\n",
     "    if (old == 0)\n"),
    ("nobody inherits a mutex",
     "        int r = inherit(w, m, own, dead);\n", "        int r = -EAGAIN;\n"),
    ("a mutex is inherited without a word",
     "    *dead = slot;\n    return -EOWNERDEAD;\n", "    *dead = slot;\n    return -EAGAIN;\n"),
    ("a sleeper does not say that it waits",
     "        mbr_store_relaxed(&m->waiters, 1);\n", ""),
    ("who frees a mutex wakes nobody",
     "    if (mbr_load_relaxed(&m->waiters) == 0)\n", "    if (w != NULL)\n"),
    ("the turn of a mutex does not grow",
     "    (void)mbr_fetch_add(&m->turn, 1);\n", ""),
]

VERSION = [
    ("a reader does not look again",
     "        if (__builtin_expect(current == then, 1))\n", "        if (then != UINT64_MAX)\n"),
    ("a reader looks again before its hold is seen",
     "        mbr_fence_full(); /* pair B with mark_pinned(): a writer sees the hold, or we its"
     " version */\n", ""),
    ("a reader gives back its hold before it reads",
     "    if (rc == 0)\n        rc = copy_out(o, m, offset, buf, size);\n    unpin(o, hold);\n",
     "    unpin(o, hold);\n    if (rc == 0)\n        rc = copy_out(o, m, offset, buf, size);\n"),
]

VERSION_WRITE = [
    ("pinned versions are not looked for", "        mark_pinned(w);\n", "        (void)0;\n"),
    ("the current version is not in use",
     "    rc = mark_map(w, mbr__current_place(w->current));\n", "    rc = 0;\n"),
    ("blocks of a version are not in use",
     "        set_use(v->blocks, p);\n", ""),
    ("it is published before it is written",
     "        rc = fill(w);\n    if (rc < 0)\n        return rc;\n    publish(w);\n",
     "        publish(w);\n    if (rc == 0)\n        rc = fill(w);\n"),
]

# The test that must find them, the macro with which it takes another source.
SOURCES = [
    ("lock.c", "LOCK_SOURCE", "lock_test.c", LOCK),
    ("mutex.c", "MUTEX_SOURCE", "lock_test.c", MUTEX),
    ("version.c", "VERSION_SOURCE", "version_test.c", VERSION),
    ("version_write.c", "VERSION_WRITE_SOURCE", "version_test.c", VERSION_WRITE),
]


def build(compiler, folder, source, macro, test):
    program = os.path.join(folder, "model")
    command = [compiler, "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-w",
               '-D%s="%s"' % (macro, source), "-I", os.path.join(ROOT, "src"),
               "-I", os.path.join(ROOT, "include"), "-I", MODEL,
               os.path.join(MODEL, test), os.path.join(MODEL, "space.c"),
               "-lcmocka", "-lpthread", "-o", program]
    subprocess.run(command, check=True)
    return program


def finds(compiler, text, macro, test):
    """The violation that is printed, or None."""
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "source.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        run = subprocess.run([build(compiler, folder, source, macro, test), "first"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             check=False)
    said = run.stderr.split("\n")[0]
    return said if run.returncode == 1 and not said.startswith("[") else None


def try_all(compiler, only, source, macro, test, mutants):
    missed = 0
    with open(os.path.join(ROOT, "src", "object", source), encoding="utf-8") as file:
        text = file.read()
    for name, old, new in mutants:
        if only and name not in only:
            continue
        if text.count(old) != 1:
            print("%s: its text is %d times in %s" % (name, text.count(old), source))
            missed += 1
            continue
        found = finds(compiler, text.replace(old, new), macro, test)
        print("%s: %s" % (name, found or "NOT FOUND"), flush=True)
        missed += found is None
    return missed


def main():
    missed = 0
    for source, macro, test, mutants in SOURCES:
        missed += try_all(sys.argv[1], sys.argv[2:], source, macro, test, mutants)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
