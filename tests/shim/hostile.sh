#!/bin/sh
# SPDX-License-Identifier: MIT
# A server under the shim whose client lies in shared memory. hostile.sh SECONDS
seconds=$1
. "$(dirname "$0")/lib.sh"

mode=catloop
mkdir -m 700 "$MEMBRANE_DIR"
with "${MEMBRANE_TEST_DIR:?}/shim_hostile" "$seconds" >"$work/out" 2>&1 || fail "$mode"
tail -n 1 "$work/out"
"$membrane" gc --quiet
nothing_left
exit 0
