#!/bin/sh
# SPDX-License-Identifier: MIT
# A file is read while the shim looks up read(), as an allocator may do.
. "$(dirname "$0")/lib.sh"

for mode in $modes; do
    (
        export LD_PRELOAD="${MEMBRANE_TEST_DIR:?}/shim_early.so"
        with sort -u /etc/passwd >"$work/sorted"
    ) || fail "$mode"
    [ -s "$work/sorted" ] || fail "$mode: nothing came"
    same "$work/sorted"
done
exit 0
