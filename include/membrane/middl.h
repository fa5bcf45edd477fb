/* SPDX-License-Identifier: MIT */
/*
 * What every header that middlc generates stands on: the C shape of closures, sequences, sets and
 * choices, and the layout of type records, which describe an interface at run time. The language is
 * described in middl(5), the compiler in middlc(1).
 *
 * Not here: raising and catching exceptions (membrane/exn.h), and looking types up.
 *
 * HOW MIDDL BECOMES C
 *
 *   BOOLEAN            bool           OCTET                uint8_t
 *   CHAR               char           STRING               const char *
 *   SHORT CARDINAL     uint16_t       SHORT INTEGER        int16_t
 *   CARDINAL           uint32_t       INTEGER              int32_t
 *   LONG CARDINAL      uint64_t       LONG INTEGER         int64_t
 *   REAL, LONG REAL    float, double  ADDRESS, WORD        void *, uintptr_t
 *   REF T              T *            IREF Foo             Foo_clp
 *   { a, b }           enum, 4 bytes, Foo_T_a = 0, Foo_T_b = 1, ...
 *   SET OF T           uint64_t, one bit for each value of T
 *   ARRAY n OF T       T [n]
 *   RECORD [ a : T ]   struct { T a; }
 *   SEQUENCE OF T      struct { uint32_t len, blen; T *data, *base; }
 *   CHOICE T OF { a => U }   struct { T tag; union { U a; } u; }
 *
 * Names. The declaration D of interface Foo is Foo_D in C, whether type, method or exception; a
 * type's last name is its typedef and its struct or enum tag. Names that C sees bare (parameters,
 * members, methods in operation tables) get a '_' appended when they are wholly upper case, as
 * macros are (EOF, NULL), end in "_t", as types of POSIX do (time_t), or are a word that C, C++ or
 * a standard header has taken (int, class, errno). A type without a name of its own is called after
 * the place it stands in: Foo_D_member.
 *
 * Calls. "M : PROC [ a : T, OUT b : U ] RETURNS [ r : V, s : W ]" is called as
 *
 *       V r = Foo_M(foo, a, &b, &s);
 *
 * Records, choices, sequences and arrays are *large*: an argument of them is passed by pointer, to
 * const when its mode is IN. OUT and IN OUT arguments of any type are passed by pointer. The first
 * result is what the function returns; the others follow the arguments, as pointers to where they
 * go. A large result is a pointer to storage that the callee has allocated and the caller frees.
 *
 * Memory. What an OUT argument points to is the caller's. What changes hands through a result, or
 * inside an OUT argument (the elements of a sequence, a string), comes from malloc() and is the
 * receiver's to free(), unless the interface's own text says otherwise.
 *
 * Exceptions. "E : EXCEPTION [ a : T ]" of Foo is identified by the string "Foo$E", which the macro
 * Foo_E stands for; two identities are equal when strcmp() says so. Its arguments are the struct
 * Foo_E_Args (absent when there are none; large ones are members by value), and RAISE_Foo_E(a)
 * raises it, from any function.
 */
#ifndef MEMBRANE_MIDDL_H
#define MEMBRANE_MIDDL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <membrane/base.h>

/* Functions that never return to their caller (NEVER RETURNS). */
#define MBR_NORETURN __attribute__((noreturn))

/* On structs that are looked at through more than one type. */
#define MBR_MAY_ALIAS __attribute__((may_alias))

MBR_BEGIN_DECLS

/* --- Closures --------------------------------------------------------------------------------- */

/*
 * Any closure: an operation table and the state it works on. The generated struct Foo_cl has the
 * same two members with types of its own. The table of Foo begins with the methods of its root
 * supertype, so a Foo serves wherever one of a supertype is expected: Foo_as_Super() converts. The
 * implementation owns both; a caller never copies the struct.
 */
struct MBR_MAY_ALIAS mbr_closure {
    const void *op;
    void *st;
};

/*
 * The same closure, to be looked at as one of a supertype: tells the compiler that what it knows of
 * the struct holds no longer, in place of may_alias, which gcc 12 fails on with -flto when the
 * struct is declared before it is defined. Costs no instruction. Generated code uses it.
 */
