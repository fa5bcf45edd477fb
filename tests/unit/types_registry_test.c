/* SPDX-License-Identifier: MIT */
/*
 * The type system: looking up by code and by name, compatibility, clashes, types that wait for
 * others, every way in which a record can be damaged, and no memory at any moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <membrane/types.h>

#include "failalloc.h"
#include "types_shape.h"

static struct shape shape;
static struct canvas canvas;
static struct mbr_types *types;
static char logged[512];

static void keep_log(struct mbr_log_sink *self, enum mbr_log_level level, const char *message)
{
    (void)snprintf(logged, sizeof(logged), "%s", message);
}

static int setup(void **state)
{
    shape_fill(&shape);
    canvas_fill(&canvas);
    return mbr_types_new(&types);
}

static int teardown(void **state)
{
    mbr_types_free(types);
    return 0;
}

static void knows_the_predefined(void **state)
{
    static const char *const names[] = {
        "BOOLEAN", "SHORT CARDINAL", "CARDINAL", "LONG CARDINAL", "SHORT INTEGER",
        "INTEGER", "LONG INTEGER",   "REAL",     "LONG REAL",     "STRING",
        "OCTET",   "CHAR",           "ADDRESS",  "WORD"};
    static const uint32_t sizes[] = {1, 2, 4, 8, 2, 4, 8, 4, 8, 8, 1, 1, 8, 8};
    struct mbr_type_info info;
    uint64_t code;

    for (uint64_t i = 0; i < 14; i++) {
        assert_int_equal(mbr_types_lookup(types, names[i], &code), 0);
        assert_int_equal(code, i + 1);
        assert_int_equal(mbr_types_info(types, code, &info), 0);
        assert_string_equal(info.name, names[i]);
        assert_int_equal(info.size, sizes[i]);
        assert_int_equal(info.kind, MBR_TYPE_PREDEFINED);
        assert_null(info.intf);
        assert_false(info.large);
    }
    assert_int_equal(mbr_types_info(types, 15, &info), -ENOENT);
    assert_int_equal(mbr_types_info(types, SHAPE, &info), -ENOENT);
    assert_int_equal(mbr_types_lookup(types, "Shape", &code), -ENOENT);
    assert_int_equal(mbr_types_lookup(types, "", &code), -ENOENT);
    assert_null(mbr_types_intf(types, "Shape"));
    assert_null(mbr_types_intf(types, "CARDINAL"));
}

static void finds_by_code_and_name(void **state)
{
    static const char *const names[] = {
        "Shape",      "Shape.Colour", "Shape.Point", "Shape.Path", "Shape.Colours", "Shape.Corners",
        "Shape.Kind", "Shape.Figure", "Shape.Place", "Shape.Ref",  "Shape.All",     "Shape.#11"};
    static const bool large[] = {0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0};
    struct mbr_type_info info;
    uint64_t code;

    assert_int_equal(mbr_types_register(types, &shape.record), 0);
    for (uint64_t i = 0; i < 12; i++) {
        assert_int_equal(mbr_types_lookup(types, names[i], &code), 0);
        assert_int_equal(code, SHAPE | i);
        assert_int_equal(mbr_types_info(types, code, &info), 0);
        assert_string_equal(info.name, names[i]);
        assert_int_equal(info.code, code);
        assert_int_equal(info.large, large[i]);
        assert_string_equal(info.intf->name, "Shape");
        if (i > 0)
            assert_int_equal(info.kind, shape.types[i - 1].kind);
    }
    assert_int_equal(info.base, SHAPE | SHAPE_COLOUR);
    assert_int_equal(mbr_types_info(types, SHAPE | 12, &info), -ENOENT);
    assert_int_equal(mbr_types_lookup(types, "Shape.", &code), -ENOENT);
    assert_int_equal(mbr_types_lookup(types, "Shape.point", &code), -ENOENT);
    assert_string_equal(mbr_types_intf(types, "Shape")->exns[0].id, "Shape$Bad");
    assert_null(mbr_types_intf(types, "Shape.Point"));
}

static void keeps_nothing_of_the_record(void **state)
{
    struct mbr_type_info info;

    assert_int_equal(mbr_types_register(types, &shape.record), 0);
    memset(&shape, 0xff, sizeof(shape));
    assert_int_equal(mbr_types_info(types, SHAPE | SHAPE_POINT, &info), 0);
    assert_string_equal(info.members[1].name, "y");
    assert_string_equal(info.intf->ops[0].params[1].name, "left");
}

static void undoes_aliases(void **state)
{
    uint64_t base;

    assert_int_equal(mbr_types_register(types, &shape.record), 0);
    assert_int_equal(mbr_types_unalias(types, SHAPE | SHAPE_PLACE, &base), 0);
    assert_int_equal(base, SHAPE | SHAPE_POINT);
    assert_int_equal(mbr_types_unalias(types, SHAPE | SHAPE_POINT, &base), 0);
    assert_int_equal(base, SHAPE | SHAPE_POINT);
    assert_int_equal(mbr_types_unalias(types, CANVAS, &base), -ENOENT);
}

static void compatible_by_code_or_extension(void **state)
{
    assert_int_equal(mbr_types_is(types, SHAPE, SHAPE), -ENOENT);
    assert_int_equal(mbr_types_register(types, &canvas.record), 0);
    assert_int_equal(mbr_types_register(types, &shape.record), 0);
    assert_int_equal(mbr_types_is(types, SHAPE, SHAPE), 1);
    assert_int_equal(mbr_types_is(types, CANVAS, SHAPE), 1);
    assert_int_equal(mbr_types_is(types, SHAPE, CANVAS), 0);
    assert_int_equal(mbr_types_is(types, SHAPE | SHAPE_PLACE, SHAPE | SHAPE_POINT), 0);
    assert_int_equal(mbr_types_is(types, MBR_CODE_CARDINAL, MBR_CODE_CARDINAL), 1);
    assert_int_equal(mbr_types_is(types, MBR_CODE_CARDINAL, SHAPE), 0);
    assert_int_equal(mbr_types_is(types, SHAPE, 99), -ENOENT);
}

static void waits_for_what_it_contains(void **state)
{
    struct mbr_type_info info;
    uint64_t code;

    assert_int_equal(mbr_types_register(types, &canvas.record), 0);
    assert_int_equal(mbr_types_info(types, CANVAS, &info), 0);
    assert_int_equal(mbr_types_info(types, CANVAS | 1, &info), -ENOENT);
    assert_int_equal(mbr_types_lookup(types, "Canvas.Frame", &code), -ENOENT);
    assert_int_equal(mbr_types_register(types, &shape.record), 0);
    assert_int_equal(mbr_types_info(types, CANVAS | 1, &info), 0);
    assert_int_equal(info.size, 12);
}

/* What Canvas believed of Shape is not so: its types stay unusable, Shape is not to blame. */
static void stays_out_if_it_does_not_fit(void **state)
{
    struct mbr_log_sink sink = {keep_log, MBR_LOG_WARNING};
    struct mbr_type_info info;

    canvas.frame[1].offset = 4;
    assert_int_equal(mbr_types_register(types, &canvas.record), 0);
    (void)mbr_log_set_sink(&sink);
    assert_int_equal(mbr_types_register(types, &shape.record), 0);
    (void)mbr_log_set_sink(NULL);
    assert_string_equal(logged, "interface Canvas: its types do not fit those it uses");
    assert_int_equal(mbr_types_info(types, CANVAS | 1, &info), -ENOENT);
    assert_int_equal(mbr_types_info(types, SHAPE | SHAPE_POINT, &info), 0);
}

