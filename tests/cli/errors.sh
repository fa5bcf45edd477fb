#!/bin/sh
# SPDX-License-Identifier: MIT
# Names, files and limits that cannot be: the exit code, one line that says what, and no trace.
. "$(dirname "$0")/lib.sh"

printf x >"$work/byte"

# refused STATUS TEXT ARGUMENT...: the tool ends so, with one line on standard error.
refused() {
    status=$1
    text=$2
    shift 2
    run "$status" "$membrane" "$@"
    quiet_out
    one_line_err
    err_has "$text"
}
long=$(printf '%0300d' 7)
for verb in send recv; do
    refused 2 "'': not a name: it is empty" "$verb" ''
    refused 2 "'a/b': not a name: it contains a slash" "$verb" a/b
    refused 2 'longer than 240 bytes' "$verb" "$long"
    refused 2 'it is not UTF-8' "$verb" "$(printf 'a\377')"
done
for verb in ls stat destroy hold top check; do
    refused 2 "'': not a name: it is empty" object "$verb" ''
    refused 2 "'a/b': not a name: it contains a slash" object "$verb" a/b
    refused 2 'longer than 240 bytes' object "$verb" "$long"
    refused 2 'it is not UTF-8' object "$verb" "$(printf 'a\377')"
done
refused 2 "'': no such verb" ''
refused 1 "$work/none: No such file or directory (try: check the path)" send pipe "$work/none"
refused 1 "$work: Is a directory" send pipe "$work"
refused 1 "$work: Is a directory" recv pipe "$work"
refused 1 "$work/none/x: No such file or directory" recv pipe "$work/none/x"
if [ "$(id -u)" -ne 0 ]; then
    : >"$work/locked"
    chmod 000 "$work/locked"
    refused 4 "$work/locked: Permission denied" send pipe "$work/locked"
    refused 4 "$work/locked: Permission denied" recv pipe "$work/locked"
fi

# Standard streams that are closed: told at once, not when somebody has come.
status=0
"$membrane" send pipe <&- 2>"$work/err" || status=$?
[ "$status" -eq 1 ] || fail "send with closed standard input: $status"
has "$work/err" 'standard input: Bad file descriptor'
status=0
"$membrane" recv pipe >&- 2>"$work/err" || status=$?
[ "$status" -eq 1 ] || fail "recv with closed standard output: $status"
has "$work/err" 'standard output: Bad file descriptor'

# Output that cannot be written.
if [ -c /dev/full ]; then
    head -c 3000000 /dev/zero >"$work/zeros"
    start send "$membrane" send pipe "$work/zeros"
    sender=$pid
    status=0
    "$membrane" recv pipe >/dev/full 2>"$work/err" || status=$?
    [ "$status" -eq 5 ] || fail "recv to a full device: $status"
    has "$work/err" 'standard output: No space left on device (try: free some space)'
    ended "$sender" 3
    has "$work/send.err" 'pipe: the receiver gave up after'
    has "$work/send.err" 'No space left on device'
fi

# A reader that leaves: EPIPE is reported, not SIGPIPE suffered.
start send "$membrane" send pipe "$work/zeros"
sender=$pid
{
    status=0
    "$membrane" recv pipe 2>"$work/err" || status=$?
    echo "$status" >"$work/status"
} | head -c 10 >/dev/null
[ "$(cat "$work/status")" -eq 3 ] || fail "recv to a reader that left: $(cat "$work/status")"
has "$work/err" 'standard output: Broken pipe'
ended "$sender" 3
has "$work/send.err" "whoever reads the receiver's output has gone"

# A limit on the size of files.
start send "$membrane" send pipe "$work/zeros"
sender=$pid
status=0
(
    trap '' XFSZ
    ulimit -f 1000
    exec "$membrane" recv pipe "$work/output" 2>"$work/err"
) || status=$?
[ "$status" -eq 5 ] || fail "recv beyond the limit of a file: $status"
has "$work/err" 'File too large'
ended "$sender" 3

# Too few descriptors, at every number until it works: an error, never a crash or a wait.
start recv "$membrane" recv pipe "$work/output"
receiver=$pid
until_true exists pipe
for limit in 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    status=0
    (
        # In every sh there is, though POSIX does not ask for it.
        # shellcheck disable=SC3045
        ulimit -n "$limit"
        exec timeout -s KILL 20 "$membrane" send --timeout 1 pipe "$work/byte"
    ) 2>"$work/err" || status=$?
    [ "$status" -ne 0 ] || break
    case $status in
    5 | 6 | 127) ;; # 127: not even the loader can open its libraries
    *) fail "with $limit descriptors: exit code $status" ;;
    esac
done
[ "$status" -eq 0 ] || fail "16 descriptors do not suffice: $(cat "$work/err")"
ended "$receiver" 0
same "$work/byte" "$work/output"

# A directory of names that is not ours.
mkdir -m 755 "$work/open"
unsafe='the directory of names: operation not permitted'
MEMBRANE_DIR=$work/open refused 4 "$unsafe" send pipe "$work/byte"
ln -s "$work/names" "$work/link"
MEMBRANE_DIR=$work/link refused 4 'the directory of names' send pipe "$work/byte"
for verb in 'send pipe' gc 'object ls' 'object gc'; do
    # The verb is one word or two.
    # shellcheck disable=SC2086
    MEMBRANE_DIR=relative refused 2 '(MEMBRANE_DIR is relative) (try: membrane doctor' $verb
done
MEMBRANE_DIR=$work/none/deeper refused 1 'the directory of names' recv pipe "$work/output"
MEMBRANE_DIR=$work/open run 1 "$membrane" doctor
out_has 'fail  names'
MEMBRANE_DIR=$work/open run 4 "$membrane" gc

# Something strange in place of a link is left alone.
[ -d "$MEMBRANE_DIR" ] || mkdir -m 700 "$MEMBRANE_DIR"
echo data >"$MEMBRANE_DIR/strange.a"
refused 7 'strange' send strange "$work/byte"
[ "$(cat "$MEMBRANE_DIR/strange.a")" = data ] || fail "a strange file was touched"
run 0 "$membrane" gc
[ -e "$MEMBRANE_DIR/strange.a" ] || fail "gc has removed what is not ours"
rm "$MEMBRANE_DIR/strange.a"
[ -z "$(ls -A "$MEMBRANE_DIR")" ] || fail "left behind: $(ls -A "$MEMBRANE_DIR")"
exit 0
