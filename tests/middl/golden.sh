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

# Comments may stand between any two words: each is kept, once, and the text stays what it is.
sed "s/--.*//; s/[A-Za-z_0-9]\\{1,\\}\\|=>\\|[^A-Za-z_0-9 ]/& --@\\n/g" Every.if |
    awk '{ while (sub(/--@/, "-- c" ++count ".")); print }' >"$work/many.if"
grep -o 'c[0-9]*[.]' "$work/many.if" | sort >"$work/had"
[ "$(wc -l <"$work/had")" -gt 400 ] || fail 'too few comments to try with'
run 0 "$middlc" --fmt -Wno-file -I . -o "$work/Every.if" "$work/many.if"
grep -o 'c[0-9]*[.]' "$work/Every.if" | sort >"$work/kept"
same "$work/had" "$work/kept"
run 0 "$middlc" --fmt -I . -o "$work/again.if" "$work/Every.if"
same "$work/Every.if" "$work/again.if"
run 0 "$middlc" --codes -I . -o "$work/codes" "$work/Every.if"
same expected/Every.codes.txt "$work/codes"

# What is not UTF-8 was Latin-1: the letters of a comment survive.
printf -- '-- caf\351 \303\251\nLatin : INTERFACE =\nBEGIN\n\nEND.\n' >"$work/Latin.if"
printf -- '-- caf\303\251 \303\251\nLatin : INTERFACE =\nBEGIN\n\nEND.\n' >"$work/Latin.expected"
run 0 "$middlc" --fmt -i "$work/Latin.if"
same "$work/Latin.expected" "$work/Latin.if"
