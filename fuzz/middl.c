/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as MIDDL texts: form feeds part the files of a run. Whatever is accepted can be written
 * in every form; the one format, parsed again, has the same canonical form and is its own format.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <membrane/middlc.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mbr_middlc *new_compiler(void)
{
    struct mbr_middlc *compiler;

    if (mbr_middlc_new(&compiler) < 0 || mbr_middlc_set(compiler, "--no-search") < 0 ||
        mbr_middlc_set(compiler, "-Wall") < 0)
        abort();
    return compiler;
}

static char *write_as(struct mbr_middlc *compiler, const char *name, enum mbr_middlc_output what)
{
    char *text = NULL;

    if (mbr_middlc_write(compiler, name, what, &text, NULL) < 0)
        return NULL;
    return text;
}

/* All interfaces of ONE in their format, taken in by a new compiler. */
static struct mbr_middlc *again(struct mbr_middlc *one)
{
    struct mbr_middlc *two = new_compiler();
    const char *name;

    for (size_t i = 0; (name = mbr_middlc_interface(one, i, NULL)); i++) {
        char *text = write_as(one, name, MBR_MIDDLC_TEXT), path[300];

        snprintf(path, sizeof path, "%s.if", name);
        if (!text || mbr_middlc_add_text(two, path, text, strlen(text)) < 0)
            abort();
        free(text);
    }
    if (mbr_middlc_check(two) != 0)
        abort();
    return two;
}

static void same(struct mbr_middlc *one, struct mbr_middlc *two, const char *name,
                 enum mbr_middlc_output what)
{
    char *first = write_as(one, name, what), *second = write_as(two, name, what);

    if (!first || !second || strcmp(first, second) != 0)
        abort();
    free(first);
    free(second);
}

static void write_everything(struct mbr_middlc *compiler)
{
    const char *name;
    char *graph;

    for (size_t i = 0; (name = mbr_middlc_interface(compiler, i, NULL)); i++)
        for (int what = MBR_MIDDLC_HEADER; what <= MBR_MIDDLC_DOLLAR; what++)
            free(write_as(compiler, name, (enum mbr_middlc_output)what));
    if (mbr_middlc_write_graph(compiler, &graph, NULL) == 0)
        free(graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mbr_middlc *compiler = new_compiler(), *two;
    const struct mbr_middlc_message *message = NULL;
    const char *name;
    char path[32];

    for (size_t start = 0, i = 0; start <= size && i < 8; i++) {
        const uint8_t *stop = start < size ? memchr(data + start, '\f', size - start) : NULL;
        size_t length = (stop ? (size_t)(stop - data) : size) - start;

        snprintf(path, sizeof path, "file%zu.if", i);
        mbr_middlc_add_text(compiler, path, (const char *)data + start, length);
        start += length + 1;
    }
    if (mbr_middlc_check(compiler) == 0) {
        two = again(compiler);
        for (size_t i = 0; (name = mbr_middlc_interface(compiler, i, NULL)); i++) {
            same(compiler, two, name, MBR_MIDDLC_TEXT);
            same(compiler, two, name, MBR_MIDDLC_CANONICAL);
        }
        mbr_middlc_free(two);
    }
    write_everything(compiler);
    while ((message = mbr_middlc_next_message(compiler, message)))
        if (!message->text || !message->path || strlen(message->text) == 0)
            abort();
    mbr_middlc_free(compiler);
    return 0;
}
