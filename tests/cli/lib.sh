# SPDX-License-Identifier: MIT
# What the scripts of this directory share: the tool under test, a directory of names and of files
# of their own, asserts, and processes in the background that never outlive the script.
# The first assert that fails ends the script with exit code 1.
# shellcheck shell=sh
set -u

membrane=${MEMBRANE_BIN_DIR:?names the directory of the tools}/membrane
if [ ! -x "$membrane" ]; then
    echo "skipped: $membrane is not built"
    exit 77
fi
export LC_ALL=C TERM=dumb
unset MEMBRANE_CAPACITY NO_COLOR || true

work=$(mktemp -d "${TMPDIR:-/tmp}/membrane-cli.XXXXXX") || exit 2
export MEMBRANE_DIR="$work/names"
children=
# ours PID: it is a child of this shell. The number of one that has been waited for may be anybody's
# by now, soon where other tests fork by the thousand.
ours() { grep -qx "PPid:[[:space:]]*$$" "/proc/$1/status" 2>/dev/null; }
cleanup() {
    for child in $children; do
        ! ours "$child" || kill -9 "$child"
    done
    wait 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
    printf 'FAILED: %s\n' "$*"
    for file in out err; do
        [ ! -s "$work/$file" ] || { echo "--- $file:" && head -n 40 "$work/$file"; }
    done
    exit 1
}

# run STATUS COMMAND...: runs the command with $work/out and $work/err, and expects its exit code.
run() {
    expected=$1
    shift
    status=0
    "$@" >"$work/out" 2>"$work/err" </dev/null 8<&- 9<&- || status=$?
    [ "$status" -eq "$expected" ] || fail "exit code $status, not $expected: $*"
}

# out_has TEXT, err_has TEXT: what the last run printed contains the text.
out_has() { grep -qF -e "$1" "$work/out" || fail "standard output lacks: $1"; }
err_has() { grep -qF -e "$1" "$work/err" || fail "standard error lacks: $1"; }
# has FILE TEXT
has() { grep -qF -e "$2" "$1" || fail "$1 ($(head -c 300 "$1")) lacks: $2"; }
quiet_out() { [ ! -s "$work/out" ] || fail "something on standard output"; }
quiet_err() { [ ! -s "$work/err" ] || fail "something on standard error"; }
one_line_err() { [ "$(wc -l <"$work/err")" -eq 1 ] || fail "not one line on standard error"; }

# start NAME COMMAND...: in the background, with $work/NAME.out and .err; then $pid is its process.
# Neither this nor run hands on descriptors 8 and 9, with which scripts hold FIFOs open.
start() {
    label=$1
    shift
    "$@" >"$work/$label.out" 2>"$work/$label.err" </dev/null 8<&- 9<&- &
    pid=$!
    children="$children $pid"
}

# ended PID STATUS: waits for the process and expects its exit code.
ended() {
    status=0
    wait "$1" 2>/dev/null || status=$?
    [ "$status" -eq "$2" ] || fail "process ended with $status, not $2: $(cat "$work"/*.err)"
}

# until_true COMMAND...: looks every 10 ms, for 20 s.
until_true() {
    tries=2000
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "in vain waited for: $*"
        sleep 0.01
    done
}

# Conditions for until_true.
exists() { "$membrane" help --names | grep -qxF -e "$1"; }
gone() { ! exists "$1"; }
holds() { [ -e "$1" ] && [ "$(wc -c <"$1")" -ge "$2" ]; }
says() { grep -qF -e "$2" "$1"; }

# same FILE FILE: equal SHA-256.
same() {
    a=$(sha256sum <"$1")
    b=$(sha256sum <"$2")
    [ "$a" = "$b" ] || fail "$1 and $2 differ"
}

# member FILE EXPRESSION: FILE is one JSON document which, as `j`, makes the Python expression true.
member() {
    python3 -c 'import json, sys
j = json.load(open(sys.argv[1]))
sys.exit(0 if eval(sys.argv[2]) else 1)' "$1" "$2" 2>"$work/python" ||
        fail "not so: $2 in $(head -c 500 "$1") $(tail -n 1 "$work/python")"
}
