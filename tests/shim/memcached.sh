#!/bin/sh
# SPDX-License-Identifier: MIT
# memcached with four threads and a Python client with eight connections, under the shim.
. "$(dirname "$0")/lib.sh"
need memcached python3

cat >"$work/client.py" <<'END'
import socket, sys, threading, zlib

class Client:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.f = b""

    def line(self):
        while b"\r\n" not in self.f:
            more = self.s.recv(65536)
            assert more, "end of file"
            self.f += more
        line, self.f = self.f.split(b"\r\n", 1)
        return line

    def take(self, n):
        while len(self.f) < n:
            more = self.s.recv(65536)
            assert more, "end of file"
            self.f += more
        data, self.f = self.f[:n], self.f[n:]
        return data

    def set(self, key, value):
        self.s.sendall(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
        return self.line()

    def get(self, key):
        self.s.sendall(b"get %s\r\n" % key)
        head = self.line()
        if head == b"END":
            return None
        value = self.take(int(head.split()[3]))
        assert self.take(2) == b"\r\n" and self.line() == b"END"
        return value

    def ask(self, text):
        self.s.sendall(text + b"\r\n")
        return self.line()

def work(number, port, out):
    c = Client(port)
    total = 0
    assert c.set(b"n%d" % number, b"0") == b"STORED"
    for i in range(400):
        size = (i * 7919 + number) % 3000 if i % 50 else 300000
        value = bytes((i + j + number) & 0xff for j in range(256)) * (size // 256 + 1)
        key = b"k%d.%d" % (number, i)
        assert c.set(key, value) == b"STORED"
        assert c.get(key) == value
        assert c.ask(b"incr n%d 2" % number) == b"%d" % (2 * i + 2)
        total = zlib.crc32(value, total)
    assert c.get(b"missing") is None
    assert c.ask(b"delete k%d.1" % number) == b"DELETED"
    assert c.ask(b"nonsense") == b"ERROR"
    out[number] = total

port = int(sys.argv[1])
sums = [None] * 8
threads = [threading.Thread(target=work, args=(n, port, sums)) for n in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print(sums)
END

user=
[ "$(id -u)" -ne 0 ] || user='-u root'
for mode in $modes; do
    free_port
    # $user is two words or none.
    # shellcheck disable=SC2086
    background server memcached -p "$port" -l 127.0.0.1 -U 0 -t 4 -m 256 $user
    server=$pid
    until_true answers
    with python3 "$work/client.py" "$port" >"$work/sums" || fail "$mode: the client"
    same "$work/sums"
    stopped "$server"
    nothing_left
done
exit 0
