#!/bin/sh
# SPDX-License-Identifier: MIT
# membraned's command line: help, usage errors, settings from file, environment and options with
# their errors, what is generated from its tables.
. "$(dirname "$0")/lib.sh"

daemon=$MEMBRANE_BIN_DIR/membraned
if [ ! -x "$daemon" ]; then
    echo "skipped: $daemon is not built"
    exit 77
fi
unset XENSTORED_PATH XDG_RUNTIME_DIR || true

run 0 "$daemon" --help
quiet_err
[ "$(head -n 1 "$work/out")" = Examples: ] || fail "help does not begin with examples"
out_has 'Usage: membraned [OPTION...]'
for option in config socket state log-level dump-config version help; do
    out_has "--$option"
done
run 0 "$daemon" --version
case $(cat "$work/out") in "membraned "[0-9]*.[0-9]*.[0-9]*) ;; *) fail "version" ;; esac

# usage TEXT ARGUMENT...: exit code 2, one line on standard error that contains the text.
usage() {
    text=$1
    shift
    run 2 "$daemon" "$@"
    quiet_out
    one_line_err
    err_has "$text"
}
usage 'membraned: --sokcet: no such option (try: --socket)' --sokcet /tmp/x
usage 'membraned: -Z: no such option (try: membraned --help)' -Z
usage 'membraned: --socket: needs an argument, PATH' --socket
usage 'membraned: --log-level loud: not one of: error warning info debug' --log-level loud
usage 'membraned: x: one argument too many' x
usage 'membraned: --socket: : not an absolute path' --socket ''

# Settings: defaults, environment, file, option, the later winning; each says where it is from.
# from ORIGIN LINE: the dump has this line, and the comment with its origin before it.
from() {
    awk -v origin="# from: $1" -v setting="$2" '
        before == origin && $0 == setting { found = 1 }
        { before = $0 }
        END { exit !found }' "$work/out" || fail "not from $1: $2: $(cat "$work/out")"
}
run 0 env XENSTORED_PATH=/somewhere/store "$daemon" --dump-config
from '$XENSTORED_PATH' 'socket = /somewhere/store'
from default 'nodes = 1000'
from default 'socket-mode = 0666'
cat >"$work/good.conf" <<'EOF'
# a comment
[daemon]
socket = /from/file   ; another one
sandbox=no
[quota]
nodes = 17
memory = 4M
[log]
level = debug
EOF
run 0 env XENSTORED_PATH=/somewhere/store "$daemon" --config "$work/good.conf" --dump-config
from "$work/good.conf:3" 'socket = /from/file'
from "$work/good.conf:4" 'sandbox = no'
from "$work/good.conf:6" 'nodes = 17'
from "$work/good.conf:7" 'memory = 4M'
run 0 "$daemon" --config "$work/good.conf" --socket /from/option --dump-config
from --socket 'socket = /from/option'
# What is dumped can be read again and says the same.
cp "$work/out" "$work/dumped.conf"
run 0 "$daemon" --config "$work/dumped.conf" --dump-config
grep -v '^# from:' "$work/dumped.conf" >"$work/a"
grep -v '^# from:' "$work/out" >"$work/b"
cmp -s "$work/a" "$work/b" || fail "a dumped configuration gives another one"

# wrong LINE TEXT: the configuration on standard input is refused, with file and line.
wrong() {
    cat >"$work/bad.conf"
    run 2 "$daemon" --config "$work/bad.conf" --dump-config
    quiet_out
    one_line_err
    err_has "membraned: $work/bad.conf:$1: $2"
}
wrong 3 'socekt: no such setting in [daemon] (try: socket)' <<'EOF'
# first
[daemon]
socekt = /x
EOF
wrong 1 '[deamon]: no such section (try: [daemon])' <<'EOF'
[deamon]
EOF
wrong 2 'nodes: no such setting in [daemon] (try: it belongs into [quota])' <<'EOF'
[daemon]
nodes = 5
EOF
wrong 2 'nodes: -3: not a whole number' <<'EOF'
[quota]
nodes = -3
EOF
wrong 2 'memory: lots: not a size' <<'EOF'
[quota]
memory = lots
EOF
wrong 2 'socket: relative: not an absolute path' <<'EOF'
[daemon]
socket = relative
EOF
wrong 2 'sandbox: maybe: not one of: no yes' <<'EOF'
[daemon]
sandbox = maybe
EOF
wrong 2 'socket-mode: 0999: not an octal mode' <<'EOF'
[daemon]
socket-mode = 0999
EOF
wrong 4 'sandbox: given twice, first in line 2 (try: remove one)' <<'EOF'
[daemon]
sandbox = no
live-update = no
sandbox = yes
EOF
wrong 1 'a setting before the first section (try: begin with [daemon])' <<'EOF'
socket = /x
EOF
wrong 2 'neither a section nor a setting' <<'EOF'
[daemon]
what is this
EOF
printf '[daemon]\nsandbox = no\0yes\n' | wrong 2 'a NUL byte (try: remove it)'
run 1 "$daemon" --config "$work" --dump-config
err_has "$work: Is a directory"
run 1 "$daemon" --config "$work/nowhere.conf"
err_has "$work/nowhere.conf: No such file or directory"

