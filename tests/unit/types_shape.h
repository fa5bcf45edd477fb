/* SPDX-License-Identifier: MIT */
/*
 * Two interfaces as type records, written by hand so that tests can damage them: Shape, with a type
 * of every kind, and Canvas, which extends it and contains its types.
 */
#ifndef MBR_TESTS_TYPES_SHAPE_H
#define MBR_TESTS_TYPES_SHAPE_H

#include <stddef.h>
#include <string.h>

#include <membrane/middl.h>

#define SHAPE     UINT64_C(0x1111222233330000)
#define CANVAS    UINT64_C(0x4444555566660000)
#define COUNT(a)  ((uint32_t)(sizeof(a) / sizeof((a)[0])))
#define EXTENT(T) sizeof(T), _Alignof(T)
#define AT(T, M)  ((uint32_t)offsetof(T, M))

enum shape_colour { RED, GREEN, BLUE };

struct shape_point {
    int32_t x;
    int32_t y;
};

struct MBR_MAY_ALIAS shape_path {
    uint32_t len, blen;
    struct shape_point *data, *base;
};

struct shape_figure {
    uint32_t tag;
    union {
        struct shape_point dot;
        struct shape_path line;
        char *text;
    } u;
};

struct shape_all {
    bool flag;
    uint8_t octet;
    char letter;
    uint16_t sc;
    uint32_t c;
    uint64_t lc;
    int16_t si;
    int32_t i;
    int64_t li;
    float r;
    double lr;
    char *string;
    void *address;
    uintptr_t word;
    uint64_t colours;
    struct shape_point corners[3];
    struct shape_figure figure;
    uint32_t colour;
    struct shape_point *ref;
};

enum {
    SHAPE_COLOUR = 1,
    SHAPE_POINT,
    SHAPE_PATH,
    SHAPE_COLOURS,
    SHAPE_CORNERS,
    SHAPE_KIND,
    SHAPE_FIGURE,
    SHAPE_PLACE,
    SHAPE_REF,
    SHAPE_ALL,
    SHAPE_ANONYMOUS
};

struct shape {
    struct mbr_member_record colours[3];
    struct mbr_member_record kinds[3];
    struct mbr_member_record point[2];
    struct mbr_member_record figure[3];
    struct mbr_member_record all[19];
    struct mbr_member_record bad[2];
    struct mbr_type_record types[11];
    struct mbr_exn_record exns[2];
    struct mbr_param_record draw[3];
    struct mbr_raise_record raises[1];
    struct mbr_op_record ops[2];
    struct mbr_intf_record record;
};

struct shape_bad_args {
    char *why;
    struct shape_point at;
};

static inline void shape_fill_members(struct shape *s)
{
    const struct mbr_member_record colours[] = {
        {"red", 0, 0, 0}, {"green", 0, 0, 1}, {"blue", 0, 0, 2}};
    const struct mbr_member_record kinds[] = {
        {"dot", 0, 0, 0}, {"line", 0, 0, 1}, {"text", 0, 0, 2}};
    const struct mbr_member_record point[] = {{"x", MBR_CODE_INTEGER, 0, 0},
                                              {"y", MBR_CODE_INTEGER, 4, 1}};
    const struct mbr_member_record figure[] = {
        {"dot", SHAPE | SHAPE_POINT, AT(struct shape_figure, u), 0},
        {"line", SHAPE | SHAPE_PATH, AT(struct shape_figure, u), 1},
        {"text", MBR_CODE_STRING, AT(struct shape_figure, u), 2}};
    const struct mbr_member_record bad[] = {
        {"why", MBR_CODE_STRING, AT(struct shape_bad_args, why), 0},
        {"at", SHAPE | SHAPE_POINT, AT(struct shape_bad_args, at), 1}};

    memcpy(s->colours, colours, sizeof(s->colours));
    memcpy(s->kinds, kinds, sizeof(s->kinds));
    memcpy(s->point, point, sizeof(s->point));
    memcpy(s->figure, figure, sizeof(s->figure));
    memcpy(s->bad, bad, sizeof(s->bad));
}

static inline void shape_fill_all(struct shape *s)
{
    const struct mbr_member_record all[] = {
        {"flag", MBR_CODE_BOOLEAN, AT(struct shape_all, flag), 0},
        {"octet", MBR_CODE_OCTET, AT(struct shape_all, octet), 1},
        {"letter", MBR_CODE_CHAR, AT(struct shape_all, letter), 2},
        {"sc", MBR_CODE_SHORT_CARDINAL, AT(struct shape_all, sc), 3},
        {"c", MBR_CODE_CARDINAL, AT(struct shape_all, c), 4},
        {"lc", MBR_CODE_LONG_CARDINAL, AT(struct shape_all, lc), 5},
        {"si", MBR_CODE_SHORT_INTEGER, AT(struct shape_all, si), 6},
        {"i", MBR_CODE_INTEGER, AT(struct shape_all, i), 7},
        {"li", MBR_CODE_LONG_INTEGER, AT(struct shape_all, li), 8},
        {"r", MBR_CODE_REAL, AT(struct shape_all, r), 9},
        {"lr", MBR_CODE_LONG_REAL, AT(struct shape_all, lr), 10},
        {"string", MBR_CODE_STRING, AT(struct shape_all, string), 11},
        {"address", MBR_CODE_ADDRESS, AT(struct shape_all, address), 12},
        {"word", MBR_CODE_WORD, AT(struct shape_all, word), 13},
        {"colours", SHAPE | SHAPE_COLOURS, AT(struct shape_all, colours), 14},
        {"corners", SHAPE | SHAPE_CORNERS, AT(struct shape_all, corners), 15},
        {"figure", SHAPE | SHAPE_FIGURE, AT(struct shape_all, figure), 16},
        {"colour", SHAPE | SHAPE_ANONYMOUS, AT(struct shape_all, colour), 17},
        {"ref", SHAPE | SHAPE_REF, AT(struct shape_all, ref), 18}};

    memcpy(s->all, all, sizeof(s->all));
}

