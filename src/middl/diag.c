/* SPDX-License-Identifier: MIT */
/* Collecting, limiting and ordering messages; guessing what a misspelt word was meant to be. */
#include "middl/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "middl/run.h"

static const char *format_text(struct mbr_middlc *run, const char *format, va_list args)
    MBR_PRINTF(2, 0);

static const char *format_text(struct mbr_middlc *run, const char *format, va_list args)
{
    char text[1024];
    int length = vsnprintf(text, sizeof text, format, args);

    if (length < 0)
        return NULL;
    if ((size_t)length >= sizeof text)
        length = (int)sizeof text - 1;
    return mbr__mc_copy(&run->arena, text, (size_t)length);
}

static struct mc_diag *new_diag(struct mbr_middlc *run, struct mc_file *file, struct mc_pos pos,
                                enum mbr_middlc_severity severity, const char *text)
{
    struct mc_diag *diag = MC_NEW(&run->arena, struct mc_diag);

    if (!diag || !text)
        return NULL;
    diag->notes_end = &diag->notes;
    diag->severity = severity;
    diag->file = file;
    diag->pos = pos;
    diag->order = run->n_diags++;
    diag->text = text;
    return diag;
}

static struct mc_diag *add_diag(struct mbr_middlc *run, struct mc_file *file, struct mc_pos pos,
                                enum mbr_middlc_severity severity, const char *text)
{
    struct mc_diag *diag = new_diag(run, file, pos, severity, text);

    if (!diag)
        return NULL;
    *run->diags_end = diag;
    run->diags_end = &diag->next;
    return diag;
}

/* Counts one more error of FILE; false when it is one too many to be shown. */
static bool count_error(struct mbr_middlc *run, struct mc_file *file)
{
    run->n_errors++;
    if (++file->errors <= run->max_errors)
        return true;
    if (!file->too_many) {
        struct mc_pos nowhere = {0, 0};
        char text[64];

        file->too_many = true;
        snprintf(text, sizeof text, "more than %u errors: the others are not shown",
                 run->max_errors);
        add_diag(run, file, nowhere, MBR_MIDDLC_ERROR,
                 mbr__mc_copy(&run->arena, text, strlen(text)));
    }
    return false;
}

struct mc_diag *mbr__mc_error(struct mbr_middlc *run, struct mc_file *file, struct mc_pos pos,
                              const char *format, ...)
{
    va_list args;
    const char *text;

    if (!count_error(run, file))
        return NULL;
    va_start(args, format);
    text = format_text(run, format, args);
    va_end(args);
    return add_diag(run, file, pos, MBR_MIDDLC_ERROR, text);
}

static const char *option_of(enum mc_warning kind)
{
#define X(name, option, on, text) option,
    static const char *const options[] = {MC_WARNINGS(X)};
#undef X
    return options[kind];
}

struct mc_diag *mbr__mc_warn(struct mbr_middlc *run, enum mc_warning kind, struct mc_file *file,
                             struct mc_pos pos, const char *format, ...)
{
    enum mbr_middlc_severity severity = run->fatal[kind] ? MBR_MIDDLC_ERROR : MBR_MIDDLC_WARNING;
    char text[1024];
    va_list args;
    int length;

    if (!run->warn[kind] || (severity == MBR_MIDDLC_ERROR && !count_error(run, file)))
        return NULL;
    if (severity == MBR_MIDDLC_WARNING && file->n_warnings++ >= run->max_errors)
        return NULL;
    va_start(args, format);
    length = vsnprintf(text, sizeof text - 64, format, args);
    va_end(args);
    if (length < 0)
        return NULL;
    snprintf(text + strlen(text), 64, " [-W%s%s]", run->fatal[kind] ? "error=" : "",
             option_of(kind));
    return add_diag(run, file, pos, severity, mbr__mc_copy(&run->arena, text, strlen(text)));
}

void mbr__mc_note(struct mbr_middlc *run, struct mc_diag *diag, struct mc_file *file,
                  struct mc_pos pos, const char *format, ...)
{
    struct mc_diag *note;
    va_list args;

