#!/bin/sh
# SPDX-License-Identifier: MIT
# More than one sender and one receiver on a name, and time limits for those whom nobody meets.
. "$(dirname "$0")/lib.sh"

head -c 300000 /dev/urandom >"$work/input"

# A second sender is told, the first one goes on waiting and is served.
start first "$membrane" send pipe "$work/input"
first=$pid
until_true exists pipe
run 1 "$membrane" send pipe "$work/input"
one_line_err
err_has 'pipe: another sender waits there already'
run 1 "$membrane" send pipe "$work/input"
err_has "(process $first)"
run 0 "$membrane" recv pipe
same "$work/input" "$work/out"
ended "$first" 0

# The same for receivers.
start first "$membrane" recv pipe
first=$pid
until_true exists pipe
run 1 "$membrane" recv pipe
err_has 'pipe: another receiver waits there already'
quiet_out
run 0 "$membrane" send pipe "$work/input"
ended "$first" 0
same "$work/input" "$work/first.out"

# A pair at work is left in peace; whoever comes meanwhile waits, and is served afterwards.
mkfifo "$work/fifo"
start first "$membrane" send pipe "$work/fifo"
first=$pid
start served "$membrane" recv pipe
served=$pid
exec 9>"$work/fifo"
echo begun >&9
until_true says "$work/served.out" begun
run 6 "$membrane" recv --timeout 0.1 pipe
err_has 'no sender has come within 0.1 s'
start later "$membrane" recv pipe
later=$pid
exec 9>&-
ended "$first" 0
ended "$served" 0
run 0 "$membrane" send pipe "$work/input"
ended "$later" 0
same "$work/input" "$work/later.out"

# Eight receivers at once: one stays, the others are told, and the one gets it all.
receivers=
for i in 1 2 3 4 5 6 7 8; do
    start "r$i" "$membrane" recv pipe
    receivers="$receivers $pid"
done
# alone: sets $alive to those who still run; true when that is one. (Called by until_true.)
# shellcheck disable=SC2317
alone() {
    alive=
    for receiver in $receivers; do
        ! kill -0 "$receiver" 2>/dev/null || alive="$alive $receiver"
    done
    [ "$(echo "$alive" | wc -w)" -eq 1 ]
}
until_true alone
run 0 "$membrane" send pipe "$work/input"
i=0
for receiver in $receivers; do
    i=$((i + 1))
    if [ "$receiver" = "${alive# }" ]; then
        ended "$receiver" 0
        same "$work/input" "$work/r$i.out"
    else
        ended "$receiver" 1
        has "$work/r$i.err" 'another receiver waits there already'
        [ ! -s "$work/r$i.out" ] || fail "data for a receiver that was refused"
    fi
done

# Time limits.
run 6 "$membrane" send --timeout 0.05 nobody "$work/input"
one_line_err
err_has 'nobody: no receiver has come within 0.05 s'
run 6 "$membrane" recv --timeout 0 nobody
err_has 'nobody: no sender has come'
gone nobody || fail "the name stays behind"

# A receiver that nobody met leaves no file behind that was not there, and one that was as it was.
run 6 "$membrane" recv --timeout 0 nobody "$work/new"
[ ! -e "$work/new" ] || fail "an empty file stays behind"
printf old >"$work/old"
run 6 "$membrane" recv --timeout 0 nobody "$work/old"
[ "$(cat "$work/old")" = old ] || fail "an old file has changed"
ln -s nowhere "$work/dangling"
run 6 "$membrane" recv --timeout 0 nobody "$work/dangling"
[ -L "$work/dangling" ] || fail "a link has gone"

# A sender that stays silent: the receiver ends, and the sender is told at once, not at its next
# byte.
start silent "$membrane" send pipe "$work/fifo"
silent=$pid
exec 9>"$work/fifo"
run 6 "$membrane" recv --timeout 0.2 pipe
err_has 'the sender let us wait'
ended "$silent" 3
has "$work/silent.err" 'the receiver gave up'
exec 9>&-

# A receiver that does not take anything: the sender ends after its patience.
mkfifo "$work/full"
exec 8<>"$work/full"
start stuck "$membrane" recv pipe "$work/full"
stuck=$pid
until_true exists pipe
head -c 5000000 /dev/zero >"$work/zeros"
run 6 "$membrane" send --timeout 0.3 pipe "$work/zeros"
err_has 'the receiver let us wait'
kill -9 "$stuck"
exit 0