static void detects_clashes(void **state)
{
    struct shape other;
    struct mbr_type_info info;

    assert_int_equal(mbr_types_register(types, &shape.record), 0);
    assert_int_equal(mbr_types_register(types, &shape.record), 0);
    /* The same name with another code. */
    shape_fill(&other);
    other.record.code = CANVAS;
    other.record.n_types = other.record.n_named = 0;
    other.record.n_exns = other.record.n_ops = 0;
    assert_int_equal(mbr_types_register(types, &other.record), -EEXIST);
    /* The same code with another name. */
    shape_fill(&other);
    other.record.name = "Form";
    other.exns[0].id = "Form$Bad";
    other.exns[1].id = "Form$Gone";
    other.raises[0].intf.name = "Form";
    assert_int_equal(mbr_types_register(types, &other.record), -ENOTUNIQ);
    /* The same name and code, but not the same interface. */
    shape_fill(&other);
    other.colours[1].name = "yellow";
    assert_int_equal(mbr_types_register(types, &other.record), -ENOTUNIQ);
    shape_fill(&other);
    other.draw[1].mode = MBR_PARAM_IN_OUT;
    assert_int_equal(mbr_types_register(types, &other.record), -ENOTUNIQ);
    /* A predefined type's name. */
    canvas.record.name = "CARDINAL";
    assert_int_equal(mbr_types_register(types, &canvas.record), -EEXIST);
    assert_int_equal(mbr_types_info(types, SHAPE | SHAPE_COLOUR, &info), 0);
    assert_string_equal(info.members[1].name, "green");
    assert_int_equal(mbr_types_info(types, CANVAS, &info), -ENOENT);
}

