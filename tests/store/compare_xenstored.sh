#!/bin/sh
# SPDX-License-Identifier: MIT
# The same random requests to membraned and to Debian's xenstored, which runs without a hypervisor
# (no_xen.c) and has guests, too: compare_xenstored.sh STEPS SEED...
. "$(dirname "$0")/../cli/lib.sh"

daemon=${MEMBRANE_BIN_DIR:?}/membraned
xenstored=/usr/lib/xen-4.17/bin/xenstored
no_xen=${MEMBRANE_TEST_DIR:?}/no_xen.so
for needed in "$daemon" $xenstored "$no_xen" /usr/bin/python3; do
    if [ ! -e "$needed" ]; then
        echo "skipped: $needed is not there"
        exit 77
    fi
done

here=$(dirname "$0")
steps=$1
shift
for seed in "$@"; do
    dir="$work/$seed"
    mkdir "$dir" || exit 2
    mkfifo "$dir/wake" || exit 2
    head -c 4096 /dev/zero >"$dir/page.0"
    echo 7 >"$dir/port"
    start ours "$daemon" --socket "$dir/ours"
    ours_pid=$pid
    start theirs env LD_PRELOAD="$no_xen" XENSTORED_RUNDIR="$dir" XENSTORED_PATH="$dir/socket" \
        $xenstored --no-fork --internal-db
    theirs_pid=$pid
    serve() {
        "$membrane" store exists --socket "$dir/ours" / 2>/dev/null &&
            "$membrane" store exists --socket "$dir/socket" / 2>/dev/null
    }
    until_true serve
    run 0 /usr/bin/python3 "$here/compare_xenstored.py" "$dir/ours" "$dir" "$seed" "$steps"
    cat "$work/out"
    kill "$ours_pid" "$theirs_pid"
    ended "$ours_pid" 0
    wait "$theirs_pid"
done
exit 0
