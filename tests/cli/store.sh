#!/bin/sh
# SPDX-License-Identifier: MIT
# membrane store, every verb, against membraned on a socket of its own.
. "$(dirname "$0")/lib.sh"

daemon=${MEMBRANE_BIN_DIR:?}/membraned
if [ ! -x "$daemon" ]; then
    echo "skipped: membraned is not built"
    exit 77
fi
export XENSTORED_PATH="$work/store"
run 3 "$membrane" store read /a
err_has "no daemon there (try: start membraned"
start daemon "$daemon" --socket "$XENSTORED_PATH"
daemon_pid=$pid
served() { "$membrane" store exists / 2>/dev/null; }
until_true served
ms() { "$membrane" store "$@"; }
# prints TEXT ARGUMENT...
prints() {
    wanted=$1
    shift
    run 0 ms "$@"
    printf '%s\n' "$wanted" >"$work/wanted"
    cmp -s "$work/wanted" "$work/out" || fail "store $*: not: $wanted"
}

# Values.
run 0 ms write /t/a one /t/b two
quiet_out
prints one read /t/a
prints 'one
two' read /t/a /t/b/
printf 'x\0y' | ms write /t/raw || fail "write from standard input"
ms read --raw /t/raw | cmp -s - "$(printf 'x\0y' >"$work/raw" && echo "$work/raw")" || fail "raw"
run 0 ms read --json /t/raw /t/a
member "$work/out" "j['nodes'][0]['value64'] == 'eAB5' and j['nodes'][1]['value'] == 'one'"
run 1 ms read /t/none
err_has '/t/none: no such node'
run 2 ms read '/bad path'
run 2 ms write /t/a one /t/b
err_has 'a value is missing'
run 2 ms read
run 0 ms write -- /t/minus -5
prints -5 read /t/minus

