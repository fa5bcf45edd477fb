#!/bin/sh
# SPDX-License-Identifier: MIT
# Data arrives whole, whichever side starts first, whatever its size, from and to whatever.
. "$(dirname "$0")/lib.sh"

# receiver_first FILE [OPTION...], sender_first FILE [OPTION...]: options are the sender's.
receiver_first() {
    input=$1
    shift
    start recv "$membrane" recv pipe "$work/output"
    receiver=$pid
    until_true exists pipe
    run 0 "$membrane" send "$@" pipe "$input"
    quiet_out
    quiet_err
    ended "$receiver" 0
    same "$input" "$work/output"
    gone pipe || fail "the name stays behind"
}
sender_first() {
    input=$1
    shift
    start send "$membrane" send "$@" pipe "$input"
    sender=$pid
    until_true exists pipe
    run 0 "$membrane" recv pipe "$work/output"
    quiet_out
    quiet_err
    ended "$sender" 0
    same "$input" "$work/output"
    gone pipe || fail "the name stays behind"
}

: >"$work/empty"
printf x >"$work/byte"
head -c 262072 /dev/urandom >"$work/message"
head -c 262145 /dev/urandom >"$work/more"
head -c 100000000 /dev/urandom >"$work/big"
for file in empty byte message more big; do
    receiver_first "$work/$file"
    sender_first "$work/$file"
done

# Other sizes of ring and message.
head -c 3000001 /dev/urandom >"$work/some"
receiver_first "$work/some" --capacity 64K --message 64
receiver_first "$work/some" --capacity 64K
sender_first "$work/some" -c 4M -m 1M
sender_first "$work/some" -c 100000 -m 1000
MEMBRANE_CAPACITY=128K receiver_first "$work/some"

# Standard input and output: a file not from its beginning, a pipe, a file of /proc without size.
start recv "$membrane" recv pipe
receiver=$pid
{
    head -c 1000000 >/dev/null
    "$membrane" send pipe || fail "send from standard input"
} <"$work/some"
ended "$receiver" 0
tail -c +1000001 "$work/some" | cmp -s - "$work/recv.out" || fail "the rest of a file differs"

start recv "$membrane" recv pipe -
receiver=$pid
head -c 200000000 "$work/big" | "$membrane" send pipe - || fail "send from a pipe"
ended "$receiver" 0
same "$work/big" "$work/recv.out"

start send "$membrane" send pipe "$work/big"
sender=$pid
"$membrane" recv pipe | cat >"$work/output" || fail "recv to a pipe"
ended "$sender" 0
same "$work/big" "$work/output"

start recv "$membrane" recv pipe
receiver=$pid
run 0 "$membrane" send pipe /proc/self/status
ended "$receiver" 0
has "$work/recv.out" 'Name:'

# Many small writes, each of which comes out before the next goes in.
mkfifo "$work/fifo"
start recv "$membrane" recv pipe "$work/output"
receiver=$pid
start send "$membrane" send pipe "$work/fifo"
sender=$pid
exec 9>"$work/fifo"
length=0
for line in 1 22 333 4444; do
    echo "$line" >&9
    length=$((length + ${#line} + 1))
    until_true holds "$work/output" "$length"
done
exec 9>&-
ended "$sender" 0
ended "$receiver" 0

# A longer old file does not show through, and is left alone until a sender has come.
cp "$work/some" "$work/output"
start recv "$membrane" recv pipe "$work/output"
receiver=$pid
until_true exists pipe
same "$work/some" "$work/output"
run 0 "$membrane" send pipe "$work/byte"
ended "$receiver" 0
same "$work/byte" "$work/output"

# Names are any UTF-8 of up to 240 bytes.
long=$(printf '%0240d' 7)
for name in 'two words' "$long" 'größe' '-x' '.' '..' 'a.a' '#'; do
    start recv "$membrane" recv -- "$name"
    receiver=$pid
    run 0 "$membrane" send -- "$name" "$work/byte"
    ended "$receiver" 0
    same "$work/byte" "$work/recv.out"
done
[ -z "$(ls -A "$MEMBRANE_DIR")" ] || fail "left behind: $(ls -A "$MEMBRANE_DIR")"
exit 0