static inline void *mbr_upcast(void *closure)
{
    __asm__ __volatile__("" : "+r"(closure) : : "memory");
    return closure;
}

/* --- Sequences -------------------------------------------------------------------------------- */

/*
 * Any sequence. LEN elements begin at DATA; BASE is the block from malloc() they lie in, with room
 * for BLEN elements, or NULL when the elements belong to somebody else. All zero is the empty one.
 */
struct MBR_MAY_ALIAS mbr_seq {
    uint32_t len;
    uint32_t blen;
    void *data;
    void *base;
};

/*
 * Makes room for COUNT elements of SIZE > 0 bytes from DATA on; elements that belong to somebody
 * else are copied. -ENOMEM, with nothing changed, if there is no memory. Use MBR_SEQ_RESERVE.
 */
static inline int mbr_seq_reserve(void *sequence, size_t size, uint32_t count)
{
    struct mbr_seq *seq = (struct mbr_seq *)sequence;
    char *block;
    size_t before, i;

    before = seq->base ? (size_t)((char *)seq->data - (char *)seq->base) / size : 0;
    if (seq->base && before <= seq->blen && seq->blen - before >= count)
        return 0;
    if (count < seq->len)
        count = seq->len;
    if (count > SIZE_MAX / size)
        return -ENOMEM;
    block = (char *)malloc(count ? count * size : 1);
    if (!block)
        return -ENOMEM;
    for (i = 0; i < seq->len * size; i++)
        block[i] = ((const char *)seq->data)[i];
    free(seq->base);
    seq->data = seq->base = block;
    seq->blen = count;
    return 0;
}

/* Makes room for one more element, doubling the block. -ENOMEM as above. Use MBR_SEQ_APPEND. */
static inline int mbr_seq_grow(void *sequence, size_t size)
{
    struct mbr_seq *seq = (struct mbr_seq *)sequence;
    size_t before = seq->base ? (size_t)((char *)seq->data - (char *)seq->base) / size : 0;

    if (seq->base && before <= seq->blen && seq->blen - before > seq->len)
        return 0;
    if (seq->len > UINT32_MAX / 2 - 4)
        return -ENOMEM;
    return mbr_seq_reserve(sequence, size, seq->len * 2 + 4);
}

/* Frees the block, not what its elements point to; the sequence is then empty and usable. */
static inline void mbr_seq_clear(void *sequence)
{
    struct mbr_seq *seq = (struct mbr_seq *)sequence;

    free(seq->base);
    seq->len = seq->blen = 0;
    seq->data = seq->base = NULL;
}

/* SEQ is a pointer to any sequence and is evaluated several times. */
#define MBR_SEQ_RESERVE(seq, count) mbr_seq_reserve((seq), sizeof *(seq)->data, (count))
#define MBR_SEQ_CLEAR(seq)          mbr_seq_clear(seq)
/* The element at INDEX < len; an lvalue. */
#define MBR_SEQ_AT(seq, index) ((seq)->data[(index)])
/* Appends VALUE: 0, or -ENOMEM with nothing changed. */
#define MBR_SEQ_APPEND(seq, value)                \
    (mbr_seq_grow((seq), sizeof *(seq)->data) < 0 \
         ? -ENOMEM                                \
         : ((seq)->data[(seq)->len] = (value), (seq)->len++, 0))
/* Drops the first element of a sequence that has one; its memory stays with the block. */
#define MBR_SEQ_POP_FRONT(seq) ((seq)->len--, (seq)->data++)

/* --- Sets ------------------------------------------------------------------------------------- */

#define MBR_SET_EMPTY           UINT64_C(0)
#define MBR_SET_ONE(value)      (UINT64_C(1) << (unsigned int)(value))
#define MBR_SET_HAS(set, value) (((set) >> (unsigned int)(value)&1u) != 0)
#define MBR_SET_ADD(set, value) ((set) |= MBR_SET_ONE(value))
#define MBR_SET_DEL(set, value) ((set) &= ~MBR_SET_ONE(value))

/* --- Type codes ------------------------------------------------------------------------------- */

