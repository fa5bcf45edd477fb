# SPDX-License-Identifier: MIT
# The 250 standard interfaces: they are in order and in the one format; printed and parsed again
# they are the same trees with the same codes; the codes are what sha256sum makes of the canonical
# form, and those that were published.
. "$(dirname "$0")/lib.sh"

idl=$root/idl
count=$(find "$idl" -name '*.if' | wc -l)
[ "$count" -eq 250 ] || fail "$count interfaces instead of 250"
run 0 "$middlc" --check -Werror -Wno-redeclared "$idl"/*.if
[ ! -s "$work/err" ] || fail "messages: $(head -n 3 "$work/err")"

mkdir "$work/one" "$work/two"
run 0 "$middlc" --fmt --canonical --codes --json -Wno-redeclared -d "$work/one" "$idl"/*.if
run 0 "$middlc" --fmt --canonical --codes --json -Wno-redeclared -d "$work/two" "$work"/one/*.if
diff -r "$work/one" "$work/two" >"$work/diff" || fail "not the same: $(head -n 5 "$work/diff")"

for file in "$work"/one/*.canonical; do
    name=$(basename "$file" .canonical)
    cmp -s "$idl/$name.if" "$work/one/$name.if" ||
        fail "idl/$name.if is not in the one format (middlc --fmt -i idl/$name.if)"
    printf '%s0000 %s\n' "$(sha256sum "$file" | cut -c1-12)" "$name"
done >"$work/computed"
for file in "$work"/one/*.codes; do
    head -n 1 "$file"
done >"$work/codes"
same "$work/computed" "$work/codes"
[ -z "${MIDDL_ACCEPT-}" ] || cp "$work/codes" "$here/standard.codes"
same "$here/standard.codes" "$work/codes"

# 912 operations, 328 types with a name, 89 exceptions.
ops=$(cat "$idl"/*.if | grep -cE '^  [A-Za-z_0-9]+ : (PROC|ANNOUNCEMENT) ')
types=$(cat "$idl"/*.if | grep -cE '^  [A-Za-z_0-9]+ : TYPE = ')
exceptions=$(cat "$idl"/*.if | grep -cE '^  [A-Za-z_0-9]+ : EXCEPTION ')
[ "$ops $types $exceptions" = '912 328 89' ] || fail "$ops operations, $types, $exceptions"
