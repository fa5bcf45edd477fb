#!/bin/sh
# SPDX-License-Identifier: MIT
# The example programs, as somebody else would build them: strict C99, all warnings, -ldemikernel
# and nothing else. Then each is run to success, those for two processes in both orders of starting.
# Arguments: the source tree, the directory of the libraries, the compiler, the sanitizers if any.
set -eu
src=$1
lib=$2
cc=$3
sanitize=${4-}

work=$(mktemp -d "${TMPDIR:-/tmp}/mbr-test.XXXXXX")
pids=
cleanup() {
    # Only what this script has started, and not whoever has its number now.
    for pid in $pids; do
        ! grep -qx "PPid:[[:space:]]*$$" "/proc/$pid/status" 2>/dev/null || kill "$pid"
    done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# A program that uses an instrumented library has to be instrumented as well.
flags='-std=c99 -Werror -Wall -Wextra -O3'
[ -z "$sanitize" ] || flags="$flags -fsanitize=$sanitize"
for c in "$src"/examples/demi/*.c "$src"/examples/tcp-*/*.c "$src"/examples/udp-*/*.c; do
    # $flags are words.
    # shellcheck disable=SC2086
    "$cc" $flags -I "$src/include" -o "$work/$(basename "$c" .c)" "$c" -L "$lib" -ldemikernel
done

echo 'catmem: {}' >"$work/config.yaml"
export LIBOS=catmem CONFIG_PATH="$work/config.yaml"
export MEMBRANE_DIR="$work/names" LD_LIBRARY_PATH="$lib"

"$work/sizes"
"$work/syscalls"
"$work/wait-any-invalid" 1000

# both PROGRAM FIRST SECOND ARGUMENT...: FIRST in the background, SECOND beside it.
number=0
both() {
    program=$1 first=$2 second=$3
    shift 3
    number=$((number + 1))
    timeout 50 "$work/$program" "$first" "n$number" "$@" &
    pid=$!
    pids=$pid
    timeout 50 "$work/$program" "$second" "n$number" "$@"
    wait "$pid"
    pids=
}

for program in pipe-ping-pong pipe-push-pop; do
    for size in 1 64 8192 8193 100000; do
        both "$program" --server --client "$size" 200
        both "$program" --client --server "$size" 200
    done
done

# An address of our own: other tests may be running. A client that comes first is refused, and
# tries again.
host=127.$(( $$ / 65536 % 250 + 1 )).$(( $$ / 256 % 256 )).$(( $$ % 250 + 1 ))
export LOCAL_IPV4_ADDR="$host"
# sockets PROGRAM SIZE SERVED
sockets() {
    timeout 50 "$work/$1" --server "$host" 7777 "$3" &
    pid=$!
    pids=$pid
    tries=0
    until timeout 50 "$work/$1" --client "$host" 7777 "$2" 200 2>"$work/said"; do
        grep -q 'Connection refused' "$work/said" && [ $((tries += 1)) -lt 500 ] || {
            cat "$work/said" >&2
            exit 1
        }
    done
    # A datagram that was lost was sent twice: the server may have served its number already.
    wait "$pid"
    pids=
}

# streams PROGRAM SIZE: both sides have the same arguments.
streams() {
    program=$1
    shift
    timeout 50 "$work/$program" --server "$host" 7777 "$@" >"$work/served" &
    pid=$!
    pids=$pid
    tries=0
    until timeout 50 "$work/$program" --client "$host" 7777 "$@" 2>"$work/said"; do
        grep -q 'Connection refused' "$work/said" && [ $((tries += 1)) -lt 500 ] || {
            cat "$work/said" >&2
            exit 1
        }
    done
    wait "$pid"
    pids=
    grep -qx "server: $(($1 * $2)) bytes" "$work/served"
}

# Whoever comes first sends until the other one answers.
datagrams() {
    timeout 50 "$work/udp-ping-pong" --server "$host" 7777 "$host" 7778 "$1" 200 &
    pid=$!
    pids=$pid
    timeout 50 "$work/udp-ping-pong" --client "$host" 7778 "$host" 7777 "$1" 200
    wait "$pid"
    pids=
}

# What is sent before the server is there is lost; afterwards nothing is, over shared memory.
one_way() {
    rm -f "$work/served"
    timeout 50 "$work/udp-push-pop" --server "$host" 7777 "$1" 200 >"$work/served" &
    pid=$!
    pids=$pid
    until grep -q ready "$work/served" 2>/dev/null; do
        kill -0 "$pid"
    done
    timeout 50 "$work/udp-push-pop" --client "$host" 7778 "$host" 7777 "$1" 200
    wait "$pid"
    pids=
    came='[1-9][0-9]*'
    [ "$LIBOS" = catnap ] || came=200
    grep -Eqx "server: $came of 200 datagrams" "$work/served"
}

for LIBOS in catnap catloop; do
    export LIBOS
    for size in 1 64 8192 65507; do
        streams tcp-ping-pong "$size" 200
        streams tcp-push-pop "$size" 200
        datagrams "$size"
        [ "$size" -eq 1 ] || one_way "$size"
    done
    for size in 1 64 8192 65507; do
        sockets tcp-echo "$size" 1
    done
    for size in 1 64 8192 65507; do
        sockets udp-echo "$size" 200
    done
done
export LIBOS=catmem

# They all closed what they had opened.
left=$(find "$work/names" -mindepth 1)
if [ -n "$left" ]; then
    echo "left behind: $left" >&2
    exit 1
fi
