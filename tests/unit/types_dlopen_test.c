/* SPDX-License-Identifier: MIT */
/*
 * Interfaces that come with dlopen(), through the shared library as programs use it: what middlc
 * has written is taken in as a whole, stays when its object goes, and a liar is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>

#include <membrane/types.h>
#include <membrane/typesystem.h>
#include <middl/Closure.h>
#include <middl/Interface.h>

static char logged[4096];

static void keep_log(struct mbr_log_sink *self, enum mbr_log_level level, const char *message)
{
    size_t length = strlen(logged);

    (void)snprintf(logged + length, sizeof(logged) - length, "%s\n", message);
}

static void *load(const char *name)
{
    char path[4096];
    void *object;

    (void)snprintf(path, sizeof(path), "%s/%s.so", getenv("MEMBRANE_TEST_DIR"), name);
    object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object)
        fail_msg("%s", dlerror());
    return object;
}

static void all_standard_interfaces_are_there(void **state)
{
    struct mbr_types *types = mbr_types_process();
    Context_Names *names = TypeSystem_List(mbr_typesystem_process());
    uint32_t interfaces = 0;

    for (uint32_t i = 0; i < names->len; i++) {
        uint64_t code;

        assert_int_equal(mbr_types_lookup(types, names->data[i], &code), 0);
        interfaces += MBR_CODE_INDEX(code) == 0 && code != 0;
        free((char *)(uintptr_t)names->data[i]);
    }
    MBR_SEQ_CLEAR(names);
    free(names);
    assert_int_equal(interfaces, 250);
}

static void what_is_loaded_is_known(void **state)
{
    static const char text[] = "[{any: {type: 3, val: 4}, field: {tc: 5, offset: 6}, mood: "
                               "Stormy}, {any: {type: 7, val: 8}, field: {tc: 9, offset: 10}, "
                               "mood: Calm}]";
    struct mbr_types *types = mbr_types_process();
    const struct mbr_intf_record *intf;
    uint64_t code, closure;
    struct mbr_seq pairs;
    void *object;
    char *again;

    assert_int_equal(mbr_types_lookup(types, "Loaded", &code), -ENOENT);
    object = load("types_loaded");
    assert_int_equal(mbr_types_lookup(types, "Loaded", &closure), 0);
    assert_int_equal(mbr_types_is(types, closure, CODE_Closure), 1);
    assert_int_equal(dlclose(object), 0);
    /* Its memory is gone, what it said is not. */
    intf = mbr_types_intf(types, "Loaded");
    assert_string_equal(intf->ops[0].name, "Sail");
    assert_int_equal(intf->first_op, 1);
    assert_string_equal(intf->exns[0].id, "Loaded$Lost");
    assert_int_equal(mbr_types_lookup(types, "Loaded.Pairs", &code), 0);
    assert_int_equal(mbr_value_parse(types, code, text, strlen(text), &pairs, NULL), 0);
    assert_int_equal(mbr_value_print(types, code, &pairs, MBR_VALUE_TEXT, &again, NULL), 0);
    assert_string_equal(again, text);
    free(again);
    mbr_value_clear(types, code, &pairs);
    /* Loading it once more changes nothing. */
    object = load("types_loaded");
    assert_int_equal(mbr_types_lookup(types, "Loaded", &code), 0);
    assert_int_equal(code, closure);
    assert_ptr_equal(mbr_types_intf(types, "Loaded"), intf);
    assert_int_equal(dlclose(object), 0);
}

static void liars_are_refused(void **state)
{
    struct mbr_log_sink sink = {keep_log, MBR_LOG_WARNING};
    struct mbr_types *types = mbr_types_process();
    struct mbr_type_info info;
    uint64_t before, after;
    void *object;

    assert_int_equal(mbr_types_lookup(types, "Context", &before), 0);
    (void)mbr_log_set_sink(&sink);
    object = load("types_loaded_liar");
    assert_int_equal(mbr_types_lookup(types, "Context", &after), 0);
    assert_int_equal(after, before);
    assert_int_equal(mbr_types_info(types, UINT64_C(0x7777777777770000), &info), -ENOENT);
    assert_int_equal(mbr_types_info(types, UINT64_C(0x8888888888880000), &info), -ENOENT);
    (void)mbr_log_set_sink(NULL);
    assert_non_null(strstr(logged, "a type record is refused: a name cannot be read\n"));
    assert_non_null(strstr(logged, "a type record is left out: already exists\n"));
    assert_int_equal(dlclose(object), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_standard_interfaces_are_there),
        cmocka_unit_test(what_is_loaded_is_known),
        cmocka_unit_test(liars_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