/* ---- damage ---- */

static void *const nowhere = (void *)8;

/* Each changes one thing that must not be so. */
static void magic(struct shape *s)
{
    s->record.magic++;
}
static void version(struct shape *s)
{
    s->record.version = 2;
}
static void flags(struct shape *s)
{
    s->record.flags = 2;
}
static void code_zero(struct shape *s)
{
    s->record.code = 0;
}
static void code_index(struct shape *s)
{
    s->record.code |= 1;
}
static void no_name(struct shape *s)
{
    s->record.name = NULL;
}
static void wild_name(struct shape *s)
{
    s->record.name = nowhere;
}
static void bad_name(struct shape *s)
{
    s->record.name = "Sh ape";
}
static void digit_name(struct shape *s)
{
    s->record.name = "1Shape";
}
static void empty_name(struct shape *s)
{
    s->record.name = "";
}
static void no_types(struct shape *s)
{
    s->record.types = NULL;
}
static void wild_types(struct shape *s)
{
    s->record.types = nowhere;
}
static void many_types(struct shape *s)
{
    s->record.n_types = 65536;
}
static void many_named(struct shape *s)
{
    s->record.n_named = 12;
}
static void few_types(struct shape *s)
{
    s->record.n_types = s->record.n_named = 7;
}
static void many_needs(struct shape *s)
{
    s->record.n_needs = UINT32_MAX;
}
static void no_needs(struct shape *s)
{
    s->record.n_needs = 1;
}
static void wild_exns(struct shape *s)
{
    s->record.exns = nowhere;
}
static void wild_ops(struct shape *s)
{
    s->record.ops = nowhere;
}
static void first_op(struct shape *s)
{
    s->record.first_op = 1;
}
static void own_super(struct shape *s)
{
    s->record.extends = (struct mbr_intf_ref){"S", SHAPE};
}
static void odd_super(struct shape *s)
{
    s->record.extends = (struct mbr_intf_ref){"S", 5};
}
static void type_code(struct shape *s)
{
    s->types[3].code++;
}
static void type_kind(struct shape *s)
{
    s->types[3].kind = 9;
}
static void type_kind_0(struct shape *s)
{
    s->types[3].kind = 0;
}
static void type_name(struct shape *s)
{
    s->types[3].name = NULL;
}
static void type_twice(struct shape *s)
{
    s->types[3].name = "Path";
}
static void anonymous(struct shape *s)
{
    s->types[10].name = "Eleven";
}
static void type_size(struct shape *s)
{
    s->types[1].size = 0;
}
static void type_huge(struct shape *s)
{
    s->types[1].size = UINT32_MAX & ~3u;
}
static void type_align(struct shape *s)
{
    s->types[1].align = 3;
}
static void type_align_0(struct shape *s)
{
    s->types[1].align = 0;
}
static void type_uneven(struct shape *s)
{
    s->types[1].size = 9;
}
static void type_zero(struct shape *s)
{
    s->types[1].zero = 1;
}
static void type_flags(struct shape *s)
{
    s->types[1].flags = 8;
}
static void enum_size(struct shape *s)
{
    s->types[0].size = 8;
}
static void enum_number(struct shape *s)
{
    s->colours[1].value = 2;
}
static void enum_typed(struct shape *s)
{
    s->colours[1].type = MBR_CODE_CHAR;
}
static void enum_offset(struct shape *s)
{
    s->colours[1].offset = 1;
}
static void enum_empty(struct shape *s)
{
    s->types[0].count = 0;
}
static void enum_twice(struct shape *s)
{
    s->colours[2].name = "red";
}
static void enum_based(struct shape *s)
{
    s->types[0].base = MBR_CODE_CHAR;
}
static void wild_members(struct shape *s)
{
    s->types[1].members = nowhere;
}
static void many_members(struct shape *s)
{
    s->types[1].count = UINT32_MAX;
}
static void member_name(struct shape *s)
{
    s->point[1].name = nowhere;
}
static void member_code(struct shape *s)
{
    s->point[1].type = 15;
}
static void member_none(struct shape *s)
{
    s->point[1].type = 0;
}
static void member_own(struct shape *s)
{
    s->point[1].type = SHAPE | 12;
}
static void member_far(struct shape *s)
{
    s->point[1].offset = 8;
}
static void member_out(struct shape *s)
{
    s->point[1].offset = 6;
}
static void member_overlap(struct shape *s)
{
    s->point[1].offset = 0;
}
static void member_long(struct shape *s)
{
    s->point[1].type = MBR_CODE_LONG_CARDINAL;
}
static void member_self(struct shape *s)
{
    s->point[0].type = SHAPE | SHAPE_POINT;
}
static void member_round(struct shape *s)
{
    s->point[0].type = SHAPE | SHAPE_CORNERS;
}
static void seq_size(struct shape *s)
{
    s->types[2].size = 16;
}
static void seq_members(struct shape *s)
{
    s->types[2].members = s->point;
}
static void seq_count(struct shape *s)
{
    s->types[2].count = 1;
}
static void seq_base(struct shape *s)
{
    s->types[2].base = 0;
}
static void set_of_record(struct shape *s)
{
    s->types[3].base = SHAPE | SHAPE_POINT;
}
static void set_size(struct shape *s)
{
    s->types[3].size = 4;
}
static void array_count(struct shape *s)
{
    s->types[4].count = 4;
}
static void array_empty(struct shape *s)
{
    s->types[4].count = 0;
}
static void choice_tag(struct shape *s)
{
    s->types[6].base = MBR_CODE_CARDINAL;
}
static void choice_value(struct shape *s)
{
    s->figure[2].value = 3;
}
static void choice_twice(struct shape *s)
{
    s->figure[0].value = 1;
}
static void choice_on_tag(struct shape *s)
{
    s->figure[1].offset = 0;
}
static void alias_size(struct shape *s)
{
    s->types[7].size = 12;
}
static void alias_self(struct shape *s)
{
    s->types[7].base = SHAPE | SHAPE_PLACE;
}
static void exn_id(struct shape *s)
{
    s->exns[0].id = "Shape$bad";
}
static void exn_other(struct shape *s)
{
    s->exns[0].id = "Shapes$Bad";
}
static void exn_size(struct shape *s)
{
    s->exns[0].size = 8;
}
static void exn_no_size(struct shape *s)
{
    s->exns[0].size = 0;
}
static void exn_like_type(struct shape *s)
{
    s->exns[0].name = "Path", s->exns[0].id = "Shape$Path";
}
static void exn_offset(struct shape *s)
{
    s->bad[1].offset = 2;
}
static void op_kind(struct shape *s)
{
    s->ops[0].kind = 3;
}
static void op_index(struct shape *s)
{
    s->ops[1].index = 2;
}
static void op_zero(struct shape *s)
{
    s->ops[1].zero = 2;
}
static void op_mode(struct shape *s)
{
    s->draw[0].mode = MBR_PARAM_RESULT;
}
static void op_result(struct shape *s)
{
    s->draw[2].mode = MBR_PARAM_OUT;
}
static void op_params(struct shape *s)
{
    s->ops[0].params = NULL;
}
static void op_many(struct shape *s)
{
    s->ops[0].n_args = UINT32_MAX, s->ops[0].n_results = 2;
}
static void op_code(struct shape *s)
{
    s->draw[2].type = SHAPE | 99;
}
static void op_twice(struct shape *s)
{
    s->draw[1].name = "at";
}
static void op_announces(struct shape *s)
{
    s->ops[0].kind = MBR_OP_ANNOUNCEMENT;
}
static void raise_code(struct shape *s)
{
    s->raises[0].intf.code = SHAPE | 1;
}
static void raise_name(struct shape *s)
{
    s->raises[0].name = nowhere;
}
static void raise_many(struct shape *s)
{
    s->ops[0].n_raises = 65536;
}

