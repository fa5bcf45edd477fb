#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs under the shim meet programs that use catloop, by address and port, either way: streams,
# many short connections, refusals, deaths, servers in several processes, addresses that are taken.
. "$(dirname "$0")/lib.sh"
need python3
mode=catloop
bytes=5000000
tests=${MEMBRANE_TEST_DIR:?}

loop() { "$tests/meet_loop" "$@" || fail "meet_loop $*"; }
sock() { with "$tests/meet_sock" "$@" || fail "meet_sock $*"; }
# serve loop|sock COMMAND...: in the background, until it is ready; then $server is its process.
serve() {
    kind=$1
    shift
    : >"$work/server.out"
    if [ "$kind" = loop ]; then
        start server "$tests/meet_loop" "$@"
    else
        background server "$tests/meet_sock" "$@"
    fi
    server=$pid
    until_true grep -q ready "$work/server.out"
}

# Streams, and what both sides say of the connection's names is the same.
free_port
for way in block poll select epoll; do
    serve loop echo "$port" 1
    sock client "$port" $bytes $way >"$work/ends"
    ended "$server" 0
    grep -qxF "$(cat "$work/ends")" "$work/server.out" || fail "names: $(cat "$work/ends")"
    grep -q "127.0.0.1:$port\$" "$work/ends" || fail "another port: $(cat "$work/ends")"
done
serve sock echo "$port" 1
loop client "$port" $bytes >"$work/ends"
ended "$server" 0
grep -qxF "$(cat "$work/ends")" "$work/server.out" || fail "names: $(cat "$work/ends")"

# A port for which the kernel has no room, though catloop has: the client sees the server's all the
# same.
start held python3 -c 'import socket, sys, time
s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
print("held", flush=True)
time.sleep(100)' "$port"
held=$pid
until_true grep -q held "$work/held.out"
serve loop echo "$port" 1
sock client "$port" 100000 poll >"$work/ends"
ended "$server" 0
stopped "$held"
grep -q "127.0.0.1:$port\$" "$work/ends" || fail "another port: $(cat "$work/ends")"

# Many short connections, several clients at once, some of them catloop's own.
serve loop echo "$port" 270
for client in 1 2 3 4; do
    background "client$client" "$tests/meet_sock" many "$port" 50
    clients="${clients-} $pid"
done
start own "$tests/meet_loop" many "$port" 70
ended "$pid" 0
for client in $clients; do
    ended "$client" 0
done
ended "$server" 0
serve sock echo "$port" 200
loop many "$port" 200
ended "$server" 0

# Who is not there, has no room, or does not share.
sock refused "$port"
loop refused "$port"
serve loop deaf "$port" 3
sock taken "$port"
sock backlog "$port" 3
background up "$tests/meet_sock" client "$port" 10 poll
client=$pid
stopped "$server"
wait "$client" 2>/dev/null && fail "a connect to a server that was killed"
sock refused "$port"
serve sock echo "$port" 1
loop taken "$port"
stopped "$server"
loop refused "$port"

# Deaths, of either side.
abandon() {
    : >"$work/client.out"
    if [ "$1" = sock ]; then
        background client "$tests/meet_sock" abandoned "$port"
    else
        start client "$tests/meet_loop" abandoned "$port"
    fi
    client=$pid
    until_true grep -q up "$work/client.out"
}
killed() {
    kill -9 "$1"
    wait "$1" 2>/dev/null
}
for kind in loop sock; do
    [ $kind = loop ] && other=sock || other=loop
    serve $kind echo "$port" 2
    abandon $other
    killed "$server"
    ended "$client" 0
    # A server notices, and serves the next one.
    serve $kind echo "$port" 2
    abandon $other
    killed "$client"
    $other many "$port" 1
    ended "$server" 0
done

# A server in several processes, whose first one has gone; it keeps the address all the same.
mkfifo "$work/life"
(under "$tests/meet_sock" prefork "$port" 4) <"$work/life" >"$work/server.out" 2>"$work/err" &
exec 9>"$work/life"
wait $!
until_true grep -q ready "$work/server.out"
"$membrane" gc --quiet
loop taken "$port"
loop many "$port" 40
loop client "$port" 2000 >/dev/null
exec 9>&-
until_true "$tests/meet_loop" refused "$port"

# Nobody is met who does not want to.
MEMBRANE_SHIM_NAMES=off
export MEMBRANE_SHIM_NAMES
serve loop deaf "$port" 3
sock refused "$port"
stopped "$server"
serve sock echo "$port" 1
loop refused "$port"
stopped "$server"

nothing_left
exit 0
