#!/bin/sh
# SPDX-License-Identifier: MIT
# PostgreSQL under the shim: a server that forks a process for each connection, with psql and
# pgbench: queries, rows by the thousand out and in, many sessions at once, a notice, and a query
# that is cancelled by a second connection. It refuses to be root's, so root takes its own user.
. "$(dirname "$0")/lib.sh"
need python3 setpriv
bin=
for dir in /usr/lib/postgresql/*/bin; do
    [ ! -x "$dir/pgbench" ] || [ ! -x "$dir/initdb" ] || bin=$dir
done
[ -n "$bin" ] || {
    echo "skipped: postgresql is not installed"
    exit 77
}

mkdir "$work/home"
MEMBRANE_DIR=$work/home/names
demote=
if [ "$(id -u)" -eq 0 ]; then
    id postgres >/dev/null 2>&1 || {
        echo "skipped: no user for it"
        exit 77
    }
    chmod 711 "$work"
    chown postgres "$work/home"
    demote='setpriv --reuid postgres --regid postgres --clear-groups'
fi
cd "$work/home" || exit 2
$demote "$membrane" --version >/dev/null 2>&1 || {
    echo "skipped: $membrane cannot be run by that user"
    exit 77
}

# client PROGRAM ARGUMENT...
client() {
    program=$1
    shift
    # $demote is some words or none.
    # shellcheck disable=SC2086
    with $demote "$bin/$program" "$@"
}

# Not by kill -9: it would leave memory of the kernel's behind.
server=
finish() {
    [ -z "$server" ] || kill -QUIT "$server" 2>/dev/null && wait "$server" 2>/dev/null
    cleanup
}
trap finish EXIT

# shellcheck disable=SC2086
$demote "$bin/initdb" -D "$work/home/db" -A trust -U tester -N --locale=C >"$work/out" \
    2>"$work/err" || fail "initdb"

ready() { "$bin/pg_isready" -q; }

ask() {
    client psql -qAtc "$1" || fail "$mode: psql: $1"
}

queries() {
    ask 'drop table if exists t, u'
    ask 'select sum(i) from generate_series(1, 300000) i'
    ask 'create table t as select i, md5(i::text) m from generate_series(1, 50000) i'
    ask 'select * from t order by i' >"$work/rows"
    cksum <"$work/rows"
    client psql -qc 'create table u (i int, m text)' -c '\copy u from stdin (delimiter "|")' \
        <"$work/rows" || fail "$mode: psql: copy"
    ask 'select count(*), sum(i), min(m) from u'
    client psql -qAtc 'listen news' -c "notify news, 'here'" | sed 's/ from server.*//'
}

crowd() {
    client pgbench -i -q >"$work/out" 2>"$work/err" || fail "$mode: pgbench -i"
    for how in "-c 8 -j 2 -t 20" "-S -c 10 -j 2 -t 100" "-S -C -c 4 -t 20" \
        "-S -M prepared -c 2 -t 300"; do
        # shellcheck disable=SC2086
        client pgbench -n $how >"$work/out" 2>"$work/err" || fail "$mode: pgbench $how"
        grep -E 'processed|failed' "$work/out"
    done
}

# psql cancels its query when it is interrupted. It is there when the server knows it.
cancel() {
    # shellcheck disable=SC2086
    background sleeper $demote "$bin/psql" -qAtc 'select pg_sleep(100)'
    until_true sleeps
    kill -INT "$pid"
    ended "$pid" 1
    grep -h ERROR "$work/sleeper.err"
}
sleeps() {
    [ "$("$bin/psql" -qAtc "select count(*) from pg_stat_activity where query like 'select pg_sl%'
        and wait_event = 'PgSleep'")" = 1 ]
}

export PGOPTIONS='-c client_min_messages=warning' PGHOST=127.0.0.1 PGUSER=tester
export PGDATABASE=postgres PGCONNECT_TIMEOUT=20
for mode in $modes; do
    free_port
    export PGPORT="$port"
    # shellcheck disable=SC2086
    background server $demote "$bin/postgres" -D "$work/home/db" -c listen_addresses=127.0.0.1 \
        -c port="$port" -c unix_socket_directories= -c fsync=off \
        -c dynamic_shared_memory_type=mmap
    server=$pid
    until_true ready
    { queries && crowd && cancel; } >"$work/said" || fail "$mode: no more than $(cat "$work/said")"
    same "$work/said"
    kill -INT "$server"
    ended "$server" 0
    server=
    nothing_left
done
exit 0
