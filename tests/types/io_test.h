/* SPDX-License-Identifier: MIT */
/* What the tests of readers and writers share. Include after cmocka.h. */
#ifndef MBR_TESTS_IO_TEST_H
#define MBR_TESTS_IO_TEST_H

#include <pthread.h>
#include <string.h>

#include <membrane/modules.h>
#include <middl/MemFile.h>
#include <middl/MemFileMod.h>
#include <middl/Rd.h>
#include <middl/RdRedir.h>
#include <middl/RdRedirMod.h>
#include <middl/RdWrMod.h>
#include <middl/Thread.h>
#include <middl/Wr.h>
#include <middl/WrRedir.h>
#include <middl/WrRedirMod.h>

#include "test_heap.h"

static inline RdWrMod_clp rdwr(void)
{
    return MBR_MODULE(RdWrMod);
}

static inline Rd_clp mem_rd(const char *text)
{
    return RdWrMod_NewMemRd(rdwr(), (char *)(uintptr_t)text, strlen(text), NULL);
}

static inline MemFile_clp mem_file(Heap_clp heap)
{
    return MemFileMod_New(MBR_MODULE(MemFileMod), heap);
}

/* All that is left in RD, as a string; BUF has SIZE bytes. */
static inline const char *read_all(Rd_clp rd, char *buf, size_t size)
{
    buf[Rd_GetChars(rd, buf, size - 1)] = '\0';
    return buf;
}

/* A file with TEXT in it. */
static inline MemFile_clp file_with(const char *text, Heap_clp heap)
{
    MemFile_clp file = mem_file(heap);
    Wr_clp wr = MemFile_OpenWr(file);

    Wr_PutStr(wr, text);
    Wr_Close(wr);
    return file;
}

/* What the file holds, as a string. */
static inline const char *contents(MemFile_clp file, char *buf, size_t size)
{
    Rd_clp rd = MemFile_OpenRd(file);

    read_all(rd, buf, size);
    Rd_Close(rd);
    return buf;
}

#endif
