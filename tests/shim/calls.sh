#!/bin/sh
# SPDX-License-Identifier: MIT
# A program that goes through calls returns and prints the same with and without the shim: on
# connections that are young, and on those the shim has moved. calls.sh PROGRAM CALLS: at least so
# many are to be printed.
tested=$1 calls=$2
. "$(dirname "$0")/lib.sh"
need python3

for warm in cold warm; do
    for mode in $modes; do
        with "${MEMBRANE_TEST_DIR:?}/$tested" $warm >"$work/calls.$warm" \
            2>"$work/err" || fail "$mode: $warm: $(tail -n 3 "$work/calls.$warm")"
        same "$work/calls.$warm"
        regions=$(cat "$work/err")
        case $mode.$warm in
        catloop.warm) [ "$regions" -gt 0 ] || fail "nothing has moved into shared memory" ;;
        *) [ "$regions" -eq 0 ] || fail "$mode, $warm: regions are mapped" ;;
        esac
        nothing_left
    done
done
[ "$(grep -c ' = ' "$work/calls.warm")" -ge "$calls" ] || fail "too few calls"
exit 0
