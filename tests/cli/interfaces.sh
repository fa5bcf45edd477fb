#!/bin/sh
# SPDX-License-Identifier: MIT
# The page of interfaces and their states is up to date, and true as far as a script can tell.
set -eu
exec python3 "$(dirname "$0")/../../scripts/interfaces"
