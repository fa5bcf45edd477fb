#!/bin/sh
# SPDX-License-Identifier: MIT
# A task switch costs at most 60 instructions: the run loop finds a ready task and calls it, the
# task wakes one and returns to the loop. Counted by callgrind as the difference of two run lengths,
# so that start and end of the program do not count. The program is found in $MEMBRANE_TEST_DIR, or
# in the directory given as argument. Exit status 77 (skipped) without valgrind, and for a program
# that was built unoptimised or with a sanitizer.
set -eu

limit=60
program=${1:-${MEMBRANE_TEST_DIR:?}}/sched_switch_main
command -v valgrind >/dev/null || { echo "valgrind is not installed"; exit 77; }
if "$program" pair 10 >/dev/null; then :; else exit $?; fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# Valgrind stops at debugging information newer than itself.
strip -o "$tmp/program" "$program" 2>/dev/null || cp "$program" "$tmp/program"

instructions() { # kind switches
    valgrind --tool=callgrind --callgrind-out-file="$tmp/out" "$tmp/program" "$1" "$2" \
        >"$tmp/stdout" 2>"$tmp/stderr" || { cat "$tmp/stderr" >&2; return 1; }
    [ "$(cat "$tmp/stdout")" = "$2" ] || { echo "$1: wrong number of calls" >&2; return 1; }
    sed -n 's/^totals: *\([0-9]*\).*/\1/p' "$tmp/out"
}

status=0
for kind in alone pair crowd; do
    short=$(instructions $kind 10000)
    long=$(instructions $kind 30000)
    # Rounded up: 20,000 switches lie between the two.
    cost=$(((long - short + 19999) / 20000))
    echo "$kind: $cost instructions per switch (at most $limit)"
    [ "$cost" -le "$limit" ] || status=1
done
exit $status
