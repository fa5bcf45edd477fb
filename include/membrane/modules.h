/* SPDX-License-Identifier: MIT */
/*
 * The factories in libmiddl: interfaces whose closures have no state of their own, from which all
 * else is made. A WordTbl, for example:
 *
 *     WordTblMod_clp mod = MBR_MODULE(WordTblMod);
 *     WordTbl_clp table = WordTblMod_New(mod, NULL);
 *
 * where NULL in the place of a heap stands for malloc. They are ContextMod, ContextUtil,
 * ExnSystem, HashMod, HeapMod, LongCardTblMod, MemFileMod, RdRedirMod, RdWrMod, StringTblMod,
 * StringUtil, Time, TypeSystemMod, WTime, WordTblMod and WrRedirMod; docs/interfaces.md says what
 * each does.
 *
 * Not here: modules of other libraries, and the name space in which a program finds them.
 */
#ifndef MEMBRANE_MODULES_H
#define MEMBRANE_MODULES_H

#include <stddef.h>
#include <stdint.h>

#include <membrane/base.h>

MBR_BEGIN_DECLS

/* One factory. All of it is static. */
struct mbr_factory {
    const char *name; /* of the interface */
    uint64_t code;    /* its type code */
    void *closure;    /* a NAME_clp */
};

/*
 * The closure of the factory whose interface has the type code CODE, or NULL if the library has
 * none such; also if the caller was compiled against another version of the interface, since it
 * then has another code. Any thread; never blocks, fails or allocates.
 */
MBR_API void *mbr_module(uint64_t code);

/* The factory called NAME as a NAME_clp, or NULL. <middl/NAME.h> must be included. */
#define MBR_MODULE(name) ((name##_clp)mbr_module(CODE_##name))

/* All of them, in the order of their names; *COUNT is how many. Any thread; never fails. */
MBR_API const struct mbr_factory *mbr_modules(size_t *count);

/*
 * Data that is linked into a program and can be read through RdWrMod.GetBlobRd, to which a pointer
 * to this is the Blob. Both belong to the caller and must outlive the reader.
 */
struct mbr_blob {
    const void *data; /* may be NULL if size is 0 */
    uint64_t size;    /* bytes */
};

MBR_END_DECLS

#endif