typedef void damage_fn(struct shape *s);

static damage_fn *const damages[] = {
    magic,         version,      flags,          code_zero,    code_index,    no_name,
    wild_name,     bad_name,     digit_name,     empty_name,   no_types,      wild_types,
    many_types,    many_named,   few_types,      many_needs,   no_needs,      wild_exns,
    wild_ops,      first_op,     own_super,      odd_super,    type_code,     type_kind,
    type_kind_0,   type_name,    type_twice,     anonymous,    type_size,     type_huge,
    type_align,    type_align_0, type_uneven,    type_zero,    type_flags,    enum_size,
    enum_number,   enum_typed,   enum_offset,    enum_empty,   enum_twice,    enum_based,
    wild_members,  many_members, member_name,    member_code,  member_none,   member_own,
    member_far,    member_out,   member_overlap, member_long,  member_self,   member_round,
    seq_size,      seq_members,  seq_count,      seq_base,     set_of_record, set_size,
    array_count,   array_empty,  choice_tag,     choice_value, choice_twice,  choice_on_tag,
    alias_size,    alias_self,   exn_id,         exn_other,    exn_size,      exn_no_size,
    exn_like_type, exn_offset,   op_kind,        op_index,     op_zero,       op_mode,
    op_result,     op_params,    op_many,        op_code,      op_twice,      op_announces,
    raise_code,    raise_name,   raise_many,
};

