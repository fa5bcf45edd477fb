/* SPDX-License-Identifier: MIT */
/* ContextUtil: a listing of a context, one line for each binding, with types and values as the
 * process's type system prints them. */
#include <middl/ContextUtil.h>

#include <inttypes.h>
#include <stdlib.h>

#include <middl/Thread.h>
#include <middl/Wr.h>

#include "base/log.h"
#include "base/strbuf.h"
#include "types/context/context.h"
#include "types/modules.h"

#include <membrane/types.h>

/* The longest line; what a value has more is cut. */
#define LINE_MAX_BYTES 400

/* What an Any holds, or its bare number where its type is not known here. */
static void put_any(struct mbr__strbuf *line, const Type_Any *any)
{
    struct mbr_types *types = mbr_types_process();
    struct mbr_type_info info;
    const void *value = &any->val;
    char *text;

    if (!types || mbr_types_info(types, any->type, &info)) {
        mbr__strbuf_printf(line, "type 0x%016" PRIx64 " = 0x%" PRIx64, any->type, any->val);
        return;
    }
    mbr__strbuf_printf(line, "%s = ", info.name);
    if (info.large)
        value = (const void *)(uintptr_t)any->val;
    if (!value || mbr_value_print(types, any->type, value, MBR_VALUE_TEXT, &text, NULL)) {
        mbr__strbuf_printf(line, "0x%" PRIx64, any->val);
        return;
    }
    mbr__strbuf_printf(line, "%.300s", text);
    free(text);
}

static void put_line(Wr_clp wr, const char *indent, const char *arc, const Type_Any *any)
{
    char array[LINE_MAX_BYTES];
    struct mbr__strbuf line;

    Wr_PutStr(wr, indent);
    Wr_PutStr(wr, arc);
    mbr__strbuf_init_fixed(&line, array, sizeof(array));
    mbr__strbuf_puts(&line, " : ");
    if (any)
        put_any(&line, any);
    else
        mbr__strbuf_puts(&line, "(not to be had)");
    mbr__strbuf_putc(&line, '\n');
    Wr_PutStr(wr, mbr__strbuf_text(&line));
}

/* One that has gone, or may not be looked at, is listed without its value. */
static bool get(Context_clp cx, const char *arc, Type_Any *any)
{
    volatile bool present = false;

    TRY
    {
        present = Context_Get(cx, arc, any);
    }
    CATCH(Context_Denied)
    {
    }
    CATCH(Context_NotContext)
    {
    }
    ENDTRY
    return present;
}

static void list_context(Context_clp cx, Wr_clp wr, const char *name)
{
    Context_Names *names = Context_List(cx);

    TRY
    {
        Wr_PutStr(wr, name);
        Wr_PutStr(wr, ":\n");
        for (uint32_t i = 0; names && i < names->len; i++) {
            Type_Any any;

            put_line(wr, "  ", names->data[i], get(cx, names->data[i], &any) ? &any : NULL);
        }
    }
    FINALLY
    {
        mbr__names_free(names);
    }
    ENDTRY
}

static void list_any(const Type_Any *any, Wr_clp wr, const char *name)
{
    Context_clp cx = mbr__context_in(NULL, any);

    if (cx)
        list_context(cx, wr, name ? name : "");
    else
        put_line(wr, "", name ? name : "", any);
}

/* List cannot say that the writer has failed; there is nothing more to do then. */
static void list(ContextUtil_clp self, const Type_Any *cx, Wr_clp wr, const char *name)
{
    (void)self;
    TRY
    {
        list_any(cx, wr, name);
    }
    CATCH(Wr_Failure, args)
    {
        mbr__log(MBR_LOG_WARNING, "ContextUtil.List: Wr$Failure[%" PRIu32 "]", args->why);
    }
    CATCH(Thread_Alerted)
    {
        mbr__log(MBR_LOG_WARNING, "ContextUtil.List: Thread$Alerted");
    }
    ENDTRY
}

static const ContextUtil_op util_op = {.List = list};

ContextUtil_cl mbr__module_ContextUtil = {&util_op, NULL};
