#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compare_xenstored SOCKET XENSTORED_DIR SEED STEPS

Gives one random sequence of requests, of two connections of domain 0 and of three guests, to the
membraned at SOCKET and to a real xenstored in XENSTORED_DIR (which no_xen.c lets run here; its
guests are on pages of rings), and compares every reply and every event of each.

What docs/store.md lists as different is not asked for, or compared as far as it is the same:
errors of malformed arguments, domain 0's paths over 2048 bytes, entries in permissions of domains
that have gone, the order of events that one removal or commit causes, guests' right to watch
@releaseDomain, what a lookup that failed adds to a transaction, and commits after a release.
"""
import array
import mmap
import os
import random
import socket
import struct
import sys
import time

CONTROL, DIRECTORY, READ, GET_PERMS, WATCH, UNWATCH, BEGIN, END, INTRODUCE, RELEASE = range(10)
WRITE, MKDIR, RM, SET_PERMS, EVENT, ERROR = range(11, 17)
SET_TARGET, RESET, PART = 19, 21, 22
HEAD = struct.Struct("<IIII")
PATIENCE = 60
PORT_DOMAINS, PORT_FIRST = 1000, 2000
TARGET = 5  # of domain 20


class Connection:
    """One connection; a subclass moves the bytes."""

    def __init__(self):
        self.input = b""
        self.events = []
        self.number = 0

    def message(self):
        self.fill(HEAD.size)
        kind, number, tx, length = HEAD.unpack(self.input[:HEAD.size])
        self.fill(HEAD.size + length)
        payload = self.input[HEAD.size : HEAD.size + length]
        self.input = self.input[HEAD.size + length :]
        return kind, number, tx, payload

    def call(self, kind, payload, tx=0):
        """The reply, as (type, payload); events before it are kept."""
        self.number += 1
        self.put(HEAD.pack(kind, self.number, tx, len(payload)) + payload)
        while True:
            got, number, got_tx, answer = self.message()
            if got != EVENT:
                assert (number, got_tx) == (self.number, tx), "another request's reply"
                return got, answer
            assert number == 0 and got_tx == 0, "an event with numbers"
            self.events.append(tuple(answer.split(b"\0")[:2]))

    def done(self, kind, *words):
        reply = self.call(kind, b"".join(word + b"\0" for word in words))
        assert reply[0] == kind, (self, kind, words, reply)

    def all_events(self):
        self.call(READ, b"/\0")
        events, self.events = self.events, []
        return events


class Socket(Connection):
    def __init__(self, path=None, fd=None):
        super().__init__()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fd)
        self.passed = None
        if path:
            self.socket.connect(path)  # without a timeout, which would not wait for room to queue
        self.socket.settimeout(PATIENCE)

    def put(self, data):
        self.socket.sendall(data)

    def fill(self, size):
        while len(self.input) < size:
            data, rest, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(4))
            for _, kind, fds in rest:
                if kind == socket.SCM_RIGHTS:
                    self.passed = array.array("i", fds)[0]
            assert data, "closed"
            self.input += data

    def close(self):
        self.socket.close()


class Ring(Connection):
    """A guest's page of rings. The daemon's notifications are dropped, so it is looked at."""

    def __init__(self, xenstored, domid):
        super().__init__()
        self.xenstored = xenstored
        self.port = PORT_FIRST + domid
        with open(f"{xenstored.directory}/page.{domid}", "r+b") as page:
            self.page = mmap.mmap(page.fileno(), 4096)
        # An index is stored at one stroke; struct would do it byte by byte.
        self.words = memoryview(self.page).cast("I")

    def index(self, which):
        return self.words[512 + which]

    def move(self, which, value):
        self.words[512 + which] = value & 0xFFFFFFFF
        self.xenstored.ring(self.port)

    def put(self, data):
        while data:
            at = self.index(1)
            room = min(1024 - (at - self.index(0)) % 2**32, 1024 - at % 1024, len(data))
            if room == 0:
                self.take()
                continue
            self.page[at % 1024 : at % 1024 + room] = data[:room]
            data = data[room:]
            self.move(1, at + room)

    def take(self):
        at = self.index(2)
        there = min((self.index(3) - at) % 2**32, 1024 - at % 1024)
        if there == 0:
            os.sched_yield()
            return
        self.input += self.page[1024 + at % 1024 : 1024 + at % 1024 + there]
        self.move(2, at + there)

    def fill(self, size):
        limit = time.monotonic() + PATIENCE
        while len(self.input) < size:
            assert time.monotonic() < limit, "xenstored does not answer"
            self.take()

    def close(self):
        self.words.release()
        self.page.close()


class Membraned:
    def __init__(self, path):
        self.path = path
        self.control = self.connect()

    def connect(self):
        return Socket(self.path)

    def guest(self, domid):
        self.control.done(CONTROL, b"connect", b"%d" % domid)
        return Socket(fd=self.control.passed)

    def gone(self, domid):
        pass


class Xenstored:
    def __init__(self, directory):
        self.directory = directory
        self.wake = os.open(directory + "/wake", os.O_RDWR | os.O_NONBLOCK)
        self.control = self.connect()

    def ring(self, port):
        os.write(self.wake, struct.pack("<I", port))

    def connect(self):
        return Socket(self.directory + "/socket")

    def guest(self, domid):
        for name in "page", "dom":
            with open(f"{self.directory}/{name}.{domid}", "wb") as file:
                file.write(bytes(4096))
        self.control.done(INTRODUCE, b"%d" % domid, b"1", b"1")
        return Ring(self, domid)

    def gone(self, domid):
        os.unlink(f"{self.directory}/dom.{domid}")
        self.ring(PORT_DOMAINS)


class Party:
    """A connection to each of the two."""

    def __init__(self, sides, domid):
        self.domid = domid
        self.open = {}  # transactions; True: one that is only to be dropped
        self.ends = [side.guest(domid) if domid else side.connect() for side in sides]

    def call(self, kind, payload, tx=0):
        return [end.call(kind, payload, tx) for end in self.ends]


class Comparison:
    LEAVES = [b"", b"/a", b"/a/b", b"/a/b/c", b"/b", b"/c", b"/c/a", b"/a/c"]
    TOKENS = [b"", b"t", b"u", b"a longer token"]
    KINDS = (
        [READ] * 4 + [WRITE] * 7 + [MKDIR] * 3 + [RM] * 2 + [DIRECTORY] * 3 + [GET_PERMS] * 2
        + [SET_PERMS] * 4 + [WATCH] * 3 + [UNWATCH, BEGIN, END, END, RESET, PART, RELEASE]
    )

    def __init__(self, sides, seed):
        self.random = random.Random(seed)
        self.sides = sides
        self.log = []
        self.next_domid = 100
        self.parties = [Party(sides, domid) for domid in (0, 0, TARGET, 6, 20)]
        for side in sides:
            side.control.done(MKDIR, b"/s")
            side.control.done(SET_PERMS, b"/s", b"b0")
            side.control.done(SET_TARGET, b"20", b"%d" % TARGET)
            for party in self.parties[2:]:
                self.home(side, party.domid)

    @staticmethod
    def home(side, domid):
        path = b"/local/domain/%d" % domid
        side.control.done(MKDIR, path)
        side.control.done(SET_PERMS, path, b"n%d" % domid)

    def path(self):
        pick = self.random.choice
        if self.random.random() < 0.03:
            return pick([b"/", b"/none", b"/none/x", b"/tool", b"/local", b"/local/domain",
                         b"/local/domain/7", b"//", b"/a/", b"r" * 2048, b"r" * 2049])  # fmt: skip
        base = pick([b"/s", b"/s", b"", *(b"/local/domain/%d" % p.domid for p in self.parties[2:])])
        path = base + pick(self.LEAVES)
        return path[1:] if base == b"" and path else path or b"/s"

    def perms(self, party):
        pick = self.random.choice
        domids = [p.domid for p in self.parties] + [99]
        owner = party.domid if party.domid and self.random.random() < 0.8 else pick(domids)
        others = [pick(domids) for _ in range(pick([0, 0, 1, 1, 2, 3]))]
        return [b"%c%d" % (pick(b"nrwb"), domid) for domid in [owner, *others]]

    def payload(self, kind, party):
        pick = self.random.choice
        words = [self.path()]
        if kind == WRITE:
            return words[0] + b"\0" + pick([b"", b"1", b"22", b"\0x\0", b"v" * 40, b"x" * 300])
        if kind in (BEGIN, RESET):
            return b"\0"
        if kind == END:
            return pick([b"T\0", b"T\0", b"F\0"])
        if kind == SET_PERMS:
            words += self.perms(party)
        elif kind in (WATCH, UNWATCH):
            words.append(pick(self.TOKENS))
        elif kind == PART:
            words.append(pick([b"0", b"1", b"2", b"5", b"100"]))
        return b"".join(word + b"\0" for word in words)

    def transaction(self, party):
        chance = self.random.random()
        if party.open and chance < 0.6:
            return self.random.choice(list(party.open))
        return self.random.choice([1, 2, 99, 2**32 - 1]) if chance > 0.99 else 0

    def wrong(self, what, ours, theirs):
        for entry in self.log[-12:]:
            print("   ", entry)
        sys.exit(f"step {len(self.log)}: {what}: membraned {ours}, xenstored {theirs}")

    def same_events(self, ordered):
        for party in self.parties:
            ours, theirs = [end.all_events() for end in party.ends]
            if not ordered:
                ours, theirs = sorted(set(ours)), sorted(set(theirs))
            if ours != theirs:
                self.wrong(f"events of domain {party.domid}", ours, theirs)

    def settle(self, kind, party, tx, replies):
        """What the replies mean for the transactions that are open."""
        ours, theirs = replies
        failed = ours[0] == ERROR or kind == RM
        if kind == BEGIN and theirs[0] == BEGIN and ours == theirs:
            party.open[int(theirs[1][:-1])] = False
        elif kind == END:
            party.open.pop(tx, None)
        elif kind == RESET:
            party.open.clear()
        elif tx in party.open and failed and kind not in (WATCH, UNWATCH, BEGIN):
            party.open[tx] = True

    def same_replies(self, kind, party, tx, replies):
        if kind == PART and all(reply[0] == PART for reply in replies):
            replies = [(PART, reply[1].split(b"\0", 1)[1]) for reply in replies]
        ours, theirs = replies
        if kind == GET_PERMS and ours[0] == theirs[0] == GET_PERMS:
            left = iter(theirs[1].split(b"\0"))
            if all(entry in left for entry in ours[1].split(b"\0")):
                return
        if ours == theirs:
            return
        if party.open.get(tx):  # it went on from what a failed lookup has added: no more of it
            party.call(END, b"F\0", tx)
            del party.open[tx]
            return
        self.wrong("reply", ours, theirs)

    def request(self, kind):
        party = self.random.choice(self.parties)
        if kind == BEGIN and len(party.open) > 6:
            return
        payload = self.payload(kind, party)
        if kind == SET_PERMS and payload.startswith(b"/\0"):
            return  # whose the root is decides too much
        tx = self.transaction(party)
        if kind == END and party.open.get(tx):
            payload = b"F\0"
        replies = party.call(kind, payload, tx)
        self.log.append((party.domid, kind, payload[:60], tx, replies[0][0], replies[0][1][:40]))
        self.settle(kind, party, tx, replies)
        self.same_replies(kind, party, tx, replies)
        self.same_events(kind not in (RM, END))

    def release(self):
        """The domain beside the target goes, and another one comes."""
        party = self.parties[3]
        self.log.append((party.domid, "RELEASE"))
        for side, end in zip(self.sides, party.ends):
            side.control.done(RELEASE, b"%d" % party.domid)
            side.gone(party.domid)
            end.close()
        del self.parties[3]
        for other in self.parties:  # xenstored has no memory for commits of nodes that were its
            other.open = dict.fromkeys(other.open, True)
        self.same_events(False)
        self.parties.insert(3, Party(self.sides, self.next_domid))
        for side in self.sides:
            self.home(side, self.next_domid)
        self.same_events(False)
        self.next_domid += 1

    def run(self, steps):
        for _ in range(steps):
            kind = self.random.choice(self.KINDS)
            rare = kind in (RESET, RELEASE)
            if kind == RELEASE and self.random.random() < 0.2:
                self.release()
            elif not rare or (kind == RESET and self.random.random() < 0.2):
                self.request(kind)


def main():
    ours, theirs, seed, steps = sys.argv[1:]
    comparison = Comparison([Membraned(ours), Xenstored(theirs)], int(seed))
    comparison.run(int(steps))
    print(f"seed {seed}: {len(comparison.log)} requests, the same answers")


main()