/*
 * A type code: 48 bits of an interface's fingerprint, then 16 bits of index. The fingerprint is the
 * first six bytes of the SHA-256 of the interface's canonical form (middlc --canonical prints it),
 * most significant first. Index 0 is the interface's own closure type, what IREF makes; then come
 * the named types in the order of the text, then those without a name. The fingerprint 0 belongs to
 * no interface: its types are the predefined ones.
 */
#define MBR_CODE_FINGERPRINT(code) ((uint64_t)(code) & ~UINT64_C(0xffff))
#define MBR_CODE_INDEX(code)       ((uint16_t)((code)&0xffffu))
#define MBR_CODE_BOOLEAN           UINT64_C(1)
#define MBR_CODE_SHORT_CARDINAL    UINT64_C(2)
#define MBR_CODE_CARDINAL          UINT64_C(3)
#define MBR_CODE_LONG_CARDINAL     UINT64_C(4)
#define MBR_CODE_SHORT_INTEGER     UINT64_C(5)
#define MBR_CODE_INTEGER           UINT64_C(6)
#define MBR_CODE_LONG_INTEGER      UINT64_C(7)
#define MBR_CODE_REAL              UINT64_C(8)
#define MBR_CODE_LONG_REAL         UINT64_C(9)
#define MBR_CODE_STRING            UINT64_C(10)
#define MBR_CODE_OCTET             UINT64_C(11)
#define MBR_CODE_CHAR              UINT64_C(12)
#define MBR_CODE_ADDRESS           UINT64_C(13)
#define MBR_CODE_WORD              UINT64_C(14)
#define MBR_CODE_LAST_PREDEFINED   UINT64_C(14)

/* --- Type records ----------------------------------------------------------------------------- */

/*
 * middlc --types writes one `const struct mbr_intf_record Foo_intf` for each interface, constant
 * data that refers to other interfaces by name and code only. It names its C types with sizeof and
 * offsetof, so it tells the truth about the program it is linked into. A record that came from
 * elsewhere (dlopen) is to be checked before use: nothing below promises that a stranger obeys.
 */
#define MBR_INTF_MAGIC   0x4d494444u /* "MIDD" */
#define MBR_INTF_VERSION 1u

/* The most of anything in a record; middlc refuses interfaces that have more. */
#define MBR_INTF_MAX_TYPES   65535u
#define MBR_INTF_MAX_MEMBERS 65535u
#define MBR_INTF_MAX_NAME    255u /* bytes of one identifier */

/* What a type is made of. The values are part of the record's format. */
enum mbr_type_kind {
    MBR_TYPE_ALIAS = 1,    /* base: the type it stands for (also IREF: an interface's code) */
    MBR_TYPE_ENUM = 2,     /* members: names in order; count: how many */
    MBR_TYPE_RECORD = 3,   /* members: name, type and offset */
    MBR_TYPE_CHOICE = 4,   /* base: the tag's type; members: name, type, offset; value: the tag */
    MBR_TYPE_ARRAY = 5,    /* base: the elements' type; count: how many */
    MBR_TYPE_SEQUENCE = 6, /* base: the elements' type */
    MBR_TYPE_SET = 7,      /* base: the values' type */
    MBR_TYPE_REF = 8       /* base: the type pointed to */
};

/* Bits of mbr_type_record.flags. */
#define MBR_TYPE_LARGE 1u /* passed by pointer */
#define MBR_TYPE_LOCAL \
    2u                   /* reaches REF, ADDRESS or WORD: has no meaning in another address space */
#define MBR_TYPE_IREF 4u /* reaches a reference to an interface */

/* A member of a record, choice or enumeration, or of an exception's arguments. */
struct mbr_member_record {
    const char *name; /* as in the MIDDL text */
    uint64_t type;    /* its type code; 0 in an enumeration */
    uint32_t offset;  /* bytes from the start of the struct; 0 in an enumeration */
    uint32_t value;   /* the number of an enumeration's member or of the tag; else its position */
};

