/* SPDX-License-Identifier: MIT */
/* The lexer. Words are told from names by a search in the sorted token table. */
#include "middl/lexer.h"

#include <stdlib.h>
#include <string.h>

static const char *const words[] = {
#define X(word, class) #word,
    MC_WORDS(X)
#undef X
};

#define WORD_COUNT (sizeof words / sizeof *words)
#define FIRST_WORD MC_ADDRESS

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

enum mc_tok mbr__mc_word(const char *text, size_t length)
{
    size_t low = 0, high = WORD_COUNT;

    if (length < 2 || length > 12 || text[0] < 'A' || text[0] > 'W' || text[1] < 'A' ||
        text[1] > 'Z')
        return MC_NAME;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strncmp(words[middle], text, length);

        if (order == 0 && words[middle][length])
            order = 1;
        if (order == 0)
            return (enum mc_tok)(FIRST_WORD + middle);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return MC_NAME;
}

const char *mbr__mc_word_text(enum mc_tok kind)
{
    return kind >= FIRST_WORD && kind < MC_TOKENS ? words[kind - FIRST_WORD] : NULL;
}

const char *mbr__mc_token_text(enum mc_tok kind)
{
    static const char *const texts[] = {"the end of the file", "a name", "a number",
#define X(name, text) "'" text "'",
                                        MC_SIGNS(X)
#undef X
#define X(word, class) "'" #word "'",
                                            MC_WORDS(X)
#undef X
    };

    return texts[kind];
}

void mbr__mc_lexer_init(struct mc_lexer *lexer, struct mbr_middlc *run, struct mc_file *file)
{
    *lexer = (struct mc_lexer){.run = run,
                               .file = file,
                               .next = file->text,
                               .end = file->text + file->length,
                               .line_start = file->text,
                               .line = 1};
    /* A byte order mark is no character of the text. */
    if (file->length >= 3 && memcmp(file->text, "\xef\xbb\xbf", 3) == 0) {
        lexer->next += 3;
        lexer->narrow = 3;
    }
}

static struct mc_pos here(const struct mc_lexer *lexer)
{
    return (struct mc_pos){lexer->line,
                           (uint32_t)(lexer->next - lexer->line_start) - lexer->narrow + 1};
}

static void newline(struct mc_lexer *lexer)
{
    lexer->next++;
    lexer->line++;
    lexer->line_start = lexer->next;
    lexer->narrow = 0;
}

