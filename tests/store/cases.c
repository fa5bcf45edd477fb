/* SPDX-License-Identifier: MIT */
/*
 * The cases, by message type. Sources: docs/misc/xenstore.txt of Xen 4.23, and what its C daemon
 * does where that is silent.
 */
#include "cases.h"

#define CASE(name, script) \
    {                      \
        name, script, true \
    }

const struct store_case store_cases[] = {
    CASE("smoke", "A WRITE /a|hello = OK|\nA READ /a| = hello\nA READ /b| ! ENOENT"),
};

const size_t store_case_count = sizeof(store_cases) / sizeof(store_cases[0]);
