#!/bin/sh
# SPDX-License-Identifier: MIT
# socat under the shim: a stream one way, one there and back, and a server that forks.
. "$(dirname "$0")/lib.sh"
need socat python3

python3 -c 'import random, sys
open(sys.argv[1], "wb").write(random.Random(3).randbytes(24 << 20))' "$work/data"

for mode in $modes; do
    # One way: whoever listens writes what comes to a file and ends with the stream.
    free_port
    background sink socat -u "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr" "CREATE:$work/got"
    sink=$pid
    with socat -u "FILE:$work/data" "TCP:127.0.0.1:$port,retry=200,interval=0.02" ||
        fail "$mode: socat: sending"
    ended "$sink" 0
    cmp -s "$work/data" "$work/got" || fail "$mode: what came is not what was sent"

    # There and back, through a child for each connection; the sender shuts down its half.
    free_port
    background echo socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" EXEC:cat
    echo=$pid
    for _ in 1 2 3; do
        with socat -t 60 "FILE:$work/data,rdonly!!CREATE:$work/back" \
            "TCP:127.0.0.1:$port,retry=200,interval=0.02" || fail "$mode: socat: echo"
        cmp -s "$work/data" "$work/back" || fail "$mode: what came back is not what was sent"
    done
    stopped "$echo"
    # A child that waits for nothing any more may still be there.
    until_true sh -c "! ss -Htn state established '( sport = :$port )' 2>/dev/null | grep -q ."
done
exit 0
