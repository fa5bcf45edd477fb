# SPDX-License-Identifier: MIT
# One small file for each mistake: its messages, with file, line and column, are those in the file
# beside it, no more and no fewer. MIDDL_ACCEPT=1 writes those files, to be reviewed with git diff.
. "$(dirname "$0")/lib.sh"

cd "$here/errors" || exit 2
count=0
for file in *.if; do
    name=${file%.if}
    case $name in
    UnusedNeed) option=-Wunused-needs ;;
    NoComment) option=-Wdoc ;;
    *) option=-Wchoice ;;
    esac
    "$middlc" --check -I lib "$option" "$file" >"$work/out" 2>"$work/err"
    code=$?
    wanted=0
    ! grep -q ': error: ' "$work/err" || wanted=1
    [ "$code" -eq "$wanted" ] || fail "$file: exit code $code"
    [ ! -s "$work/out" ] || fail "$file: something on standard output"
    [ -s "$work/err" ] || fail "$file: no message"
    [ -z "${MIDDL_ACCEPT-}" ] || cp "$work/err" "$name.expected"
    same "$name.expected" "$work/err"
    # As errors, warnings are counted and say so.
    if [ "$wanted" -eq 0 ]; then
        run 1 "$middlc" --check -I lib "$option" -Werror "$file"
        grep -q 'error: .*\[-Werror=' "$work/err" || fail "$file: no error with -Werror"
    fi
    count=$((count + 1))
done
[ "$count" -ge 60 ] || fail "only $count mistakes"
echo "$count mistakes"
