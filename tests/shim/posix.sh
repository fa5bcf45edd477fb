#!/bin/sh
# SPDX-License-Identifier: MIT
# A program that goes through the socket calls returns and prints the same with and without the
# shim: on connections that are young, and on those the shim has moved.
. "$(dirname "$0")/lib.sh"
posix=${MEMBRANE_TEST_DIR:?}/shim_posix
need python3

for warm in cold warm; do
    for mode in $modes; do
        with timeout 60 "$posix" $warm >"$work/calls.$warm" 2>"$work/err" || fail "$mode: $warm"
        same "$work/calls.$warm"
        regions=$(cat "$work/err")
        case $mode.$warm in
        catloop.warm) [ "$regions" -gt 0 ] || fail "nothing has moved into shared memory" ;;
        *) [ "$regions" -eq 0 ] || fail "$mode, $warm: regions are mapped" ;;
        esac
        nothing_left
    done
done
[ "$(grep -c ' = ' "$work/calls.warm")" -gt 150 ] || fail "too few calls"
exit 0
