#!/bin/sh
# SPDX-License-Identifier: MIT
# Connections go back to the kernel under streams. returns.sh ROUNDS
rounds=$1
. "$(dirname "$0")/lib.sh"

for mode in catnap catloop; do
    with "${MEMBRANE_TEST_DIR:?}/shim_returns" "$rounds" >"$work/out" 2>&1 || fail "$mode"
    [ "$mode" = catnap ] || ! grep -q " 0 returns" "$work/out" || fail "nothing has gone back"
    nothing_left
done
exit 0
