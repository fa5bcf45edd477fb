#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""redis.py: redis-benchmark over plain TCP loopback, and under the shim on catnap and catloop.

  bench/redis.py [--runs N] [--requests N] [--clients N] [--pipeline N] [--unpinned] [--json FILE]

GET of 64 bytes. The three take turns, run by run, the server on one CPU and the client on another
(--unpinned: where the kernel puts them, which for plain TCP is often the same one);
medians, and ratios to plain TCP of the same run. Then the CPU time of an idle server under the
shim. Exit code 1 if a goal is missed: catloop at least 2 times plain TCP's requests a second
and catnap at least 0.95 of it (one client, no pipelining), idle less than 1 % of a CPU.
"""
import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODES = ("plain", "catnap", "catloop")
GOALS = {"catnap": 0.95, "catloop": 2.0}
IDLE_SECONDS, IDLE_GOAL = 5.0, 1.0


PINNED = True


def under(mode, cpu, command):
    """The command on one CPU, plain or under the shim."""
    cpus = sorted(os.sched_getaffinity(0))
    pinned = ["taskset", "-c", str(cpus[cpu % len(cpus)])] if PINNED else []
    tools = os.environ.get("MEMBRANE_BIN_DIR", os.path.join(ROOT, "build/release/bin"))
    shim = [] if mode == "plain" else [os.path.join(tools, "membrane"), "shim", "-l", mode, "--"]
    return pinned + shim + command


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """A redis-server of our own, gone at the end of the with statement."""

    def __init__(self, mode, folder):
        self.port = free_port()
        self.process = subprocess.Popen(
            under(mode, 0, ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                            "--save", "", "--appendonly", "no", "--dir", folder]),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.01)
        raise RuntimeError("redis-server does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def requests_a_second(mode, options, folder):
    """One run: the rate, and the median latency in microseconds."""
    with Server(mode, folder) as server:
        done = subprocess.run(
            under(mode, 1, ["redis-benchmark", "-p", str(server.port), "-t", "get", "-d", "64",
                            "-n", str(options.requests), "-c", str(options.clients),
                            "-P", str(options.pipeline), "--csv"]),
            check=True, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        if line.startswith('"GET"'):
            fields = line.replace('"', "").split(",")
            return float(fields[1]), float(fields[4]) * 1000
    raise RuntimeError("redis-benchmark printed no result:\n" + done.stdout)


def idle_percent(folder):
    with Server("catloop", folder) as server:
        # A client that has been there: its connection has moved, and stays open, silent.
        client = subprocess.Popen(
            under("catloop", 1, ["redis-cli", "-p", str(server.port)]), stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, text=True)
        for _ in range(20):
            client.stdin.write("ping\n")
        client.stdin.flush()
        time.sleep(0.5)
        before = server.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        used = server.cpu_seconds() - before
        client.stdin.close()
        client.wait()
    return 100 * used / IDLE_SECONDS


def environment():
    version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True,
                             check=True).stdout.split()
    return {"kernel": platform.release(), "machine": platform.machine(),
            "cpus": len(os.sched_getaffinity(0)), "redis": version[2][2:]}


def measure(options, folder):
    samples = {mode: [] for mode in MODES}
    for run in range(options.runs):
        for mode in MODES:
            samples[mode].append(requests_a_second(mode, options, folder))
            print("run %d %-8s %9.0f requests/s" % (run + 1, mode, samples[mode][-1][0]),
                  file=sys.stderr)
    rates = {mode: [rate for rate, _ in samples[mode]] for mode in MODES}
    medians = {mode: statistics.median(rates[mode]) for mode in MODES}
    return {"requests": options.requests, "clients": options.clients,
            "pipeline": options.pipeline, "pinned": PINNED, "runs": options.runs, "samples": rates,
            "requests_per_second": medians,
            "p50_us": {mode: statistics.median(us for _, us in samples[mode]) for mode in MODES},
            "ratio_to_plain": {mode: medians[mode] / medians["plain"] for mode in GOALS}}


def verdicts(result):
    """Each goal as (text, reached); only one client without pipelining has goals of speed."""
    out = []
    if result["clients"] == 1 and result["pipeline"] == 1:
        for mode, goal in GOALS.items():
            ratio = result["ratio_to_plain"][mode]
            out.append(("%s %.2f of plain TCP (goal: %.2f)" % (mode, ratio, goal), ratio >= goal))
    idle = result["idle_cpu_percent"]
    out.append(("idle %.2f %% of a CPU (goal: below %.0f)" % (idle, IDLE_GOAL), idle < IDLE_GOAL))
    return out


def main():
    parser = argparse.ArgumentParser(description="redis under the shim, beside plain TCP loopback")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--pipeline", type=int, default=1)
    parser.add_argument("--unpinned", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    global PINNED
    PINNED = not options.unpinned
    for program in ("redis-server", "redis-benchmark", "redis-cli", "taskset"):
        if shutil.which(program) is None:
            print("bench/redis.py: %s is not installed" % program, file=sys.stderr)
            return 77
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEMBRANE_DIR"] = os.path.join(folder, "names")
        result = measure(options, folder)
        result["idle_cpu_percent"] = idle_percent(folder)
    result["environment"] = environment()
    for mode in MODES:
        print("%-8s %9.0f requests/s  p50 %6.1f us" % (
            mode, result["requests_per_second"][mode], result["p50_us"][mode]))
    goals = verdicts(result)
    result["goals"] = [{"goal": text, "reached": reached} for text, reached in goals]
    for text, reached in goals:
        print("%-7s %s" % ("ok" if reached else "MISSED", text))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
            file.write("\n")
    return 0 if all(reached for _, reached in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
