/* SPDX-License-Identifier: MIT */
/* Files: reading them within limits, finding the interfaces that are needed, and who needs whom in
 * the end. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "middl/load.h"

/* --- Texts ------------------------------------------------------------------------------------ */

static struct mc_file *new_file(struct mbr_middlc *run, const char *path)
{
    struct mc_file *file = MC_NEW(&run->arena, struct mc_file);

    if (!file)
        return NULL;
    file->path = mbr__mc_copy(&run->arena, path, strlen(path));
    if (!file->path)
        return NULL;
    file->number = run->n_files++;
    *run->files_end = file;
    run->files_end = &file->next;
    return file;
}

/* The name that PATH promises: what is between the last '/' and ".if". */
static bool named_after(const struct mc_file *file, const struct mc_name *name)
{
    const char *slash = strrchr(file->path, '/');
    const char *base = slash ? slash + 1 : file->path;

    return strncmp(base, name->text, name->length) == 0 && strcmp(base + name->length, ".if") == 0;
}

/* Makes the parsed interface known under its name. */
static void enter(struct mbr_middlc *run, struct mc_file *file)
{
    struct mc_interface *interface = file->interface;
    struct mc_name *name = interface->name;

    if (name->interface) {
        struct mc_diag *diag =
            mbr__mc_error(run, file, interface->pos, "a second interface called '%s'", name->text);
        mbr__mc_note(run, diag, name->interface->file, name->interface->pos, "the first one");
        file->interface = NULL;
        return;
    }
    if (!named_after(file, name))
        mbr__mc_warn(run, MC_W_FILE, file, interface->pos,
                     "interface '%s' is looked for in a file called '%s.if'", name->text,
                     name->text);
    name->interface = interface;
    interface->number = run->n_interfaces++;
    *run->interfaces_end = interface;
    run->interfaces_end = &interface->next;
}

int mbr__mc_take_text(struct mbr_middlc *run, struct mc_file *file, const char *text, size_t length)
{
    struct mc_pos nowhere = {0, 0};
    int error;

    if (length > MC_MAX_FILE) {
        mbr__mc_error(run, file, nowhere, "the file is larger than %u bytes", MC_MAX_FILE);
        return -E2BIG;
    }
    if (length > MC_MAX_TEXT - run->text_total) {
        mbr__mc_error(run, file, nowhere, "all files together are larger than %u bytes",
                      MC_MAX_TEXT);
        return -E2BIG;
    }
    if (run->n_interfaces >= MC_MAX_INTERFACES) {
        mbr__mc_error(run, file, nowhere, "more than %u interfaces", MC_MAX_INTERFACES);
        return -E2BIG;
    }
    run->text_total += length;
    file->text = mbr__mc_copy(&run->arena, text, length);
    file->length = length;
    if (!file->text)
        return run->arena.error;
    error = mbr__mc_parse(run, file);
    if (!error && file->interface) {
        file->interface->parsed = file->errors == 0;
        enter(run, file);
    }
    return error;
}

/* Reads all of FD into malloc'ed memory; at most one byte more than is allowed. */
static int read_all(int fd, char **text, size_t *length)
{
    size_t room = 16384, used = 0;
    char *block = malloc(room);

    while (block) {
        ssize_t got = read(fd, block + used, room - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int error = errno;

            free(block);
            return -error;
        }
        used += (size_t)got;
        if (got == 0 || used > MC_MAX_FILE) {
            *text = block;
            *length = used;
            return 0;
        }
        if (used == room) {
            char *more = realloc(block, room * 4);

            if (!more)
                break;
            block = more;
            room *= 4;
        }
    }
    free(block);
    return -ENOMEM;
}

/* Never a device or a FIFO, which could hold the compiler up for ever. */
static int open_file(const char *path)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &info) == 0 && !S_ISREG(info.st_mode)) {
        close(fd);
        return S_ISDIR(info.st_mode) ? -EISDIR : -EINVAL;
    }
    return fd;
}

