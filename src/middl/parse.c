/* SPDX-License-Identifier: MIT */
/* The upper half of the parser: an interface, its head, its declarations, and going on after a
 * mistake. */
#include <stdio.h>

#include "middl/parser.h"

/* --- Tokens ----------------------------------------------------------------------------------- */

void mbr__mc_advance(struct mc_parser *parser)
{
    const struct mc_token *token = &parser->tokens[0];

    parser->last_end = token->pos;
    parser->last_end.col += token->name ? token->name->length : 1u;
    parser->tokens[0] = parser->tokens[1];
    parser->tokens[1] = parser->tokens[2];
    mbr__mc_lex(&parser->lexer, &parser->tokens[2]);
}

bool mbr__mc_accept(struct mc_parser *parser, enum mc_tok kind)
{
    if (!mbr__mc_at(parser, kind))
        return false;
    mbr__mc_advance(parser);
    return true;
}

/* The current token as messages quote it. */
static const char *found_text(const struct mc_parser *parser, char buffer[300])
{
    const struct mc_token *token = mbr__mc_now(parser);

    if (token->kind == MC_NAME)
        snprintf(buffer, 300, "'%s'", token->name->text);
    else if (token->kind == MC_NUMBER)
        snprintf(buffer, 300, "the number %llu", (unsigned long long)token->number);
    else
        snprintf(buffer, 300, "%s", mbr__mc_token_text(token->kind));
    return buffer;
}

/* A reserved word that the current name may have been meant to be. */
static const char *guess_word(const struct mc_parser *parser, char buffer[300])
{
    const struct mc_token *token = mbr__mc_now(parser);
    struct mc_guess guess;

    buffer[0] = '\0';
    if (token->kind != MC_NAME)
        return buffer;
    mbr__mc_guess_init(parser->run, &guess, token->name->text);
    for (int kind = 0; kind < MC_TOKENS; kind++)
        if (mbr__mc_word_text((enum mc_tok)kind))
            mbr__mc_guess_offer(&guess, mbr__mc_word_text((enum mc_tok)kind));
    return mbr__mc_guess_text(&guess, buffer);
}

bool mbr__mc_unexpected(struct mc_parser *parser, const char *wanted)
{
    char found[300], guess[300];

    if (!parser->run->arena.error)
        mbr__mc_error(parser->run, parser->file, mbr__mc_now(parser)->pos,
                      "expected %s, found %s%s", wanted, found_text(parser, found),
                      guess_word(parser, guess));
    return false;
}

bool mbr__mc_expect(struct mc_parser *parser, enum mc_tok kind, const char *where)
{
    char wanted[160];

    if (mbr__mc_accept(parser, kind))
        return true;
    snprintf(wanted, sizeof wanted, "%s %s", mbr__mc_token_text(kind), where);
    return mbr__mc_unexpected(parser, wanted);
}

bool mbr__mc_expect_name(struct mc_parser *parser, const char *what, struct mc_name **name,
                         struct mc_pos *pos)
{
    const struct mc_token *token = mbr__mc_now(parser);

    if (token->kind == MC_NAME) {
        *name = token->name;
        *pos = token->pos;
        mbr__mc_advance(parser);
        return true;
    }
    if (mbr__mc_word_text(token->kind)) {
        mbr__mc_error(parser->run, parser->file, token->pos,
                      "expected %s, found the reserved word '%s'", what,
                      mbr__mc_word_text(token->kind));
        return false;
    }
    return mbr__mc_unexpected(parser, what);
}

bool mbr__mc_scoped(struct mc_parser *parser, const char *what, struct mc_name **head,
                    struct mc_name **name, struct mc_pos *pos)
{
    struct mc_pos behind;

    *head = NULL;
    if (!mbr__mc_expect_name(parser, what, name, pos))
        return false;
    if (!mbr__mc_at(parser, MC_DOT))
        return true;
    mbr__mc_advance(parser);
    *head = *name;
    return mbr__mc_expect_name(parser, "a name behind the dot", name, &behind);
}

/* --- Comments --------------------------------------------------------------------------------- */

static uint32_t comments_seen(const struct mc_parser *parser)
{
    return mbr__mc_now(parser)->comments;
}

struct mc_comments mbr__mc_comments_before(const struct mc_parser *parser)
{
    struct mc_comments range = {comments_seen(parser), comments_seen(parser)};

    while (range.first > 0 && !parser->file->comments[range.first - 1].taken &&
           parser->file->comments[range.first - 1].line >= parser->last_end.line)
        range.first--;
    return range;
}