# Looking.
run 0 ms mkdir /t/d/e
prints '/t/d/e' ls -R /t/d
run 0 ms ls -l /t
out_has "$(printf 'n0\t3\ta\t"one"')"
run 0 ms ls --json -R -l /t
member "$work/out" "len(j['nodes']) == 6 and j['nodes'][0]['perms'] == ['n0']"
prints '/t/d
`-- e' tree /t/d
LC_ALL=C.UTF-8 run 0 ms tree -d 1 /t
out_has '── a = "one"'
run 0 ms exists /t/a /t/b
run 1 ms exists /t/a /t/none
run 0 ms stats
run 0 ms stats --json
member "$work/out" "j['nodes'] > 3"

# Permissions.
run 0 ms chmod /t/a n0 r0
run 0 ms chmod -R /t/d r0
run 0 ms ls -l /t/d
out_has "$(printf 'r0\t0\te\t""')"
run 1 ms chmod /t/a n77
err_has '/t/a: its new owner is no domain that is there'
run 1 ms chmod -R /t/d n77
run 1 ms tx 'chmod /t/a n77'
err_has 'its new owner is no domain that is there'
run 1 ms chmod /t/none n77
err_has '/t/none: no such node'
run 2 ms chmod /t/a x5
err_has "'x5': not a letter of n r w b and a domain"

# Transactions.
prints 'one' tx 'read /t/a' 'write /t/c a value with blanks' 'check /t/b two'
prints 'a value with blanks' read /t/c
run 1 ms tx 'write /t/c other' 'check /t/b three'
err_has 'it holds something else'
prints 'a value with blanks' read /t/c
printf '# a comment\n\nrm /t/c\nexists /t/a\nls /t/d\n' >"$work/operations"
ms tx <"$work/operations" >"$work/out" || fail "operations from standard input"
out_has e
run 1 ms exists /t/c
run 2 ms tx 'fly /t'
run 1 ms tx 'exists /t/none'
run 0 ms tx --json 'read /t/a'
member "$work/out" "j['attempts'] == 1 and j['results'][0]['value'] == 'one'"

# A dump and back.
run 0 ms dump /t
cp "$work/out" "$work/dump"
member "$work/dump" "j['root'] == '/t' and j['nodes'][0]['path'] == ''"
run 0 ms load "$work/dump" /u
run 0 ms write /u/more x
run 0 ms load --replace --quiet "$work/dump" /u
quiet_err
run 0 ms dump /u
sed 's#"/u"#"/t"#' "$work/out" | cmp -s - "$work/dump" || fail "what was loaded differs"
echo '{"version": 1, "root": "/", "nodes": [{}]}' >"$work/bad"
run 2 ms load "$work/bad"
echo '{"version": 9}' >"$work/bad"
run 7 ms load "$work/bad"
echo '{' >"$work/bad"
run 1 ms load "$work/bad"
err_has "$work/bad: line 2"
run 1 ms load "$work/nothing"
err_has "$work/nothing: No such file or directory (try: check the path)"
run 1 ms load "$work"
err_has "$work: Is a directory"
# What is refused is named, not what was under way behind it.
cat >"$work/bad" <<'END'
{"version": 1, "root": "/u2", "nodes": [
{"path": "", "perms": ["n0"]}, {"path": "a", "perms": ["n77"]}, {"path": "b", "perms": ["n0"]}]}
END
run 1 ms load "$work/bad"
err_has '/u2/a: its new owner is no domain that is there'
run 1 ms exists /u2

# A load that takes long shows how far it is. Of this daemon 100 answers
# come, and the others when they are let through.
cat >"$work/proxy.py" <<'EOF'
import os, socket, sys, threading
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
client = server.accept()[0]
daemon = socket.socket(socket.AF_UNIX)
daemon.connect(os.environ['XENSTORED_PATH'])
def forward(a, b, most):
    while most > 0:
        data = a.recv(min(most, 65536))
        if not data:
            return b.shutdown(socket.SHUT_WR)
        b.sendall(data)
        most -= len(data)
threading.Thread(target=forward, args=(client, daemon, 1 << 30), daemon=True).start()
forward(daemon, client, 100 * 19)
open(sys.argv[2]).close()
forward(daemon, client, 1 << 30)
EOF
python3 -c 'import json
nodes = [{"path": "n%d" % i, "value": "x"} for i in range(900)]
print(json.dumps({"version": 1, "root": "/long", "nodes": nodes}))' >"$work/long"
mkfifo "$work/go"
start proxy python3 "$work/proxy.py" "$work/slow" "$work/go"
proxy=$pid
until_true test -S "$work/slow"
start load "$membrane" store load --socket "$work/slow" --progress always "$work/long"
load=$pid
until_true says "$work/load.err" ' of 900 nodes'
: >"$work/go"
ended "$load" 0
ended "$proxy" 0
grep -qE '^[0-9]+ of 900 nodes  [0-9]+ %  [0-9]+ nodes/s' "$work/load.err" || fail "no progress"
grep -qE '^900 nodes in 0:[0-9]+, [0-9]+ nodes/s$' "$work/load.err" || fail "no last line"
run 0 ms load --replace "$work/long"
has "$work/err" '900 nodes'
grep -q 'nodes/s' "$work/err" && fail "progress of what takes no time, and without a terminal"
run 0 ms rm /long

for verb in ls tree read write rm mkdir exists watch dump; do
    run 2 ms "$verb" ''
    err_has "'': not a path: it is empty"
done

# What can be known to be wrong is said before anything is done.
# in_tx TEXT INPUT: refused as wrong usage.
in_tx() {
    status=0
    # shellcheck disable=SC2059 # the input has escapes
    printf "$2" | ms tx >"$work/out" 2>"$work/err" || status=$?
    [ "$status" -eq 2 ] || fail "exit code $status, not 2: tx of $2"
    err_has "$1"
    run 1 ms exists /half
}
in_tx "'q9': not a letter of n r w b and a domain" 'write /half x\nchmod /half q9\n'
in_tx 'chmod /half: a permission is missing' 'write /half x\nchmod /half\n'
in_tx 'chmod /half: more than 32' "write /half x\\nchmod /half$(printf ' n%d' $(seq 33))\\n"
in_tx '/: the root stays' 'write /half x\nrm /\n'
in_tx 'write /half x: a NUL byte' 'write /half x\0y\n'
run 2 ms rm /
err_has '/: the root stays'
run 2 ms chmod /t q9
err_has "'q9': not a letter of n r w b and a domain"
status=0
ms tx <"$work" 2>"$work/err" || status=$?
[ "$status" -eq 1 ] || fail "operations from a directory: $status"

# Watching.
start watch "$membrane" store watch --values -n 3 /t/a
watcher=$pid
until_true says "$work/watch.out" '/t/a = "one"'
run 0 ms write /t/a 1
until_true says "$work/watch.out" '/t/a = "1"'
run 0 ms rm /t/a
ended "$watcher" 0
says "$work/watch.out" '/t/a (no value)' || fail "watch: $(cat "$work/watch.out")"
run 6 ms watch --timeout 0.05 /t
out_has /t
run 0 ms watch --json -n 1 /t
member "$work/out" "j['path'] == '/t'"

# A daemon that does not answer is left after the time that was given, not after the usual one.
kill -STOP "$daemon_pid"
for verb in ls tree 'ls -R' dump 'read /t /t/a'; do
    # shellcheck disable=SC2086
    run 6 timeout 20 "$membrane" store $verb --timeout 0.05
done
kill -CONT "$daemon_pid"

# It goes on when the daemon does.
start watch "$membrane" store watch -n 3 /t/again
watcher=$pid
until_true says "$work/watch.out" /t/again
kill "$daemon_pid"
ended "$daemon_pid" 0
start daemon "$daemon" --socket "$XENSTORED_PATH"
daemon_pid=$pid
until_true served
twice() { [ "$(wc -l <"$work/watch.out")" -ge 2 ]; }
until_true twice
run 0 ms write /t/again x
ended "$watcher" 0

run 0 ms write /t/x/y z
run 0 ms rm /t/x
run 1 ms rm /t/x
run 0 ms rm -f /t/x /t/none

# Paths that are there, for completions.
run 0 ms write /comp/one/x 1 /comp/other 2
run 0 "$membrane" help --paths /comp/o
printf '/comp/one/\n/comp/other\n' >"$work/wanted"
sort "$work/out" | cmp -s - "$work/wanted" || fail "completion: $(cat "$work/out")"
if command -v bash >/dev/null; then
    "$membrane" help --completion bash >"$work/bash"
    found=$(PATH="${membrane%/*}:$PATH" bash -c '
        . "$0"
        COMP_WORDS=(membrane store read /comp/on)
        COMP_CWORD=3
        compopt() { :; }
        _membrane
        echo "${COMPREPLY[*]}"' "$work/bash")
    [ "$found" = /comp/one/ ] || fail "bash proposes: $found"
fi

# Help of the group and of its verbs.
run 0 "$membrane" help store
out_has '  watch '
run 0 "$membrane" help store watch
out_has 'Usage: membrane store watch'
run 2 "$membrane" store wtach
err_has 'wtach: no such verb (try: watch)'
run 2 "$membrane" help store reed
err_has 'try: membrane help store read'
run 2 "$membrane" store
kill "$daemon_pid"
ended "$daemon_pid" 0
exit 0
