/* SPDX-License-Identifier: MIT */
/*
 * The conformance cases, on the engine itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "local.h"

static void all_cases(void **state)
{
    unsigned failed = 0;

    for (size_t i = 0; i < store_case_count; i++) {
        struct local local;
        struct store_port port = local_port(&local);
        char error[512];

        assert_int_equal(local_init(&local, NULL), 0);
        if (!store_case_run(&port, &store_cases[i], error, sizeof(error))) {
            print_error("%s: %s\n", store_cases[i].name, error);
            failed++;
        } else {
            local_check(&local);
        }
        local_fini(&local);
    }
    print_message("%zu cases\n", store_case_count);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_cases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
