#!/bin/sh
# SPDX-License-Identifier: MIT
# ./dev refuses what it does not understand, with exit code 2 and one line that says what to try,
# before it installs or builds anything; --help goes before all.
set -u
dev=$(cd "$(dirname "$0")/../.." && pwd)/dev
said=$(mktemp) || exit 2
trap 'rm -f "$said"' EXIT
fail() {
    echo "FAILED: $*"
    cat "$said"
    exit 1
}

refused() {
    text=$1
    shift
    status=0
    "$dev" "$@" >/dev/null 2>"$said" || status=$?
    [ "$status" -eq 2 ] || fail "exit code $status, not 2: ./dev $*"
    [ "$(wc -l <"$said")" -eq 1 ] || fail "not one line: ./dev $*"
    grep -qF -e "$text" "$said" || fail "./dev $* does not say: $text"
}
refused "no verb 'chekc' (try: ./dev help)" chekc
refused "no group 'bogus'" setup bogus
refused "unknown argument '-x' (try: --quick or --full)" check -x
refused "'--quick' is one argument too many" check --full --quick
refused "'abc' is no number of seconds" fuzz abc
for verb in build fmt tidy cov package clean; do
    refused "$verb: 'x' is one argument too many (try: ./dev help)" $verb x
done
for help in help -h --help 'check --help' 'clean -h'; do
    # The words of $help are arguments.
    # shellcheck disable=SC2086
    "$dev" $help >"$said" || fail "exit code: ./dev $help"
    grep -q '^Exit code: 0 all well' "$said" || fail "no help: ./dev $help"
done
exit 0
