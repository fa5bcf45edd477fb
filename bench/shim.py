#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""shim.py: turns of 64 bytes under the shim, on catnap and catloop, beside plain sockets.

  bench/shim.py [--runs N] [--turns N] [--idle N] [--unpinned] [--json FILE]

A client sends and receives, a server waits in read, poll, select or epoll; and UDP, which the shim
passes through. The modes take turns, run by run; medians of medians, and ratios to plain sockets of
the same run. Then a client under the shim and a server that uses catloop. Then, in epoll, what N
idle connections (which have moved, under catloop) add to the latency of a busy one: without and
with them, in one process, round by round, three rounds a run. "spinning" is a plain server that
asks the kernel's epoll over and over: what idle connections cost there is the kernel's part of what
they cost on catnap. Exit code 1 if a goal is missed: idle connections add at most 5 %, on catnap
and catloop.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.environ.get("MEMBRANE_BIN_DIR", os.path.join(ROOT, "build/release/bin"))
MODES = ("plain", "catnap", "catloop")
WAYS = ("read", "poll", "select", "epoll", "udp")
IDLE_GOAL = 1.05
IDLE_ROUNDS = 3  # a run


def turns(mode, *arguments):
    """The lines it prints, as numbers."""
    tool = os.path.join(BIN, "membrane")
    shim = [] if mode in ("plain", "spinning") else [tool, "shim", "-l", mode, "--"]
    done = subprocess.run(shim + [os.path.join(BIN, "membrane-shim-turns")] + list(arguments),
                          check=True, capture_output=True, text=True, timeout=200)
    return [[float(word) for word in line.split()] for line in done.stdout.splitlines()]


def measure_ways(options):
    samples = {way: {mode: [] for mode in MODES} for way in WAYS}
    for _ in range(options.runs):
        for way in WAYS:
            for mode in MODES:
                samples[way][mode].append(turns(mode, way, str(options.turns))[0][0])
    return {way: {mode: statistics.median(samples[way][mode]) for mode in MODES} for way in WAYS}


def measure_meeting(options):
    """A client under the shim and a server of catloop."""
    samples = []
    for _ in range(options.runs):
        with subprocess.Popen([os.path.join(BIN, "membrane-shim-echo")], text=True,
                              stdout=subprocess.PIPE) as server:
            port = server.stdout.readline().strip()
            samples.append(turns("catloop", port, str(options.turns))[0][0])
    return statistics.median(samples)


def measure_idle(options):
    result = {}
    rounds = str(options.runs * IDLE_ROUNDS)
    for mode in ("plain", "spinning", "catnap", "catloop"):
        way = "spin" if mode == "spinning" else "epoll"
        rows = turns(mode, way, str(options.turns), str(options.idle), rounds)
        ratios = [busy / alone for alone, busy in rows]
        result[mode] = {"alone_ns": statistics.median(row[0] for row in rows),
                        "with_idle_ns": statistics.median(row[1] for row in rows),
                        "ratio": statistics.median(ratios), "ratios": ratios}
    return result


def main():
    parser = argparse.ArgumentParser(description="turns under the shim, beside plain sockets")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--turns", type=int, default=20000)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--unpinned", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if options.unpinned:
        os.environ["UNPINNED"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEMBRANE_DIR"] = os.path.join(folder, "names")
        ways = measure_ways(options)
        meeting = measure_meeting(options)
        idle = measure_idle(options)
    print("a turn of 64 bytes, median, ns       plain    catnap   catloop   catnap/plain"
          "  catloop/plain")
    for way in WAYS:
        row = ways[way]
        print("  %-30s %10.0f%10.0f%10.0f%15.2f%15.2f" % (
            way, row["plain"], row["catnap"], row["catloop"], row["catnap"] / row["plain"],
            row["catloop"] / row["plain"]))
    print("  %-30s %10s%10s%10.0f%15s%15.2f (of read)" % (
        "a server of catloop's", "", "", meeting, "", meeting / ways["read"]["plain"]))
    print("with %d idle connections, in epoll" % options.idle)
    reached = True
    for mode, row in idle.items():
        no_goal = mode in ("plain", "spinning")
        good = no_goal or row["ratio"] <= IDLE_GOAL
        reached = reached and good
        print("  %-8s alone %8.0f ns, with them %8.0f ns, ratio %.3f (%.3f to %.3f)%s" % (
            mode, row["alone_ns"], row["with_idle_ns"], row["ratio"], min(row["ratios"]),
            max(row["ratios"]), "" if no_goal else " ok" if good else " MISSED"))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"ways_ns": ways, "meeting_ns": meeting, "idle": idle,
                       "idle_connections": options.idle, "turns": options.turns,
                       "runs": options.runs, "pinned": not options.unpinned,
                       "kernel": platform.release(),
                       "cpus": len(os.sched_getaffinity(0))}, file, indent=2)
            file.write("\n")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