static void refuses_what_is_damaged(void **state)
{
    struct mbr_log_sink sink = {keep_log, MBR_LOG_WARNING};
    struct mbr_type_info info;

    (void)mbr_log_set_sink(&sink);
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        shape_fill(&shape);
        damages[i](&shape);
        logged[0] = '\0';
        if (mbr_types_register(types, &shape.record) != -EBADMSG)
            fail_msg("damage %zu is accepted", i);
        assert_ptr_equal(strstr(logged, "a type record is refused: "), logged);
        assert_int_equal(mbr_types_info(types, SHAPE, &info), -ENOENT);
    }
    assert_int_equal(mbr_types_register(types, nowhere), -EBADMSG);
    (void)mbr_log_set_sink(NULL);
    shape_fill(&shape);
    assert_int_equal(mbr_types_register(types, &shape.record), 0);
}

/* Any bytes at all: never a crash, and nothing is in afterwards that was refused. */
static void survives_any_bytes(void **state)
{
    uint64_t random = 12345;
    struct mbr_type_info info;

    for (int round = 0; round < 20000; round++) {
        unsigned char *bytes = (unsigned char *)&shape;

        shape_fill(&shape);
        for (int changes = 0; changes < 1 + round % 4; changes++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            bytes[(random >> 33) % sizeof(shape)] = (unsigned char)(random >> 25);
        }
        if (mbr_types_register(types, &shape.record) == 0) {
            mbr_types_free(types);
            assert_int_equal(mbr_types_new(&types), 0);
        } else {
            assert_int_equal(mbr_types_info(types, SHAPE, &info), -ENOENT);
        }
    }
}

/* A name that runs into memory that is not there. */
static void names_at_the_end_of_memory(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(munmap(memory + page, page), 0);
    memset(memory, 'a', page);
    shape.types[0].name = memory + page - 10;
    assert_int_equal(mbr_types_register(types, &shape.record), -EBADMSG);
    memory[page - 1] = '\0';
    assert_int_equal(mbr_types_register(types, &shape.record), 0);
    (void)munmap(memory, page);
}

