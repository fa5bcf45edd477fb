#!/bin/sh
# SPDX-License-Identifier: MIT
# Servers that fork for each connection, under the shim: Python's ForkingTCPServer, which forks
# after accept(); one that has talked before it forks, as those do that ask for a name first; socat
# whose child becomes another program.
. "$(dirname "$0")/lib.sh"
need python3 socat ss

cat >"$work/server.py" <<'END'
import socketserver, sys, zlib

class Handler(socketserver.BaseRequestHandler):
    def line(self):
        text = b""
        while not text.endswith(b"\n"):
            byte = self.request.recv(1)
            if not byte:
                return None
            text += byte
        return text

    def handle(self):
        while True:
            line = self.line()
            if line is None:
                return
            n = int(line)
            data = b""
            while len(data) < n:
                data += self.request.recv(n - len(data))
            self.request.sendall(b"%08x\n" % zlib.crc32(data) + data)

class Forking(socketserver.ForkingTCPServer):
    allow_reuse_address = True
    request_queue_size = 32

class Late(Forking):
    """Asks for a name before it forks."""

    def process_request(self, request, address):
        for i in range(6):
            request.sendall(b"name? %d\n" % i)
            request.recv(3)
        super().process_request(request, address)

kind = Late if sys.argv[2] == "late" else Forking
with kind(("127.0.0.1", int(sys.argv[1])), Handler) as server:
    server.serve_forever(0.05)
END
cat >"$work/client.py" <<'END'
import os, random, socket, sys, threading, zlib

port, kind = int(sys.argv[1]), sys.argv[2]
sums = [0] * 6

def moved():
    with open("/proc/self/maps", encoding="ascii") as maps:
        return "memfd:membrane-shim" in maps.read()

def talk(number):
    draw = random.Random(number)
    with socket.create_connection(("127.0.0.1", port), 60) as s:
        f = s.makefile("rb")
        for i in range(6 if kind == "late" else 0):
            assert f.readline() == b"name? %d\n" % i
            s.sendall(b"me\n")
        for _ in range(40):
            data = draw.randbytes(draw.choice((1, 100, 5000, 70000, 300000)))
            s.sendall(b"%d\n" % len(data) + data)
            head = f.readline()
            assert int(head, 16) == zlib.crc32(data), "the server read something else"
            assert f.read(len(data)) == data, "what came back is not what was sent"
            sums[number] = zlib.crc32(data, sums[number])
        if kind == "late" and os.environ.get("MEMBRANE_SHIM") == "catloop":
            assert moved(), "nothing has moved into shared memory"
        s.shutdown(socket.SHUT_WR)
        assert f.read() == b""

threads = [threading.Thread(target=talk, args=(n,)) for n in range(len(sums))]
[t.start() for t in threads]
[t.join() for t in threads]
print(sums)
sys.exit(0 if all(sums) else 1)
END

listens() { ss -Hltn "( sport = :$port )" 2>/dev/null | grep -q .; }

for mode in $modes; do
    for kind in early late; do
        free_port
        background server python3 "$work/server.py" "$port" $kind
        server=$pid
        until_true listens
        with python3 "$work/client.py" "$port" $kind >"$work/sums.$kind" 2>"$work/err" ||
            fail "$mode: $kind: the client"
        same "$work/sums.$kind"
        stopped "$server"
    done

    # The child becomes another program, with the connection as its standard input and output.
    free_port
    background becomes socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" EXEC:cat,nofork
    becomes=$pid
    for _ in 1 2 3; do
        seq 1 20000 | with socat -t 60 - "TCP:127.0.0.1:$port,retry=200,interval=0.02" \
            >"$work/back" || fail "$mode: socat"
        seq 1 20000 | cmp -s - "$work/back" || fail "$mode: what came back is not what was sent"
    done
    stopped "$becomes"
done
exit 0
