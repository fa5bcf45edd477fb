#!/bin/sh
# SPDX-License-Identifier: MIT
# haproxy between curl and nginx, all three under the shim: as a proxy that understands HTTP, and as
# one that passes bytes on (with splice).
. "$(dirname "$0")/lib.sh"
need curl python3
PATH=$PATH:/usr/sbin
need nginx haproxy

mkdir "$work/www" "$work/got" "$work/tmp"
python3 -c 'import random, sys
r = random.Random(5)
open(sys.argv[1] + "/big", "wb").write(r.randbytes(24 << 20))
for i in range(16):
    open("%s/%d" % (sys.argv[1], i), "wb").write(r.randbytes(100 + 30000 * i))' "$work/www"

nginx_config() {
    [ "$(id -u)" -ne 0 ] || echo "user $(id -un) $(id -gn);"
    cat <<END
worker_processes 1;
daemon off;
pid $work/nginx.pid;
error_log $work/error.log;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $work/tmp/a;
    proxy_temp_path $work/tmp/b;
    fastcgi_temp_path $work/tmp/c;
    uwsgi_temp_path $work/tmp/d;
    scgi_temp_path $work/tmp/e;
    server { listen 127.0.0.1:$behind; root $work/www; }
}
END
}

haproxy_config() {
    cat <<END
global
    nbthread 2
    maxconn 200
defaults
    timeout connect 20s
    timeout client 60s
    timeout server 60s
    option splice-auto
listen understands
    mode http
    bind 127.0.0.1:$http
    server one 127.0.0.1:$behind
listen passes
    mode tcp
    bind 127.0.0.1:$tcp
    server one 127.0.0.1:$behind
END
}

# fetch PORT
fetch() {
    url=http://127.0.0.1:$1
    rm -f "$work"/got/*
    with curl -sS -o "$work/got/big" "$url/big" || fail "$mode: curl: the large file"
    with curl -sS -o "$work/got/k#1" -w '%{http_code} %{num_connects} %{size_download}\n' \
        "$url/[0-15]" || fail "$mode: curl: keep-alive"
    with curl -s --parallel --parallel-max 16 -o "$work/got/p#1" "$url/[0-15]" \
        2>"$work/err" || fail "$mode: curl: 16 at once"
    with curl -sS -o /dev/null -w '%{http_code}\n' "$url/missing" || fail "$mode: curl: 404"
    with curl -sS -o /dev/null -w '%{http_code}\n' -T "$work/www/big" "$url/up" ||
        fail "$mode: curl: an upload that is refused"
    (cd "$work/got" && cksum -- *)
}

for mode in $modes; do
    free_port
    behind=$port
    free_port
    tcp=$port
    free_port
    http=$port
    nginx_config >"$work/nginx.conf"
    background nginx nginx -c "$work/nginx.conf" -e "$work/error.log"
    nginx=$pid
    haproxy_config >"$work/haproxy.conf"
    background haproxy haproxy -db -f "$work/haproxy.conf"
    haproxy=$pid
    for port in "$behind" "$tcp" "$http"; do
        until_true answers
    done
    for port in "$http" "$tcp"; do
        fetch "$port"
    done >"$work/fetched"
    same "$work/fetched"
    kill -USR1 "$haproxy" # ends once its connections have
    ended "$haproxy" 0
    kill -QUIT "$nginx"
    ended "$nginx" 0
done
exit 0
