#!/bin/sh
# SPDX-License-Identifier: MIT
# mbr_object_get() and mbr_object_put() together cost at most 120 instructions for a region in one
# block, and no system call. Counted by callgrind and strace as the difference of two run lengths,
# so that start and end of the program do not count. The program is found in $MEMBRANE_TEST_DIR, or
# in the directory given as argument. Exit status 77 (skipped) without valgrind, and for a program
# that was built unoptimised or with a sanitizer.
set -eu

program=${1:-${MEMBRANE_TEST_DIR:?}}/object_cost_main
command -v valgrind >/dev/null || { echo "valgrind is not installed"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
export MEMBRANE_DIR="$tmp/names"
if "$program" one 10 >/dev/null; then :; else exit $?; fi

# Valgrind stops at debugging information newer than itself.
strip -o "$tmp/program" "$program" 2>/dev/null || cp "$program" "$tmp/program"

instructions() { # kind pairs
    valgrind --tool=callgrind --callgrind-out-file="$tmp/out" "$tmp/program" "$1" "$2" \
        >"$tmp/stdout" 2>"$tmp/stderr" || { cat "$tmp/stderr" >&2; return 1; }
    [ "$(cat "$tmp/stdout")" = "$2" ] || { echo "$1: wrong number of pairs" >&2; return 1; }
    sed -n 's/^totals: *\([0-9]*\).*/\1/p' "$tmp/out"
}

cost() { # kind
    short=$(instructions "$1" 10000)
    long=$(instructions "$1" 30000)
    # Rounded up: 20,000 pairs lie between the two.
    echo $(((long - short + 19999) / 20000))
}

status=0
loop=$(($(cost none) - 4)) # two functions of two instructions each
for kind in one:120 deep:120 late:130 many:300 two:600; do
    limit=${kind#*:}
    kind=${kind%:*}
    found=$(($(cost $kind) - loop))
    echo "$kind: $found instructions per pair (at most $limit)"
    [ "$found" -le "$limit" ] || status=1
done

calls() { # pairs
    strace -f -c -S name -o "$tmp/calls" "$program" one "$1" >/dev/null 2>"$tmp/stderr"
    awk '$NF == "total" { print $4 }' "$tmp/calls"
}

if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
    few=$(calls 10)
    many=$(calls 10000)
    echo "system calls: $few for 10 pairs, $many for 10,000"
    [ "$few" = "$many" ] || status=1
fi
exit $status
