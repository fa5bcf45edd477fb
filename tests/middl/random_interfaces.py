#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""random_interfaces.py MIDDLC INCLUDE SEED ROUNDS: random interfaces, made from the grammar.

Each round makes a few interfaces that use each other, with the names that are hazards in C among
theirs. middlc must accept them, format them to a fixed point with the same canonical form, and
write headers, records and skeletons that the C and C++ compilers take without a warning. A case
that fails is shrunk: declarations, then members, are taken out as long as it still fails.
"""
import os
import random
import subprocess
import sys
import tempfile

NAMES = ["a", "b", "len", "data", "tag", "u", "EOF", "NULL", "int", "class", "errno", "self", "op",
         "state", "x1", "Long_Name", "_under", "_Bool", "__func__", "stdin", "new", "this", "T",
         "size"]
SIMPLE = ["BOOLEAN", "OCTET", "CHAR", "STRING", "REAL", "LONG REAL", "SHORT CARDINAL", "CARDINAL",
          "LONG CARDINAL", "SHORT INTEGER", "INTEGER", "LONG INTEGER", "ADDRESS",
          "DANGEROUS WORD"]
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-fsyntax-only"]


class Maker:
    """Makes the interfaces of a round; each is a list of [declaration, part, part...]."""

    def __init__(self, rng):
        self.rng = rng
        self.enums = []
        self.types = []

    def pick(self, count):
        return self.rng.sample(NAMES, count)

    def fields(self, low, high, depth, modes=False):
        names = self.pick(self.rng.randint(low, high))
        mode = (lambda: self.rng.choice(["", "", "IN ", "OUT ", "IN OUT "])) if modes else str
        return ["%s%s : %s" % (mode(), name, self.type(depth)) for name in names]

    def type(self, depth):
        rng = self.rng
        kind = rng.randint(0, 12 if depth else 5)
        if kind <= 2 or (kind <= 4 and not self.types):
            return rng.choice(SIMPLE)
        if kind <= 4:
            return rng.choice(self.types)
        if kind == 5:
            return "IREF " + rng.choice(self.interfaces)
        if kind == 6:
            return "REF " + self.type(depth - 1)
        if kind == 7:
            return "SEQUENCE OF " + self.type(depth - 1)
        if kind == 8:
            return "ARRAY %d OF %s" % (rng.randint(1, 5), self.type(depth - 1))
        if kind == 9:
            return "RECORD [ %s ]" % ", ".join(self.fields(0, 4, depth - 1))
        if kind == 10:
            return "{ %s }" % ", ".join(self.pick(rng.randint(1, 6)))
        if kind == 11 and self.enums:
            return "SET OF " + rng.choice(self.enums)[0]
        if kind == 12 and self.enums:
            name, values = rng.choice(self.enums)
            arms = ["%s => %s" % (value, self.type(depth - 1)) for value in values]
            return "CHOICE %s OF { %s }" % (name, ", ".join(arms))
        return rng.choice(SIMPLE)

    def interface(self, name, needs):
        rng = self.rng
        decls, exceptions = [], []
        for i in range(rng.randint(1, 12)):
            own = "D%d" % i if rng.random() < 0.8 else rng.choice(["EOF", "int", "Rd"]) + str(i)
            kind = rng.randint(0, 3)
            if kind == 0:
                values = self.pick(rng.randint(1, 6))
                decls.append("%s : TYPE = { %s };" % (own, ", ".join(values)))
                self.types.append("%s.%s" % (name, own))
                self.enums.append(("%s.%s" % (name, own), values))
            elif kind == 1:
                decls.append("%s : TYPE = %s;" % (own, self.type(3)))
                self.types.append("%s.%s" % (name, own))
            elif kind == 2:
                decls.append("%s : EXCEPTION [ %s ];" % (own, "; ".join(self.fields(0, 3, 1))))
                exceptions.append(own)
            else:
                args = self.fields(0, 5, 2, True)
                taken = {arg.split(" : ")[0].split()[-1] for arg in args}
                results = [field for field in self.fields(0, 3, 1)
                           if field.split(" : ")[0] not in taken]
                tail = "RETURNS [ %s ]" % ", ".join(results) if rng.random() < 0.9 \
                    else "NEVER RETURNS"
                if exceptions and rng.random() < 0.5:
                    tail += " RAISES " + ", ".join(sorted(set(rng.choices(exceptions, k=2))))
                decls.append("%s : PROC [ %s ] %s;" % (own, ", ".join(args), tail))
        return [name, needs, decls]

    def round(self):
        self.interfaces = ["If%d" % i for i in range(self.rng.randint(1, 3))]
        result = []
        for i, name in enumerate(self.interfaces):
            needs = [("NEEDS", other) for other in self.interfaces if other != name]
            if i and self.rng.random() < 0.4:
                needs[0] = ("EXTENDS", self.interfaces[i - 1])
                needs[1:] = [("NEEDS", other) for other in self.interfaces
                             if other not in (name, self.interfaces[i - 1])]
                prefix = "S%d" % i
            else:
                prefix = ""
            made = self.interface(name, needs)
            if prefix:  # inherited methods keep their names to themselves
                made[2] = [decl if " : TYPE" in decl or " : EXC" in decl else prefix + decl
                           for decl in made[2]]
            result.append(made)
        return result


def text(interface):
    name, needs, decls = interface
    head = "".join("  %s %s;\n" % need for need in needs)
    return "%s : LOCAL INTERFACE =\n%sBEGIN\n%s\nEND.\n" % (
        name, head, "\n".join("  " + decl for decl in decls))


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def judge(case, middlc, include):
    """What is wrong with a case, or None; "refused" if middlc does not take it."""
    with tempfile.TemporaryDirectory(prefix="middl-random.") as work:
        files, again = [], os.path.join(work, "again")
        os.mkdir(again)
        for interface in case:
            files.append(os.path.join(work, interface[0] + ".if"))
            with open(files[-1], "w", encoding="utf-8") as out:
                out.write(text(interface))
        code, said = run(middlc, "--header", "--types", "--skeleton", "--canonical", "-Wno-choice",
                         "-d", work, *files)
        if code:
            return "refused: " + said
        code, said = run(middlc, "--fmt", "-d", again, *files)
        formatted = [os.path.join(again, interface[0] + ".if") for interface in case]
        before = "".join(open(name, encoding="utf-8").read() for name in formatted)
        code, said = run(middlc, "--fmt", "-i", *formatted)
        if code or before != "".join(open(name, encoding="utf-8").read() for name in formatted):
            return "the one format is none: " + said
        code, said = run(middlc, "--canonical", "-d", again, *formatted)
        for interface in case:
            name = interface[0] + ".canonical"
            if open(os.path.join(work, name), encoding="utf-8").read() != \
                    open(os.path.join(again, name), encoding="utf-8").read():
                return "another canonical form after formatting"
        sources = [os.path.join(work, interface[0] + suffix)
                   for interface in case for suffix in (".types.c", ".impl.c")]
        for compiler in (["gcc", "-std=c99"], ["clang", "-std=c17"],
                         ["g++", "-std=c++17", "-x", "c++"]):
            code, said = run(*compiler, *WARNINGS, "-I", include, "-I", work, *sources)
            if code:
                return "%s: %s" % (compiler[0], said)
    return None


def shrink(case, failing):
    """Takes out what the failure does not need, one piece at a time."""
    changed = True
    while changed:
        changed = False
        for i, interface in enumerate(case):
            for j in range(len(interface[2]) - 1, -1, -1):
                less = [list(each) for each in case]
                less[i][2] = interface[2][:j] + interface[2][j + 1:]
                if failing(less):
                    case, interface, changed = less, less[i], True
    return case


def main():
    middlc, include, seed, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    for number in range(seed, seed + rounds):
        case = Maker(random.Random(number)).round()
        wrong = judge(case, middlc, include)
        if wrong is None:
            continue
        kind = wrong.split(":")[0]
        case = shrink(case, lambda less: (judge(less, middlc, include) or "").startswith(kind))
        print("seed %d: %s\n%s" % (number, judge(case, middlc, include),
                                  "\n".join(text(interface) for interface in case)))
        return 1
    print("%d rounds from seed %d" % (rounds, seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
