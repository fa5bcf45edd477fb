/* SPDX-License-Identifier: MIT */
/*
 * The ten interfaces of the type system, clause by clause of their descriptions, over the
 * interfaces that the library itself brings and two of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <membrane/heap.h>
#include <membrane/typesystem.h>
#include <middl/Choice.h>
#include <middl/Enum.h>
#include <middl/Exception.h>
#include <middl/HeapMod.h>
#include <middl/Interface.h>
#include <middl/Operation.h>
#include <middl/Record.h>
#include <middl/TypeSystemMod.h>

#include "failalloc.h"
#include "types/heap/heapmod.h"
#include "types/system/typesystemmod.h"
#include "types_shape.h"

static struct shape shape;
static struct canvas canvas;
static TypeSystemF_clp ts;
static Heap_clp heap;
static _Alignas(16) unsigned char region[32 << 20];

/* A type system in a heap of its own, so that whatever is made in it is thrown away. */
static int setup(void **state)
{
    heap = HeapMod_NewRaw(&mbr__module_HeapMod, region, sizeof(region));
    shape_fill(&shape);
    canvas_fill(&canvas);
    ts = TypeSystemMod_New(&mbr__module_TypeSystemMod, heap, NULL, NULL);
    TypeSystemF_RegisterIntf(ts, &shape.record);
    TypeSystemF_RegisterIntf(ts, &canvas.record);
    return 0;
}

static void *closure_of(const char *path)
{
    Type_Any any;
    const char *dot = strchr(path, '>');
    Interface_clp intf;
    char name[64];
    Type_Any rep;

    (void)snprintf(name, sizeof(name), "%.*s", dot ? (int)(dot - path) : 63, path);
    assert_true(TypeSystemF_Get(ts, name, &any));
    assert_int_equal(any.type, CODE_Type_Code);
    (void)TypeSystemF_Info(ts, any.val, &rep);
    intf = (Interface_clp)(uintptr_t)rep.val;
    if (!dot)
        return intf;
    assert_true(Interface_Get(intf, dot + 1, &any));
    return (void *)(uintptr_t)any.val;
}

static void assert_lists(void *context, const char *const *names, uint32_t count)
{
    Context_Names *list = Context_List((Context_clp)context);

    assert_int_equal(list->len, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(list->data[i], names[i]);
        free((char *)(uintptr_t)list->data[i]);
    }
    MBR_SEQ_CLEAR(list);
    free(list);
}

