/* SPDX-License-Identifier: MIT */
/* The hook by which a model checker takes the place of the atomics, without a change to the code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MBR_ATOMIC_MODEL "../../tests/unit/base_atomic_model.h"
#include "base/atomic.h"

unsigned int model_steps;

static void goes_to_the_model(void **state)
{
    uint32_t word = 0;
    uint32_t expected = 0;

    mbr_store_release(&word, 4u);
    assert_int_equal(mbr_load_acquire(&word), 4);
    mbr_fence_full();
    assert_false(mbr_cas(&word, &expected, 5u));
    assert_true(mbr_cas(&word, &expected, 5u));
    assert_int_equal(mbr_fetch_add(&word, 2u), 5);
    mbr_cpu_relax();
    assert_ptr_equal(mbr_cpu_gap(&word), &word);
    assert_int_equal(model_steps, 8);
    assert_int_equal(MBR_CACHELINE, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_to_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