static int take_fd(struct mbr_middlc *run, const char *path, int fd)
{
    struct mc_file *file = new_file(run, path);
    size_t length = 0;
    char *text = NULL;
    int error;

    if (!file)
        return run->arena.error;
    error = read_all(fd, &text, &length);
    if (error == -ENOMEM) {
        run->arena.error = error;
        return error;
    }
    if (error) {
        struct mc_pos nowhere = {0, 0};

        mbr__mc_error(run, file, nowhere, "cannot be read: %s", strerror(-error));
        return error;
    }
    error = mbr__mc_take_text(run, file, text, length);
    free(text);
    return error;
}

static bool known(const struct mbr_middlc *run, const char *path)
{
    for (const struct mc_file *file = run->files; file; file = file->next)
        if (strcmp(file->path, path) == 0)
            return true;
    return false;
}

int mbr__mc_add_path(struct mbr_middlc *run, const char *path)
{
    struct mc_pos nowhere = {0, 0};
    int error, fd;

    if (known(run, path))
        return 0;
    fd = open_file(path);
    if (fd < 0) {
        struct mc_file *file = new_file(run, path);

        if (!file)
            return run->arena.error;
        mbr__mc_error(run, file, nowhere, "cannot be read: %s",
                      fd == -EINVAL ? "it is not a regular file" : strerror(-fd));
        return fd;
    }
    error = take_fd(run, path, fd);
    close(fd);
    return error;
}

int mbr__mc_add_memory(struct mbr_middlc *run, const char *path, const char *text, size_t length)
{
    struct mc_file *file;

    if (known(run, path))
        return -EEXIST;
    file = new_file(run, path);
    return file ? mbr__mc_take_text(run, file, text, length) : run->arena.error;
}

/* --- Needed interfaces ------------------------------------------------------------------------ */

/* Opens DIRECTORY/NAME.if; DIRECTORY of LENGTH bytes, "" for the current one. -ENOENT. */
static int try_directory(const char *directory, size_t length, const char *name, char *path,
                         size_t size)
{
    int written = snprintf(path, size, "%.*s%s%s.if", (int)length, directory,
                           length && directory[length - 1] != '/' ? "/" : "", name);

    return written < 0 || (size_t)written >= size ? -ENAMETOOLONG : open_file(path);
}

static int find(const struct mbr_middlc *run, const struct mc_file *from, const char *name,
                char *path, size_t size)
{
    const char *slash = strrchr(from->path, '/');
    size_t own = slash ? (size_t)(slash - from->path) + 1 : 0;
    int fd = try_directory(from->path, own, name, path, size);

    for (const struct mc_dir *dir = run->dirs; fd < 0 && dir; dir = dir->next)
        fd = try_directory(dir->path, strlen(dir->path), name, path, size);
    return fd;
}

static void guess_in(struct mc_guess *guess, struct mbr_middlc *run, const char *directory)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    uint32_t left = 10000;

    if (!dir)
        return;
    while ((entry = readdir(dir)) && left-- > 0) {
        size_t length = strlen(entry->d_name);
        const char *word;

        if (length <= 3 || strcmp(entry->d_name + length - 3, ".if") != 0)
            continue;
        word = mbr__mc_copy(&run->arena, entry->d_name, length - 3);
        if (word)
            mbr__mc_guess_offer(guess, word);
    }
    closedir(dir);
}

const char *mbr__mc_guess_interface(struct mbr_middlc *run, const struct mc_file *from,
                                    const struct mc_name *name, char *buffer)
{
    const char *slash = strrchr(from->path, '/');
    struct mc_guess guess;
    char *own;

    mbr__mc_guess_init(run, &guess, name->text);
    for (const struct mc_interface *i = run->interfaces; i; i = i->next)
        mbr__mc_guess_offer(&guess, i->name->text);
    if (run->searches++ < 100) { /* reading directories is dear */
        own = mbr__mc_copy(&run->arena, from->path, slash ? (size_t)(slash - from->path) + 1 : 0);
        if (own)
            guess_in(&guess, run, own[0] ? own : ".");
        for (const struct mc_dir *dir = run->dirs; dir; dir = dir->next)
            guess_in(&guess, run, dir->path);
    }
    return mbr__mc_guess_text(&guess, buffer);
}

