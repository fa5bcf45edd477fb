#!/bin/sh
# SPDX-License-Identifier: MIT
# What the tool reports: JSON, doctor, the progress line.
. "$(dirname "$0")/lib.sh"

head -c 1000000 /dev/urandom >"$work/input"

# JSON of both sides, and where it goes.
start recv "$membrane" recv --json pipe "$work/output"
receiver=$pid
run 0 "$membrane" send --json pipe "$work/input"
member "$work/out" 'j["role"] == "send" and j["name"] == "pipe" and j["bytes"] == 1000000'
member "$work/out" 'j["seconds"] > 0 and abs(j["rate"] * j["seconds"] / 1e6 - 1) < 0.01'
member "$work/out" '"error" not in j'
ended "$receiver" 0
member "$work/recv.out" 'j["role"] == "recv" and j["bytes"] == 1000000'
start recv "$membrane" recv --json pipe
receiver=$pid
run 0 "$membrane" send --json pipe "$work/input"
ended "$receiver" 0
same "$work/input" "$work/recv.out"
member "$work/recv.err" 'j["role"] == "recv" and j["bytes"] == 1000000'
run 6 "$membrane" recv --json --timeout 0 pipe
quiet_out
member "$work/err" 'j["error"]["code"] == 6 and j["bytes"] == 0 and "try" in j["error"]'
run 6 "$membrane" send --json --timeout 0 pipe "$work/input"
member "$work/out" 'j["error"]["code"] == 6'
err_has 'no receiver has come'
run 2 "$membrane" recv --json a/b
member "$work/err" 'j["error"]["code"] == 2'

run 0 "$membrane" version --json
member "$work/out" 'set(j) >= {"version", "library", "commit", "kernel", "features"}'
member "$work/out" 'j["version"] == j["library"] and j["features"]["memfd seals"] is True'
run 0 "$membrane" gc --json
member "$work/out" 'j["count"] == 0 and j["directory"].endswith("/names")'

# doctor: one line for each check; what is not in order has a reason and a cure.
run 0 "$membrane" doctor
quiet_err
[ "$(grep -cvE '^(ok|warn|fail)  +[^ ].*  ' "$work/out")" -eq 1 ] || fail "lines of another form"
grep -E '^(warn|fail)' "$work/out" | grep -vq '(fix: ' && fail "no cure for something"
for check in version kernel 'memfd seals' pidfd_open /proc/PID/fd epoll_pwait2 futex_waitv \
    MADV_WIPEONFORK processors 'processor group' 'clock source' 'open files' 'locked memory' \
    max_map_count names 'stale names' /dev/shm memory 'memory group' libyaml jansson; do
    grep -qE "^(ok|warn|fail)  +$check  " "$work/out" || fail "doctor does not check: $check"
done
grep -c . "$work/out" >"$work/lines"
run 0 "$membrane" doctor --json
member "$work/out" "len(j['checks']) == $(cat "$work/lines") - 1 and j['fail'] == 0"
member "$work/out" 'all(c["status"] in ("ok", "warn") and c["what"] for c in j["checks"])'
run 0 "$membrane" doctor --quiet
grep -q '^ok' "$work/out" && fail "doctor --quiet shows what is in order"
run 0 "$membrane" doctor --color always
out_has "$(printf '\033[32mok')"
run 0 "$membrane" doctor
grep -q "$(printf '\033')" "$work/out" && fail "colour without a terminal"
# shellcheck disable=SC3045
(ulimit -n 20 && exec "$membrane" doctor) >"$work/out" || fail "doctor with few descriptors"
grep -q '^warn  open files' "$work/out" || fail "doctor does not warn of few descriptors"

# The progress line on something that is no terminal: whole lines, once a second. The input ends
# when both sides have shown one.
mkfifo "$work/fifo"
start recv "$membrane" recv --progress always pipe "$work/output"
receiver=$pid
start send "$membrane" send --progress=always pipe "$work/fifo"
sender=$pid
exec 9>"$work/fifo"
cat "$work/input" >&9
until_true says "$work/send.err" 'B/s'
until_true says "$work/recv.err" 'B/s'
exec 9>&-
ended "$sender" 0
ended "$receiver" 0
grep -qE '^1\.00 MB in 0:0[0-9], [0-9.]+ [kM]?B/s$' "$work/send.err" || fail "no last line"
grep -qE '^1\.00 MB in 0:0[0-9], [0-9.]+ [kM]?B/s$' "$work/recv.err" || fail "no last line"
grep -q "$(printf '[\r\033]')" "$work/send.err" && fail "a redrawn line without a terminal"

# On a terminal: redrawn, nothing at all for what is over in less than a second, and a newline at
# the end.
script -qec true /dev/null >/dev/null 2>&1 || exit 0 # no script, or no terminals here
start recv env TERM=xterm script -qec "$membrane recv pipe $work/output" /dev/null
receiver=$pid
start send "$membrane" send --quiet pipe "$work/fifo"
sender=$pid
exec 9>"$work/fifo"
cat "$work/input" >&9
until_true says "$work/recv.out" 'B/s'
exec 9>&-
ended "$sender" 0
ended "$receiver" 0
has "$work/recv.out" "$(printf '\033[K')"
tail -n 1 "$work/recv.out" | grep -q 'in 0:0' || fail "the last line is not the summary"
start recv env TERM=xterm script -qec "$membrane recv pipe $work/output" /dev/null
receiver=$pid
run 0 "$membrane" send pipe "$work/input"
ended "$receiver" 0
[ ! -s "$work/recv.out" ] || fail "a progress line for a moment: $(cat "$work/recv.out")"
exit 0
