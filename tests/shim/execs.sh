#!/bin/sh
# SPDX-License-Identifier: MIT
# A server under the shim that executes itself, with its listener: connections move as before.
. "$(dirname "$0")/lib.sh"
need python3

cat >"$work/server.py" <<'END'
import os, socket, sys
if len(sys.argv) == 2:
    s = socket.socket()
    s.bind(("127.0.0.1", int(sys.argv[1])))
    s.listen()
    s.set_inheritable(True)
    os.execv(sys.executable, [sys.executable, sys.argv[0], "again", str(s.fileno())])
s = socket.socket(fileno=int(sys.argv[2]))
while True:
    c, _ = s.accept()
    while data := c.recv(4096):
        c.sendall(data[::-1])
    c.close()
END
cat >"$work/client.py" <<'END'
import socket, sys
for n in range(3):
    c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    for i in range(40):
        c.sendall(b"abc%d" % i)
        print(c.recv(4096).decode())
    maps = open("/proc/self/maps").read()
    sys.stderr.write("moved\n" if "memfd:membrane-shim" in maps else "not moved\n")
    c.close()
END

for mode in $modes; do
    free_port
    background server python3 "$work/server.py" "$port"
    server=$pid
    until_true answers
    with python3 "$work/client.py" "$port" >"$work/said" 2>"$work/moved" || fail "$mode: client"
    same "$work/said"
    case $mode in
    catloop) [ "$(grep -c '^moved' "$work/moved")" -eq 3 ] || fail "$mode: nothing has moved" ;;
    *) [ "$(grep -c '^moved' "$work/moved")" -eq 0 ] || fail "$mode: something has moved" ;;
    esac
    stopped "$server"
    nothing_left
done
exit 0
