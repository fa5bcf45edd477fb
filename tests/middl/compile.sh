# SPDX-License-Identifier: MIT
# What middlc writes compiles without a warning, as the languages that users have: all headers of
# the standard interfaces in one unit and each alone, twice; type records; skeletons; the golden
# interfaces, which are full of hazards.
. "$(dirname "$0")/lib.sh"

warnings='-Wall -Wextra -Wconversion -Wshadow -pedantic -Werror -fsyntax-only'
mkdir "$work/std" "$work/gold" "$work/names"
run 0 "$middlc" --header --types --skeleton -Wno-redeclared -d "$work/std" "$root"/idl/*.if
run 0 "$middlc" -r --header --types --skeleton -d "$work/gold" "$here/golden/Every.if"

# Names that C takes for itself, one way or another, and that generated code might take.
cat >"$work/Names.if" <<'END'
Names : INTERFACE =
BEGIN
  state : TYPE = { ops, time_t };
  node : TYPE = RECORD [ a, jmp_buf, off_t, uint, fd_set : CARDINAL ];
  announce : TYPE = OCTET;
  withdraw : TYPE = SEQUENCE OF node;
  X : EXCEPTION [ state, ops, self, args, id, file, line, func, mbr_args, pid_t : CARDINAL ];
  P : PROC [ state : node; ops : CARDINAL; self, op, st, result, do_P, new_Names, calloc, memset,
             args, ssize_t, program_invocation_name : OCTET ]
    RETURNS [ r : node, clock_t : state ] RAISES X;
  do_P : PROC [] RETURNS [];
  new : PROC [] RETURNS [];
  free : PROC [ ulong : OCTET ] NEVER RETURNS;
END.
END
run 0 "$middlc" --header --types --skeleton -d "$work/names" "$work/Names.if"

# try COMPILER LANGUAGE STANDARD FILE [OPTION...]: one compilation.
try() {
    compiler=$1
    language=$2
    standard=$3
    shift 3
    # shellcheck disable=SC2086
    "$compiler" -x "$language" "-std=$standard" $warnings -I "$root/include" "$@" \
        >"$work/log" 2>&1 && return
    head -n 5 "$work/log"
    fail "$compiler -std=$standard $1"
}

for dir in std gold names; do
    cd "$work/$dir" || exit 2
    { # What a macro could spoil is included first.
        printf '#include <%s>\n' stdio.h errno.h stddef.h signal.h sys/types.h
        printf '#include "%s"\n' *.h
    } >all-headers
    { # Each twice, alone: the compiler is started once for many.
        for header in *.h; do
            printf '#include "%s"\n#include "%s"\n' "$header" "$header" >"alone-$header"
        done
    }
    cat ./*.types.c >all-records
    for standard in c99 c17; do
        for compiler in gcc clang; do
            command -v "$compiler" >/dev/null || continue
            try "$compiler" c "$standard" all-headers
            try "$compiler" c "$standard" all-records
        done
    done
    for compiler in g++ clang++; do
        command -v "$compiler" >/dev/null || continue
        try "$compiler" c++ c++17 all-headers
        try "$compiler" c++ c++17 all-records
    done
    # shellcheck disable=SC2086
    gcc -std=c99 $warnings -I "$root/include" -x c alone-*.h >"$work/log" 2>&1 || {
        head -n 5 "$work/log"
        fail "a header of $dir alone"
    }
    # shellcheck disable=SC2086
    gcc -std=c17 $warnings -I "$root/include" ./*.impl.c >"$work/log" 2>&1 || {
        head -n 5 "$work/log"
        fail "a skeleton of $dir"
    }
done
# shellcheck disable=SC2086
g++ -std=c++17 $warnings -I "$root/include" -x c++ "$work"/gold/*.impl.c "$work"/gold/alone-*.h \
    "$work"/names/*.impl.c >"$work/log" 2>&1 || { head -n 5 "$work/log" && fail 'golden as C++'; }

# The headers that programs with interfaces include, too: in C++ a struct and a function of one name
# are a warning.
ln -s std "$work/middl"
printf '#include <membrane/%s>\n' \
    apply.h exn.h heap.h middl.h middlc.h modules.h pervasives.h types.h typesystem.h >"$work/own"
for compiler in g++ clang++; do
    command -v "$compiler" >/dev/null || continue
    try "$compiler" c++ c++17 "$work/own" -I "$work"
done
