#!/bin/sh
# SPDX-License-Identifier: MIT
# membrane object, every verb, with a container that a process in the background holds.
. "$(dirname "$0")/lib.sh"

mo() { "$membrane" object "$@"; }

# Nobody is in it.
run 1 mo ls none
err_has "no such container"
one_line_err
run 1 mo put none x "$0"
run 2 mo put demo
run 2 mo get demo
run 2 mo stat
run 2 mo ls 'a/b'
run 0 mo ls
quiet_out

start hold "$membrane" object hold demo
holder=$pid
listed() { "$membrane" object ls 2>/dev/null | grep -qxF demo; }
until_true listed

# In and out.
run 0 mo put --quiet demo script "$0"
quiet_out
quiet_err
run 0 mo get demo script "$work/copy"
same "$0" "$work/copy"
head -c 70000000 /dev/urandom >"$work/big"
mo put demo big <"$work/big" || fail "put from standard input"
mo cat demo big >"$work/copy" || fail "cat"
same "$work/big" "$work/copy"
# A pipe: the size is not known.
cat "$work/big" | mo put demo piped || fail "put from a pipe"
mo get demo piped >"$work/copy" || fail "get"
same "$work/big" "$work/copy"
# A smaller one in its place, and one of another policy.
printf 'hello' | mo put demo big || fail "put again"
mo cat demo big big >"$work/out" || fail "cat twice"
out_has hellohello
run 0 mo put --policy versioned --json demo versioned "$0"
member "$work/out" "j['object'] == 'versioned' and j['bytes'] > 100"
run 0 mo get --json demo script "$work/copy"
member "$work/out" "j['container'] == 'demo'"
: | mo put demo empty 2>"$work/err" && fail "an empty object"
err_has "no object can be made of nothing"
run 1 mo get demo none
err_has "none: there is none"
run 1 mo get demo script /nonexistent/file
run 1 mo put demo x /nonexistent/file
run 1 mo stat demo x

# Looking.
run 0 mo ls demo
printf 'big\npiped\nscript\nversioned\n' | cmp -s - "$work/out" || fail "ls: not the four names"
run 0 mo ls -l demo
out_has "70.0 MB"
out_has versioned
run 0 mo ls -l -b demo
out_has 70000000
run 0 mo ls --json demo
member "$work/out" "[o['size'] for o in j['objects']][:2] == [5, 70000000]"
member "$work/out" "all(o['users'] == 0 and o['torn'] == 0 for o in j['objects'])"
run 0 mo ls --json
member "$work/out" "j['containers'][0]['objects'] == 4 and j['containers'][0]['members'] == 1"
run 0 mo ls -l
out_has "4 objects     1 member "
run 0 mo stat demo
out_has "container  demo"
run 0 mo stat demo big
out_has "5 B (5 bytes)"
run 0 mo stat --json demo big
member "$work/out" "j['policy'] == 'in place'"
run 2 mo top -n 2 --interval 0 demo
run 2 mo top -n 2 --interval 1e12 demo
run 0 mo top -n 2 --interval 0.01 demo
out_has piped
run 0 mo top --json -n 1 demo
member "$work/out" "len(j['list']) == 4"
run 0 mo check demo
out_has "4 objects"
out_has "0 torn, 0 damaged"
run 0 mo check --json demo
member "$work/out" "j['objects'] == 4 and j['wrong'] == []"

# Torn by somebody who was killed while he wrote: told by get and cat, mended by check or by put.
head -c 3000000 /dev/urandom >"$work/whole"
run 0 mo put demo wound "$work/whole"
tear() { "${MEMBRANE_TEST_DIR:?}/object_tear" demo wound "$1" || fail "object_tear"; }
tear 1000000
run 1 mo get demo wound "$work/copy"
err_has "wound: torn: a process was killed while it wrote"
err_has "check --repair"
run 1 mo cat demo wound
err_has "wound: torn"
run 0 mo stat demo wound
out_has "torn       1 block"
run 0 mo ls -l demo
out_has "(torn)"
run 1 mo check demo
out_has "wound: block 0: torn"
out_has "5 objects"
out_has "1 torn, 0 damaged, 0 repaired"
run 0 mo check --repair --json demo
member "$work/out" "j['torn'] == 1 and j['repaired'] == 1 and j['wrong'][0]['repaired']"
run 0 mo get demo wound "$work/copy"
cmp "$work/whole" "$work/copy" >"$work/out" && fail "as it was before it was torn"
[ "$(cmp -l "$work/whole" "$work/copy" | wc -l)" -eq 1 ] || fail "more than the torn byte"
tear 2999999
run 1 mo get demo wound "$work/copy"
run 0 mo put demo wound "$work/whole"
run 0 mo get demo wound "$work/copy"
same "$work/whole" "$work/copy"
run 0 mo rm demo wound

