#!/bin/sh
# SPDX-License-Identifier: MIT
# debian/ keeps up with the build: each file that `cmake --install` installs is named in the
# .install file of exactly one package, each name there is of a file, versions and dependencies
# agree with the tree's own, and the daemon accepts its configuration file, also with every line of
# it in effect. Builds no package: ./dev package does.
. "$(dirname "$0")/lib.sh"

root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(dirname "$MEMBRANE_BIN_DIR")
for needed in scdoc cmake; do
    command -v $needed >/dev/null || { echo "skipped: $needed is not installed" && exit 77; }
done
for built in middlc membraned; do
    [ -x "$MEMBRANE_BIN_DIR/$built" ] || { echo "skipped: $built is not built" && exit 77; }
done

# Debian has its libraries in usr/lib/TRIPLET, another build in usr/lib or usr/lib64.
run 0 env DESTDIR="$work/root" cmake --install "$build" --prefix /usr
(cd "$work/root" && find usr ! -type d) | sed -E \
    -e 's,^usr/lib(64)?/[a-z0-9_]+-linux-gnu/,usr/lib/,; s,^usr/lib64/,usr/lib/,' |
    sort >"$work/installed"

# One line for each name in an .install file: its first word, less what stands for TRIPLET.
cat "$root"/debian/*.install | sed -e 's,[[:space:]].*,,' -e 's,^usr/lib/\*/,usr/lib/,' |
    grep -v '^debian/' >"$work/names-listed"

# covers FILE: how many of the names are the file's, or a directory's that it is in.
awk 'function pattern(name) {
        gsub(/[.+]/, "\\\\&", name)
        gsub(/\*/, "[^/]*", name)
        return "^" name "(/|$)"
    }
    FILENAME == ARGV[1] { names[++n] = $0; next }
    {
        found = 0
        for (i = 1; i <= n; i++)
            if ($0 ~ pattern(names[i])) {
                found++
                used[i] = 1
            }
        if (found != 1)
            print "in " found " packages: " $0
    }
    END {
        for (i = 1; i <= n; i++)
            if (!(i in used))
                print "of no file: " names[i]
    }' "$work/names-listed" "$work/installed" >"$work/out"
[ -s "$work/installed" ] || fail 'nothing was installed'
[ ! -s "$work/out" ] || fail 'debian/*.install and cmake --install differ'

version=$(head -n 1 "$root/VERSION")
has "$root/debian/changelog" "membrane ($version)"

# The libraries the build needs are ./dev's table's.
sed -n 's/^build \(lib[a-z0-9]*-dev\) .*/\1/p' "$root/dev" | grep -v '^libc6' |
    while read -r package; do
        grep -q "^ $package," "$root/debian/control" ||
            fail "debian/control lacks Build-Depends: $package"
    done || exit 1

conf=$root/debian/membraned.conf
run 0 "$MEMBRANE_BIN_DIR/membraned" --config "$conf" --dump-config
sed 's/^#\([a-z-]* =\)/\1/' "$conf" >"$work/all.conf"
run 0 "$MEMBRANE_BIN_DIR/membraned" --config "$work/all.conf" --dump-config
out_has 'state = /var/lib/membrane'
exit 0
