#!/bin/sh
# SPDX-License-Identifier: MIT
# More connections than half the descriptors a process may have, each with a few turns and then
# silent: what the shim needs to move them must leave the program its descriptors. Against a server
# that is not under the shim, which never answers the shim, and against one that is.
. "$(dirname "$0")/lib.sh"
need python3

cat >"$work/server.py" <<'END'
import selectors, socket, sys
s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen(100)
ready = selectors.DefaultSelector()
ready.register(s, selectors.EVENT_READ)
while True:
    for key, _ in ready.select():
        if key.fileobj is s:
            ready.register(s.accept()[0], selectors.EVENT_READ)
        elif data := key.fileobj.recv(4096):
            key.fileobj.sendall(data[::-1])
        else:
            ready.unregister(key.fileobj)
            key.fileobj.close()
END
cat >"$work/client.py" <<'END'
import socket, sys
port, turns = map(int, sys.argv[1:])
connections = []
for n in range(70):
    c = socket.create_connection(("127.0.0.1", port))
    connections.append(c)
    for i in range(turns):
        c.sendall(b"abc%d" % i)
        print(n, c.recv(4096).decode())
for c in connections:
    c.sendall(b"last")
    print(c.recv(4096).decode())
END

# A server in one mode, a client in the other; as many turns as may leave a connection half-way.
talk() {
    free_port
    mode=$1
    background server sh -c 'ulimit -n 100; exec "$@"' sh python3 "$work/server.py" "$port"
    server=$pid
    mode=$2
    until_true answers
    for turns in 3 8; do
        with sh -c 'ulimit -n 100; exec "$@"' sh python3 "$work/client.py" "$port" "$turns" ||
            fail "$mode: client: $turns turns"
    done >"$work/said"
    same "$work/said"
    stopped "$server"
    nothing_left
}

talk plain plain
talk plain catloop
talk catloop catloop
exit 0
