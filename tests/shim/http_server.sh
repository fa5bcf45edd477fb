#!/bin/sh
# SPDX-License-Identifier: MIT
# python3 -m http.server and curl under the shim.
. "$(dirname "$0")/lib.sh"
need curl python3

mkdir "$work/www" "$work/got"
python3 -c 'import random, sys
r = random.Random(2)
for i in range(16):
    open("%s/f%d" % (sys.argv[1], i), "wb").write(r.randbytes(7 + 300000 * i))' "$work/www"

fetch() {
    url=http://127.0.0.1:$port
    rm -f "$work"/got/*
    with curl -sS -o "$work/got/k#1" -w '%{http_code} %{size_download}\n' "$url/f[0-15]" ||
        fail "$mode: curl"
    with curl -s --parallel -o "$work/got/p#1" "$url/f[0-15]" 2>"$work/err" ||
        fail "$mode: curl, parallel"
    with curl -sS "$url/" || fail "$mode: curl, the directory"
    with curl -sS -o /dev/null -w '%{http_code}\n' "$url/missing"
    with curl -sS -r 100-199 "$url/f3" | cksum
    (cd "$work/got" && cksum -- *)
}

for mode in $modes; do
    free_port
    background server python3 -u -m http.server --bind 127.0.0.1 --directory "$work/www" "$port"
    server=$pid
    until_true answers
    fetch >"$work/fetched"
    same "$work/fetched"
    stopped "$server"
    nothing_left
done
exit 0
