/* SPDX-License-Identifier: MIT */
/* The lower half of the parser: types, and the lists that records, enumerations, choices, arguments
 * and results are. */
#include "middl/parser.h"

/* --- Lists ------------------------------------------------------------------------------------ */

static struct mc_member *new_member(struct mc_parser *parser, struct mc_member ***end,
                                    uint32_t *count)
{
    struct mc_member *member;

    if (*count >= MC_MAX_MEMBERS) {
        mbr__mc_error(parser->run, parser->file, mbr__mc_now(parser)->pos,
                      "more than %u members in one list", MC_MAX_MEMBERS);
        return NULL;
    }
    member = MC_NEW(&parser->run->arena, struct mc_member);
    if (!member)
        return NULL;
    member->before = mbr__mc_comments_before(parser);
    for (uint32_t i = member->before.first; i < member->before.end; i++)
        parser->file->comments[i].taken = true;
    member->value = *count;
    **end = member;
    *end = &member->next;
    ++*count;
    return member;
}

/* Gives the type to the names of a group, which begins at FIRST. */
static void spread(struct mc_member *first, struct mc_type *type, enum mbr_param_mode mode,
                   bool explicit_in)
{
    for (struct mc_member *member = first; member; member = member->next) {
        member->type = type;
        member->mode = mode;
        member->explicit_in = explicit_in;
        member->grouped = member != first;
    }
}

/* name { "," name }, up to but without what follows; FIRST is the first of them. */
static bool names(struct mc_parser *parser, const char *what, struct mc_member ***end,
                  uint32_t *count, struct mc_member **first)
{
    struct mc_member *member;

    *first = NULL;
    do {
        member = new_member(parser, end, count);
        if (!member || !mbr__mc_expect_name(parser, what, &member->name, &member->pos))
            return false;
        if (!*first)
            *first = member;
    } while (mbr__mc_accept(parser, MC_COMMA));
    return true;
}

static bool mode(struct mc_parser *parser, bool allowed, enum mbr_param_mode *mode,
                 bool *explicit_in)
{
    struct mc_pos pos = mbr__mc_now(parser)->pos;

    *mode = MBR_PARAM_IN;
    *explicit_in = mbr__mc_accept(parser, MC_IN);
    if (mbr__mc_accept(parser, MC_OUT))
        *mode = *explicit_in ? MBR_PARAM_IN_OUT : MBR_PARAM_OUT;
    if (!allowed && (*explicit_in || *mode != MBR_PARAM_IN)) {
        mbr__mc_error(parser->run, parser->file, pos,
                      "IN and OUT are for the arguments of a PROC or ANNOUNCEMENT only");
        *mode = MBR_PARAM_IN;
        *explicit_in = false;
    }
    return true;
}

static bool field(struct mc_parser *parser, bool modes, struct mc_member ***end, uint32_t *count)
{
    struct mc_member *first;
    enum mbr_param_mode how;
    struct mc_comments before;
    struct mc_type *type;
    bool explicit_in;

    before = mbr__mc_comments_before(parser);
    if (!mode(parser, modes, &how, &explicit_in) ||
        !names(parser, "a name or ']'", end, count, &first))
        return false;
    if (before.first < first->before.first)
        first->before.first = before.first;
    for (uint32_t i = before.first; i < before.end; i++)
        parser->file->comments[i].taken = true;
    if (!mbr__mc_expect(parser, MC_COLON, "and a type behind the name") ||
        !mbr__mc_type(parser, &type))
        return false;
    spread(first, type, how, explicit_in);
    return true;
}

/* The last member gets the comment that stands beside it, or beside the separator behind it. */
static void beside(struct mc_parser *parser, struct mc_member **list, struct mc_member **end)
{
    struct mc_member *last;

    if (end == list)
        return;
    last = (struct mc_member *)(void *)((char *)end - offsetof(struct mc_member, next));
    if (!last->after)
        last->after = mbr__mc_comment_beside(parser);
}

