#!/bin/sh
# SPDX-License-Identifier: MIT
# The comparison table, with the fewest repetitions: form and exit code, not figures.
. "$(dirname "$0")/lib.sh"

run 0 "$membrane" bench --quiet --runs 1
quiet_err
for row in 'membrane pipe, in place' 'membrane pipe, push and pop' 'kernel pipe' \
    'unix stream socket' 'TCP over loopback'; do
    grep -F -e "$row" "$work/out" | grep -q 'B/s.* [num]s.* [num]s' || fail "no figures: $row"
done
run 0 "$membrane" bench --json --runs 1 --size 64K
member "$work/out" '"bench" in j and "error" not in j'

# In the middle of it: what was measured is shown, and no names stay behind.
in_use() { [ -n "$(ls -A "$MEMBRANE_DIR")" ]; }
start bench env --default-signal=INT "$membrane" bench --runs 100
until_true in_use
kill -INT "$pid"
ended "$pid" 130
has "$work/bench.err" 'membrane: bench: interrupted; the figures are partial'
! in_use || fail "left behind: $(ls -A "$MEMBRANE_DIR")"
exit 0