    if (!diag)
        return;
    va_start(args, format);
    note = new_diag(run, file, pos, MBR_MIDDLC_NOTE, format_text(run, format, args));
    va_end(args);
    if (!note)
        return;
    *diag->notes_end = note;
    diag->notes_end = &note->next;
}

static int by_place(const void *left, const void *right)
{
    const struct mc_diag *a = *(struct mc_diag *const *)left;
    const struct mc_diag *b = *(struct mc_diag *const *)right;

    if (a->file != b->file)
        return a->file->number < b->file->number ? -1 : 1;
    if (!a->pos.line != !b->pos.line) /* what concerns no line comes last */
        return a->pos.line ? -1 : 1;
    if (a->pos.line != b->pos.line)
        return a->pos.line < b->pos.line ? -1 : 1;
    if (a->pos.col != b->pos.col)
        return a->pos.col < b->pos.col ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static int give_out(struct mbr_middlc *run, const struct mc_diag *diag, struct mc_message ***end)
{
    struct mc_message *message = MC_NEW(&run->arena, struct mc_message);

    if (!message)
        return -1;
    message->public = (struct mbr_middlc_message){diag->severity, diag->file->path, diag->pos.line,
                                                  diag->pos.col, diag->text};
    **end = message;
    *end = &message->next;
    return 0;
}

void mbr__mc_sort(struct mbr_middlc *run)
{
    struct mc_message **end = &run->messages;
    const struct mc_diag *diag, *note;
    struct mc_diag **all;
    size_t count = 0, i = 0;

    for (diag = run->diags; diag; diag = diag->next)
        count++;
    all = mbr__mc_alloc(&run->arena, (count + 1) * sizeof(struct mc_diag *));
    if (!all)
        return;
    for (struct mc_diag *next = run->diags; next; next = next->next)
        all[i++] = next;
    qsort(all, count, sizeof(struct mc_diag *), by_place);
    for (i = 0; i < count; i++) {
        if (give_out(run, all[i], &end) < 0)
            return;
        for (note = all[i]->notes; note; note = note->next)
            if (give_out(run, note, &end) < 0)
                return;
    }
}

void mbr__mc_guess_init(struct mbr_middlc *run, struct mc_guess *guess, const char *word)
{
    *guess =
        (struct mc_guess){.word = word, .length = (uint32_t)strlen(word), .left = &run->guesses};
    guess->distance = guess->length < 2 ? 0 : guess->length < 4 ? 1 : (guess->length + 2) / 3;
}

#define GUESS_MAX 40u

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Letters to change, insert, delete or swap with their neighbour; case alone costs one in all. */
static uint32_t distance(const char *a, uint32_t length_a, const char *b, uint32_t length_b)
{
    uint32_t rows[3][GUESS_MAX + 2];
    uint32_t *before = rows[0], *last = rows[1], *now = rows[2];

    for (uint32_t j = 0; j <= length_b; j++)
        last[j] = j;
    for (uint32_t i = 1; i <= length_a; i++) {
        uint32_t *old = before;

        now[0] = i;
        for (uint32_t j = 1; j <= length_b; j++) {
            bool same = lower(a[i - 1]) == lower(b[j - 1]);
            uint32_t best = last[j - 1] + !same;

            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]) && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        before = last;
        last = now;
        now = old;
    }
    return last[length_b];
}

void mbr__mc_guess_offer(struct mc_guess *guess, const char *candidate)
{
    uint32_t length = (uint32_t)strlen(candidate);
    uint32_t apart = length > guess->length ? length - guess->length : guess->length - length;

    if (length > GUESS_MAX || guess->length > GUESS_MAX || apart > guess->distance)
        return;
    if (strcmp(candidate, guess->word) == 0 || *guess->left == 0)
        return;
    --*guess->left;
    apart = distance(guess->word, guess->length, candidate, length);
    if (apart < guess->distance || (apart == guess->distance && !guess->best)) {
        guess->distance = apart;
        guess->best = candidate;
    }
}

const char *mbr__mc_guess_text(const struct mc_guess *guess, char *buffer)
{
    buffer[0] = '\0';
    if (guess->best)
        snprintf(buffer, 300, " (did you mean '%s'?)", guess->best);
    return buffer;
}
