#!/bin/sh
# SPDX-License-Identifier: MIT
# Real programs under the shim meet programs on catloop: the example's echo server, on the demi
# calls, is reached by python3 and socat, another server by curl; its client, and one that speaks
# whatever it is given, reach servers in python3, redis and nginx with two workers.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/web.sh"
need curl python3 redis-server socat
PATH=$PATH:/usr/sbin
need nginx
tests=${MEMBRANE_TEST_DIR:?}
echo 'demikernel: {local_ipv4_addr: 127.0.0.1}' >"$work/demi.yaml"
export LIBOS=catloop CONFIG_PATH="$work/demi.yaml"
mode=catloop

# named [HOST]: somebody listens at $port.
named() { readlink "$MEMBRANE_DIR/${1-127.0.0.1}:$port.s" | grep -q ' [kl] '; }
talk() { "$tests/meet_loop" talk "$port" || fail "meet_loop talk"; }

python3 -c 'import random, sys
r = random.Random(4)
open(sys.argv[1] + "/data", "wb").write(r.randbytes(6 << 20))' "$work"

# ---- clients ----

cat >"$work/client.py" <<'END'
import asyncio, socket, sys, threading
port, data = int(sys.argv[1]), open(sys.argv[2], "rb").read()

def blocking():
    with socket.create_connection(("127.0.0.1", port), 60) as s:
        assert s.getpeername() == ("127.0.0.1", port)
        sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
        sender.start()
        assert s.makefile("rb").read() == data, "what came back is not what was sent"
        sender.join()

async def one(n):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for i in range(20):
        writer.write(data[i * n:(i + 1) * n])
        assert await reader.readexactly(n) == data[i * n:(i + 1) * n]
    writer.close()

async def several():
    await asyncio.gather(*(one(100 + 900 * n) for n in range(20)))

blocking()
asyncio.run(several())
END
free_port
start echo "$tests/meet_tcp_echo" --server 127.0.0.1 "$port" 22
echo=$pid
until_true named
with python3 "$work/client.py" "$port" "$work/data" 2>"$work/err" || fail "python3"
with socat -t 60 "FILE:$work/data,rdonly!!CREATE:$work/back" "TCP:127.0.0.1:$port" || fail "socat"
cmp -s "$work/data" "$work/back" || fail "socat: what came back is not what was sent"
ended "$echo" 0

free_port
start pages "$tests/meet_loop" pages "$port" 19 3000000
pages=$pid
until_true named
mkdir "$work/got"
with curl -sS -o "$work/got/#1" "http://127.0.0.1:$port/[1-3]" || fail "curl"
with curl -s --parallel -o "$work/got/#1" "http://127.0.0.1:$port/[4-19]" 2>"$work/err" ||
    fail "curl, parallel"
ended "$pages" 0
for got in "$work"/got/*; do
    [ "$(wc -c <"$got")" -eq 3000000 ] && cmp -s "$work/got/1" "$got" || fail "curl: $got"
done
[ "$(find "$work/got" -type f | wc -l)" -eq 19 ] || fail "curl: too few pages"

# A server at the wildcard address; a client with an IPv6 socket.
free_port
start any "$tests/meet_tcp_echo" --server 0.0.0.0 "$port" 2
any=$pid
until_true named 0.0.0.0
with python3 -c 'import socket, sys
port = int(sys.argv[1])
for family, host in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:127.0.0.1"):
    s = socket.socket(family)
    s.connect((host, port))
    assert s.getpeername()[:2] == (host, port)
    s.sendall(b"hello")
    assert s.recv(10) == b"hello"
    s.close()' "$port" 2>"$work/err" || fail "the wildcard"
ended "$any" 0

# ---- servers ----

cat >"$work/server.py" <<'END'
import socket, socketserver, sys

class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(100000):
            self.request.sendall(data)

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET

with Server((sys.argv[1], int(sys.argv[2])), Echo) as server:
    server.serve_forever(0.05)
END
free_port
background python python3 "$work/server.py" 127.0.0.1 "$port"
python=$pid
until_true named
"$tests/meet_tcp_echo" --client 127.0.0.1 "$port" 64 2000 >"$work/out" || fail "python3's server"
"$tests/meet_tcp_echo" --client 127.0.0.1 "$port" 60000 100 >"$work/out" || fail "python3's server"
stopped "$python"
"$tests/meet_tcp_echo" --client 127.0.0.1 "$port" 64 1 2>"$work/err" && fail "a dead server"
has "$work/err" 'Connection refused'

# One that serves both families with one socket.
free_port
background both python3 "$work/server.py" :: "$port"
both=$pid
until_true named 0.0.0.0
named '[::]' || fail "no name for IPv6"
"$tests/meet_tcp_echo" --client 127.0.0.1 "$port" 64 10 >"$work/out" || fail "both families"
stopped "$both"

free_port
background redis redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no \
    --dir "$work"
redis=$pid
until_true named
python3 - "$work" <<'END'
import sys
def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
asked, expected = b"", b""
for i in range(2000):
    value = b"v" * (i % 300)
    asked += command(b"SET", b"k%d" % i, value) + command(b"GET", b"k%d" % i)
    expected += b"+OK\r\n$%d\r\n%s\r\n" % (len(value), value)
open(sys.argv[1] + "/asked", "wb").write(asked + command(b"QUIT"))
open(sys.argv[1] + "/expected", "wb").write(expected + b"+OK\r\n")
END
talk <"$work/asked" >"$work/answer"
cmp -s "$work/expected" "$work/answer" || fail "redis: $(head -c 300 "$work/answer")"
printf 'SHUTDOWN NOSAVE\r\n' | talk >"$work/answer"
ended "$redis" 0

free_port
mkdir "$work/tmp"
web_nginx "$port" 2 off "$work" >"$work/nginx.conf"
background nginx nginx -c "$work/nginx.conf" -e "$work/error.log"
nginx=$pid
until_true named
for _ in 1 2 3 4; do
    printf 'GET /data HTTP/1.0\r\n\r\n' | talk >"$work/answer"
    tail -c 6291456 "$work/answer" | cmp -s - "$work/data" || fail "nginx"
done
kill -QUIT "$nginx"
ended "$nginx" 0

nothing_left
exit 0
