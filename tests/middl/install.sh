# SPDX-License-Identifier: MIT
# What is installed serves other projects: one with CMake in three lines, one with a Makefile. A
# needed interface that changes is compiled again.
. "$(dirname "$0")/lib.sh"

build=$(dirname "$MEMBRANE_BIN_DIR")
prefix=$work/prefix
run 0 cmake --install "$build" --prefix "$prefix"
mkdir "$work/project"
cp "$here"/downstream/* "$work/project"
cd "$work/project" || exit 2
wanted='Good morning, world! 20 1 Greeter Heap 1'

run 0 cmake -S . -B build -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS='-Wall -Wextra -Werror'
run 0 cmake --build build
run 0 build/greet
[ "$(cat "$work/out")" = "$wanted" ] || fail "CMake: $(cat "$work/out")"

libdir=$(find "$prefix" -name libmiddl.so -exec dirname {} \;)
export PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir"
run 0 make
run 0 ./greet
[ "$(cat "$work/out")" = "$wanted" ] || fail "make: $(cat "$work/out")"

# Nothing to do; then a needed interface that says something else makes both compile again.
run 0 make
grep -q 'up to date' "$work/out" || fail 'make does something twice'
run 0 cmake --build build
! grep -q 'Compiling interface' "$work/out" || fail 'CMake does something twice'
ifdir=$(pkg-config --variable=ifdir middl)
touch "$ifdir/Heap.if"
run 0 make
grep -q middlc "$work/out" || fail 'make has not noticed'
run 0 cmake --build build
grep -q 'Compiling interface' "$work/out" || fail 'CMake has not noticed'
