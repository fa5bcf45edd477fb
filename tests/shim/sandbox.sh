#!/bin/sh
# SPDX-License-Identifier: MIT
# A server that confines itself to the system calls it makes: the shim makes no others.
. "$(dirname "$0")/lib.sh"
need python3

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
