#!/bin/sh
# SPDX-License-Identifier: MIT
# lock_spin.sh: all states of lock.pml for some numbers of writers, readers and blocks, and that
# what is broken on purpose is found. Skipped (77) without spin (Debian: spin) or a compiler.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
for tool in spin cc; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work"

# verify FLAG...: prints "errors: N".
verify() {
    rm -f ./*.trail
    spin "$@" -a "$here/lock.pml" >/dev/null
    cc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=2000 -o pan pan.c
    ./pan -m4000000 >out || true
    grep -q 'max search depth\|memory limit' out && { cat out; exit 1; }
    sed -n 's/.*\(errors: [0-9]*\).*/\1/p' out
}

expect() {
    want=$1
    shift
    got=$(verify "$@")
    echo "$*: $got, $(sed -n 's/^ *\([0-9e+.]*\) states, stored.*/\1/p' out) states"
    [ "$got" = "errors: $want" ]
}

expect 0 -DWRITERS=2 -DREADERS=1
expect 0 -DWRITERS=1 -DREADERS=2
expect 0 -DWRITERS=2 -DREADERS=0 -DBLOCKS=3
expect 1 -DWRITERS=2 -DREADERS=1 -DNO_WAKE
expect 1 -DWRITERS=2 -DREADERS=1 -DNO_WAIT
