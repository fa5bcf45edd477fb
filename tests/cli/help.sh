#!/bin/sh
# SPDX-License-Identifier: MIT
# Help, usage errors with proposals, version, and what is generated from the option table.
. "$(dirname "$0")/lib.sh"

verbs='send recv bench doctor gc shim version help'

run 0 "$membrane" --help
quiet_err
[ "$(head -n 1 "$work/out")" = Examples: ] || fail "help does not begin with examples"
for verb in $verbs; do
    out_has "  $verb "
done
out_has ' 70  internal error'
run 0 "$membrane" -h
run 0 "$membrane" help

for verb in $verbs; do
    run 0 "$membrane" "$verb" --help
    quiet_err
    [ "$(head -n 1 "$work/out")" = Examples: ] || fail "$verb --help does not begin with examples"
    out_has "Usage: membrane $verb"
    out_has '  6  the time allowed'
    cp "$work/out" "$work/by-option"
    run 0 "$membrane" "$verb" -h
    cmp -s "$work/out" "$work/by-option" || fail "$verb -h and --help differ"
    run 0 "$membrane" help "$verb"
    cmp -s "$work/out" "$work/by-option" || fail "help $verb and $verb --help differ"
done
# Nothing is done beside.
run 0 "$membrane" send name --help
out_has 'Usage: membrane send'

# usage TEXT ARGUMENT...: exit code 2, one line on standard error that contains the text.
usage() {
    text=$1
    shift
    run 2 "$membrane" "$@"
    quiet_out
    one_line_err
    err_has "$text"
}
usage 'membrane: no verb was given (try: membrane help)'
usage 'membrane: sned: no such verb (try: send)' sned x
usage 'membrane: revc: no such verb (try: recv)' revc x
usage 'membrane: doc: no such verb (try: doctor)' doc
usage 'membrane: xylophone: no such verb (try: membrane help)' xylophone
usage 'membrane: help: dcotor: no such verb (try: membrane help doctor)' help dcotor
usage 'membrane: help: recv: send has no verbs within (try: membrane help send)' help send recv
usage 'membrane: send: --capcity: no such option (try: --capacity)' send --capcity 1M x
usage 'membrane: recv: --tiemout: no such option (try: --timeout)' recv --tiemout=3 x
usage 'membrane: gc: --zzzzzz: no such option (try: membrane help gc)' gc --zzzzzz
usage 'membrane: recv: -Z: no such option' recv -Z x
usage 'membrane: doctor: -Z: no such option' doctor -qZ
usage 'membrane: send: --timeout: needs an argument, SECONDS' send x --timeout
usage 'membrane: send: --timeout: needs an argument, SECONDS' send x -t
usage 'membrane: gc: --json: takes no argument' gc --json=yes
usage 'membrane: send: an argument is missing: send NAME [FILE]' send
usage 'membrane: send: three: one argument too many' send one two three
usage 'membrane: shim: a program is missing (try: membrane help shim)' shim --libos catnap --
usage 'membrane: shim: --libos dpdk: not one of: catloop catnap' shim --libos dpdk -- true
usage 'membrane: shim: --capacity 3: not from 4K to 1G' shim --capacity 3 -- true
usage 'membrane: gc: x: one argument too many' gc x
usage 'membrane: send: --capacity 3: not from 64K to 1G' send --capacity 3 x
usage 'membrane: send: --capacity 2G: not from 64K to 1G' send --capacity 2G x
usage 'membrane: send: --capacity 99999999999999999999: not from' send -c 99999999999999999999 x
usage 'membrane: send: --capacity 1X: not a size such as' send -c 1X x
usage 'membrane: send: --capacity -1: not a size such as' send --capacity=-1 x
usage 'membrane: send: --message 1M: not from 64 to 256K' send --message 1M x
usage 'membrane: send: --timeout abc: not a number of seconds' send -t abc x
usage 'membrane: send: --timeout 1e400: not a number of seconds' send -t 1e400 x
usage 'membrane: send: --timeout -1: not a number of seconds' send --timeout=-1 x
usage 'membrane: send: --progress sometimes: not one of: auto always never' send -p sometimes x
usage 'membrane: bench: --runs 0: not a whole number from 1 to 100' bench --runs 0
usage 'membrane: bench: --size 100: not a multiple of 8' bench --size 100

# An abbreviation that is clear is taken, one that is not is told.
run 0 "$membrane" gc --dry
usage 'membrane: version: --ver' version --verr
out=$("$membrane" -V) || fail "-V"
[ "$out" = "$("$membrane" --version)" ] || fail "-V and --version differ"
[ "$out" = "$("$membrane" version)" ] || fail "-V and version differ"
case $out in "membrane "[0-9]*.[0-9]*.[0-9]*) ;; *) fail "version: $out" ;; esac
run 0 "$membrane" version --verbose
out_has 'memfd seals'

# Lost output is an error, also of help, and of every program.
# Little of it is seen at the end, much of it before.
lost() {
    status=0
    "$@" >&- 2>"$work/err" || status=$?
    [ "$status" -eq 1 ] || fail "$* with closed standard output: $status"
    one_line_err
    err_has 'standard output: Bad file descriptor'
    [ -c /dev/full ] || return 0
    status=0
    "$@" >/dev/full 2>"$work/err" || status=$?
    [ "$status" -eq 5 ] || fail "$* to a full device: $status"
    one_line_err
    err_has 'standard output: No space left on device'
}
lost "$membrane" help
lost "$membrane" help --completion bash
lost "$membrane" version --json
for program in middlc membraned membrane-bench membrane-bench-store membrane-bench-objects; do
    program=${membrane%/*}/$program
    if [ -x "$program" ]; then
        lost "$program" --help
    fi
done
for option in --version --completion --grammar=vim; do
    lost "${membrane%/*}/middlc" $option
done
for option in --version --completion=bash --man-options --dump-config; do
    if [ -x "${membrane%/*}/membraned" ]; then
        lost "${membrane%/*}/membraned" $option
    fi
done

# The man page has every option, and every exit code.
"$membrane" help --man-options >"$work/tables"
for verb in $verbs; do
    has "$work/tables" "## membrane $verb "
    "$membrane" help "$verb" | sed -n 's/^  ....* --\([a-z][a-z-]*\).*/\1/p' >"$work/options"
    [ -s "$work/options" ] || fail "no options in the help of $verb"
    while read -r option; do
        has "$work/tables" "*--$option*"
    done <"$work/options"
done
for code in 0 1 2 3 4 5 6 7 70; do
    has "$work/tables" "*$code*"
done
exit 0
