#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs under the shim that become others, or make some. A server that executes itself, with its
# listener: connections move as before. Connections that others are to have go back to the kernel.
. "$(dirname "$0")/lib.sh"
need python3 bash ss

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

listens() { ss -Hltn "( sport = :$port )" 2>/dev/null | grep -q .; }

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

# A server as inetd is one: it asks for a few lines, which it reads byte by byte, then cat is the
# server; what the client has sent ahead is cat's. Afterwards it goes on itself.
cat >"$work/inetd.py" <<'END'
import socket, subprocess, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
while True:
    c, _ = s.accept()
    for i in range(int(sys.argv[2])):
        line = b""
        while not line.endswith(b"\n"):
            byte = c.recv(1)
            if not byte:
                break
            line += byte
        c.sendall(b"you said " + line)
    c.sendall(b"now cat\n")
    subprocess.run(["cat"], stdin=c, stdout=c)
    c.sendall(b"cat has ended\n")
    c.close()
END
cat >"$work/talk.py" <<'END'
import socket, sys
c = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
f = c.makefile("rb")
for i in range(int(sys.argv[2])):
    c.sendall(b"line %d\n" % i)
    if i == int(sys.argv[2]) - 1:
        c.sendall(b"ahead\n" * 5000)
    print(f.readline().decode(), end="")
moved = "memfd:membrane-shim" in open("/proc/self/maps").read()
sys.stderr.write("moved\n" if moved else "not moved\n")
c.sendall(b"body\n" * 100000)
c.shutdown(socket.SHUT_WR)
print(f.read().decode(), end="")
END

# A shell as a client: it talks a little itself, then its children do, all on one connection.
cat >"$work/client.sh" <<'END'
exec 3<>"/dev/tcp/127.0.0.1/$1"
for i in 1 2 3 4 5 6; do
    echo "line $i" >&3
    read -r answer <&3
    echo "$answer"
done
{ grep -c membrane-shim "/proc/$$/maps" || :; } >&2
seq 1 5000 >&3
read -r answer <&3
echo "$answer"
seq 5001 9000 >&3 &
head -n 8999 <&3
wait
echo "last words" >&3
read -r answer <&3
echo "$answer"
END
cat >"$work/lines.py" <<'END'
import socketserver, sys
class Lines(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line[:-1][::-1] + b"\n")
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Lines).serve_forever(0.05)
END

# A connection that has moved is given to a program that is not under the shim.
cat >"$work/giver.py" <<'END'
import os, socket, subprocess, sys
s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
here, there = socket.socketpair()
env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD" and not k.startswith("MEMBRANE")}
taker = subprocess.Popen([sys.executable, sys.argv[2], str(there.fileno())],
                         pass_fds=[there.fileno()], env=env)
there.close()
c, _ = s.accept()
for i in range(10):
    c.sendall(c.recv(4096)[::-1])
c.recv(6)
c.sendall(b"changing hands\n")
socket.send_fds(here, [b"x"], [c.fileno()])
c.close()
sys.exit(taker.wait())
END
cat >"$work/taker.py" <<'END'
import socket, sys
here = socket.socket(fileno=int(sys.argv[1]))
_, fds, _, _ = socket.recv_fds(here, 1, 1)
assert "membrane" not in open("/proc/self/maps").read()
c = socket.socket(fileno=fds[0])
while data := c.recv(65536):
    c.sendall(data)
END
cat >"$work/owner.py" <<'END'
import socket, sys, threading
c = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
for i in range(10):
    c.sendall(b"abc%d" % i)
    print(c.recv(4096).decode())
moved = "memfd:membrane-shim" in open("/proc/self/maps").read()
sys.stderr.write("moved\n" if moved else "not moved\n")
def feed():
    c.sendall(b"giver;" + b"for the taker\n" * 20000)
    c.shutdown(socket.SHUT_WR)
feeder = threading.Thread(target=feed)
feeder.start()
got = b""
while data := c.recv(65536):
    got += data
feeder.join()
print(len(got), got[:30], got.endswith(b"for the taker\n"))
END

moves() { case $mode in catloop) echo moved ;; *) echo "not moved" ;; esac }

for mode in $modes; do
    for turns in 1 8; do
        free_port
        background inetd python3 "$work/inetd.py" "$port" $turns
        until_true listens
        with python3 "$work/talk.py" "$port" $turns >"$work/talk.$turns" 2>"$work/moved" ||
            fail "$mode: the client of cat"
        same "$work/talk.$turns"
        [ $turns -eq 1 ] || [ "$(cat "$work/moved")" = "$(moves)" ] ||
            fail "$mode: the client of cat: $(cat "$work/moved")"
        stopped "$pid"
    done

    free_port
    background lines python3 "$work/lines.py" "$port"
    until_true listens
    with bash "$work/client.sh" "$port" >"$work/shell" 2>"$work/moved" || fail "$mode: the shell"
    same "$work/shell"
    [ "$mode" != catloop ] || [ "$(tail -n 1 "$work/moved")" -gt 0 ] ||
        fail "$mode: the shell's connection has not moved"
    stopped "$pid"

    free_port
    background giver python3 "$work/giver.py" "$port" "$work/taker.py"
    until_true listens
    with python3 "$work/owner.py" "$port" >"$work/owner" 2>"$work/moved" || fail "$mode: given away"
    same "$work/owner"
    [ "$(cat "$work/moved")" = "$(moves)" ] || fail "$mode: given away: $(cat "$work/moved")"
    wait "$pid" || fail "$mode: the taker"
    nothing_left
done
exit 0