uint32_t mbr__mc_comment_beside(struct mc_parser *parser)
{
    uint32_t i = comments_seen(parser);

    while (i > 0 && parser->file->comments[i - 1].line >= parser->last_end.line) {
        struct mc_comment *comment = &parser->file->comments[--i];

        if (comment->line == parser->last_end.line && !comment->alone && !comment->taken) {
            comment->taken = true;
            return i + 1;
        }
    }
    return 0;
}

/* --- Going on after a mistake ----------------------------------------------------------------- */

bool mbr__mc_begins_decl(const struct mc_parser *parser)
{
    enum mc_tok third = parser->tokens[2].kind;

    return parser->tokens[0].kind == MC_NAME && parser->tokens[1].kind == MC_COLON &&
           (third == MC_TYPE || third == MC_PROC || third == MC_EXCEPTION ||
            third == MC_ANNOUNCEMENT);
}

static bool ends_body(const struct mc_parser *parser)
{
    return mbr__mc_at(parser, MC_EOF) || parser->run->arena.error ||
           (mbr__mc_at(parser, MC_END) && parser->tokens[1].kind != MC_COLON);
}

/* To behind the ';' that ends the declaration, or to where the next one clearly begins. */
static void skip_decl(struct mc_parser *parser)
{
    uint32_t open = 0;

    while (!ends_body(parser) && !mbr__mc_begins_decl(parser)) {
        enum mc_tok kind = mbr__mc_now(parser)->kind;

        if (kind == MC_OPEN || kind == MC_LBRACE)
            open++;
        else if ((kind == MC_CLOSE || kind == MC_RBRACE) && open > 0)
            open--;
        mbr__mc_advance(parser);
        if (kind == MC_SEMICOLON && open == 0)
            return;
    }
}

/* --- Declarations ----------------------------------------------------------------------------- */

static bool raises(struct mc_parser *parser, struct mc_decl *decl)
{
    struct mc_raise **end = &decl->raises;
    uint32_t count = 0;

    do {
        struct mc_raise *raise = MC_NEW(&parser->run->arena, struct mc_raise);

        if (!raise || !mbr__mc_scoped(parser, "the name of an exception", &raise->head,
                                      &raise->name, &raise->pos))
            return false;
        *end = raise;
        end = &raise->next;
        if (++count > MC_MAX_MEMBERS) {
            mbr__mc_error(parser->run, parser->file, raise->pos, "more than %u members in one list",
                          MC_MAX_MEMBERS);
            return false;
        }
    } while (mbr__mc_accept(parser, MC_COMMA));
    return true;
}

static bool proc(struct mc_parser *parser, struct mc_decl *decl)
{
    decl->kind = MC_D_PROC;
    if (!mbr__mc_group(parser, true, &decl->args, &decl->n_args))
        return false;
    if (mbr__mc_accept(parser, MC_NEVER)) {
        decl->no_return = true;
        if (!mbr__mc_expect(parser, MC_RETURNS, "after NEVER"))
            return false;
    } else if (!mbr__mc_at(parser, MC_RETURNS)) {
        return mbr__mc_unexpected(parser, "'RETURNS' (with '[]' for no results) or 'NEVER'");
    } else {
        mbr__mc_advance(parser);
        if (!mbr__mc_group(parser, false, &decl->results, &decl->n_results))
            return false;
        for (struct mc_member *result = decl->results; result; result = result->next)
            result->mode = MBR_PARAM_RESULT;
    }
    return !mbr__mc_accept(parser, MC_RAISES) || raises(parser, decl);
}

static bool announcement(struct mc_parser *parser, struct mc_decl *decl)
{
    decl->kind = MC_D_ANNOUNCEMENT;
    if (!mbr__mc_group(parser, true, &decl->args, &decl->n_args))
        return false;
    if (mbr__mc_at(parser, MC_RETURNS) || mbr__mc_at(parser, MC_RAISES)) {
        mbr__mc_error(parser->run, parser->file, mbr__mc_now(parser)->pos,
                      "an ANNOUNCEMENT has no %s: nobody waits for it",
                      mbr__mc_at(parser, MC_RETURNS) ? "results" : "exceptions");
        return false;
    }
    return true;
}

