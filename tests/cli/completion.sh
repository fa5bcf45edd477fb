#!/bin/sh
# SPDX-License-Identifier: MIT
# The bash completion, run as bash runs it; the syntax of the others where their shells are there.
. "$(dirname "$0")/lib.sh"

"$membrane" help --completion bash >"$work/bash" || fail "no completion for bash"
"$membrane" help --completion zsh >"$work/zsh" || fail "no completion for zsh"
"$membrane" help --completion fish >"$work/fish" || fail "no completion for fish"
run 2 "$membrane" help --completion tcsh
err_has 'not one of: bash zsh fish'
if command -v zsh >/dev/null; then
    zsh -n "$work/zsh" || fail "zsh does not take its completion"
fi
if command -v fish >/dev/null; then
    fish -n "$work/fish" || fail "fish does not take its completion"
fi
has "$work/zsh" '#compdef membrane'
has "$work/fish" '-l capacity -s c'
if ! command -v bash >/dev/null; then
    echo "skipped: no bash"
    exit 77
fi
bash -n "$work/bash" || fail "bash does not take its completion"

# proposals WORD...: what Tab proposes after the last word, on one line.
proposals() {
    PATH="${membrane%/*}:$PATH" bash -c '
        . "$0"
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        compopt() { :; }
        _membrane
        echo "${COMPREPLY[*]}"' "$work/bash" membrane "$@"
}
# proposes EXPECTED WORD...
proposes() {
    expected=$1
    shift
    found=$(proposals "$@")
    [ "$found" = "$expected" ] || fail "after '$*': '$found', not '$expected'"
}

proposes 'send' se
proposes 'version' ver
proposes '--capacity' send --ca
proposes 'auto always never' send --progress ''
proposes 'always' send -p al
proposes 'always' send --progress = al
proposes 'auto always never' send --progress =
proposes '' send --timeout ''
proposes 'doctor' help doc
proposes '--dry-run' gc --d
proposes '' gc ''

# Names of pipes that are there, also with blanks.
start one "$membrane" recv --quiet 'pipe one'
one=$pid
start two "$membrane" recv --quiet other
two=$pid
until_true exists 'pipe one'
until_true exists other
proposes 'other' send ot
proposes 'pipe\ one' send pi
proposes 'pipe\ one' send --quiet -t 3 pi
proposes 'other' recv --timeout 5 ot
cd "$work" || exit 2
echo >input.file
proposes 'input.file' send other input.f
kill -9 "$one" "$two"
exit 0
