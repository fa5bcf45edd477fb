/* SPDX-License-Identifier: MIT */
/* Syntax colouring: the words of each class of the token table, comments, numbers, declarations. */
#include "middl/grammar.h"

#include <string.h>

#include "middl/tokens.h"

enum class { STRUCTURE, DECLARATION, MODIFIER, BASE, MAKER, CLASSES };

static const struct {
    const char *text;
    enum class class;
} words[] = {
#define X(word, class) {#word, class},
    MC_WORDS(X)
#undef X
};

static const struct {
    const char *scope; /* TextMate */
    const char *group; /* vim */
    const char *shown; /* vim: as what */
} classes[CLASSES] = {
    {"keyword.control.middl", "middlStructure", "Statement"},
    {"storage.type.middl", "middlDeclaration", "Keyword"},
    {"storage.modifier.middl", "middlModifier", "StorageClass"},
    {"support.type.middl", "middlBase", "Type"},
    {"keyword.operator.middl", "middlMaker", "Structure"},
};

static void put_words(struct mbr__strbuf *out, enum class class, const char *between)
{
    const char *before = "";

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (words[i].class != class)
            continue;
        mbr__strbuf_printf(out, "%s%s", before, words[i].text);
        before = between;
    }
}

void mbr__mc_write_textmate(struct mbr__strbuf *out)
{
    mbr__strbuf_puts(out, "{\n"
                          "  \"name\": \"MIDDL\",\n"
                          "  \"scopeName\": \"source.middl\",\n"
                          "  \"fileTypes\": [\"if\"],\n"
                          "  \"patterns\": [\n"
                          "    {\"match\": \"" MC_COMMENT ".*$\", "
                          "\"name\": \"comment.line.double-dash.middl\"},\n");
    for (int class = 0; class < CLASSES; class ++) {
        mbr__strbuf_puts(out, "    {\"match\": \"\\\\b(");
        put_words(out, (enum class) class, "|");
        mbr__strbuf_printf(out, ")\\\\b\", \"name\": \"%s\"},\n", classes[class].scope);
    }
    mbr__strbuf_puts(out, "    {\"match\": \"^\\\\s*([A-Za-z_][A-Za-z_0-9]*)\\\\s*(?=:)\", "
                          "\"captures\": {\"1\": {\"name\": \"entity.name.function.middl\"}}},\n"
                          "    {\"match\": \"\\\\b[0-9]+\\\\b\", "
                          "\"name\": \"constant.numeric.middl\"}\n"
                          "  ]\n"
                          "}\n");
}

void mbr__mc_write_vim(struct mbr__strbuf *out)
{
    mbr__strbuf_puts(out, "\" Vim syntax file of MIDDL, made by middlc from its token table.\n"
                          "if exists(\"b:current_syntax\")\n"
                          "  finish\n"
                          "endif\n"
                          "syntax case match\n");
    for (int class = 0; class < CLASSES; class ++) {
        mbr__strbuf_printf(out, "syntax keyword %s ", classes[class].group);
        put_words(out, (enum class) class, " ");
        mbr__strbuf_putc(out, '\n');
    }
    mbr__strbuf_puts(out, "syntax match middlName \"^\\s*\\h\\w*\\ze\\s*:\"\n"
                          "syntax match middlNumber \"\\<\\d\\+\\>\"\n"
                          "syntax match middlComment \"" MC_COMMENT ".*$\" contains=@Spell\n"
                          "setlocal commentstring=" MC_COMMENT "\\ %s\n");
    for (int class = 0; class < CLASSES; class ++)
        mbr__strbuf_printf(out, "highlight default link %s %s\n", classes[class].group,
                           classes[class].shown);
    mbr__strbuf_puts(out, "highlight default link middlName Function\n"
                          "highlight default link middlNumber Number\n"
                          "highlight default link middlComment Comment\n"
                          "let b:current_syntax = \"middl\"\n");
}
