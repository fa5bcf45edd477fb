/* SPDX-License-Identifier: MIT */
/*
 * Any text as a value of some type: it is refused, or what it is read as, printed, is read as the
 * same again. The first byte chooses the type.
 */
#include <stdlib.h>
#include <string.h>

#include <membrane/types.h>

#include "../tests/unit/types_shape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mbr_types *known_types(void)
{
    static struct mbr_types *types;
    struct shape shape;

    if (!types) {
        shape_fill(&shape);
        if (mbr_types_new(&types) < 0 || mbr_types_register(types, &shape.record) < 0)
            abort();
    }
    return types;
}

static void print_and_parse(uint64_t code, void *value, enum mbr_value_format format)
{
    struct mbr_types *types = known_types();
    struct shape_all again;
    char *once, *twice;
    size_t length;

    if (mbr_value_print(types, code, value, format, &once, &length) < 0)
        return; /* a string that JSON cannot hold */
    if (mbr_value_parse(types, code, once, length, &again, NULL) < 0 ||
        mbr_value_print(types, code, &again, format, &twice, NULL) < 0 || strcmp(once, twice) != 0)
        abort();
    mbr_value_clear(types, code, &again);
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shape_all value;
    uint64_t code;

    if (size == 0)
        return 0;
    code = data[0] % 2 ? 1u + data[0] / 2u % 14 : SHAPE | (data[0] / 2u % 12);
    if (mbr_value_parse(known_types(), code, (const char *)data + 1, size - 1, &value, NULL) < 0)
        return 0;
    print_and_parse(code, &value, MBR_VALUE_TEXT);
    print_and_parse(code, &value, MBR_VALUE_JSON);
    mbr_value_clear(known_types(), code, &value);
    return 0;
}