static bool decl_body(struct mc_parser *parser, struct mc_decl *decl)
{
    if (!mbr__mc_expect(parser, MC_COLON, "behind the name of a declaration"))
        return false;
    if (mbr__mc_accept(parser, MC_TYPE)) {
        decl->kind = MC_D_TYPE;
        return mbr__mc_expect(parser, MC_EQUALS, "after TYPE") && mbr__mc_type(parser, &decl->type);
    }
    if (mbr__mc_accept(parser, MC_EXCEPTION)) {
        decl->kind = MC_D_EXCEPTION;
        return mbr__mc_group(parser, false, &decl->args, &decl->n_args);
    }
    if (mbr__mc_accept(parser, MC_PROC))
        return proc(parser, decl);
    if (mbr__mc_accept(parser, MC_ANNOUNCEMENT))
        return announcement(parser, decl);
    return mbr__mc_unexpected(parser, "TYPE, EXCEPTION, PROC or ANNOUNCEMENT");
}

/* The ';' behind a declaration; where it is missing but the next one follows, that is all. */
static bool decl_end(struct mc_parser *parser, const struct mc_decl *decl)
{
    if (mbr__mc_accept(parser, MC_SEMICOLON))
        return true;
    if (mbr__mc_begins_decl(parser) || ends_body(parser)) {
        mbr__mc_error(parser->run, parser->file, parser->last_end,
                      "expected ';' behind the declaration of '%s'", decl->name->text);
        return true;
    }
    return mbr__mc_unexpected(parser, "';' behind a declaration");
}

static void finish_decl(struct mc_parser *parser, struct mc_decl *decl)
{
    decl->end_line = parser->last_end.line;
    decl->after = mbr__mc_comment_beside(parser);
    decl->comments_end = mbr__mc_comments_before(parser).first;
    if (decl->after && decl->comments_end < decl->after)
        decl->comments_end = decl->after;
}

/* Takes out what was understood of a declaration with a mistake: only its name is relied on. */
static void empty_decl(struct mc_parser *parser, struct mc_decl *decl)
{
    decl->broken = true;
    decl->args = decl->results = NULL;
    decl->n_args = decl->n_results = 0;
    decl->raises = NULL;
    decl->type = NULL;
    if (decl->kind == MC_D_TYPE)
        decl->type = MC_NEW(&parser->run->arena, struct mc_type); /* MC_K_ERROR */
}

static struct mc_decl **declaration(struct mc_parser *parser, struct mc_decl **end)
{
    struct mc_decl *decl = MC_NEW(&parser->run->arena, struct mc_decl);
    struct mc_interface *interface = parser->interface;

    if (!decl)
        return end;
    decl->interface = interface;
    decl->before = mbr__mc_comments_before(parser);
    if (!mbr__mc_expect_name(parser, "the name of a declaration, or END", &decl->name,
                             &decl->pos)) {
        skip_decl(parser);
        return end;
    }
    decl->order = interface->n_decls++;
    *end = decl;
    if (!decl_body(parser, decl) || !decl_end(parser, decl)) {
        empty_decl(parser, decl);
        skip_decl(parser);
    }
    finish_decl(parser, decl);
    return &decl->next;
}

static void body(struct mc_parser *parser)
{
    struct mc_decl **end = &parser->interface->decls;

    while (!ends_body(parser)) {
        if (parser->interface->n_decls >= MC_MAX_DECLS) {
            mbr__mc_error(parser->run, parser->file, mbr__mc_now(parser)->pos,
                          "more than %u declarations in one interface", MC_MAX_DECLS);
            while (!ends_body(parser))
                skip_decl(parser);
            return;
        }
        end = declaration(parser, end);
    }
}

/* --- The head --------------------------------------------------------------------------------- */

static void note_need(struct mc_parser *parser, struct mc_need *need)
{
    struct mc_interface *interface = parser->interface;

    if (!need->extends)
        return;
    if (interface->extends) {
        struct mc_diag *diag = mbr__mc_error(parser->run, parser->file, need->pos,
                                             "an interface extends one other at most");
        mbr__mc_note(parser->run, diag, parser->file, interface->extends->pos,
                     "it extends '%s' already", interface->extends->name->text);
        need->extends = false;
        return;
    }
    interface->extends = need;
}