# Nothing says where to listen: not for root, who has a default.
if [ "$(id -u)" -ne 0 ]; then
    usage 'nothing says where to listen'
fi
long=/$(printf '%0200d' 0)
run 2 "$daemon" --socket "$long"
err_has 'not an absolute path of at most 107 bytes'
run 1 "$daemon" --socket "$work/missing/deeper/store"
err_has "$work/missing/deeper"

# A state that is none is not taken for an empty one.
mkdir "$work/state"
head -c 100000 /dev/urandom >"$work/state/data.mdb"
run 1 "$daemon" --socket "$work/store" --state "$work/state"
err_has "$work/state"
[ ! -e "$work/store" ] || fail "a daemon that did not start has left its socket"

# One daemon for a state.
mkdir "$work/one"
start first "$daemon" --socket "$work/store" --state "$work/one"
first=$pid
until_true test -S "$work/store"
until_true test -e "$work/one/data.mdb"
until_true says "$work/first.err" started
run 0 env XENSTORED_PATH="$work/store" "$membrane" doctor
out_has "serves at $work/store"
run 0 env XENSTORED_PATH="$work/nowhere" "$membrane" doctor
out_has "none at $work/nowhere"
run 1 "$daemon" --socket "$work/store2" --state "$work/one"
err_has "$work/one: in use by another membraned"
kill "$first"
ended "$first" 0
has "$work/first.err" "membraned: info: started: version="
has "$work/first.err" "state=$work/one"
has "$work/first.err" "membraned: info: stopped: exit=0"
[ "$(wc -l <"$work/first.err")" -le 3 ] || fail "more than start, signal and stop were logged"
[ ! -e "$work/store" ] && [ ! -e "$work/store.lock" ] || fail "something was left"

# The log goes to a file, and to another one after SIGHUP.
printf '[log]\nfile = %s\n' "$work/log" >"$work/log.conf"
start logged "$daemon" --config "$work/log.conf" --socket "$work/store"
logged=$pid
until_true test -e "$work/log"
until_true says "$work/log" started
mv "$work/log" "$work/log.1"
kill -HUP "$logged"
until_true test -e "$work/log"
kill "$logged"
ended "$logged" 0
has "$work/log" "info: stopped"
[ ! -s "$work/logged.err" ] || fail "something was logged to standard error"

# Man page and completions have every option.
"$daemon" --man-options >"$work/tables"
has "$work/tables" '# OPTIONS'
has "$work/tables" '# EXIT STATUS'
has "$work/tables" '# CONFIGURATION'
for option in config socket state log-level dump-config version help; do
    has "$work/tables" "*--$option*"
    for shell in bash zsh fish; do
        "$daemon" --completion "$shell" >"$work/completion"
        grep -q -e "$option" "$work/completion" || fail "$shell: no $option"
    done
done
for key in socket state sandbox level connections unread nodes memory; do
    has "$work/tables" "*$key* ="
done
if command -v bash >/dev/null; then
    "$daemon" --completion bash >"$work/completion"
    got=$(bash -c ". '$work/completion'; COMP_WORDS=(membraned --log-level w); COMP_CWORD=2
        _membraned; echo \"\${COMPREPLY[*]}\"")
    [ "$got" = warning ] || fail "completion of --log-level w: $got"
    got=$(bash -c ". '$work/completion'; COMP_WORDS=(membraned --dump); COMP_CWORD=1
        _membraned; echo \"\${COMPREPLY[*]}\"")
    [ "$got" = --dump-config ] || fail "completion of --dump: $got"
fi
exit 0
