# SPDX-License-Identifier: MIT
# Every construct in every output, byte for byte, and every message of a run without one.
# MIDDL_ACCEPT=1 writes the expected files, to be reviewed with git diff.
. "$(dirname "$0")/lib.sh"

cd "$here/golden" || exit 2
run 0 "$middlc" -r --header --types --skeleton --doc --markdown --fmt --json --canonical --codes \
    -d "$work" Every.if
[ ! -s "$work/err" ] || fail "messages: $(cat "$work/err")"
run 0 "$middlc" --header-dollar -o "$work/Every.dollar.h" Every.if
run 0 "$middlc" --deps-dot -o "$work/graph.dot" Every.if
run 0 "$middlc" --grammar=textmate
cp "$work/out" "$work/middl.tmLanguage.json"
run 0 "$middlc" --grammar=vim
cp "$work/out" "$work/middl.vim"
rm "$work/out" "$work/err" "$work"/Other.* "$work"/Shape.[3mi]* "$work"/Shape.json
if [ -n "${MIDDL_ACCEPT-}" ]; then
    mkdir -p expected
    rm -f expected/*
    for file in "$work"/*; do
        cp "$file" "expected/$(basename "$file").txt"
    done
fi
for file in "$work"/*; do
    same "expected/$(basename "$file").txt" "$file"
done
[ "$(find expected -type f | wc -l)" -eq "$(find "$work" -type f | wc -l)" ] ||
    fail "there are other expected files"

# The one format is a fixed point, also over text that was written differently.
run 0 "$middlc" --fmt -I . -o "$work/again.if" "$work/Every.if"
same "$work/Every.if" "$work/again.if"