static inline void shape_fill_types(struct shape *s)
{
    const struct mbr_type_record types[] = {
        {SHAPE | SHAPE_COLOUR, "Colour", MBR_TYPE_ENUM, 0, 4, 4, 0, 3, 0, s->colours},
        {SHAPE | SHAPE_POINT, "Point", MBR_TYPE_RECORD, 1, 8, 4, 0, 2, 0, s->point},
        {SHAPE | SHAPE_PATH, "Path", MBR_TYPE_SEQUENCE, 1, EXTENT(struct shape_path),
         SHAPE | SHAPE_POINT, 0, 0, NULL},
        {SHAPE | SHAPE_COLOURS, "Colours", MBR_TYPE_SET, 0, 8, 8, SHAPE | SHAPE_COLOUR, 0, 0, NULL},
        {SHAPE | SHAPE_CORNERS, "Corners", MBR_TYPE_ARRAY, 1, 24, 4, SHAPE | SHAPE_POINT, 3, 0,
         NULL},
        {SHAPE | SHAPE_KIND, "Kind", MBR_TYPE_ENUM, 0, 4, 4, 0, 3, 0, s->kinds},
        {SHAPE | SHAPE_FIGURE, "Figure", MBR_TYPE_CHOICE, 1, EXTENT(struct shape_figure),
         SHAPE | SHAPE_KIND, 3, 0, s->figure},
        {SHAPE | SHAPE_PLACE, "Place", MBR_TYPE_ALIAS, 1, 8, 4, SHAPE | SHAPE_POINT, 0, 0, NULL},
        {SHAPE | SHAPE_REF, "Ref", MBR_TYPE_REF, 2, 8, 8, SHAPE | SHAPE_POINT, 0, 0, NULL},
        {SHAPE | SHAPE_ALL, "All", MBR_TYPE_RECORD, 3, EXTENT(struct shape_all), 0, 19, 0, s->all},
        {SHAPE | SHAPE_ANONYMOUS, NULL, MBR_TYPE_ALIAS, 0, 4, 4, SHAPE | SHAPE_COLOUR, 0, 0, NULL}};

    memcpy(s->types, types, sizeof(s->types));
}

static inline void shape_fill_ops(struct shape *s)
{
    const struct mbr_exn_record exns[] = {
        {"Bad", "Shape$Bad", s->bad, 2, sizeof(struct shape_bad_args)},
        {"Gone", "Shape$Gone", NULL, 0, 0}};
    const struct mbr_param_record draw[] = {{"at", SHAPE | SHAPE_PLACE, MBR_PARAM_IN, 0},
                                            {"left", SHAPE | SHAPE_PATH, MBR_PARAM_OUT, 0},
                                            {"done", MBR_CODE_BOOLEAN, MBR_PARAM_RESULT, 0}};
    const struct mbr_raise_record raises[] = {{"Bad", {"Shape", SHAPE}}};
    const struct mbr_op_record ops[] = {
        {"Draw", MBR_OP_PROC, 0, 2, 1, 1, 0, s->draw, s->raises},
        {"Hint", MBR_OP_ANNOUNCEMENT, 1, 1, 0, 0, 0, s->draw, NULL}};

    memcpy(s->exns, exns, sizeof(s->exns));
    memcpy(s->draw, draw, sizeof(s->draw));
    memcpy(s->raises, raises, sizeof(s->raises));
    memcpy(s->ops, ops, sizeof(s->ops));
}

/* Fills S, whose record then points into it. */
static inline void shape_fill(struct shape *s)
{
    const struct mbr_intf_record record = {MBR_INTF_MAGIC,
                                           MBR_INTF_VERSION,
                                           MBR_INTF_LOCAL,
                                           SHAPE,
                                           "Shape",
                                           {NULL, 0},
                                           NULL,
                                           s->types,
                                           s->exns,
                                           s->ops,
                                           0,
                                           11,
                                           10,
                                           2,
                                           2,
                                           0};

    memset(s, 0, sizeof(*s));
    shape_fill_members(s);
    shape_fill_all(s);
    shape_fill_types(s);
    shape_fill_ops(s);
    s->record = record;
}

struct canvas_frame {
    struct shape_point origin;
    uint32_t colour;
};

struct canvas {
    struct mbr_member_record frame[2];
    struct mbr_type_record types[1];
    struct mbr_intf_ref needs[1];
    struct mbr_op_record ops[1];
    struct mbr_intf_record record;
};

static inline void canvas_fill(struct canvas *s)
{
    const struct canvas fill = {
        .frame = {{"origin", SHAPE | SHAPE_POINT, 0, 0}, {"colour", SHAPE | SHAPE_COLOUR, 8, 1}},
        .types = {{CANVAS | 1, "Frame", MBR_TYPE_RECORD, 1, EXTENT(struct canvas_frame), 0, 2, 0,
                   s->frame}},
        .needs = {{"Shape", SHAPE}},
        .ops = {{"Clear", MBR_OP_PROC, 2, 0, 0, 0, 0, NULL, NULL}},
        .record = {MBR_INTF_MAGIC,
                   MBR_INTF_VERSION,
                   0,
                   CANVAS,
                   "Canvas",
                   {"Shape", SHAPE},
                   s->needs,
                   s->types,
                   NULL,
                   s->ops,
                   1,
                   1,
                   1,
                   0,
                   1,
                   2},
    };

    *s = fill;
}

#endif
