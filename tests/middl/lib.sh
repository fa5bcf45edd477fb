# SPDX-License-Identifier: MIT
# What the scripts of this directory share: the compiler under test, a directory of their own, and
# asserts. The first assert that fails ends the script with exit code 1.
# shellcheck shell=sh
set -u

middlc=${MEMBRANE_BIN_DIR:?names the directory of the tools}/middlc
if [ ! -x "$middlc" ]; then
    echo "skipped: $middlc is not built"
    exit 77
fi
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/middl-test.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}

# run STATUS COMMAND...: runs the command with $work/out and $work/err, and expects its exit code.
run() {
    expected=$1
    shift
    "$@" >"$work/out" 2>"$work/err"
    got=$?
    [ "$got" -eq "$expected" ] && return
    head -n 20 "$work/err"
    fail "exit code $got instead of $expected: $*"
}

# same EXPECTED FOUND: the files are equal, or the difference is shown.
same() {
    diff -u "$1" "$2" || fail "$2 differs from $1"
}
