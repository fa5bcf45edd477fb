#!/bin/sh
# SPDX-License-Identifier: MIT
# Clients and servers under the shim are killed at random. kills.sh KILLS
kills=$1
. "$(dirname "$0")/lib.sh"

for mode in catnap catloop; do
    with "${MEMBRANE_TEST_DIR:?}/shim_kills" "$kills" >"$work/out" 2>&1 || fail "$mode"
    "$membrane" gc --quiet # what the last ones had no time to take away
    nothing_left
done
exit 0