bool mbr__mc_group(struct mc_parser *parser, bool modes, struct mc_member **members,
                   uint32_t *count)
{
    struct mc_member **end = members;

    *members = NULL;
    *count = 0;
    if (!mbr__mc_expect(parser, MC_OPEN, "before a list of names and types"))
        return false;
    while (!mbr__mc_accept(parser, MC_CLOSE)) {
        bool more;

        if (mbr__mc_begins_decl(parser)) /* a forgotten ']' costs one declaration, not two */
            return mbr__mc_unexpected(parser, "']' before the next declaration");
        if (!field(parser, modes, &end, count))
            return false;
        beside(parser, members, end);
        more = mbr__mc_accept(parser, MC_COMMA) || mbr__mc_accept(parser, MC_SEMICOLON);
        beside(parser, members, end);
        if (!more && !mbr__mc_at(parser, MC_CLOSE))
            return mbr__mc_unexpected(parser, "',', ';' or ']'");
    }
    return true;
}

/* The '}' behind a list of names or arms. */
static bool end_of_list(struct mc_parser *parser)
{
    return mbr__mc_accept(parser, MC_RBRACE) || mbr__mc_unexpected(parser, "',' or '}'");
}

static bool enumeration(struct mc_parser *parser, struct mc_type *type)
{
    struct mc_member **end = &type->members;
    struct mc_member *member;

    type->kind = MC_K_ENUM;
    do {
        beside(parser, &type->members, end);
        if (type->count && mbr__mc_at(parser, MC_RBRACE))
            break;
        member = new_member(parser, &end, &type->count);
        if (!member ||
            !mbr__mc_expect_name(parser, "the name of a value", &member->name, &member->pos))
            return false;
        beside(parser, &type->members, end);
    } while (mbr__mc_accept(parser, MC_COMMA));
    return end_of_list(parser);
}

static bool choice(struct mc_parser *parser, struct mc_type *type)
{
    struct mc_member **end = &type->members;
    struct mc_member *first;
    struct mc_type *arm;

    type->kind = MC_K_CHOICE;
    parser->tag = true;
    if (!mbr__mc_type(parser, &type->base) ||
        !mbr__mc_expect(parser, MC_OF, "after the type of a CHOICE's tag") ||
        !mbr__mc_expect(parser, MC_LBRACE, "before the arms of a CHOICE"))
        return false;
    do {
        beside(parser, &type->members, end);
        if (type->count && mbr__mc_at(parser, MC_RBRACE))
            break;
        if (!names(parser, "the name of an arm", &end, &type->count, &first) ||
            !mbr__mc_expect(parser, MC_ARROW, "after the name of an arm") ||
            !mbr__mc_type(parser, &arm))
            return false;
        spread(first, arm, MBR_PARAM_IN, false);
        beside(parser, &type->members, end);
    } while (mbr__mc_accept(parser, MC_COMMA));
    return end_of_list(parser);
}

/* --- Types ------------------------------------------------------------------------------------ */

static bool predefined(struct mc_parser *parser, struct mc_type *type, uint64_t code)
{
    type->kind = MC_K_PREDEFINED;
    type->predefined = (uint32_t)code;
    mbr__mc_advance(parser);
    return true;
}

/* What may follow SHORT or LONG. */
static bool sized(struct mc_parser *parser, struct mc_type *type, bool is_long)
{
    mbr__mc_advance(parser);
    if (mbr__mc_at(parser, MC_CARDINAL))
        return predefined(parser, type, is_long ? MBR_CODE_LONG_CARDINAL : MBR_CODE_SHORT_CARDINAL);
    if (mbr__mc_at(parser, MC_INTEGER))
        return predefined(parser, type, is_long ? MBR_CODE_LONG_INTEGER : MBR_CODE_SHORT_INTEGER);
    if (is_long && mbr__mc_at(parser, MC_REAL))
        return predefined(parser, type, MBR_CODE_LONG_REAL);
    return mbr__mc_unexpected(parser, is_long ? "CARDINAL, INTEGER or REAL after LONG"
                                              : "CARDINAL or INTEGER after SHORT");
}

static bool dangerous(struct mc_parser *parser, struct mc_type *type)
{
    mbr__mc_advance(parser);
    type->dangerous = true;
    if (mbr__mc_at(parser, MC_ADDRESS))
        return predefined(parser, type, MBR_CODE_ADDRESS);
    if (mbr__mc_at(parser, MC_WORD))
        return predefined(parser, type, MBR_CODE_WORD);
    return mbr__mc_unexpected(parser, "ADDRESS or WORD after DANGEROUS");
}

