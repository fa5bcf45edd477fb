#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""back_mutants.py COMPILER [NAME...]: breaks the way back to the kernel in many ways, one at a
time, and sees to it that tests/model/back_test.c finds each of them. A mutant whose text is no
longer in the source is an error here: write it anew. Left out: in which order a reader looks at
bells and at left, since it looks at both once more before it believes that nothing is to come.
"""
import os
import resource
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "tests", "model")
SHIM = os.path.join(ROOT, "shim")
PATIENCE = 120  # seconds of processor time for one mutant
SOURCES = ["stream.c", "leave.c", "sleep.c", "conn.c"]

# The source, what it breaks, the text, what stands there instead.
MUTANTS = [
    ("leave.c", "a writer that leaves looks at head at once",
     "    mbr_store_release(&own->left, (uint32_t)SHIM_LEFT_SOON);\n"
     "    mbr_fence_full(); /* pair C */\n",
     "    mbr_store_release(&own->left, (uint32_t)SHIM_LEFT_SOON);\n"),
    ("leave.c", "a writer does not say SOON",
     "    mbr_store_release(&own->left, (uint32_t)SHIM_LEFT_SOON);\n", ""),
    ("leave.c", "a writer that rings looks at frozen at once",
     "    mbr_store_relaxed(&own->ringing, (uint32_t)1);\n    mbr_fence_full(); /* pair C */\n",
     "    mbr_store_relaxed(&own->ringing, (uint32_t)1);\n"),
    ("leave.c", "a writer does not say that it rings",
     "    mbr_store_relaxed(&own->ringing, (uint32_t)1);\n", ""),
    ("leave.c", "a reader that freezes looks at once",
     "            mbr_fence_full(); /* pair C */\n            settle_rx(c, fd);\n",
     "            settle_rx(c, fd);\n"),
    ("leave.c", "a reader does not look whether it is being rung for",
     " || (left == SHIM_LEFT_NO && ringing)", " || (ringing && n > INT64_MAX)"),
    ("leave.c", "a reader does not wait for who is just leaving",
     "(left != SHIM_LEFT_NO && left != SHIM_LEFT_RING)", "(left > SHIM_LEFT_RING)"),
    ("leave.c", "a bell is counted after ringing is over",
     "            mbr_store_release(&own->bells, mbr_load_relaxed(&own->bells) + 1);\n"
     "        done(&own->tx_doubt, SHIM_DOUBT_BELL);\n"
     "    }\n"
     "    mbr_store_release(&own->ringing, (uint32_t)0);\n",
     "            mbr_store_release(&own->ringing, (uint32_t)0);\n"
     "        done(&own->tx_doubt, SHIM_DOUBT_BELL);\n"
     "        if (r == 1)\n"
     "            mbr_store_release(&own->bells, mbr_load_relaxed(&own->bells) + 1);\n"
     "    }\n"
     "    mbr_store_release(&own->ringing, (uint32_t)0);\n"),
    ("leave.c", "a bell is not counted",
     "            mbr_store_release(&own->bells, mbr_load_relaxed(&own->bells) + 1);\n",
     "            (void)0;\n"),
    ("leave.c", "a writer rings for who has not taken all",
     "    return mbr_load_relaxed(&c->peer->taken) == mbr_load_relaxed(&c->own->start);\n",
     "    return c != NULL;\n"),
    ("leave.c", "a writer that leaves says RING before copied",
     "    mbr_store_relaxed(&own->copied, head);\n"
     "    mbr_store_relaxed(&own->bells,"
     " mbr_load_relaxed(&own->bells) + mbr_load_relaxed(&own->mark));\n"
     "    mbr_store_release(&own->left, (uint32_t)SHIM_LEFT_RING);\n",
     "    mbr_store_relaxed(&own->bells,"
     " mbr_load_relaxed(&own->bells) + mbr_load_relaxed(&own->mark));\n"
     "    mbr_store_release(&own->left, (uint32_t)SHIM_LEFT_RING);\n"
     "    mbr_store_relaxed(&own->copied, head);\n"),
    ("leave.c", "a writer that leaves says RING before bells",
     "    mbr_store_relaxed(&own->bells,"
     " mbr_load_relaxed(&own->bells) + mbr_load_relaxed(&own->mark));\n"
     "    mbr_store_release(&own->left, (uint32_t)SHIM_LEFT_RING);\n",
     "    mbr_store_release(&own->left, (uint32_t)SHIM_LEFT_RING);\n"
     "    mbr_store_relaxed(&own->bells,"
     " mbr_load_relaxed(&own->bells) + mbr_load_relaxed(&own->mark));\n"),
    ("leave.c", "a writer leaves without a last bell",
     "(uint32_t)(shim_may_ring(c) && !mbr_load_relaxed(&c->peer->frozen)));",
     "(uint32_t)(c->size == 0));"),
    ("leave.c", "a last bell for who is frozen",
     "(uint32_t)(shim_may_ring(c) && !mbr_load_relaxed(&c->peer->frozen)));",
     "(uint32_t)shim_may_ring(c));"),
    ("leave.c", "the copy begins one byte too late",
     "    mbr_store_relaxed(&own->resent, head);\n",
     "    mbr_store_relaxed(&own->resent, head + (head < tail));\n"),
    ("leave.c", "the copy is not skipped",
     "        n += had;\n", "        n += had > c->peer_size;\n"),
    ("leave.c", "bells of a frozen end are left",
     "    if (n > 0)\n        r = drop(c, fd, n < DISCARD_MOST ? (uint64_t)n : DISCARD_MOST);\n",
     "    (void)drop;\n"),
    ("leave.c", "half of the copy is enough",
     "    return mbr_load_relaxed(&own->mark) == 0 &&\n"
     "           mbr_load_relaxed(&own->resent) == mbr_load_relaxed(&own->tail);\n",
     "    return mbr_load_relaxed(&own->mark) == 0;\n"),
    ("leave.c", "who closes does not freeze",
     "    (void)freeze(c, fd, mbr__deadline_ns(GRACE_NS));\n}\n\nbool shim_leave",
     "    (void)freeze;\n    (void)fd;\n}\n\nbool shim_leave"),
    ("leave.c", "a reader goes back before the ring is empty",
     " && mbr_load_acquire(&c->peer->left) != SHIM_LEFT_NO &&\n          shim_avail(c) == 0)))",
     " && mbr_load_acquire(&c->peer->left) != SHIM_LEFT_NO)))"),
    ("stream.c", "a bell that nobody counts, for who closes",
     "        rung(c, shim_ring(c, fd)); /* not",
     "        rung(c, gone(c) ? shim_quiet_send(fd, \"\", 1) : shim_ring(c, fd)); /* not"),
    ("stream.c", "a writer looks for sleepers at once",
     "    mbr_fence_full(); /* pair B: the bytes are out before we look whether somebody sleeps"
     " */\n", ""),
    ("stream.c", "a reader publishes what it has taken and looks at once",
     "    mbr_fence_full(); /* pair B: then we look whether the peer has switched */\n", ""),
    ("stream.c", "taken is not published",
     "    mbr_store_release(&own->taken, count);\n", ""),
    ("stream.c", "a reader that never entered takes bells for bytes",
     "    if (bells > (uint64_t)r)\n        bells = (uint64_t)r;\n", "    bells = 0;\n"),
    ("sleep.c", "who sleeps looks before it says so",
     "    mbr_fence_full(); /* pair B, as above */\n", ""),
]


def objects(compiler, folder):
    """What no mutant changes, and the sources as they are."""
    flags = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-w", "-U_FORTIFY_SOURCE",
             "-I", os.path.join(ROOT, "src"), "-I", os.path.join(ROOT, "include"),
             "-I", SHIM, "-I", MODEL]
    world = ["-include", os.path.join(MODEL, "back_world.h")]
    made = {}
    for name in ["space.c", "back_kernel.c", "back_test.c"]:
        made[name] = os.path.join(folder, name + ".o")
        subprocess.run([compiler, *flags, "-c", os.path.join(MODEL, name), "-o", made[name]],
                       check=True)
    for name in SOURCES:
        made[name] = os.path.join(folder, name + ".o")
        subprocess.run([compiler, *flags, *world, "-c", os.path.join(SHIM, name), "-o",
                        made[name]], check=True)
    return flags + world, made


def limit():
    resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE))


def finds(compiler, folder, flags, made, name, text):
    """The violation that is printed, or None."""
    source = os.path.join(folder, "mutant.c")
    program = os.path.join(folder, "model")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    changed = dict(made)
    changed[name] = os.path.join(folder, "mutant.o")
    subprocess.run([compiler, *flags, "-c", source, "-o", changed[name]], check=True)
    subprocess.run([compiler, *changed.values(), "-lcmocka", "-lpthread", "-o", program],
                   check=True)
    run = subprocess.run([program, "first"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                         text=True, check=False, preexec_fn=limit)
    said = run.stderr.split("\n")[0]
    return said if run.returncode == 1 and not said.startswith("[") else None


def main():
    missed = 0
    compiler, only = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        flags, made = objects(compiler, folder)
        for name, what, old, new in MUTANTS:
            if only and what not in only:
                continue
            with open(os.path.join(SHIM, name), encoding="utf-8") as file:
                text = file.read()
            if text.count(old) != 1:
                print("%s: its text is %d times in %s" % (what, text.count(old), name))
                missed += 1
                continue
            found = finds(compiler, folder, flags, made, name, text.replace(old, new))
            print("%s: %s" % (what, found or "NOT FOUND"), flush=True)
            missed += found is None
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
