#!/bin/sh
# SPDX-License-Identifier: MIT
# nginx with two workers and curl under the shim: 100 MiB, keep-alive, 32 at once.
. "$(dirname "$0")/lib.sh"
need curl python3
PATH=$PATH:/usr/sbin
need nginx

mkdir "$work/www" "$work/got" "$work/tmp"
python3 -c 'import random, sys
r = random.Random(1)
open(sys.argv[1] + "/big", "wb").write(r.randbytes(100 << 20))
for i in range(32):
    open("%s/%d" % (sys.argv[1], i), "wb").write(r.randbytes(1000 + 40000 * i))' "$work/www"

config() {
    [ "$(id -u)" -ne 0 ] || echo "user $(id -un) $(id -gn);"
    cat <<END
worker_processes 2;
daemon off;
pid $work/nginx.pid;
error_log $work/error.log;
events { worker_connections 256; }
http {
    access_log off;
    sendfile $1;
    client_body_temp_path $work/tmp/a;
    proxy_temp_path $work/tmp/b;
    fastcgi_temp_path $work/tmp/c;
    uwsgi_temp_path $work/tmp/d;
    scgi_temp_path $work/tmp/e;
    server { listen 127.0.0.1:$port; root $work/www; }
}
END
}

fetch() {
    url=http://127.0.0.1:$port
    rm -f "$work"/got/*
    with curl -sS -o "$work/got/big" "$url/big" || fail "$mode: curl: the large file"
    # One connection for all.
    with curl -sS -o "$work/got/k#1" -w '%{http_code} %{num_connects} %{size_download}\n' \
        "$url/[0-31]" || fail "$mode: curl: keep-alive"
    with curl -s --parallel --parallel-max 32 -o "$work/got/p#1" "$url/[0-31]" \
        2>"$work/err" || fail "$mode: curl: 32 at once"
    with curl -sS -o /dev/null -w '%{http_code}\n' "$url/missing" || fail "$mode: curl: 404"
    (cd "$work/got" && cksum -- *)
}

for mode in $modes; do
    for sendfile in on off; do
        free_port
        config $sendfile >"$work/nginx.conf"
        background server nginx -c "$work/nginx.conf" -e "$work/error.log"
        server=$pid
        until_true answers
        fetch >"$work/fetched"
        same "$work/fetched"
        kill -QUIT "$server"
        ended "$server" 0
    done
done
exit 0
