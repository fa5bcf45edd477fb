/* SPDX-License-Identifier: MIT */
/*
 * Any damage to a type record: it is refused, or its types can be used. The input is a list of
 * places, two bytes each, and what to write there.
 */
#include <stdlib.h>
#include <string.h>

#include <membrane/types.h>

#include "../tests/unit/types_shape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] =
    "{flag: true, octet: 1, letter: 'z', sc: 2, c: 3, lc: 4, si: -5, i: -6, li: -7, r: 0.25, "
    "lr: 1e+100, string: \"s\", address: 0x8, word: 9, colours: <green>, "
    "corners: [{x: 1, y: 2}, {x: 3, y: 4}, {x: 5, y: 6}], figure: line([{x: 7, y: 8}]), "
    "colour: blue, ref: nil}";

/* Every type that is there can be walked. */
static void use(struct mbr_types *types)
{
    struct mbr_type_info info;
    char *printed;
    void *value;

    for (uint64_t i = 1; i < 16; i++) {
        if (mbr_types_info(types, SHAPE | i, &info) < 0 || info.size > 1 << 20)
            continue;
        value = calloc(1, info.size);
        if (value && mbr_value_parse(types, info.code, text, strlen(text), value, NULL) == 0) {
            if (mbr_value_print(types, info.code, value, MBR_VALUE_TEXT, &printed, NULL) == 0)
                free(printed);
            mbr_value_clear(types, info.code, value);
        }
        free(value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mbr_types *types;
    struct shape shape;

    shape_fill(&shape);
    for (; size >= 3; data += 3, size -= 3)
        ((unsigned char *)&shape)[((size_t)data[0] | (size_t)data[1] << 8) % sizeof(shape)] =
            data[2];
    if (mbr_types_new(&types) < 0)
        abort();
    if (mbr_types_register(types, &shape.record) == 0)
        use(types);
    mbr_types_free(types);
    return 0;
}