struct mc_interface *mbr__mc_find_interface(struct mbr_middlc *run, const struct mc_file *from,
                                            const struct mc_name *name)
{
    char path[4096];
    int fd;

    if (name->interface || run->closed)
        return name->interface;
    fd = find(run, from, name->text, path, sizeof path);
    if (fd < 0)
        return NULL;
    if (!known(run, path))
        take_fd(run, path, fd);
    close(fd);
    return name->interface;
}

static void load_need(struct mbr_middlc *run, struct mc_interface *interface, struct mc_need *need)
{
    char guess[300];

    if (need->name == interface->name) {
        mbr__mc_error(run, interface->file, need->pos, "interface '%s' %s itself", need->name->text,
                      need->extends ? "extends" : "needs");
        return;
    }
    need->interface = mbr__mc_find_interface(run, interface->file, need->name);
    if (!need->interface && !run->arena.error)
        mbr__mc_error(run, interface->file, need->pos, "interface '%s' is not found%s",
                      need->name->text,
                      mbr__mc_guess_interface(run, interface->file, need->name, guess));
}

/* IREF and a dotted name may refer to an interface that nobody needs; it is loaded as well, so that
 * its code is known, or the complaint can say what is missing. */
static void load_irefs(struct mbr_middlc *run, const struct mc_interface *interface,
                       const struct mc_type *type)
{
    if (!type)
        return;
    if (type->kind == MC_K_IREF)
        mbr__mc_find_interface(run, interface->file, type->name);
    if (type->head)
        mbr__mc_find_interface(run, interface->file, type->head);
    load_irefs(run, interface, type->base); /* the parser has bounded the depth */
    for (const struct mc_member *member = type->members; member; member = member->next)
        if (!member->grouped)
            load_irefs(run, interface, member->type);
}

static void load_decl_irefs(struct mbr_middlc *run, const struct mc_decl *decl)
{
    load_irefs(run, decl->interface, decl->type);
    for (const struct mc_member *arg = decl->args; arg; arg = arg->next)
        load_irefs(run, decl->interface, arg->type);
    for (const struct mc_member *result = decl->results; result; result = result->next)
        load_irefs(run, decl->interface, result->type);
    for (const struct mc_raise *raise = decl->raises; raise; raise = raise->next)
        if (raise->head)
            mbr__mc_find_interface(run, decl->interface->file, raise->head);
}

bool mbr__mc_reaches(const struct mbr_middlc *run, const struct mc_interface *from,
                     const struct mc_interface *to)
{
    return mbr__mc_has_bit(run->reach + from->number * run->reach_words, to->number);
}

/* Warshall's algorithm, a word of bits at a time. */
void mbr__mc_close(uint64_t *rows, uint32_t n, size_t words)
{
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < n; i++)
            if (mbr__mc_has_bit(rows + i * words, k))
                for (size_t w = 0; w < words; w++)
                    rows[i * words + w] |= rows[k * words + w];
}

static int close_needs(struct mbr_middlc *run)
{
    size_t words = (run->n_interfaces + 63) / 64;

    run->reach_words = words;
    run->reach = mbr__mc_alloc(&run->arena, run->n_interfaces * words * sizeof(uint64_t) + 1);
    if (!run->reach)
        return run->arena.error;
    for (const struct mc_interface *i = run->interfaces; i; i = i->next) {
        mbr__mc_set_bit(run->reach + i->number * words, i->number);
        for (const struct mc_need *need = i->needs; need; need = need->next)
            if (need->interface)
                mbr__mc_set_bit(run->reach + i->number * words, need->interface->number);
    }
    mbr__mc_close(run->reach, run->n_interfaces, words);
    return 0;
}

int mbr__mc_load_needs(struct mbr_middlc *run)
{
    /* The list grows while it is walked. */
    for (struct mc_interface *i = run->interfaces; i; i = i->next) {
        for (struct mc_need *need = i->needs; need; need = need->next)
            load_need(run, i, need);
        for (const struct mc_decl *decl = i->decls; decl; decl = decl->next)
            load_decl_irefs(run, decl);
        if (run->arena.error)
            return run->arena.error;
    }
    run->closed = true;
    return close_needs(run);
}