/* One EXTENDS or NEEDS; *END is where the next goes. */
static bool need(struct mc_parser *parser, struct mc_need ***end)
{
    struct mc_need *need = MC_NEW(&parser->run->arena, struct mc_need);

    if (!need)
        return false;
    need->before = mbr__mc_comments_before(parser);
    need->extends = mbr__mc_at(parser, MC_EXTENDS);
    mbr__mc_advance(parser);
    if (!mbr__mc_expect_name(parser, "the name of an interface", &need->name, &need->pos))
        return false;
    **end = need;
    *end = &need->next;
    note_need(parser, need);
    if (!mbr__mc_accept(parser, MC_SEMICOLON)) {
        if (!mbr__mc_at(parser, MC_NEEDS) && !mbr__mc_at(parser, MC_EXTENDS) &&
            !mbr__mc_at(parser, MC_BEGIN))
            return mbr__mc_unexpected(parser, "';'");
        mbr__mc_error(parser->run, parser->file, parser->last_end, "expected ';' behind '%s'",
                      need->name->text);
    }
    need->after = mbr__mc_comment_beside(parser);
    return true;
}

/* What stands before the declarations; false if there is no use in going on. */
static bool head_to_begin(struct mc_parser *parser)
{
    struct mc_need **end = &parser->interface->needs;
    uint32_t count = 0;

    while (!mbr__mc_at(parser, MC_BEGIN)) {
        bool well;

        if (mbr__mc_at(parser, MC_NEEDS) || mbr__mc_at(parser, MC_EXTENDS)) {
            if (++count > MC_MAX_NEEDS) {
                mbr__mc_error(parser->run, parser->file, mbr__mc_now(parser)->pos,
                              "an interface needs more than %u others", MC_MAX_NEEDS);
                return false;
            }
            well = need(parser, &end);
        } else {
            well = mbr__mc_unexpected(parser, "EXTENDS, NEEDS or BEGIN");
        }
        if (well)
            continue;
        if (parser->run->arena.error)
            return false;
        while (!mbr__mc_at(parser, MC_BEGIN) && !mbr__mc_at(parser, MC_EOF) &&
               !mbr__mc_at(parser, MC_NEEDS) && !mbr__mc_at(parser, MC_EXTENDS) &&
               !mbr__mc_begins_decl(parser))
            mbr__mc_advance(parser);
        if (mbr__mc_begins_decl(parser))
            return true; /* BEGIN was forgotten, and complained of */
        if (mbr__mc_at(parser, MC_EOF))
            return false;
    }
    parser->interface->begin = mbr__mc_comments_before(parser);
    mbr__mc_advance(parser);
    return true;
}

static bool head(struct mc_parser *parser)
{
    struct mc_interface *interface = parser->interface;

    interface->before = mbr__mc_comments_before(parser);
    if (!mbr__mc_expect_name(parser, "the name of an interface", &interface->name,
                             &interface->pos) ||
        !mbr__mc_expect(parser, MC_COLON, "behind the name of an interface"))
        return false;
    interface->local = mbr__mc_accept(parser, MC_LOCAL);
    if (!mbr__mc_at(parser, MC_INTERFACE))
        return mbr__mc_unexpected(parser, interface->local ? "INTERFACE" : "LOCAL or INTERFACE");
    mbr__mc_advance(parser);
    return mbr__mc_expect(parser, MC_EQUALS, "after INTERFACE");
}

static void tail(struct mc_parser *parser)
{
    struct mc_interface *interface = parser->interface;

    interface->end = mbr__mc_comments_before(parser);
    if (!mbr__mc_accept(parser, MC_END)) {
        mbr__mc_unexpected(parser, "'END.' behind the last declaration");
        return;
    }
    if (!mbr__mc_expect(parser, MC_DOT, "behind END"))
        return;
    interface->rest = mbr__mc_comments_before(parser);
    if (!mbr__mc_at(parser, MC_EOF))
        mbr__mc_error(parser->run, parser->file, mbr__mc_now(parser)->pos,
                      "text behind 'END.': a file holds one interface");
    interface->rest.end = parser->file->n_comments;
}

int mbr__mc_parse(struct mbr_middlc *run, struct mc_file *file)
{
    struct mc_parser parser = {.run = run, .file = file};

    parser.interface = MC_NEW(&run->arena, struct mc_interface);
    if (!parser.interface)
        return run->arena.error;
    mbr__mc_lexer_init(&parser.lexer, run, file);
    for (int i = 0; i < 3; i++)
        mbr__mc_lex(&parser.lexer, &parser.tokens[i]);
    parser.interface->file = file;
    if (head(&parser)) {
        file->interface = parser.interface;
        if (head_to_begin(&parser)) {
            body(&parser);
            tail(&parser);
        }
    }
    return run->arena.error;
}
