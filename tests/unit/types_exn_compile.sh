#!/bin/sh
# SPDX-License-Identifier: MIT
# types_exn_compile: what the compiler says to exceptions. Correct use compiles without a warning as
# C99, C17 and C++17, with gcc and clang, and does what it should, linked with the shared library;
# each wrong use is refused. Needs MEMBRANE_BIN_DIR. Exit status 77 without a C++ compiler.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
lib=$(cd "${MEMBRANE_BIN_DIR:?}/../lib" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
problems=0

cat >"$work/head.h" <<'EOF'
#include <membrane/exn.h>
#include <stdio.h>
#define T_Full_ID "T$Full"
typedef struct { unsigned wanted; const char *disk; } T_Full_Args;
#define T_Gone_ID "T$Gone"
EOF

flags="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -D_DEFAULT_SOURCE -I $root/include"

# compile COMPILER LANGUAGE STANDARD FILE
compile() {
    # $flags is several words.
    # shellcheck disable=SC2086
    "$1" -x "$2" "-std=$3" -O2 $flags -include "$work/head.h" "$4" -x none -o "$work/program" \
        -L"$lib" -Wl,-rpath,"$lib" -lmiddl -lmembrane >"$work/said" 2>&1
}

# right COMPILER LANGUAGE STANDARD: compiles and says what it should
right() {
    command -v "$1" >/dev/null || { echo "$1 is not installed"; exit 77; }
    if ! compile "$1" "$2" "$3" "$work/right.c"; then
        echo "$1 -std=$3:"
        cat "$work/said"
        problems=$((problems + 1))
    elif [ "$("$work/program")" != "3 sda in raise; gone; all T\$Gone; finally; 7" ]; then
        echo "$1 -std=$3: said $("$work/program")"
        problems=$((problems + 1))
    fi
}

cat >"$work/right.c" <<'EOF'
static void raise(unsigned wanted)
{
    if (wanted)
        RAISE(T_Full, wanted, "sda");
    RAISE(T_Gone);
}

static int answer(void)
{
    TRY {
        raise(0);
    } CATCH(T_Full) {
        return 1;
    } CATCH(T_Gone) {
        return 7;
    } ENDTRY
    return 2;
}

int main(void)
{
    TRY {
        raise(3);
    } CATCH(T_Full, args) {
        printf("%u %s in %s; ", args->wanted, args->disk, MBR_EXN_FUNC);
    } ENDTRY
    TRY {
        TRY {
            raise(0);
        } CATCH(T_Gone) {
            printf("gone; ");
            RERAISE;
        } ENDTRY
    } CATCH_ALL {
        printf("all %s; ", MBR_EXN_NAME);
    } FINALLY {
        printf("finally; ");
    } ENDTRY
    printf("%d\n", answer());
    return 0;
}
EOF

for standard in c99 c17; do
    right gcc c $standard
    right clang c $standard
done
right g++ c++ c++17
right clang++ c++ c++17

# wrong WHAT WORDS: the body of a function on standard input is refused, with these words
wrong() {
    { echo 'int f(int x);' && echo 'int f(int x) {' && cat && echo 'return x; }' &&
        echo 'int main(void) { return 0; }'; } >"$work/wrong.c"
    for cc in gcc clang; do
        if compile $cc c c17 "$work/wrong.c"; then
            echo "$cc: $1: compiles"
            problems=$((problems + 1))
        elif ! grep -q "$2" "$work/said"; then
            echo "$cc: $1: says something else:"
            cat "$work/said"
            problems=$((problems + 1))
        fi
    done
}

wrong "no ENDTRY" "error" <<'EOF'
TRY { x++; } CATCH_ALL { x--; }
EOF
wrong "CATCH behind CATCH_ALL" "else\|expected expression" <<'EOF'
TRY { x++; } CATCH_ALL { x--; } CATCH(T_Gone) { x = 1; } ENDTRY
EOF
wrong "two CATCH_ALL" "else" <<'EOF'
TRY { x++; } CATCH_ALL { x--; } CATCH_ALL { x = 1; } ENDTRY
EOF
wrong "CATCH behind FINALLY" "else\|expected expression" <<'EOF'
TRY { x++; } FINALLY { x--; } CATCH(T_Gone) { x = 1; } ENDTRY
EOF
wrong "RERAISE outside a handler" "belongs_inside_CATCH_or_CATCH_ALL" <<'EOF'
TRY { RERAISE; } FINALLY { x--; } ENDTRY
EOF
wrong "the name outside a handler" "belongs_inside_CATCH_or_CATCH_ALL" <<'EOF'
x = MBR_EXN_NAME[0];
EOF
wrong "an exception that is not declared" "T_Lost" <<'EOF'
TRY { x++; } CATCH(T_Lost) { x--; } ENDTRY
EOF
wrong "arguments of one that has none" "T_Gone_Args" <<'EOF'
TRY { x++; } CATCH(T_Gone, args) { x--; } ENDTRY
EOF
wrong "arguments for one that has none" "T_Gone_Args" <<'EOF'
RAISE(T_Gone, 1);
EOF
wrong "an argument of another type" "error" <<'EOF'
RAISE(T_Full, 1, x);
EOF
wrong "too many arguments" "excess elements" <<'EOF'
RAISE(T_Full, 1, "a", 2);
EOF
wrong "writing to arguments" "read-only\|const" <<'EOF'
TRY { x++; } CATCH(T_Full, args) { args->wanted = 1; } ENDTRY
EOF

[ "$problems" -eq 0 ]
