# SPDX-License-Identifier: MIT
# What the scripts of this directory share. Each runs its programs three times: plain, and under the
# shim on catnap and on catloop, and compares what they print and leave.
# shellcheck shell=sh
. "$(dirname "$0")/../cli/lib.sh"

# need PROGRAM...: or the test is skipped.
need() {
    for program; do
        command -v "$program" >/dev/null 2>&1 || {
            echo "skipped: $program is not installed"
            exit 77
        }
    done
}

# under COMMAND...: plain or under the shim, as $mode says. Starts no process of its own.
under() {
    case $mode in
    plain) exec "$@" ;;
    *) exec "$membrane" shim --libos "$mode" -- "$@" ;;
    esac
}

# with COMMAND...: the same, waited for.
with() { (under "$@"); }

# background NAME COMMAND...: the same in the background; then $pid is its process.
background() {
    label=$1
    shift
    (under "$@") >"$work/$label.out" 2>"$work/$label.err" </dev/null &
    pid=$!
    children="$children $pid"
}

# free_port: a port nobody has at the moment, in $port.
free_port() {
    port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
}

# answers: whether somebody listens on $port.
answers() {
    python3 -c 'import socket, sys
socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)' "$port" 2>/dev/null
}

# stopped PID: ends a process of ours and waits for it.
stopped() {
    ! ours "$1" || kill "$1"
    wait "$1" 2>/dev/null
}

# in_rings PID: whether the process has a connection that has moved into shared memory.
in_rings() { grep -q 'memfd:membrane-shim' "/proc/$1/maps" 2>/dev/null; }

# same FILE: what this mode left in the file is what plain left.
same() {
    if [ "$mode" = plain ]; then
        cp "$1" "$1.plain"
    else
        cmp -s "$1" "$1.plain" || {
            diff "$1.plain" "$1" | head -n 20
            fail "$mode: not as without the shim: $(basename "$1")"
        }
    fi
}

# nothing_left: the directory of names is empty again, but for what programs that were killed have
# left there, as they may.
nothing_left() {
    "$membrane" gc --quiet
    [ -z "$(ls -A "$MEMBRANE_DIR" 2>/dev/null)" ] || fail "$mode: left: $(ls -A "$MEMBRANE_DIR")"
}

[ -e "${membrane%/bin/membrane}/lib/libmembrane-shim.so" ] || {
    echo "skipped: the shim library is not built"
    exit 77
}
modes='plain catnap catloop'
