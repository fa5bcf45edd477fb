# SPDX-License-Identifier: MIT
# The program's command line, its exit codes, dependency files, and its limits on hostile input.
. "$(dirname "$0")/lib.sh"

cp "$here"/golden/*.if "$work"
cd "$work" || exit 2

run 0 "$middlc" --help
grep -q -- --header out || fail 'no help'
[ "$(head -n 1 out)" = Examples: ] || fail 'help does not begin with examples'
run 0 "$middlc" -h
run 0 "$middlc" --version
run 0 "$middlc" -V
run 0 "$middlc" --completion
cp out bash
for shell in bash zsh fish; do
    run 0 "$middlc" --completion=$shell
    # shellcheck disable=SC2015
    ! command -v $shell >/dev/null || $shell -n out || fail "completions are no $shell"
    for option in header markdown deps-dot; do
        grep -qw -e "$option" out || fail "$shell does not know $option"
    done
done
run 0 "$middlc" --completion=bash
same bash out
run 2 "$middlc" --completion=tcsh
run 2 "$middlc"
grep -qx 'middlc: no file is given (try: middlc --help)' err || fail 'no file is not said'
run 2 "$middlc" --nonsense Every.if
grep -qxF 'middlc: --nonsense: no such option (try: middlc --help)' err ||
    fail 'the wrong option is not named'
for number in x -1 1000001 ''; do
    run 2 "$middlc" --max-errors=$number --check Every.if
    grep -qF "middlc: --max-errors=$number: not a number from 0 to 1000000 (try: " err ||
        fail 'the wrong number is not named'
done
run 0 "$middlc" --max-errors=0 --check Every.if
run 2 "$middlc" --haeder Every.if
grep -qxF 'middlc: --haeder: no such option (try: --header)' err || fail 'nothing is proposed'
run 2 "$middlc" -o x --header --types Every.if
run 2 "$middlc" -i --header Every.if
run 2 "$middlc" -MD --header Every.if
run 2 "$middlc" --grammar=emacs
run 2 "$middlc" -I
run 1 "$middlc" --check Missing.if
grep -q '^Missing.if: error: cannot be read: No such file' err ||
    fail 'the missing file is not named'
run 1 "$middlc" --check .
run 1 "$middlc" --check /dev/zero
run 1 "$middlc" --header -d /nonexistent Every.if

# One output goes to standard output, or where -o says; several files' where -d says.
run 0 "$middlc" --header Every.if
cp out stdout.h
run 0 "$middlc" --header -o file.h Every.if
same stdout.h file.h
mkdir d
run 0 "$middlc" --header -d d Every.if
same stdout.h d/Every.h
[ ! -e d/Shape.h ] || fail 'a header that was not asked for'
run 0 "$middlc" -r --header -d d Every.if
[ -e d/Shape.h ] && [ -e d/Other.h ] || fail 'no headers of what is needed'
[ "$(find . -name '*.tmp' | wc -l)" -eq 0 ] || fail 'temporary files'

# Nothing takes the place of what is no plain file, and no output that of an input.
mkfifo pipe
cat pipe >through &
reader=$!
run 0 "$middlc" --header -o pipe Every.if
wait "$reader"
[ -p pipe ] || fail 'the pipe was replaced'
same stdout.h through
echo old >behind
ln -s behind link
run 0 "$middlc" --header -o link Every.if
[ -L link ] || fail 'the link was replaced'
same stdout.h behind
run 1 "$middlc" --header -o . Every.if
cp Every.if kept
run 2 "$middlc" --json -o Every.if Every.if
grep -q '^middlc: Every.if is read and would be overwritten' err || fail 'the input is not named'
run 2 "$middlc" --header -o Shape.if Every.if
run 2 "$middlc" --fmt -d . Every.if
same kept Every.if

# Dependencies: whatever was read; blanks and dollars are escaped.
mkdir 'a $b'
cp ./*.if 'a $b'
run 0 "$middlc" --header -o h.h -MF deps Every.if
printf 'h.h : \\\n  Every.if \\\n  Shape.if \\\n  Other.if\n' >wanted
same wanted deps
run 0 "$middlc" --header --types -MD -d 'a $b' 'a $b/Every.if'
[ -e 'a $b/Every.h.d' ] || fail 'no dependency file'
run 0 "$middlc" --header -o h.h -MF deps 'a $b/Every.if'
grep -qF 'a\ $$b/Shape.if' deps || fail 'no escape in the rule'

# In place, and standard input is no file.
cp Every.if Copy.if
sed -i 's/^Every :/Copy :/; s/IREF Every/IREF Copy/' Copy.if
run 0 "$middlc" --fmt -i Copy.if
run 0 "$middlc" --fmt Copy.if
same out Copy.if

# A file with an error is not written, the others are; formatting needs only what can be parsed.
printf 'Bad : INTERFACE =\nBEGIN\n  T : TYPE = U;\nEND.\n' >Bad.if
run 1 "$middlc" --header -d d Bad.if Shape.if
[ ! -e d/Bad.h ] || fail 'a header with errors'
run 1 "$middlc" --fmt Bad.if
grep -q 'T : TYPE = U;' out || fail 'not formatted'

# --- Limits: an error with a place, at once, in little memory.
memory=4000000 # kilobytes; a sanitizer reserves more than there is
(ulimit -v "$memory" && "$middlc" --version) >out 2>err || memory=unlimited
limit() {
    file=$1 text=$2
    (ulimit -v "$memory" && ulimit -t 20 && "$middlc" --check "$file") >out 2>err
    code=$?
    [ "$code" -eq 1 ] || [ "$code" -eq 5 ] || { head -n 3 err && fail "$file: exit code $code"; }
    grep -q "$text" err || { head -n 3 err && fail "$file: no message '$text'"; }
}
head='L : INTERFACE =\nBEGIN\n'
{ printf '%b' "$head" && head -c 1100000 /dev/zero | tr '\0' ' ' && printf 'END.\n'; } >large.if
limit large.if 'larger than 1048576 bytes'
{ printf '%b' "$head" && yes '  A : B;' | head -n 100000 && printf 'END.\n'; } >errors.if
limit errors.if 'more than 200 errors'
[ "$(wc -l <err)" -lt 410 ] || fail 'too many messages'
{ printf '%b' "$head" && seq -f '  T%.0f : EXCEPTION[];' 1 40000 && printf 'END.\n'; } >many.if
run 0 "$middlc" --check -Wno-file many.if
{ printf '%b  T : TYPE = {a' "$head" && seq -f ',v%.0f' 1 70000 | tr -d '\n' &&
    printf '};\nEND.\n'; } >members.if
limit members.if 'more than 65535 members'
{ printf '%b  T : TYPE = ' "$head" && yes 'SEQUENCE OF' | head -n 80000 &&
    printf 'OCTET;\nEND.\n'; } >deep.if
limit deep.if 'types nest deeper than 32'
{ printf 'L : INTERFACE =\n' && seq -f 'NEEDS N%.0f;' 1 2000 && printf 'BEGIN\nEND.\n'; } >needs.if
limit needs.if 'needs more than 1024 others'
{ printf '%b  T0 : TYPE = OCTET;\n' "$head" &&
    awk 'BEGIN { for (i = 1; i <= 20000; i++) print "T" i ":TYPE=T" i - 1 ";" }' &&
    printf 'END.\n'; } >chain.if
run 0 "$middlc" --check -Wno-file chain.if
{ printf '%b  T0 : TYPE = ARRAY 60000 OF OCTET;\n' "$head" &&
    awk 'BEGIN { for (i = 1; i <= 9; i++) print "T" i ":TYPE=ARRAY 60000 OF T" i - 1 ";" }' &&
    printf 'END.\n'; } >size.if
limit size.if 'at most 2147483647'
# Work that would double with each level.
awk 'BEGIN {
    printf "L : INTERFACE =\nBEGIN\n  T : TYPE = "
    for (i = 0; i < 31; i++) printf "RECORD [ a_long_name_of_a_member : "
    printf "OCTET"
    for (i = 0; i < 31; i++) printf ", another_long_name_of_a_member : CARDINAL ]"
    printf ";\nEND.\n"
}' >doubling.if
(ulimit -t 20 && "$middlc" --fmt -Wno-file doubling.if) >out 2>err || fail 'doubling.if'
i=0
mkdir supers
while [ $i -lt 70 ]; do
    printf 'S%d : INTERFACE =\n  EXTENDS S%d;\nBEGIN\nEND.\n' $i $((i + 1)) >supers/S$i.if
    i=$((i + 1))
done
printf 'S70 : INTERFACE =\nBEGIN\nEND.\n' >supers/S70.if
limit supers/S0.if 'more than 64 supertypes'
head -c 200000 /dev/urandom >noise.if
limit noise.if 'error: '
