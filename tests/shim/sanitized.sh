#!/bin/sh
# SPDX-License-Identifier: MIT
# A program with AddressSanitizer's shared run-time, which wants to be in front of all that is
# preloaded.
. "$(dirname "$0")/lib.sh"
need gcc

source=$(dirname "$0")/posix.c
gcc -fsanitize=address -D_GNU_SOURCE -w -o "$work/posix" "$source" 2>"$work/err" || {
    echo "skipped: gcc has no AddressSanitizer: $(head -n 1 "$work/err")"
    exit 77
}
for mode in $modes; do
    with "$work/posix" warm >"$work/calls" 2>"$work/err" || fail "$mode: $(tail -n 3 "$work/err")"
    same "$work/calls"
    [ "$mode" != catloop ] || [ "$(cat "$work/err")" -gt 0 ] || fail "nothing has moved"
done
ASAN_OPTIONS=verify_asan_link_order=1 "$membrane" shim -- "$work/posix" >"$work/calls" 2>&1 &&
    fail "what the user says does not count"
[ "$(ASAN_OPTIONS=verbosity=0 "$membrane" shim -- sh -c 'echo "$ASAN_OPTIONS"')" = \
    verbosity=0:verify_asan_link_order=0 ] || fail "the user's options"
exit 0
