#!/bin/sh
# SPDX-License-Identifier: MIT
# nginx with two workers and curl under the shim: 100 MiB, keep-alive, 32 at once.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/web.sh"
need curl python3
PATH=$PATH:/usr/sbin
need nginx

web_files 1 104857600 32 40000

for mode in $modes; do
    for sendfile in on off; do
        free_port
        web_nginx "$port" 2 $sendfile >"$work/nginx.conf"
        background server nginx -c "$work/nginx.conf" -e "$work/error.log"
        server=$pid
        until_true answers
        web_fetch "$port" 32 >"$work/fetched"
        same "$work/fetched"
        kill -QUIT "$server"
        ended "$server" 0
    done
done
exit 0
