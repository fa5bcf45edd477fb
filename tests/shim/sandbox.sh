#!/bin/sh
# SPDX-License-Identifier: MIT
# A server that confines itself to the system calls it makes: the shim makes no others.
. "$(dirname "$0")/lib.sh"
need python3 ss

cat >"$work/client.py" <<'END'
import socket, sys
for n in range(4):
    c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    for i in range(50):
        c.sendall(b"abc%d" % i)
        print(c.recv(4096).decode())
    c.close()
c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
c.sendall(b"quit")
print(c.recv(4096))
END

# The first client of one that confines itself late: its connection has moved, and goes back.
cat >"$work/early.py" <<'END'
import socket, sys
c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def turns():
    for i in range(20):
        c.sendall(b"abc%d" % i)
        print(c.recv(4096).decode())
turns()
moved = "memfd:membrane-shim" in open("/proc/self/maps").read()
sys.stderr.write("moved\n" if moved else "not moved\n")
turns()
if sys.argv[2] == "back":
    c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    turns()
c.sendall(b"x" * 3000)
c.close()
END

listens() { ss -Hltn "( sport = :$port )" 2>/dev/null | grep -q .; }

for end in back stay; do
    for mode in $modes; do
        free_port
        background server "${MEMBRANE_TEST_DIR:?}/shim_sandbox" "$port" late
        server=$pid
        until_true listens
        with python3 "$work/early.py" "$port" "$end" >"$work/said.$end" 2>"$work/moved" ||
            fail "$mode: $end: client"
        same "$work/said.$end"
        [ "$mode" != catloop ] || grep -q '^moved' "$work/moved" || fail "$mode: nothing has moved"
        with python3 "$work/client.py" "$port" >"$work/later" || fail "$mode: late: client"
        same "$work/later"
        ended "$server" 0
        nothing_left
    done
done

for how in prctl seccomp; do
    for mode in $modes; do
        free_port
        background server "${MEMBRANE_TEST_DIR:?}/shim_sandbox" "$port" "$how"
        server=$pid
        until_true answers
        with python3 "$work/client.py" "$port" >"$work/said" || fail "$mode: $how: client"
        same "$work/said"
        ended "$server" 0
        nothing_left
    done
done
exit 0
