#!/bin/sh
# SPDX-License-Identifier: MIT
# Sides that are killed, interrupted or fail: the other one ends, says why and how far it came.
. "$(dirname "$0")/lib.sh"

# A shell lets what it starts in the background ignore SIGINT.
interruptible='env --default-signal=INT'
mkfifo "$work/fifo"

# shellcheck disable=SC2086 # $interruptible is two words
# begin: a pair in the middle of a stream of 6 bytes so far. Sets $sender and $receiver.
begin() {
    rm -f "$work/output"
    start recv $interruptible "$membrane" recv "$@" pipe "$work/output"
    receiver=$pid
    start send $interruptible "$membrane" send "$@" pipe "$work/fifo"
    sender=$pid
    exec 9>"$work/fifo"
    echo hello >&9
    until_true holds "$work/output" 6
}

begin
kill -9 "$receiver"
ended "$sender" 3
has "$work/send.err" 'pipe: the receiver has died, after 6 B (6 bytes)'
exec 9>&-

begin
kill -9 "$sender"
ended "$receiver" 3
has "$work/recv.err" 'pipe: the sender has died, after 6 B (6 bytes)'
has "$work/output" hello
exec 9>&-

# In the middle of a fast stream, with the ring full.
head -c 50000000 /dev/zero >"$work/zeros"
for victim in sender receiver; do
    mkfifo "$work/slow"
    exec 8<>"$work/slow"
    start recv "$membrane" recv pipe "$work/slow"
    receiver=$pid
    start send "$membrane" send pipe "$work/zeros"
    sender=$pid
    head -c 3000 <&8 >/dev/null
    if [ "$victim" = sender ]; then
        kill -9 "$sender"
        cat <&8 >/dev/null &
        reader=$!
        ended "$receiver" 3
        has "$work/recv.err" 'the sender has died'
        kill "$reader"
    else
        kill -9 "$receiver"
        ended "$sender" 3
        has "$work/send.err" 'the receiver has died'
    fi
    exec 8>&-
    rm "$work/slow"
done

# Ctrl-C: the signal ends the process, both sides say what was moved.
begin
kill -INT "$sender"
ended "$receiver" 3
ended "$sender" 130
has "$work/send.err" 'pipe: interrupted after 6 B'
has "$work/recv.err" 'pipe: the sender was interrupted after 6 B'
exec 9>&-

begin --json
kill -TERM "$receiver"
ended "$sender" 3
ended "$receiver" 143
has "$work/recv.err" 'pipe: interrupted after 6 B'
has "$work/send.err" 'pipe: the receiver was interrupted after 6 B'
member "$work/send.out" 'j["bytes"] == 6 and j["error"]["code"] == 3'
member "$work/recv.out" 'j["bytes"] == 6 and j["error"]["code"] == 3'
exec 9>&-

# Interrupted while it waits for the other side.
# shellcheck disable=SC2086
start send $interruptible "$membrane" send pipe "$work/zeros"
sender=$pid
until_true exists pipe
kill -INT "$sender"
ended "$sender" 130
has "$work/send.err" 'interrupted before a receiver came'
gone pipe || fail "the name stays behind"

# What a killed process leaves does not hinder anybody, and gc removes it.
start send "$membrane" send stale "$work/zeros"
sender=$pid
until_true exists stale
kill -9 "$sender"
wait "$sender" 2>/dev/null
exists stale || fail "the link of a killed process went by itself"
run 0 "$membrane" gc --dry-run
out_has 'stale.a'
out_has "process $sender is dead"
out_has 'would be removed'
exists stale || fail "a dry run has removed something"
run 0 "$membrane" gc --json --dry-run
member "$work/out" 'j["dry_run"] and j["count"] >= 1 and not j["entries"][0]["removed"]'
run 0 "$membrane" doctor
out_has 'membrane gc'
run 0 "$membrane" gc
out_has 'removed'
gone stale || fail "gc has not removed the name"
run 0 "$membrane" gc --json
member "$work/out" 'j["count"] == 0 and j["entries"] == []'
[ -z "$(ls -A "$MEMBRANE_DIR")" ] || fail "left behind: $(ls -A "$MEMBRANE_DIR")"

# Without gc the next user takes the name over.
start send "$membrane" send stale "$work/zeros"
sender=$pid
until_true exists stale
kill -9 "$sender"
wait "$sender" 2>/dev/null
start recv "$membrane" recv stale "$work/output"
receiver=$pid
run 0 "$membrane" send stale "$work/zeros"
ended "$receiver" 0
same "$work/zeros" "$work/output"
exit 0
