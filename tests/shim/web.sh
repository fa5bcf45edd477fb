# SPDX-License-Identifier: MIT
# What tests with nginx share: files to fetch, nginx's settings, and the fetching.
# Sourced after lib.sh.

# web_files SEED BYTES COUNT STEP: www/big of so many bytes, and COUNT more, each STEP bytes longer.
web_files() {
    mkdir "$work/www" "$work/got" "$work/tmp"
    python3 -c 'import random, sys
seed, size, count, step = map(int, sys.argv[2:])
r = random.Random(seed)
open(sys.argv[1] + "/big", "wb").write(r.randbytes(size))
for i in range(count):
    open("%s/%d" % (sys.argv[1], i), "wb").write(r.randbytes(100 + step * i))' "$work/www" "$@"
}

# web_nginx PORT WORKERS SENDFILE [ROOT]: nginx.conf, printed.
web_nginx() {
    [ "$(id -u)" -ne 0 ] || echo "user $(id -un) $(id -gn);"
    cat <<END
worker_processes $2;
daemon off;
pid $work/nginx.pid;
error_log $work/error.log;
events { worker_connections 256; }
http {
    access_log off;
    sendfile $3;
    client_body_temp_path $work/tmp/a;
    proxy_temp_path $work/tmp/b;
    fastcgi_temp_path $work/tmp/c;
    uwsgi_temp_path $work/tmp/d;
    scgi_temp_path $work/tmp/e;
    server { listen 127.0.0.1:$1; root ${4-$work/www}; }
}
END
}

# web_fetch PORT COUNT: everything, alone, over one connection, and all at once; prints what curl
# says and the sums of what came.
web_fetch() {
    url=http://127.0.0.1:$1
    last=$(($2 - 1))
    rm -f "$work"/got/*
    with curl -sS -o "$work/got/big" "$url/big" || fail "$mode: curl: the large file"
    # One connection for all.
    with curl -sS -o "$work/got/k#1" -w '%{http_code} %{num_connects} %{size_download}\n' \
        "$url/[0-$last]" || fail "$mode: curl: keep-alive"
    with curl -s --parallel --parallel-max "$2" -o "$work/got/p#1" "$url/[0-$last]" \
        2>"$work/err" || fail "$mode: curl: $2 at once"
    with curl -sS -o /dev/null -w '%{http_code}\n' "$url/missing" || fail "$mode: curl: 404"
    (cd "$work/got" && cksum -- *)
}