static bool array(struct mc_parser *parser, struct mc_type *type)
{
    type->kind = MC_K_ARRAY;
    mbr__mc_advance(parser);
    if (!mbr__mc_at(parser, MC_NUMBER))
        return mbr__mc_unexpected(parser, "the number of elements after ARRAY");
    type->name_pos = mbr__mc_now(parser)->pos;
    type->count = (uint32_t)mbr__mc_now(parser)->number;
    mbr__mc_advance(parser);
    return mbr__mc_expect(parser, MC_OF, "after the number of elements") &&
           mbr__mc_type(parser, &type->base);
}

static bool iref(struct mc_parser *parser, struct mc_type *type)
{
    type->kind = MC_K_IREF;
    mbr__mc_advance(parser);
    return mbr__mc_expect_name(parser, "the name of an interface after IREF", &type->name,
                               &type->name_pos);
}

/* SET OF, SEQUENCE OF, REF. */
static bool of_base(struct mc_parser *parser, struct mc_type *type, enum mc_kind kind)
{
    type->kind = kind;
    mbr__mc_advance(parser);
    if (kind != MC_K_REF &&
        !mbr__mc_expect(parser, MC_OF, kind == MC_K_SET ? "after SET" : "after SEQUENCE"))
        return false;
    return mbr__mc_type(parser, &type->base);
}

static bool type_inside(struct mc_parser *parser, struct mc_type *type)
{
    /* The words that are types by themselves, and their codes. */
    static const uint64_t words[] = {
        [MC_BOOLEAN] = MBR_CODE_BOOLEAN, [MC_OCTET] = MBR_CODE_OCTET,
        [MC_CHAR] = MBR_CODE_CHAR,       [MC_STRING] = MBR_CODE_STRING,
        [MC_REAL] = MBR_CODE_REAL,       [MC_CARDINAL] = MBR_CODE_CARDINAL,
        [MC_INTEGER] = MBR_CODE_INTEGER, [MC_ADDRESS] = MBR_CODE_ADDRESS,
        [MC_WORD] = MBR_CODE_WORD,
    };
    unsigned int kind = mbr__mc_now(parser)->kind;
    bool tag = parser->tag;

    parser->tag = false;
    if (kind < sizeof words / sizeof *words && words[kind])
        return predefined(parser, type, words[kind]);
    switch ((int)kind) {
    case MC_LONG:
    case MC_SHORT:
        return sized(parser, type, mbr__mc_at(parser, MC_LONG));
    case MC_DANGEROUS:
        return dangerous(parser, type);
    case MC_ARRAY:
        return array(parser, type);
    case MC_SET:
        return of_base(parser, type, MC_K_SET);
    case MC_SEQUENCE:
        return of_base(parser, type, MC_K_SEQUENCE);
    case MC_REF:
        return of_base(parser, type, MC_K_REF);
    case MC_IREF:
        return iref(parser, type);
    case MC_LBRACE:
        mbr__mc_advance(parser);
        return enumeration(parser, type);
    case MC_RECORD:
        type->kind = MC_K_RECORD;
        mbr__mc_advance(parser);
        return mbr__mc_group(parser, false, &type->members, &type->count);
    case MC_CHOICE:
        mbr__mc_advance(parser);
        return choice(parser, type);
    case MC_NAME:
        /* "SEQENCE OF" is no type of that name. */
        if ((parser->tokens[1].kind == MC_OF && !tag) || parser->tokens[1].kind == MC_OPEN)
            return mbr__mc_unexpected(parser, "a type");
        type->kind = MC_K_NAMED;
        return mbr__mc_scoped(parser, "the name of a type", &type->head, &type->name,
                              &type->name_pos);
    default:
        return mbr__mc_unexpected(parser, "a type");
    }
}

bool mbr__mc_type(struct mc_parser *parser, struct mc_type **type)
{
    bool well;

    *type = MC_NEW(&parser->run->arena, struct mc_type);
    if (!*type)
        return false;
    (*type)->pos = mbr__mc_now(parser)->pos;
    if (parser->depth >= MC_MAX_DEPTH) {
        mbr__mc_error(parser->run, parser->file, (*type)->pos, "types nest deeper than %u",
                      MC_MAX_DEPTH);
        return false;
    }
    parser->depth++;
    well = type_inside(parser, *type);
    parser->depth--;
    return well;
}