/* Room for one more comment; false without memory. */
static bool grow_comments(struct mc_lexer *lexer)
{
    struct mc_file *file = lexer->file;
    uint32_t room = file->room ? file->room * 2 : 16;
    struct mc_comment *more;

    if (file->n_comments < file->room)
        return true;
    more = mbr__mc_alloc(&lexer->run->arena, room * sizeof *more);
    if (!more)
        return false;
    if (file->n_comments)
        memcpy(more, file->comments, file->n_comments * sizeof *more);
    file->comments = more;
    file->room = room;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* From the dashes to the end of the line, without the dashes and the blanks around. */
static void comment(struct mc_lexer *lexer)
{
    const char *start = lexer->next;
    const char *stop = memchr(start, '\n', (size_t)(lexer->end - start));
    const char *zero;

    if (!stop)
        stop = lexer->end;
    zero = memchr(start, '\0', (size_t)(stop - start));
    if (zero)
        mbr__mc_error(lexer->run, lexer->file, here(lexer), "a comment contains a NUL byte");
    lexer->next = stop;
    if (!grow_comments(lexer))
        return;
    while (start < stop && *start == '-')
        start++;
    while (start < stop && is_blank(*start))
        start++;
    if (zero)
        stop = start;
    while (stop > start && is_blank(stop[-1]))
        stop--;
    lexer->file->comments[lexer->file->n_comments++] = (struct mc_comment){
        start, (uint32_t)(stop - start), lexer->line, lexer->token_line != lexer->line, false};
}

static bool is_nbsp(const struct mc_lexer *lexer)
{
    return lexer->end - lexer->next >= 2 && memcmp(lexer->next, "\xc2\xa0", 2) == 0;
}

static void skip_white(struct mc_lexer *lexer)
{
    while (lexer->next < lexer->end) {
        char c = *lexer->next;

        if (c == '\n') {
            newline(lexer);
        } else if (is_blank(c)) {
            lexer->next++;
        } else if (c == '-' && lexer->end - lexer->next >= 2 && lexer->next[1] == '-') {
            comment(lexer);
        } else if (is_nbsp(lexer)) {
            lexer->next += 2;
            lexer->narrow++;
        } else {
            return;
        }
    }
}

static void identifier(struct mc_lexer *lexer, struct mc_token *token)
{
    const char *start = lexer->next;
    size_t length;

    while (lexer->next < lexer->end && (is_letter(*lexer->next) || is_digit(*lexer->next)))
        lexer->next++;
    length = (size_t)(lexer->next - start);
    if (length > MC_MAX_NAME) {
        mbr__mc_error(lexer->run, lexer->file, token->pos,
                      "a name of %zu characters: at most %u are allowed", length, MC_MAX_NAME);
        length = MC_MAX_NAME;
    }
    token->kind = mbr__mc_word(start, length);
    token->name = mbr__mc_intern(lexer->run, start, length);
    if (!token->name)
        token->kind = MC_EOF;
}

static void number(struct mc_lexer *lexer, struct mc_token *token)
{
    bool large = false;

    token->kind = MC_NUMBER;
    while (lexer->next < lexer->end && (is_digit(*lexer->next) || is_letter(*lexer->next))) {
        char c = *lexer->next;

        if (!is_digit(c)) {
            mbr__mc_error(lexer->run, lexer->file, here(lexer), "a number contains '%c'", c);
            while (lexer->next < lexer->end && (is_digit(*lexer->next) || is_letter(*lexer->next)))
                lexer->next++;
            return;
        }
        if (token->number > UINT32_MAX)
            large = true;
        else
            token->number = token->number * 10 + (uint64_t)(c - '0');
        lexer->next++;
    }
    if (large || token->number > UINT32_MAX) {
        mbr__mc_error(lexer->run, lexer->file, token->pos, "a number above %u", UINT32_MAX);
        token->number = 1;
    }
}

static void skip_line(struct mc_lexer *lexer)
{
    const char *stop = memchr(lexer->next, '\n', (size_t)(lexer->end - lexer->next));

    lexer->next = stop ? stop : lexer->end;
}

/* Complains of a byte that begins no token, and skips it with the rest of its character, or of the
 * line where a comment was meant. */
static void bad(struct mc_lexer *lexer)
{
    unsigned char c = (unsigned char)*lexer->next;
    struct mc_pos pos = here(lexer);

    if (c == '-' || c == '/' || c == '#') {
        mbr__mc_error(lexer->run, lexer->file, pos, "'%c' has no meaning: comments begin with '--'",
                      c);
        skip_line(lexer);
        return;
    }
    if (c > ' ' && c < 0x7f)
        mbr__mc_error(lexer->run, lexer->file, pos, "'%c' has no meaning in MIDDL", c);
    else
        mbr__mc_error(lexer->run, lexer->file, pos, "the byte 0x%02x has no meaning in MIDDL", c);
    lexer->next++;
    while (c >= 0xc0 && lexer->next < lexer->end && ((unsigned char)*lexer->next & 0xc0) == 0x80) {
        lexer->next++;
        lexer->narrow++;
    }
    while (lexer->next < lexer->end && (unsigned char)*lexer->next == c) /* one mistake */
        lexer->next++;
}

/* A parenthesis, where a bracket must have been meant. */
static enum mc_tok parenthesis(struct mc_lexer *lexer)
{
    char c = *lexer->next;

    mbr__mc_error(lexer->run, lexer->file, here(lexer),
                  "'%c' has no meaning in MIDDL (did you mean '%c'?)", c, c == '(' ? '[' : ']');
    lexer->next++;
    return c == '(' ? MC_OPEN : MC_CLOSE;
}

/* The sign at the next byte, or MC_EOF. */
static enum mc_tok sign(struct mc_lexer *lexer)
{
    static const char ones[] = ":=;,.[]{}";
    static const enum mc_tok kinds[] = {MC_COLON, MC_EQUALS, MC_SEMICOLON, MC_COMMA, MC_DOT,
                                        MC_OPEN,  MC_CLOSE,  MC_LBRACE,    MC_RBRACE};
    char c = *lexer->next;
    const char *found = c ? strchr(ones, c) : NULL;

    if (!found)
        return MC_EOF;
    lexer->next++;
    if (c == '=' && lexer->next < lexer->end && *lexer->next == '>') {
        lexer->next++;
        return MC_ARROW;
    }
    return kinds[found - ones];
}

void mbr__mc_lex(struct mc_lexer *lexer, struct mc_token *token)
{
    *token = (struct mc_token){.kind = MC_EOF};
    for (;;) {
        skip_white(lexer);
        token->pos = here(lexer);
        token->comments = lexer->file->n_comments;
        if (lexer->next >= lexer->end || lexer->run->arena.error)
            return;
        lexer->token_line = lexer->line;
        if (is_letter(*lexer->next)) {
            identifier(lexer, token);
            return;
        }
        if (is_digit(*lexer->next)) {
            number(lexer, token);
            return;
        }
        if (*lexer->next == '(' || *lexer->next == ')')
            token->kind = parenthesis(lexer);
        else
            token->kind = sign(lexer);
        if (token->kind != MC_EOF)
            return;
        bad(lexer);
    }
}