# Removing.
run 0 mo rm demo piped versioned
run 1 mo rm demo piped
err_has "piped: there is none"
run 0 mo rm -f demo piped big
run 0 mo ls demo
printf 'script\n' | cmp -s - "$work/out" || fail "ls after rm"

# --hold creates the container and stays.
start put "$membrane" object put --hold other x "$0"
putter=$pid
there() { "$membrane" object stat other x >/dev/null 2>&1; }
until_true there
kill -TERM "$putter"
ended "$putter" 0
run 1 mo ls other

# A directory keeps a container that nobody is in.
mkdir "$work/disk"
run 0 mo put --directory "$work/disk" kept x "$0"
run 1 mo ls kept
run 0 mo get --directory "$work/disk" kept x "$work/copy"
same "$0" "$work/copy"
run 0 mo stat --directory "$work/disk" --json kept
member "$work/out" "j['persistent'] and j['objects'] == 1"
run 0 mo check --directory "$work/disk" kept
out_has "1 object,"
run 0 mo rm --directory "$work/disk" kept x
run 0 mo ls --directory "$work/disk" kept
quiet_out
run 1 mo ls --directory "$work/none" kept
run 0 mo destroy --directory "$work/disk" kept
[ -z "$(ls -A "$work/disk")" ] || fail "destroy leaves files: $(ls -A "$work/disk")"
run 1 mo destroy nobody
mkdir "$work/other"
: >"$work/other/file"
run 1 mo ls --directory "$work/other" kept
err_has "holds something else"

# A byte on the disk that is not the one that was written: found, and nothing else is.
mkdir "$work/sums"
run 0 mo put --directory "$work/sums" --checksums sums good "$0"
run 0 mo put --directory "$work/sums" sums bad "$work/copy"
at=$(grep -abo 'Nobody is in it' "$work/sums/membrane-blocks" | tail -n 1 | cut -d : -f 1)
printf 'Somebody' | dd of="$work/sums/membrane-blocks" bs=1 seek="$at" conv=notrunc 2>/dev/null
run 1 mo check --directory "$work/sums" sums
out_has "1 damaged"
run 0 mo get --directory "$work/sums" sums good "$work/out"
same "$0" "$work/out"
run 1 mo get --directory "$work/sums" sums bad "$work/out"

# Kept by membraned, when nobody is in it; and for a group, as long as somebody is.
daemon=${MEMBRANE_BIN_DIR:?}/membraned
if [ -x "$daemon" ]; then
    export XENSTORED_PATH="$work/store"
    run 3 mo put --keep stays x "$0"
    start daemon "$daemon" --socket "$XENSTORED_PATH"
    daemon_pid=$pid
    served() { "$membrane" store exists / 2>/dev/null; }
    until_true served
    run 1 mo put --keep never x "$work/none"
    run 1 mo stat never
    run 0 mo put --keep stays x "$0"
    run 0 mo get stays x "$work/copy"
    same "$0" "$work/copy"
    run 0 mo stat --json stays
    member "$work/out" "j['kept'] and j['brokered']"
    run 0 mo ls
    out_has stays
    start put "$membrane" object put --hold --gid "$(id -g)" ours x "$0"
    putter=$pid
    ours() { "$membrane" object stat --json ours >"$work/out" 2>/dev/null; }
    until_true ours
    member "$work/out" "j['brokered'] and j['group'] == $(id -g)"
    kill -TERM "$putter"
    ended "$putter" 0
    left() { ! ours; }
    until_true left
    run 7 mo put --stored lasting x "$0"
    err_has "membraned --objects"
    kill -TERM "$daemon_pid"
    ended "$daemon_pid" 0
    # On disk: it outlives the daemon.
    for round in 1 2; do
        start daemon "$daemon" --socket "$XENSTORED_PATH" --objects "$work/objects"
        daemon_pid=$pid
        until_true served
        [ "$round" = 2 ] || run 0 mo put --stored --checksums --gid "$(id -g)" lasting x "$0"
        run 0 mo get lasting x "$work/copy"
        same "$0" "$work/copy"
        run 0 mo stat --json lasting
        member "$work/out" "j['kept'] and j['persistent'] and j['group'] == $(id -g)"
        run 0 mo ls
        out_has lasting
        if [ "$round" = 2 ]; then
            run 0 mo destroy lasting
            run 1 mo get lasting x "$work/copy"
            [ -z "$(ls -A "$work/objects")" ] || fail "destroy leaves files at membraned"
        fi
        kill -KILL "$daemon_pid"
        ended "$daemon_pid" 137
    done
fi

# Somebody is in it: it stays, and can be joined again.
run 6 mo destroy -t 0 demo
run 0 mo stat demo

# The last one in it leaves, or is killed.
kill -9 "$holder"
ended "$holder" 137
run 1 mo ls demo
run 0 mo gc --dry-run
run 0 mo gc --json
member "$work/out" "j['dry_run'] is False"
run 0 mo ls
quiet_out
run 0 mo gc
out_has "0 entries removed"
