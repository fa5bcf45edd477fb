#!/bin/sh
# SPDX-License-Identifier: MIT
# A server that becomes another user, for a while or for good, as those do that begin as root: the
# directory of names that it has opened by then is not that user's.
. "$(dirname "$0")/lib.sh"
need python3
[ "$(id -u)" -eq 0 ] || {
    echo "skipped: only root can become somebody else"
    exit 77
}

cat >"$work/server.py" <<'END'
import os, socket, sys

def listener():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    return s

def turns(s):
    c = socket.create_connection(s.getsockname())
    a, _ = s.accept()
    for i in range(40):
        c.sendall(b"abc%d" % i)
        a.sendall(a.recv(100)[::-1])
        print(c.recv(100).decode(), end=" ")
    print(s.getsockname()[0], a.getpeername() == c.getsockname())

def as_somebody(what, bound):
    print(what, os.geteuid())
    bound.listen()
    turns(bound)
    s = listener()
    turns(s)
    return s

bound = [socket.socket() for _ in range(3)]
for s in bound:
    s.bind(("127.0.0.1", 0))
first = listener()
turns(first)
os.seteuid(65534)
second = as_somebody("for a while", bound[0])
os.seteuid(0)
third = as_somebody("as before", bound[1])
os.setresuid(65534, 65534, 65534)
as_somebody("for good", bound[2])
for s in (first, second, third):
    turns(s)
END

for mode in $modes; do
    with python3 "$work/server.py" >"$work/said" || fail "$mode: the server"
    same "$work/said"
done
exit 0