struct mbr_type_record {
    uint64_t code;
    const char *name; /* NULL if it has none */
    uint32_t kind;    /* enum mbr_type_kind */
    uint32_t flags;
    uint32_t size; /* of the C type, in bytes */
    uint32_t align;
    uint64_t base;  /* see enum mbr_type_kind; else 0 */
    uint32_t count; /* members, or elements of an array; else 0 */
    uint32_t zero;
    const struct mbr_member_record *members; /* NULL unless there are members */
};

/* Another interface, as this one was compiled against it. */
struct mbr_intf_ref {
    const char *name; /* NULL: none */
    uint64_t code;
};

struct mbr_exn_record {
    const char *name;
    const char *id;                         /* "Foo$E" */
    const struct mbr_member_record *params; /* members of Foo_E_Args; NULL if it has none */
    uint32_t n_params;
    uint32_t size; /* of Foo_E_Args in bytes; 0 if it has no arguments */
};

enum mbr_op_kind { MBR_OP_PROC = 0, MBR_OP_ANNOUNCEMENT = 1, MBR_OP_NO_RETURN = 2 };

enum mbr_param_mode {
    MBR_PARAM_IN = 0,
    MBR_PARAM_OUT = 1,
    MBR_PARAM_IN_OUT = 2,
    MBR_PARAM_RESULT = 3
};

struct mbr_param_record {
    const char *name;
    uint64_t type;
    uint32_t mode; /* enum mbr_param_mode */
    uint32_t zero;
};

/* An exception that a method may raise: NAME of the interface INTF. */
struct mbr_raise_record {
    const char *name;
    struct mbr_intf_ref intf;
};

struct mbr_op_record {
    const char *name;
    uint32_t kind;  /* enum mbr_op_kind */
    uint32_t index; /* position in the operation table, inherited methods included */
    uint32_t n_args;
    uint32_t n_results;
    uint32_t n_raises;
    uint32_t zero;
    const struct mbr_param_record *params; /* arguments, then results; NULL if there are none */
    const struct mbr_raise_record *raises; /* distinct, in the order of the text; NULL if none */
};

/* Bits of mbr_intf_record.flags. */
#define MBR_INTF_LOCAL 1u

struct mbr_intf_record {
    uint32_t magic;
    uint16_t version;
    uint16_t flags;
    uint64_t code; /* index 0 */
    const char *name;
    struct mbr_intf_ref extends;
    const struct mbr_intf_ref *needs;    /* in the order of the text, without EXTENDS */
    const struct mbr_type_record *types; /* types[i] has index i + 1 */
    const struct mbr_exn_record *exns;
    const struct mbr_op_record *ops; /* own ones, in the order of the table */
    uint32_t n_needs;
    uint32_t n_types; /* all; the first n_named have names */
    uint32_t n_named;
    uint32_t n_exns;
    uint32_t n_ops;
    uint32_t first_op; /* number of inherited methods: index of ops[0] */
};

/* --- Announcing records ----------------------------------------------------------------------- */

/* A place in the list of the records that are in the process. */
struct mbr_intf_node {
    const struct mbr_intf_record *record;
    struct mbr_intf_node *next;
};

/*
 * Put NODE, which must stay where it is, into the process's list of records, or take it out.
 * Allocate nothing and check nothing: the type system judges a record when it takes it in. Any
 * thread. Linking a node twice, or unlinking one that is not in the list, does nothing.
 */
MBR_API void mbr_intf_link(struct mbr_intf_node *node);
MBR_API void mbr_intf_unlink(struct mbr_intf_node *node);

/*
 * At the end of each file of type records: the record is announced when the program or the shared
 * object it is part of is loaded, and withdrawn when that is unloaded.
 */
#define MBR_INTF_ANNOUNCE(name)                                         \
    static struct mbr_intf_node mbr_node_##name = {&name##_intf, NULL}; \
    __attribute__((constructor)) static void mbr_announce_##name(void)  \
    {                                                                   \
        mbr_intf_link(&mbr_node_##name);                                \
    }                                                                   \
    __attribute__((destructor)) static void mbr_withdraw_##name(void)   \
    {                                                                   \
        mbr_intf_unlink(&mbr_node_##name);                              \
    }                                                                   \
    extern const struct mbr_intf_record name##_intf

MBR_END_DECLS

#endif
