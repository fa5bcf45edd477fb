#!/bin/sh
# SPDX-License-Identifier: MIT
# Names, paths and values that would drive a terminal, forge lines or are no text: messages and
# what goes to a terminal show them escaped; what goes to a program is as it is.
. "$(dirname "$0")/lib.sh"

strange=$(printf 'x\033[31m\n\377y')
shown='x\x1b[31m\n\xffy'

# said TEXT STATUS COMMAND...: one line on standard error, with the name escaped in it.
said() {
    text=$1
    shift
    run "$@"
    one_line_err
    err_has "$text"
    grep -q "$(printf '[\033\377]')" "$work/err" && fail "escape sequences: $*"
    return 0
}
said "membrane: $shown: no such verb" 2 "$membrane" "$strange"
said "membrane: send: '$shown/z': not a name" 2 "$membrane" send "$strange/z"
said "$shown: No such file" 1 "$membrane" send pipe "$work/$strange"
said "$shown: no daemon there" 3 "$membrane" store ls --socket "$work/$strange"
said 'x\x1b[31m\ny: no such container' 1 "$membrane" object ls "$(printf 'x\033[31m\ny')"
bin=${membrane%/*}
said "middlc: -$shown: no such option" 2 "$bin/middlc" "-$strange"
said "$shown: error: cannot be read" 1 "$bin/middlc" --check "$work/$strange"
if [ -x "$bin/membraned" ]; then
    said "membraned: $work/$shown: No such file" 1 "$bin/membraned" --config "$work/$strange"
    mkdir "$work/$strange"
    start daemon "$bin/membraned" --socket "$work/$strange/store" --log-level info
    daemon=$pid
    until_true test -S "$work/$strange/store"
    until_true says "$work/daemon.err" "socket=$work/$shown/store"
    [ "$(wc -l <"$work/daemon.err")" -eq 1 ] || fail "a forged line in the log"
    export XENSTORED_PATH="$work/$strange/store"
    "$membrane" store write /a "$strange" || fail "write"
    run 0 "$membrane" store read /a
    printf '%s\n' "$strange" | cmp -s - "$work/out" || fail "a value in a pipe is not as it is"
fi

# An object's name may hold control characters, but it is UTF-8.
name=$(printf 'o\033[31mb')
start hold "$membrane" object hold demo
until_true sh -c '"$0" object ls | grep -qx demo' "$membrane"
run 0 "$membrane" object put --quiet demo "$name" "$0"
run 0 "$membrane" object ls demo
printf '%s\n' "$name" | cmp -s - "$work/out" || fail "a name in a pipe is not as it is"
run 0 "$membrane" object ls --json demo
member "$work/out" "j['objects'][0]['name'] == 'o\\x1b[31mb'"

# The same on a terminal.
script -qec true /dev/null >/dev/null 2>&1 || exit 0 # no script, or no terminals here
run 0 env TERM=xterm script -qec "$membrane object ls demo" /dev/null
[ "$(tr -d '\r' <"$work/out")" = 'o\x1b[31mb' ] || fail "a name on a terminal"
if [ -x "$bin/membraned" ]; then
    run 0 env TERM=xterm script -qec "$membrane store read /a" /dev/null
    [ "$(tr -d '\r' <"$work/out")" = "$(printf 'x\\x1b[31m\n\\xffy')" ] ||
        fail "a value on a terminal"
    run 0 env TERM=xterm script -qec "$membrane store read --raw /a" /dev/null
    has "$work/out" "$(printf '\033[31m')"
    kill "$daemon"
    ended "$daemon" 0
fi
exit 0
