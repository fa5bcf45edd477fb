#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs reader and writer beside each other, in both orders of starting.
# Arguments: the two programs.
set -eu
reader=$1
writer=$2

work=$(mktemp -d "${TMPDIR:-/tmp}/mbr-test.XXXXXX")
pid=
cleanup() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || :
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
export MEMBRANE_DIR="$work/names"

# both BACKGROUND FOREGROUND SIZE: the size is the writer's; the reader takes no notice of it.
both() {
    timeout 50 "$1" con "$3" &
    pid=$!
    timeout 50 "$2" con "$3"
    wait "$pid"
    pid=
}

for size in 1 4096 1048577 30000000; do
    both "$reader" "$writer" "$size"
    both "$writer" "$reader" "$size"
done
