#!/bin/sh
# SPDX-License-Identifier: MIT
# redis-server with redis-cli and redis-benchmark, unmodified, under the shim.
. "$(dirname "$0")/lib.sh"
need redis-server redis-cli redis-benchmark python3

cli() { with redis-cli -p "$port" "$@"; }
ready() { [ "$(redis-cli -p "$port" ping 2>/dev/null)" = PONG ]; }

# What redis-benchmark leaves is as many as it says it has done.
bench() {
    for clients in 1 50; do
        for pipeline in 1 16; do
            cli flushall >/dev/null
            with redis-benchmark -p "$port" -t set,get,incr,lpush,mset -n 1600 -c $clients \
                -P $pipeline -q >"$work/bench.out" 2>&1 || fail "$mode: redis-benchmark"
            echo "-c $clients -P $pipeline"
            cli get counter:__rand_int__
            cli llen mylist
            cli get key:__rand_int__
            cli dbsize
        done
    done
}

commands() {
    cli set greeting 'hello, world'
    cli get greeting
    cli append greeting '!'
    cli lrange none 0 -1
    cli lpush list a b c
    cli lrange list 0 -1
    cli incr greeting
    cli hset h one 1 two 2
    cli hgetall h
    cli eval 'return {1, 2, {3, "four"}}' 0
    i=0
    while [ $i -lt 300 ]; do
        echo "set key:$i value-$i"
        echo "get key:$i"
        i=$((i + 1))
    done | cli
    head -c 300000 /dev/zero | tr '\0' x | cli -x set big
    cli strlen big
    cli get big | cksum
}

for mode in $modes; do
    mkdir "$work/$mode"
    free_port
    background server redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no \
        --dir "$work/$mode"
    server=$pid
    until_true ready
    commands >"$work/commands" 2>&1
    same "$work/commands"
    bench >"$work/counts"
    same "$work/counts"
    if [ "$mode" = catloop ]; then
        background long redis-benchmark -p "$port" -t get -n 100000000 -c 4
        until_true in_rings "$server"
        until_true in_rings "$pid"
        # The client is killed: the server goes on, and gives the memory back.
        kill -9 "$pid"
        wait "$pid" 2>/dev/null
        until_true sh -c "! grep -q memfd:membrane-shim /proc/$server/maps"
        "$membrane" gc --quiet # what it had no time to take away
        [ "$(cli ping)" = PONG ] || fail "the server does not answer after a client's death"
        # A client that is not under the shim.
        [ "$(redis-cli -p "$port" get greeting)" = "" ] || fail "not flushed"
    fi
    cli shutdown nosave >/dev/null 2>&1
    ended "$server" 0
    nothing_left
done
exit 0
