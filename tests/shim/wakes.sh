#!/bin/sh
# SPDX-License-Identifier: MIT
# Threads of one process that wait on one connection in all ways. wakes.sh ROUNDS
rounds=$1
. "$(dirname "$0")/lib.sh"
MEMBRANE_CAPACITY=4K
export MEMBRANE_CAPACITY

for mode in plain catloop; do
    with "${MEMBRANE_TEST_DIR:?}/shim_wakes" "$rounds" >"$work/out" 2>&1 || {
        cat "$work/out"
        fail "$mode"
    }
    [ "$mode" = plain ] || ! grep -q " 0 moved" "$work/out" || fail "nothing has moved"
    with "$MEMBRANE_TEST_DIR/shim_wakes" idle 40 >"$work/out" 2>&1 || {
        cat "$work/out"
        fail "$mode: somebody spins"
    }
    nothing_left
done
exit 0