#define LISTS(context, ...)                                     \
    assert_lists((context), (const char *const[]){__VA_ARGS__}, \
                 sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* EXPRESSION raises EXCEPTION. */
#define RAISES(exception, expression) \
    do {                              \
        volatile int raised = 0;      \
        TRY                           \
        {                             \
            (void)(expression);       \
        }                             \
        CATCH(exception)              \
        {                             \
            raised = 1;               \
        }                             \
        ENDTRY                        \
        assert_true(raised);          \
    } while (0)

/* ---- TypeSystem ---- */

static void maps_names_to_codes(void **state)
{
    Type_Any any;

    assert_true(TypeSystemF_Get(ts, "Shape", &any));
    assert_int_equal(any.type, CODE_Type_Code);
    assert_int_equal(any.val, SHAPE);
    assert_true(TypeSystemF_Get(ts, "Shape.Point", &any));
    assert_int_equal(any.val, SHAPE | SHAPE_POINT);
    assert_true(TypeSystemF_Get(ts, "LONG REAL", &any));
    assert_int_equal(any.val, MBR_CODE_LONG_REAL);
    assert_true(TypeSystemF_Get(ts, "TypeSystem.Predefined", &any));
    assert_int_equal(any.val, CODE_TypeSystem_Predefined);
    assert_false(TypeSystemF_Get(ts, "Shape.Nothing", &any));
    assert_false(TypeSystemF_Get(ts, "Point", &any));
    assert_false(TypeSystemF_Get(ts, "", &any));
    /* What a name maps to is a code, which is no Context. */
    RAISES(Context_NotContext, TypeSystemF_Get(ts, "Shape>Point", &any));
    assert_false(TypeSystemF_Get(ts, "Nothing>Point", &any));
}

static void lists_every_type(void **state)
{
    Context_Names *list = TypeSystemF_List(ts);
    bool found[3] = {false};
    Type_Any any;

    for (uint32_t i = 0; i < list->len; i++) {
        assert_true(TypeSystemF_Get(ts, list->data[i], &any));
        assert_string_equal(TypeSystemF_Name(ts, any.val), list->data[i]);
        found[0] |= strcmp(list->data[i], "Canvas") == 0;
        found[1] |= strcmp(list->data[i], "Canvas.Frame") == 0;
        found[2] |= strcmp(list->data[i], "OCTET") == 0;
        free((char *)(uintptr_t)list->data[i]);
    }
    assert_true(found[0] && found[1] && found[2]);
    MBR_SEQ_CLEAR(list);
    free(list);
}

static void assert_fixed(Context_clp context)
{
    const Type_Any any = {MBR_CODE_OCTET, 1};

    RAISES(Context_Denied, (Context_Add(context, "x", &any), 0));
    RAISES(Context_Denied, (Context_Remove(context, "x"), 0));
    RAISES(Context_Denied, (Context_Destroy(context), 0));
    assert_ptr_equal(Context_Dup(context, heap, NULL), context);
}

static void cannot_be_changed(void **state)
{
    static const char *const contexts[] = {"Shape",        "Shape>Colour", "Shape>Point",
                                           "Shape>Figure", "Shape>Bad",    "Shape>Draw"};

    assert_fixed((Context_clp)(void *)ts);
    for (size_t i = 0; i < COUNT(contexts); i++)
        assert_fixed(closure_of(contexts[i]));
}

static void assert_rep(const char *name, uint64_t code, uint64_t val)
{
    Interface_clp scope;
    Type_Any any, rep;

    assert_true(TypeSystemF_Get(ts, name, &any));
    scope = TypeSystemF_Info(ts, any.val, &rep);
    assert_int_equal(rep.type, code);
    assert_int_equal(rep.val, val);
    assert_ptr_equal(scope, closure_of("Shape"));
    /* Interface.Get says the same. */
    assert_true(Interface_Get(scope, strchr(name, '.') + 1, &any));
    assert_memory_equal(&any, &rep, sizeof(any));
}

static void info_represents_types(void **state)
{
    Interface_clp scope, iref;
    TypeSystem_Array *array;
    Type_Any rep;
    const char *name;
    bool local;
    uint64_t code;
    Interface_Needs *needs;

    assert_rep("Shape.Place", CODE_TypeSystem_Alias, SHAPE | SHAPE_POINT);
    assert_rep("Shape.Path", CODE_TypeSystem_Sequence, SHAPE | SHAPE_POINT);
    assert_rep("Shape.Colours", CODE_TypeSystem_Set, SHAPE | SHAPE_COLOUR);
    assert_rep("Shape.Ref", CODE_TypeSystem_Ref, SHAPE | SHAPE_POINT);
    assert_rep("Shape.Colour", CODE_TypeSystem_Enum, (uintptr_t)closure_of("Shape>Colour"));
    assert_rep("Shape.Point", CODE_TypeSystem_Record, (uintptr_t)closure_of("Shape>Point"));
    assert_rep("Shape.Figure", CODE_TypeSystem_Choice, (uintptr_t)closure_of("Shape>Figure"));
    (void)TypeSystemF_Info(ts, SHAPE | SHAPE_CORNERS, &rep);
    assert_int_equal(rep.type, CODE_TypeSystem_Array);
    array = (TypeSystem_Array *)(uintptr_t)rep.val;
    assert_int_equal(array->n, 3);
    assert_int_equal(array->tc, SHAPE | SHAPE_POINT);
    /* Interfaces are defined in one called IREF, which defines itself too; so are predefined types.
     */
    iref = TypeSystemF_Info(ts, SHAPE, &rep);
    assert_int_equal(rep.type, CODE_TypeSystem_Iref);
    assert_ptr_equal((void *)(uintptr_t)rep.val, closure_of("Shape"));
    needs = Interface_Info(iref, &local, &name, &code);
    assert_string_equal(name, "IREF");
    assert_int_equal(needs->len, 0);
    MBR_SEQ_CLEAR(needs);
    free(needs);
    assert_true(Interface_Get(iref, "IREF", &rep));
    assert_ptr_equal((void *)(uintptr_t)rep.val, iref);
    assert_true(Interface_Get(iref, "Shape", &rep));
    assert_true(Interface_Get(iref, "Shape>Point", &rep));
    assert_int_equal(rep.type, CODE_TypeSystem_Record);
    assert_false(Interface_Get(iref, "Shape.Point", &rep));
    scope = TypeSystemF_Info(ts, MBR_CODE_WORD, &rep);
    assert_ptr_equal(scope, iref);
    assert_int_equal(rep.type, CODE_TypeSystem_Predefined);
    assert_int_equal(rep.val, TypeSystem_Predefined_Word);
    (void)TypeSystemF_Info(ts, MBR_CODE_BOOLEAN, &rep);
    assert_int_equal(rep.val, TypeSystem_Predefined_Boolean);
}

static void sizes_names_largeness(void **state)
{
    assert_int_equal(TypeSystemF_Size(ts, MBR_CODE_STRING), sizeof(char *));
    assert_int_equal(TypeSystemF_Size(ts, SHAPE | SHAPE_PATH), sizeof(struct mbr_seq));
    assert_int_equal(TypeSystemF_Size(ts, SHAPE | SHAPE_ALL), sizeof(struct shape_all));
    assert_int_equal(TypeSystemF_Size(ts, SHAPE), sizeof(void *));
    assert_string_equal(TypeSystemF_Name(ts, SHAPE | SHAPE_ALL), "Shape.All");
    assert_string_equal(TypeSystemF_Name(ts, SHAPE), "Shape");
    assert_false(TypeSystemF_IsLarge(ts, MBR_CODE_STRING));
    assert_false(TypeSystemF_IsLarge(ts, SHAPE | SHAPE_COLOUR));
    assert_false(TypeSystemF_IsLarge(ts, SHAPE | SHAPE_COLOURS));
    assert_false(TypeSystemF_IsLarge(ts, SHAPE | SHAPE_REF));
    assert_false(TypeSystemF_IsLarge(ts, SHAPE));
    assert_true(TypeSystemF_IsLarge(ts, SHAPE | SHAPE_POINT));
    assert_true(TypeSystemF_IsLarge(ts, SHAPE | SHAPE_PLACE));
    assert_true(TypeSystemF_IsLarge(ts, SHAPE | SHAPE_PATH));
    assert_true(TypeSystemF_IsLarge(ts, SHAPE | SHAPE_CORNERS));
    assert_true(TypeSystemF_IsLarge(ts, SHAPE | SHAPE_FIGURE));
}

static void bad_codes(void **state)
{
    volatile uint64_t named = 0;
    Type_Any rep;

    TRY
    {
        (void)TypeSystemF_Size(ts, 99);
    }
    CATCH(TypeSystem_BadCode, args)
    {
        named = args->tc;
    }
    ENDTRY
    assert_int_equal(named, 99);
    RAISES(TypeSystem_BadCode, TypeSystemF_Info(ts, SHAPE | 99, &rep));
    RAISES(TypeSystem_BadCode, TypeSystemF_Name(ts, UINT64_MAX));
    RAISES(TypeSystem_BadCode, TypeSystemF_IsLarge(ts, 99));
    RAISES(TypeSystem_BadCode, TypeSystemF_IsType(ts, 99, SHAPE));
    RAISES(TypeSystem_BadCode, TypeSystemF_IsType(ts, SHAPE, 99));
    RAISES(TypeSystem_BadCode, TypeSystemF_UnAlias(ts, 99));
}

static void narrows(void **state)
{
    const Type_Any any = {CANVAS, 77};
    const Type_Any place = {SHAPE | SHAPE_PLACE, 78};
    const Type_Any unknown = {99, 1};

    assert_true(TypeSystemF_IsType(ts, CANVAS, SHAPE));
    assert_false(TypeSystemF_IsType(ts, SHAPE, CANVAS));
    assert_true(TypeSystemF_IsType(ts, CODE_TypeSystemF, CODE_Context));
    assert_false(TypeSystemF_IsType(ts, SHAPE | SHAPE_PLACE, SHAPE | SHAPE_POINT));
    assert_int_equal(TypeSystemF_Narrow(ts, &any, SHAPE), 77);
    assert_int_equal(TypeSystemF_Narrow(ts, &any, CANVAS), 77);
    RAISES(TypeSystem_Incompatible, TypeSystemF_Narrow(ts, &any, CODE_Context));
    RAISES(TypeSystem_Incompatible, TypeSystemF_Narrow(ts, &place, SHAPE | SHAPE_POINT));
    RAISES(TypeSystem_Incompatible, TypeSystemF_Narrow(ts, &unknown, SHAPE));
    assert_int_equal(TypeSystemF_UnAlias(ts, SHAPE | SHAPE_PLACE), SHAPE | SHAPE_POINT);
    assert_int_equal(TypeSystemF_UnAlias(ts, SHAPE), SHAPE);
}

/* ---- the contexts of parts ---- */

static void enums(void **state)
{
    Enum_clp colour = closure_of("Shape>Colour");
    Type_Any any;

    LISTS(colour, "red", "green", "blue");
    assert_true(Enum_Get(colour, "blue", &any));
    assert_int_equal(any.type, CODE_Enum_Value);
    assert_int_equal(any.val, 2);
    assert_false(Enum_Get(colour, "yellow", &any));
    RAISES(Context_NotContext, Enum_Get(colour, "red>x", &any));
    assert_false(Enum_Get(colour, "yellow>x", &any));
}

static void records(void **state)
{
    Record_clp point = closure_of("Shape>Point");
    const Record_Field *field;
    Type_Any any;

    LISTS(point, "x", "y");
    assert_true(Record_Get(point, "y", &any));
    assert_int_equal(any.type, CODE_Record_Field);
    field = (const Record_Field *)(uintptr_t)any.val;
    assert_int_equal(field->tc, MBR_CODE_INTEGER);
    assert_int_equal(field->offset, 4);
    assert_false(Record_Get(point, "z", &any));
}

static void choices(void **state)
{
    Choice_clp figure = closure_of("Shape>Figure");
    const Choice_Field *field;
    Type_Any any;

    LISTS(figure, "dot", "line", "text");
    assert_true(Choice_Get(figure, "text", &any));
    assert_int_equal(any.type, CODE_Choice_Field);
    field = (const Choice_Field *)(uintptr_t)any.val;
    assert_int_equal(field->n, 2);
    assert_int_equal(field->tc, MBR_CODE_STRING);
    assert_false(Choice_Get(figure, "circle", &any));
    assert_int_equal(Choice_Base(figure), SHAPE | SHAPE_KIND);
}

static void exceptions(void **state)
{
    Exception_clp bad = closure_of("Shape>Bad");
    Interface_clp intf;
    Type_Any any;
    uint32_t n;

    LISTS(bad, "why", "at");
    assert_true(Exception_Get(bad, "at", &any));
    assert_int_equal(any.type, CODE_Type_Code);
    assert_int_equal(any.val, SHAPE | SHAPE_POINT);
    assert_false(Exception_Get(bad, "when", &any));
    assert_string_equal(Exception_Info(bad, &intf, &n), "Bad");
    assert_ptr_equal(intf, closure_of("Shape"));
    assert_int_equal(n, 2);
}

static void operations(void **state)
{
    Operation_clp draw = closure_of("Shape>Draw");
    Operation_clp clear = closure_of("Canvas>Clear");
    const Operation_Parameter *parameter;
    Exception_List *list;
    Interface_clp intf;
    uint32_t n, a, r, e;
    const char *name;
    Type_Any any;

    LISTS(draw, "at", "left", "done");
    assert_true(Operation_Get(draw, "left", &any));
    assert_int_equal(any.type, CODE_Operation_Parameter);
    parameter = (const Operation_Parameter *)(uintptr_t)any.val;
    assert_int_equal(parameter->type, SHAPE | SHAPE_PATH);
    assert_int_equal(parameter->mode, Operation_ParamMode_Out);
    assert_true(Operation_Get(draw, "done", &any));
    parameter = (const Operation_Parameter *)(uintptr_t)any.val;
    assert_int_equal(parameter->mode, Operation_ParamMode_Result);
    assert_false(Operation_Get(draw, "nothing", &any));
    assert_int_equal(Operation_Info(draw, &name, &intf, &n, &a, &r, &e), Operation_Kind_Proc);
    assert_string_equal(name, "Draw");
    assert_ptr_equal(intf, closure_of("Shape"));
    assert_true(n == 0 && a == 2 && r == 1 && e == 1);
    assert_int_equal(Operation_Info(closure_of("Shape>Hint"), &name, &intf, &n, &a, &r, &e),
                     Operation_Kind_Announcement);
    /* The number counts inherited operations. */
    (void)Operation_Info(clear, &name, &intf, &n, &a, &r, &e);
    assert_int_equal(n, 2);
    list = Operation_Exceptions(draw, heap);
    assert_int_equal(list->len, 1);
    assert_ptr_equal(list->data[0], closure_of("Shape>Bad"));
    assert_ptr_equal(HEAP_OF(list), heap);
    assert_ptr_equal(HEAP_OF(list->base), heap);
    list = Operation_Exceptions(clear, NULL);
    assert_int_equal(list->len, 0);
    MBR_SEQ_CLEAR(list);
    free(list);
}

static void interfaces(void **state)
{
    Interface_clp s = closure_of("Shape"), c = closure_of("Canvas"), super;
    Interface_Needs *needs;
    const char *name;
    Type_Any any;
    uint64_t code;
    bool local;

    LISTS(s, "Colour", "Point", "Path", "Colours", "Corners", "Kind", "Figure", "Place", "Ref",
          "All");
    assert_true(Interface_Get(s, "Draw", &any));
    assert_int_equal(any.type, CODE_Operation);
    assert_true(Interface_Get(s, "Gone", &any));
    assert_int_equal(any.type, CODE_Exception);
    assert_false(Interface_Get(s, "Nothing", &any));
    /* A type is a Context if what represents it is one. */
    assert_true(Interface_Get(s, "Point>x", &any));
    assert_int_equal(any.type, CODE_Record_Field);
    assert_true(Interface_Get(s, "Draw>at", &any));
    RAISES(Context_NotContext, Interface_Get(s, "Path>x", &any));
    assert_false(Interface_Extends(s, &super));
    assert_true(Interface_Extends(c, &super));
    assert_ptr_equal(super, s);
    needs = Interface_Info(c, &local, &name, &code);
    assert_string_equal(name, "Canvas");
    assert_int_equal(code, CANVAS);
    assert_false(local);
    assert_int_equal(needs->len, 1);
    assert_ptr_equal(needs->data[0], s);
    MBR_SEQ_CLEAR(needs);
    free(needs);
    needs = Interface_Info(s, &local, &name, &code);
    assert_true(local);
    MBR_SEQ_CLEAR(needs);
    free(needs);
}

/* ---- TypeSystemF, TypeSystemMod ---- */

static void registers(void **state)
{
    struct shape other;

    TypeSystemF_RegisterIntf(ts, &shape.record);
    shape_fill(&other);
    other.record.code += 0x10000;
    other.record.n_types = other.record.n_named = other.record.n_ops = other.record.n_exns = 0;
    RAISES(TypeSystemF_NameClash, (TypeSystemF_RegisterIntf(ts, &other.record), 0));
    shape_fill(&other);
    other.point[0].name = "z";
    RAISES(TypeSystemF_TypeCodeClash, (TypeSystemF_RegisterIntf(ts, &other.record), 0));
    other.record.magic = 0;
    RAISES(TypeSystemF_TypeCodeClash, (TypeSystemF_RegisterIntf(ts, &other.record), 0));
    RAISES(TypeSystemF_TypeCodeClash, (TypeSystemF_RegisterIntf(ts, NULL), 0));
}

static void lives_in_its_heap(void **state)
{
    uint64_t before = failalloc_count();

    assert_true((unsigned char *)ts > region && (unsigned char *)ts < region + sizeof(region));
    TypeSystemF_RegisterIntf(ts, &shape.record);
    Heap_Check(heap, true);
    /* Checking a record takes memory for a moment; what stays is in the heap. */
    assert_true(failalloc_count() - before < 100);
}

static void no_room_in_its_heap(void **state)
{
    volatile int refused = 0;

    for (volatile size_t size = 4096; size < (1 << 20); size *= 2) {
        TRY
        {
            Heap_clp small = HeapMod_NewRaw(&mbr__module_HeapMod, region, size);

            (void)TypeSystemMod_New(&mbr__module_TypeSystemMod, small, NULL, NULL);
        }
        CATCH(Heap_NoMemory)
        {
            refused++;
        }
        ENDTRY
    }
    assert_true(refused > 0);
}

static void lists_without_memory(void **state)
{
    Interface_clp s = closure_of("Shape");

    for (volatile unsigned int n = 0;; n++) {
        volatile bool raised = false;
        Interface_Needs *needs;
        const char *name;
        uint64_t code;
        bool local;

        failalloc_arm(n);
        TRY
        {
            LISTS(s, "Colour", "Point", "Path", "Colours", "Corners", "Kind", "Figure", "Place",
                  "Ref", "All");
            needs = Interface_Info(s, &local, &name, &code);
            MBR_SEQ_CLEAR(needs);
            free(needs);
        }
        CATCH(Heap_NoMemory)
        {
            raised = true;
        }
        ENDTRY
        if (!failalloc_disarm())
            break;
        assert_true(raised);
    }
}

static void exceptions_without_memory(void **state)
{
    Operation_clp draw = closure_of("Shape>Draw");

    for (volatile unsigned int n = 0; n < 2; n++) {
        failalloc_arm(n);
        RAISES(Heap_NoMemory, Operation_Exceptions(draw, NULL));
        assert_true(failalloc_disarm());
    }
}

/* Everything the library brings can be walked through these interfaces. */
static void walks_everything(void **state)
{
    Interface_clp iref;
    Context_Names *list;
    Type_Any rep;
    uint32_t seen = 0;

    iref = TypeSystemF_Info(ts, SHAPE, &rep);
    list = Interface_List(iref);
    for (uint32_t i = 0; i < list->len; i++) {
        assert_true(Interface_Get(iref, list->data[i], &rep));
        if (rep.type == CODE_TypeSystem_Iref && (uintptr_t)rep.val != (uintptr_t)iref) {
            Context_Names *types = Interface_List((Interface_clp)(uintptr_t)rep.val);

            for (uint32_t k = 0; k < types->len; k++) {
                Type_Any any;

                assert_true(Interface_Get((Interface_clp)(uintptr_t)rep.val, types->data[k], &any));
                free((char *)(uintptr_t)types->data[k]);
                seen++;
            }
            MBR_SEQ_CLEAR(types);
            free(types);
        }
        free((char *)(uintptr_t)list->data[i]);
    }
    assert_true(seen > 10 + 1 + 20);
    MBR_SEQ_CLEAR(list);
    free(list);
}

static void the_processes(void **state)
{
    TypeSystem_clp process = mbr_typesystem_process();
    Type_Any any;

    assert_non_null(process);
    assert_ptr_equal((void *)process, (void *)mbr_typesystem(mbr_types_process()));
    assert_true(TypeSystem_Get(process, "Context.Names", &any));
    assert_int_equal(any.val, CODE_Context_Names);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(maps_names_to_codes),
        TEST(lists_every_type),
        TEST(cannot_be_changed),
        TEST(info_represents_types),
        TEST(sizes_names_largeness),
        TEST(bad_codes),
        TEST(narrows),
        TEST(enums),
        TEST(records),
        TEST(choices),
        TEST(exceptions),
        TEST(operations),
        TEST(interfaces),
        TEST(registers),
        TEST(lives_in_its_heap),
        TEST(no_room_in_its_heap),
        TEST(lists_without_memory),
        TEST(exceptions_without_memory),
        TEST(walks_everything),
        TEST(the_processes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
