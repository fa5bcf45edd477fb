#!/bin/sh
# SPDX-License-Identifier: MIT
# systemd finds nothing wrong with the units that are installed. (That the daemon speaks its
# protocols is tested without it: tests/multi/stored_start_test.c.)
. "$(dirname "$0")/lib.sh"

if ! command -v systemd-analyze >/dev/null; then
    echo "skipped: no systemd-analyze"
    exit 77
fi
daemon=$MEMBRANE_BIN_DIR/membraned
built=$MEMBRANE_BIN_DIR/../daemon
if [ ! -x "$daemon" ] || [ ! -e "$built/membraned.service" ]; then
    echo "skipped: $daemon is not built"
    exit 77
fi

# The units name the program where it will be installed; here it is where it was built.
for kind in system user; do
    from=$built
    [ $kind = system ] || from=$built/user
    mkdir -p "$work/$kind"
    cp "$from/membraned.socket" "$work/$kind/"
    sed "s|^ExecStart=[^ ]*/membraned|ExecStart=$daemon|" "$from/membraned.service" \
        >"$work/$kind/membraned.service"
    grep -q "^ExecStart=$daemon" "$work/$kind/membraned.service" || fail "$kind: no ExecStart"
    if ! XDG_RUNTIME_DIR=$work systemd-analyze --man=no --$kind verify \
        "$work/$kind/membraned.service" "$work/$kind/membraned.socket" >"$work/said" 2>&1; then
        # Without a place for its manager it has looked at nothing.
        if ! grep -q 'membraned' "$work/said"; then
            echo "skipped: systemd-analyze does not work here: $(cat "$work/said")"
            exit 77
        fi
        fail "$kind: $(cat "$work/said")"
    fi
    if grep -q membraned "$work/said"; then
        fail "$kind: $(cat "$work/said")"
    fi
done

# It would have found a mistake.
echo 'Tpye=notify' >>"$work/system/membraned.service"
systemd-analyze --man=no verify "$work/system/membraned.service" >"$work/said" 2>&1 || true
grep -q Tpye "$work/said" || fail "systemd-analyze finds no mistake: $(cat "$work/said")"
exit 0
