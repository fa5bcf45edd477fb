#!/bin/sh
# SPDX-License-Identifier: MIT
# iperf3 under the shim: one connection that steers the test and one to four that carry bytes, to
# the server, from it and both ways, and datagrams. What is compared is that all that was to come
# came; of a test both ways, which ends when one of them is done, that much came.
. "$(dirname "$0")/lib.sh"
need iperf3 python3

cat >"$work/read.py" <<'END'
import json, sys
said = json.load(open(sys.argv[1]))
end = said.get("end", {})
sent, got = (end.get(k, end.get("sum", {})).get("bytes", 0) for k in ("sum_sent", "sum_received"))
least = 1 << 20 if "bidir" in sys.argv[2] else 8 << 20
print(said.get("error"), len(end.get("streams", [])), max(sent, got) >= least)
END

measure() {
    for how in "" "-R" "-P 4" "-P 4 -R" "--bidir" "-N -l 1000" "-Z" "-w 64K" "-u -b 0"; do
        # $how is some words.
        # shellcheck disable=SC2086
        with iperf3 -c 127.0.0.1 -p "$port" -n 8M -J $how >"$work/said" ||
            fail "$mode: iperf3 $how: $(cat "$work/said")"
        printf '%s: ' "$how"
        python3 "$work/read.py" "$work/said" "$how"
    done
}

for mode in $modes; do
    free_port
    rm -f "$work/server.out"
    background server iperf3 -s -B 127.0.0.1 -p "$port" --forceflush
    server=$pid
    # A connection that says nothing would be a test for it.
    until_true grep -sq listening "$work/server.out"
    measure >"$work/measured"
    same "$work/measured"
    kill -0 "$server" 2>/dev/null || fail "$mode: the server has ended"
    stopped "$server"
    nothing_left
done
exit 0
