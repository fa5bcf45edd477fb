/* SPDX-License-Identifier: MIT */
/*
 * The conformance cases, on the engine itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "local.h"
#include "store/state.h"

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

static char complaint[256];

static void note_error(void *user, enum mbr_log_level level, const char *text)
{
    (void)user;
    if (level == MBR_LOG_ERROR)
        (void)snprintf(complaint, sizeof(complaint), "%s", text);
}

/* What CONTROL check finds goes into the log; the answer is that of xenstored. */
static void check_says_what_is_wrong(void **state)
{
    struct mbr__store_options options = {.log = note_error};
    struct local local;

    (void)state;
    assert_int_equal(local_init(&local, &options), 0);
    assert_string_equal(local_ask(&local, 'A', MBR__XS_CONTROL, 0, "check|"), "OK|");
    assert_string_equal(complaint, "");
    local.store->tree.count++;
    assert_string_equal(local_ask(&local, 'A', MBR__XS_CONTROL, 0, "check|"), "OK|");
    assert_non_null(strstr(complaint, "number of nodes"));
    local.store->tree.count--;
    complaint[0] = '\0';
    assert_string_equal(local_ask(&local, 'A', MBR__XS_CONTROL, 0, "check|"), "OK|");
    assert_string_equal(complaint, "");
    local_fini(&local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_cases),
        cmocka_unit_test(check_says_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
