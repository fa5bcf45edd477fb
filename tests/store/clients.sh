#!/bin/sh
# SPDX-License-Identifier: MIT
# Other people's clients of the store, unmodified, against membraned on a socket of its own:
# clients.sh tools | control | suite | long | library | pyxs
. "$(dirname "$0")/../cli/lib.sh"

daemon=${MEMBRANE_BIN_DIR:?}/membraned
xen=/usr/lib/xen-4.17/bin
export XENSTORED_PATH="$work/store"
for needed in "$daemon" /usr/bin/xenstore-ls $xen/xenstore-control $xen/test-xenstore; do
    if [ ! -x "$needed" ]; then
        echo "skipped: $needed is not there"
        exit 77
    fi
done
start daemon "$daemon" --socket "$XENSTORED_PATH"
daemon_pid=$pid
served() { "$membrane" store exists / 2>/dev/null; }
until_true served

# prints TEXT COMMAND...: the command succeeds and prints exactly this and a newline.
prints() {
    wanted=$1
    shift
    run 0 "$@"
    printf '%s\n' "$wanted" >"$work/expected"
    cmp -s "$work/expected" "$work/out" || fail "$*: not what was expected: $wanted"
}

tools() {
    run 0 xenstore-write /r/a one /r/b two
    run 0 xenstore-write -s /r/s v
    # -R leaves a backslash alone in this version on both ways: what goes in comes out.
    run 0 xenstore-write -R /r/raw 'a\x00b'
    prints 'one
two' xenstore-read /r/a /r/b
    prints '/r/a: one' xenstore-read -p /r/a
    prints 'one' xenstore-read -s /r/a
    run 0 xenstore-read -R /r/raw
    out_has 'a\x00b'
    prints 'a = "one"
b = "two"
s = "v"
raw = "a\\x00b"' xenstore-ls /r
    prints '/r/a = "one"
/r/b = "two"
/r/s = "v"
/r/raw = "a\\x00b"' xenstore-ls -f /r
    run 0 xenstore-ls -p /r
    out_has '(n0)'
    run 0 xenstore-ls -f -p -s /r
    out_has '/r/a = "one"   (n0)'
    prints 'a
b
s
raw' xenstore-list /r
    run 0 xenstore-list -p /r
    out_has '/r/raw'
    run 0 xenstore-list -s /r
    run 0 xenstore-exists /r/a
    run 0 xenstore-exists -s /r/a /r/b
    run 1 xenstore-exists /r/a /r/none
    run 0 xenstore-chmod /r/a n0 b2
    run 0 xenstore-ls -p /r
    out_has '(n0,b2)'
    run 0 xenstore-write /r/d/e/f x
    run 0 xenstore-chmod -r /r/d r0
    run 0 xenstore-chmod -s -u /r/d/e/f b0
    run 0 xenstore-ls -f -p /r/d
    out_has '/r/d/e/f = "x"   (b0)'
    run 0 xenstore-rm /r/d
    run 1 xenstore-exists /r/d
    run 0 xenstore-write /t1/t2/t3 x
    run 0 xenstore-rm -t /t1/t2/t3
    run 1 xenstore-exists /t1
    run 1 xenstore-rm /r/x/y
    run 1 xenstore-read /none
    run 1 xenstore-list /none
    for tool in ls read write rm exists list chmod watch; do
        run 1 "xenstore-$tool" -h
    done

    # All modes of the one program that is called by many names.
    run 0 xenstore write /r/q 1
    prints 1 xenstore read /r/q
    run 0 xenstore exists /r/q
    run 0 xenstore chmod /r/q r0
    run 0 xenstore list /r
    run 0 xenstore ls /r
    run 0 xenstore rm /r/q

    start watch xenstore-watch -n 3 /r
    watcher=$pid
    until_true says "$work/watch.out" /r
    run 0 xenstore-write /r/a z
    run 0 xenstore-rm /r/b
    ended "$watcher" 0
    printf '/r\n/r/a\n/r/b\n' >"$work/expected"
    cmp -s "$work/expected" "$work/watch.out" || fail "xenstore-watch: $(cat "$work/watch.out")"

    # More children than a message holds, and a deep path.
    i=0
    while [ $i -lt 600 ]; do
        echo "write /wide/child-with-a-long-name-$i x"
        i=$((i + 1))
    done >"$work/operations"
    run 0 "$membrane" store tx <"$work/operations"
    "$membrane" store tx <"$work/operations" || fail "a transaction of 600"
    [ "$(xenstore-list /wide | wc -l)" -eq 600 ] || fail "a wide directory"
    deep=$(printf '/d%.0s' $(seq 200))
    run 0 xenstore-write "$deep" x
    prints x xenstore-read "$deep"
    run 0 xenstore-rm /d
}

control() {
    c=$xen/xenstore-control
    run 0 $c check
    run 0 $c memreport
    run 0 $c memreport "$work/report"
    has "$work/report" 'memory report'
    run 0 $c log
    run 0 $c print 'a line'
    run 0 $c log on
    run 0 $c log off
    run 0 $c log +io
    run 0 $c log -io
    run 0 $c quota
    out_has nodes
    run 0 $c quota 0
    run 0 $c quota set nodes 1500
    run 0 $c quota
    out_has 1500
    run 0 $c quota-soft
    run 0 $c quota-soft set memory 1000000
    run 0 $c help
    out_has live-update
    run 3 $c no-such-command
    run 0 xenstore-write /kept value
    start watch xenstore-watch -n 2 /kept
    watcher=$pid
    until_true says "$work/watch.out" /kept
    run 0 $c live-update "$daemon"
    prints value xenstore-read /kept
    run 0 xenstore-write /kept again
    ended "$watcher" 0
    # The same process serves on; nothing but its program has changed.
    kill -0 "$daemon_pid" || fail "another process serves after the live update"
}

suite() {
    run 0 $xen/test-xenstore -l
    run 0 $xen/test-xenstore -i "$1"
    for test in 'read 1' 'write 2000' 'ta err'; do
        run 0 $xen/test-xenstore -t "$test"
    done
    run 0 $xen/test-xenstore -r "$2"
    run 1 xenstore-exists xenstore-test
}

case ${1-} in
tools) tools ;;
control) control ;;
suite) suite 1000 3 ;;
long) suite 20000 20 ;;
library) run 0 "${MEMBRANE_TEST_DIR:?}/store_libxenstore" ;;
pyxs)
    if ! /usr/bin/python3 -c 'import pyxs' 2>/dev/null; then
        echo "skipped: pyxs is not installed"
        exit 77
    fi
    run 0 /usr/bin/python3 "$(dirname "$0")/pyxs_session.py" "$XENSTORED_PATH"
    ;;
*) fail "which clients?" ;;
esac
kill "$daemon_pid"
ended "$daemon_pid" 0
exit 0
