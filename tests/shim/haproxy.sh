#!/bin/sh
# SPDX-License-Identifier: MIT
# haproxy between curl and nginx, all three under the shim: as a proxy that understands HTTP, and as
# one that passes bytes on (with splice).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/web.sh"
need curl python3
PATH=$PATH:/usr/sbin
need nginx haproxy

web_files 5 25165824 16 30000

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
    web_fetch "$1" 16
    with curl -sS -o /dev/null -w '%{http_code}\n' -T "$work/www/big" "$url/up" ||
        fail "$mode: curl: an upload that is refused"
}

for mode in $modes; do
    free_port
    behind=$port
    free_port
    tcp=$port
    free_port
    http=$port
    web_nginx "$behind" 1 off >"$work/nginx.conf"
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
