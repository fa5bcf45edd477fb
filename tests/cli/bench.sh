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
exit 0