static void supertypes_in_a_circle(void **state)
{
    shape.record.extends = (struct mbr_intf_ref){"Canvas", CANVAS};
    assert_int_equal(mbr_types_register(types, &shape.record), 0);
    assert_int_equal(mbr_types_register(types, &canvas.record), 0);
    assert_int_equal(mbr_types_is(types, SHAPE, CANVAS), 1);
    shape_fill(&shape);
    shape.record.code = SHAPE + 0x10000;
    shape.record.name = "Other";
    shape.record.n_types = shape.record.n_named = shape.record.n_exns = shape.record.n_ops = 0;
    assert_int_equal(mbr_types_register(types, &shape.record), 0);
    assert_int_equal(mbr_types_is(types, CANVAS, SHAPE + 0x10000), 0);
}

static void without_memory(void **state)
{
    struct mbr_type_info info;
    struct mbr_types *made;
    unsigned int n;

    for (n = 0;; n++) {
        int result;

        failalloc_arm(n);
        result = mbr_types_new(&made);
        if (!failalloc_disarm())
            break;
        assert_int_equal(result, -ENOMEM);
    }
    assert_true(n >= 3);
    mbr_types_free(made);
    for (n = 0;; n++) {
        int result;

        failalloc_arm(n);
        result = mbr_types_register(types, &shape.record);
        if (!failalloc_disarm())
            break;
        assert_int_equal(result, -ENOMEM);
        assert_int_equal(mbr_types_info(types, SHAPE, &info), -ENOENT);
    }
    assert_true(n >= 5);
    assert_int_equal(mbr_types_info(types, SHAPE, &info), 0);
}

/* ---- the one of the process ---- */

static struct mbr_intf_node shape_node = {&shape.record, NULL};
static struct mbr_intf_node canvas_node = {&canvas.record, NULL};

static void process_takes_in_what_is_announced(void **state)
{
    struct mbr_types *process = mbr_types_process();
    struct mbr_type_info info;

    assert_non_null(process);
    assert_ptr_equal(process, mbr_types_process());
    assert_int_equal(mbr_types_info(process, SHAPE, &info), -ENOENT);
    mbr_intf_link(&shape_node);
    mbr_intf_link(&shape_node);
    assert_int_equal(mbr_types_info(process, SHAPE, &info), 0);
    mbr_intf_link(&canvas_node);
    assert_int_equal(mbr_types_info(process, CANVAS | 1, &info), 0);
    mbr_intf_unlink(&shape_node);
    mbr_intf_unlink(&shape_node);
    mbr_intf_unlink(&canvas_node);
    assert_null(shape_node.next);
    assert_int_equal(mbr_types_info(process, SHAPE, &info), 0);
    mbr_intf_link(&canvas_node);
    mbr_intf_unlink(&canvas_node);
    assert_int_equal(mbr_types_info(process, CANVAS, &info), 0);
}

static void *look_up(void *arg)
{
    struct mbr_type_info info;
    uintptr_t found = 0;

    for (int i = 0; i < 20000; i++)
        found += mbr_types_info(types, CANVAS | 1, &info) == 0;
    return (void *)found;
}

static void threads_look_while_one_registers(void **state)
{
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_up, NULL), 0);
    assert_int_equal(mbr_types_register(types, &canvas.record), 0);
    assert_int_equal(mbr_types_register(types, &shape.record), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(look_up(NULL) == (void *)20000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(knows_the_predefined),
        TEST(finds_by_code_and_name),
        TEST(keeps_nothing_of_the_record),
        TEST(undoes_aliases),
        TEST(compatible_by_code_or_extension),
        TEST(waits_for_what_it_contains),
        TEST(stays_out_if_it_does_not_fit),
        TEST(detects_clashes),
        TEST(refuses_what_is_damaged),
        TEST(survives_any_bytes),
        TEST(names_at_the_end_of_memory),
        TEST(supertypes_in_a_circle),
        TEST(without_memory),
        TEST(process_takes_in_what_is_announced),
        TEST(threads_look_while_one_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
