/* SPDX-License-Identifier: MIT */
/*
 * Readers, writers and memory files under random operations, against an array of bytes and a
 * position. The stream under test is a random stack of buffers of random sizes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/prop.h"
#include "io_test.h"

#define SIZE 300

static void fill(struct prop *p, char text[SIZE], uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        text[i] = prop_choose(p, 6) ? (char)('a' + i % 26) : '\n';
}

/* --- Readers ---------------------------------------------------------------------------------- */

/* What a reader of TEXT should be like. */
struct model {
    const char *text;
    uint64_t size, at;
    bool can_unget;
};

static Rd_clp choose_rd(struct prop *p, char *text, uint32_t size, bool *seekable)
{
    Wr_clp wr;
    Rd_clp rd;

    *seekable = prop_choose(p, 2) == 0;
    if (*seekable) {
        rd = RdWrMod_NewMemRd(rdwr(), text, size, NULL);
    } else {
        rd = RdWrMod_NewPipe(rdwr(), NULL, SIZE, 1 + prop_choose(p, SIZE), &wr);
        Wr_PutChars(wr, text, size);
        Wr_Close(wr);
    }
    while (prop_choose(p, 3) == 0)
        rd = RdWrMod_NewBufferedRd(rdwr(), NULL, prop_choose(p, 40), prop_choose(p, 40),
                                   prop_choose(p, 40), rd);
    return rd;
}

static uint64_t line_length(const struct model *m, uint64_t nb)
{
    uint64_t n = 0;

    while (n < nb && m->at + n < m->size && (n == 0 || m->text[m->at + n - 1] != '\n'))
        n++;
    return n;
}

/* What GETTING returns: -1 for EndOfFile. */
static int getc_of(Rd_clp rd)
{
    volatile int c = -1;

    TRY
    {
        c = Rd_GetC(rd);
    }
    CATCH(Rd_EndOfFile)
    {
    }
    ENDTRY
    return c;
}

static uint32_t unget_fails(Rd_clp rd)
{
    return FAILURE(Rd, Rd_UnGetC(rd));
}

static bool read_some(struct prop *p, Rd_clp rd, struct model *m, bool line)
{
    char buf[SIZE + 8];
    uint64_t nb = prop_choose(p, 60);
    uint64_t left = m->size - m->at;
    uint64_t expected = line ? line_length(m, nb) : nb < left ? nb : left;

    PROP_CHECK(p, (line ? Rd_GetLine(rd, buf, nb) : Rd_GetChars(rd, buf, nb)) == expected);
    PROP_CHECK(p, memcmp(buf, m->text + m->at, (size_t)expected) == 0);
    m->at += expected;
    m->can_unget = false;
    return true;
}

static bool getc_once(struct prop *p, Rd_clp rd, struct model *m)
{
    bool end = m->at == m->size;

    PROP_CHECK(p, getc_of(rd) == (end ? -1 : m->text[m->at]));
    m->at += !end;
    m->can_unget = !end;
    return true;
}

static bool unget_once(struct prop *p, Rd_clp rd, struct model *m)
{
    bool fails = m->at > 0 && !m->can_unget;

    PROP_CHECK(p, unget_fails(rd) == (fails ? 3 : 0));
    m->at -= m->at > 0 && !fails;
    m->can_unget = false;
    return true;
}

static bool rd_step(struct prop *p, Rd_clp rd, struct model *m, bool seekable)
{
    uint64_t n;

    switch (prop_choose(p, 7)) {
    case 0:
        return read_some(p, rd, m, true);
    case 1:
        return read_some(p, rd, m, false);
    case 2:
        return unget_once(p, rd, m);
    case 3:
        PROP_CHECK(p, Rd_EOF(rd) == (m->at == m->size));
        m->can_unget = false;
        return true;
    case 4:
        n = Rd_CharsReady(rd);
        PROP_CHECK(p, n <= m->size - m->at + 1);
        m->can_unget = false;
        return true;
    case 5:
        n = prop_choose(p, SIZE + 50);
        if (seekable) {
            Rd_Seek(rd, n);
            m->at = n < m->size ? n : m->size;
            m->can_unget = false;
        }
        return true;
    default:
        return getc_once(p, rd, m);
    }
}

static bool reader_like_model(struct prop *p)
{
    char text[SIZE];
    uint32_t size = prop_choose(p, SIZE);
    bool seekable, ok = true;
    struct model m = {text, size, 0, false};
    Rd_clp rd;

    fill(p, text, size);
    rd = choose_rd(p, text, size, &seekable);
    while (ok && prop_more(p)) {
        ok = rd_step(p, rd, &m, seekable);
        if (ok && Rd_Index(rd) != m.at) {
            snprintf(p->failure, sizeof(p->failure), "wrong index");
            ok = false;
        }
    }
    Rd_Close(rd);
    return ok;
}

static void readers_behave_like_their_model(void **state)
{
    prop_run("reader_like_model", reader_like_model, 1500);
}

/* --- Writers ---------------------------------------------------------------------------------- */

static bool wr_steps(struct prop *p, Wr_clp wr, char *text, uint64_t *length, bool seekable)
{
    char piece[SIZE];
    uint64_t at = 0;

    while (prop_more(p)) {
        uint64_t n = prop_choose(p, 30);

        if (prop_choose(p, 8) == 0)
            Wr_Flush(wr);
        if (seekable && prop_choose(p, 3) == 0) {
            Wr_Seek(wr, n * 10);
            at = n * 10 < *length ? n * 10 : *length;
        }
        if (at + n > SIZE)
            continue;
        fill(p, piece, (uint32_t)n);
        Wr_PutChars(wr, piece, n);
        memcpy(text + at, piece, (size_t)n);
        at += n;
        *length = at > *length ? at : *length;
        PROP_CHECK(p, Wr_Index(wr) == at);
        PROP_CHECK(p, Wr_Length(wr) == *length);
    }
    return true;
}

static bool writer_like_model(struct prop *p)
{
    char text[SIZE], got[SIZE + 1];
    uint64_t length = 0;
    bool seekable = true;
    MemFile_clp file = mem_file(NULL);
    Wr_clp wr = MemFile_OpenWr(file);
    Rd_clp rd;
    bool ok;

    while (prop_choose(p, 3) == 0) {
        wr = RdWrMod_NewBufferedWr(rdwr(), NULL, prop_choose(p, 40), prop_choose(p, 40),
                                   prop_choose(p, 40), wr);
        seekable = false;
    }
    ok = wr_steps(p, wr, text, &length, seekable);
    Wr_Close(wr);
    rd = MemFile_OpenRd(file);
    if (ok && (Rd_GetChars(rd, got, sizeof(got)) != length || memcmp(got, text, length) != 0)) {
        snprintf(p->failure, sizeof(p->failure), "wrong contents");
        ok = false;
    }
    Rd_Close(rd);
    MemFile_Dispose(file);
    return ok;
}

static void writers_behave_like_their_model(void **state)
{
    prop_run("writer_like_model", writer_like_model, 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_behave_like_their_model),
        cmocka_unit_test(writers_behave_like_their_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
