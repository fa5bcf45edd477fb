#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pyxs_session SOCKET: a session of pyxs, a client that shares no code with libxenstore."""
import errno
import sys
import threading

import pyxs


def nodes(client):
    client.write(b"/py/a", b"one")
    assert client.read(b"/py/a") == b"one"
    client.mkdir(b"/py/d")
    assert sorted(client.list(b"/py")) == [b"a", b"d"]
    assert client.exists(b"/py/a") and not client.exists(b"/py/none")
    assert client.read(b"/py/none", b"default") == b"default"
    client.set_perms(b"/py/a", [b"r0", b"b3"])
    assert client.get_perms(b"/py/a") == [b"r0", b"b3"]
    tops = [top for top, _, _ in client.walk(b"/py")]
    assert sorted(tops) == [b"/py", b"/py/a", b"/py/d"], tops
    client.delete(b"/py/d")
    assert not client.exists(b"/py/d")
    try:
        client.list(b"/py/none")
        raise AssertionError("a list of nothing")
    except pyxs.PyXSError as e:
        assert e.args[0] == errno.ENOENT, e


def domains(client):
    assert client.get_domain_path(5) == b"/local/domain/5"
    assert not client.is_domain_introduced(5)


def transactions(client, other):
    client.transaction()
    client.write(b"/py/tx", b"inside")
    assert not other.exists(b"/py/tx")
    assert client.commit()
    assert other.read(b"/py/tx") == b"inside"
    client.transaction()
    client.write(b"/py/tx", b"dropped")
    client.rollback()
    assert client.read(b"/py/tx") == b"inside"
    client.transaction()
    client.read(b"/py/tx")
    other.write(b"/py/tx", b"theirs")
    client.write(b"/py/tx", b"ours")
    assert not client.commit()
    assert client.read(b"/py/tx") == b"theirs"


def watches(client, other):
    with client.monitor() as monitor:
        monitor.watch(b"/py/w", b"token")
        events = monitor.wait()
        first = next(events)
        assert (first.path, first.token) == (b"/py/w", b"token"), first
        writer = threading.Thread(target=other.write, args=(b"/py/w/x", b"1"))
        writer.start()
        second = next(events)
        writer.join()
        assert second.path == b"/py/w/x", second
        monitor.unwatch(b"/py/w", b"token")


def main():
    path = sys.argv[1]
    with pyxs.Client(unix_socket_path=path) as client:
        with pyxs.Client(unix_socket_path=path) as other:
            nodes(client)
            domains(client)
            transactions(client, other)
            watches(client, other)
            client.delete(b"/py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
