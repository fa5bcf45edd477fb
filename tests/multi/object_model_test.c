/* SPDX-License-Identifier: MIT */
/*
 * Objects against a simple model: several processes carry out random operations on a few objects,
 * one at a time and without waiting, and each result is compared with what the model says: numbers,
 * errors, sizes, users, bytes read, bytes seen through open accesses.
 *
 * The processes are actors that obey; all choices and the model are here. Not here: operations at
 * the same time (object_stress_test.c), deaths (fault/object_kill_test.c).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include "../conformance/object_util.h"

#include <cmocka.h>

#include "../unit/prop.h"

#define ACTORS          3
#define NAMES           3
#define NUMBERS         6 /* objects that an actor has joined */
#define ACCESSES        6
#define SIZE_MAX_BLOCKS 14

/* ---- what an actor is told ---- */

enum verb {
    CREATE,
    JOIN,
    LEAVE,
    DESTROY,
    UNLINK,
    RENAME,
    RESIZE,
    WRITE,
    READ,
    GET,
    EDIT,
    PUT,
    LOOK,
    ATTR,
    QUIT
};

struct order {
    uint64_t verb, number, name, offset, size, key; /* key: bytes to write; policy for CREATE */
};

struct answer {
    int64_t rc;
    uint64_t hash;        /* of bytes read or looked at */
    uint64_t size, users; /* for ATTR */
};

static uint64_t hash_of(const char *bytes, size_t n)
{
    uint64_t h = 14695981039346656037u, word;

    for (; n >= 8; n -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        h = (h ^ word) * 1099511628211u;
        h ^= h >> 29;
    }
    for (; n > 0; n--, bytes++)
        h = (h ^ (unsigned char)*bytes) * 1099511628211u;
    return h;
}

static void name_of(uint64_t name, char text[16])
{
    (void)snprintf(text, 16, "object %u", (unsigned int)name);
}

/* ---- an actor ---- */

struct look {
    char *bytes;
    size_t size;
};

static struct look looks[MBR_ACCESS_MAX];

static void read_region(const struct order *o, struct answer *a)
{
    char *bytes = malloc(o->size + 1);

    CHECK(bytes != NULL);
    a->rc = mbr_object_read_until((int)o->number, o->offset, bytes, o->size, 0);
    if (a->rc == 0)
        a->hash = hash_of(bytes, o->size);
    free(bytes);
}

static void open_region(const struct order *o, struct answer *a)
{
    char *bytes = NULL;
    int rc = o->verb == GET ? mbr_object_get_until((int)o->number, o->offset, o->size, &bytes, 0)
                            : mbr_object_edit_until((int)o->number, o->offset, o->size, &bytes, 0);

    a->rc = rc;
    if (rc < 0)
        return;
    looks[rc] = (struct look){bytes, o->size};
    if (o->verb == EDIT)
        stage_fill(bytes, o->size, o->key);
    a->hash = hash_of(bytes, o->size);
}

static void describe(const struct order *o, struct answer *a)
{
    struct mbr_object_attr attr = {.size = 0};

    a->rc = mbr_object_getattr((int)o->number, &attr);
    a->size = attr.size;
    a->users = attr.users;
}

static void obey(int con, const struct order *o, struct answer *a)
{
    char name[16];
    int n = (int)o->number;

    name_of(o->name, name);
    switch ((enum verb)o->verb) {
    case CREATE:
        a->rc = mbr_object_create_with(con, name, o->size, (enum mbr_write_policy)o->key);
        break;
    case JOIN:
        a->rc = mbr_object_join(con, name);
        break;
    case LEAVE:
        a->rc = mbr_object_leave(n);
        break;
    case DESTROY:
        a->rc = mbr_object_destroy_until(n, 0);
        break;
    case UNLINK:
        a->rc = mbr_object_unlink(con, name);
        break;
    case RENAME:
        a->rc = mbr_object_rename(n, name);
        break;
    case RESIZE:
        a->rc = mbr_object_resize_until(n, o->size, 0);
        break;
    case WRITE:
        a->rc = object_put_key(n, o->offset, o->size, o->key, 0);
        break;
    case READ:
        read_region(o, a);
        break;
    case GET:
    case EDIT:
        open_region(o, a);
        break;
    case PUT:
        a->rc = mbr_object_put(n);
        break;
    case LOOK:
        a->hash = hash_of(looks[n].bytes, looks[n].size);
        break;
    case ATTR:
        describe(o, a);
        break;
    case QUIT:
        break;
    }
}

static void be_actor(struct stage_actor *parent, void *arg)
{
    int con = HAVE(mbr_container_join("con"));
    struct order o;

    stage_say(parent, 0);
    do {
        struct answer a = {.rc = 0};
        uint64_t *words = (uint64_t *)&o;

        for (size_t i = 0; i < sizeof(o) / 8; i++)
            words[i] = stage_hear(parent);
        obey(con, &o, &a);
        stage_say(parent, (uint64_t)a.rc);
        stage_say(parent, a.hash);
        stage_say(parent, a.size);
        stage_say(parent, a.users);
    } while (o.verb != QUIT);
}

/* ---- the model ---- */

struct model_object {
    bool exists; /* also when it has no name any more */
    int name;    /* -1 none */
    bool versioned;
    size_t size;
    char *bytes; /* SIZE_MAX_BLOCKS MiB, zero beyond its size */
};

struct model_access {
    bool open, edit;
    int number;
    size_t offset, size;
    uint64_t hash;
};

struct model_actor {
    struct stage_actor line;
    struct model_object *joined[NUMBERS];
    struct model_access access[ACCESSES];
};

static struct model_object objects[ACTORS * NUMBERS + NAMES];
#define OBJECTS (sizeof(objects) / sizeof(objects[0]))
static struct model_actor actors[ACTORS];

static struct answer tell(struct model_actor *who, struct order o)
{
    const uint64_t *words = (const uint64_t *)&o;
    struct answer a;

    for (size_t i = 0; i < sizeof(o) / 8; i++)
        stage_say(&who->line, words[i]);
    a.rc = (int64_t)stage_hear(&who->line);
    a.hash = stage_hear(&who->line);
    a.size = stage_hear(&who->line);
    a.users = stage_hear(&who->line);
    return a;
}

static struct model_object *named(int name)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        if (objects[i].exists && objects[i].name == name)
            return &objects[i];
    }
    return NULL;
}

static unsigned int numbers_of(const struct model_actor *who, const struct model_object *x)
{
    unsigned int count = 0;

    for (int i = 0; i < NUMBERS; i++)
        count += who->joined[i] == x;
    return count;
}

static unsigned int users_of(const struct model_object *x)
{
    unsigned int count = 0;

    for (int i = 0; i < ACTORS; i++)
        count += numbers_of(&actors[i], x) > 0;
    return count;
}

static int free_number(const struct model_actor *who)
{
    int i = 0;

    while (i < NUMBERS && who->joined[i] != NULL)
        i++;
    return i;
}

static int free_access(const struct model_actor *who)
{
    int i = 0;

    while (i < ACCESSES && who->access[i].open)
        i++;
    return i;
}

/* Whether blocks [first, end) are free for a writer, or for a reader. */
static bool blocks_free(const struct model_object *x, size_t first, size_t end, bool write)
{
    for (int i = 0; i < ACTORS; i++) {
        for (int j = 0; j < ACCESSES; j++) {
            const struct model_access *a = &actors[i].access[j];

            if (!a->open || a->size == 0 || actors[i].joined[a->number] != x)
                continue;
            if (a->offset / MIB < end && (a->offset + a->size - 1) / MIB >= first &&
                (write || a->edit))
                return false;
        }
    }
    return true;
}

static bool region_free(const struct model_object *x, size_t offset, size_t size, bool write)
{
    return size == 0 || x->versioned ||
           blocks_free(x, offset / MIB, (offset + size - 1) / MIB + 1, write);
}

static void maybe_gone(struct model_object *x)
{
    if (x->name < 0 && users_of(x) == 0)
        x->exists = false;
}

static void drop_number(struct model_actor *who, int n)
{
    struct model_object *x = who->joined[n];

    for (int j = 0; j < ACCESSES; j++) {
        if (who->access[j].open && who->access[j].number == n)
            who->access[j].open = false;
    }
    who->joined[n] = NULL;
    maybe_gone(x);
}

/* ---- one step ---- */

/* Near the edges of blocks, mostly. */
static size_t choose_place(struct prop *p, size_t limit)
{
    size_t block = prop_choose(p, (uint32_t)(limit / MIB + 1)) * MIB;
    size_t at;

    switch (prop_choose(p, 4)) {
    case 0:
        at = block;
        break;
    case 1:
        at = block + prop_choose(p, 5000);
        break;
    case 2:
        at = block + MIB - 1 - prop_choose(p, 5000);
        break;
    default:
        at = block + prop_choose(p, MIB);
        break;
    }
    return at <= limit ? at : limit;
}

static void choose_region(struct prop *p, size_t size, size_t *offset, size_t *n)
{
    size_t a = choose_place(p, size), b = choose_place(p, size);

    if (prop_choose(p, 3) != 0 && b > a + 2 * MIB)
        b = a + 1000; /* few large ones, for the time they take */
    *offset = a < b ? a : b;
    *n = a < b ? b - a : a - b;
}

static bool step_create(struct prop *p, struct model_actor *who)
{
    int name = (int)prop_choose(p, NAMES), n = free_number(who);
    bool versioned = prop_choose(p, OBJECT_POLICIES) != 0;
    size_t size = prop_choose(p, 3) != 0 ? 1 + choose_place(p, 3 * MIB)
                                         : 1 + choose_place(p, SIZE_MAX_BLOCKS * MIB - 1);
    struct model_object *x = named(name);
    int wanted = x != NULL ? -EEXIST : n;

    if (n == NUMBERS)
        return true;
    struct answer a = tell(
        who,
        (struct order){.verb = CREATE, .name = (uint64_t)name, .size = size, .key = versioned});

    PROP_CHECK(p, a.rc == wanted);
    if (wanted < 0)
        return true;
    for (x = objects; x->exists; x++)
        continue;
    x->exists = true;
    x->name = name;
    x->versioned = versioned;
    x->size = size;
    memset(x->bytes, 0, SIZE_MAX_BLOCKS * MIB);
    who->joined[n] = x;
    return true;
}

static bool step_join(struct prop *p, struct model_actor *who)
{
    int name = (int)prop_choose(p, NAMES), n = free_number(who);
    struct model_object *x = named(name);

    if (n == NUMBERS)
        return true;
    struct answer a = tell(who, (struct order){.verb = JOIN, .name = (uint64_t)name});

    PROP_CHECK(p, a.rc == (x != NULL ? n : -ENOENT));
    if (x != NULL)
        who->joined[n] = x;
    return true;
}

static bool step_unlink(struct prop *p, struct model_actor *who)
{
    int name = (int)prop_choose(p, NAMES);
    struct model_object *x = named(name);
    struct answer a = tell(who, (struct order){.verb = UNLINK, .name = (uint64_t)name});

    PROP_CHECK(p, a.rc == (x != NULL ? 0 : -ENOENT));
    if (x != NULL) {
        x->name = -1;
        maybe_gone(x);
    }
    return true;
}

static bool step_leave(struct prop *p, struct model_actor *who, int n)
{
    struct answer a = tell(who, (struct order){.verb = LEAVE, .number = (uint64_t)n});

    PROP_CHECK(p, a.rc == 0);
    drop_number(who, n);
    return true;
}

static bool step_destroy(struct prop *p, struct model_actor *who, int n)
{
    struct model_object *x = who->joined[n];
    bool alone = users_of(x) == 1 && numbers_of(who, x) == 1;
    struct answer a = tell(who, (struct order){.verb = DESTROY, .number = (uint64_t)n});

    if (x->name < 0) /* it has been removed already: any answer but a crash, then the same end */
        PROP_CHECK(p, a.rc == 0 || a.rc == -ETIMEDOUT || a.rc == -EALREADY || a.rc == -ENOENT);
    else
        PROP_CHECK(p, a.rc == (alone ? 0 : -ETIMEDOUT));
    if (a.rc == 0) {
        x->name = -1;
        drop_number(who, n);
    }
    return true;
}

static bool step_rename(struct prop *p, struct model_actor *who, int n)
{
    struct model_object *x = who->joined[n];
    int name = (int)prop_choose(p, NAMES);

    if (x->name < 0 || x->name == name)
        return true;
    struct answer a =
        tell(who, (struct order){.verb = RENAME, .number = (uint64_t)n, .name = (uint64_t)name});

    PROP_CHECK(p, a.rc == (named(name) != NULL ? -EEXIST : 0));
    if (a.rc == 0)
        x->name = name;
    return true;
}

static bool step_resize(struct prop *p, struct model_actor *who, int n)
{
    struct model_object *x = who->joined[n];
    size_t size = 1 + choose_place(p, 5 * MIB - 1);
    bool may =
        x->versioned || size >= x->size || blocks_free(x, size / MIB, SIZE_MAX_BLOCKS + 1, true);
    struct answer a =
        tell(who, (struct order){.verb = RESIZE, .number = (uint64_t)n, .size = size});

    PROP_CHECK(p, a.rc == (may ? 0 : -ETIMEDOUT));
    if (!may)
        return true;
    if (size < x->size)
        memset(x->bytes + size, 0, x->size - size);
    x->size = size;
    return true;
}

static bool step_write(struct prop *p, struct model_actor *who, int n)
{
    struct model_object *x = who->joined[n];
    struct order o = {.verb = WRITE, .number = (uint64_t)n, .key = prop_choose(p, 1000)};

    choose_region(p, x->size, &o.offset, &o.size);
    bool may = region_free(x, o.offset, o.size, true);
    struct answer a = tell(who, o);

    PROP_CHECK(p, a.rc == (may ? 0 : -ETIMEDOUT));
    if (may)
        stage_fill(x->bytes + o.offset, o.size, o.key);
    return true;
}

static bool step_read(struct prop *p, struct model_actor *who, int n)
{
    struct model_object *x = who->joined[n];
    struct order o = {.verb = READ, .number = (uint64_t)n};

    choose_region(p, x->size, &o.offset, &o.size);
    bool may = region_free(x, o.offset, o.size, false);
    struct answer a = tell(who, o);

    PROP_CHECK(p, a.rc == (may ? 0 : -ETIMEDOUT));
    if (may)
        PROP_CHECK(p, a.hash == hash_of(x->bytes + o.offset, o.size));
    return true;
}

static bool step_open(struct prop *p, struct model_actor *who, int n)
{
    struct model_object *x = who->joined[n];
    bool edit = prop_choose(p, 3) == 0;
    int slot = free_access(who);
    struct order o = {
        .verb = edit ? EDIT : GET, .number = (uint64_t)n, .key = prop_choose(p, 1000)};

    choose_region(p, x->size, &o.offset, &o.size);
    if (slot == ACCESSES)
        return true;
    int wanted = edit && x->versioned                     ? -EOPNOTSUPP
                 : region_free(x, o.offset, o.size, edit) ? slot
                                                          : -ETIMEDOUT;
    struct answer a = tell(who, o);

    PROP_CHECK(p, a.rc == wanted);
    if (wanted < 0)
        return true;
    if (edit)
        stage_fill(x->bytes + o.offset, o.size, o.key);
    who->access[slot] = (struct model_access){.open = true,
                                              .edit = edit,
                                              .number = n,
                                              .offset = o.offset,
                                              .size = o.size,
                                              .hash = hash_of(x->bytes + o.offset, o.size)};
    PROP_CHECK(p, a.hash == who->access[slot].hash);
    return true;
}

static bool step_access(struct prop *p, struct model_actor *who)
{
    int slot = (int)prop_choose(p, ACCESSES);

    if (!who->access[slot].open) {
        struct answer a = tell(who, (struct order){.verb = PUT, .number = (uint64_t)slot});

        PROP_CHECK(p, a.rc == -EBADF);
        return true;
    }
    struct answer a = tell(who, (struct order){.verb = LOOK, .number = (uint64_t)slot});

    PROP_CHECK(p, a.hash == who->access[slot].hash); /* no write has disturbed it */
    if (prop_choose(p, 2) == 0)
        return true;
    a = tell(who, (struct order){.verb = PUT, .number = (uint64_t)slot});
    PROP_CHECK(p, a.rc == 0);
    who->access[slot].open = false;
    return true;
}

static bool step_attr(struct prop *p, struct model_actor *who, int n)
{
    struct answer a = tell(who, (struct order){.verb = ATTR, .number = (uint64_t)n});

    PROP_CHECK(p, a.rc == 0);
    PROP_CHECK(p, a.size == who->joined[n]->size);
    PROP_CHECK(p, a.users == users_of(who->joined[n]));
    return true;
}

static bool step_number(struct prop *p, struct model_actor *who, int n)
{
    switch (prop_choose(p, 16)) {
    case 0:
        return step_leave(p, who, n);
    case 1:
        return step_destroy(p, who, n);
    case 2:
        return step_rename(p, who, n);
    case 3:
    case 4:
        return step_resize(p, who, n);
    case 5:
    case 6:
    case 7:
    case 8:
        return step_write(p, who, n);
    case 9:
    case 10:
    case 11:
        return step_read(p, who, n);
    case 12:
        return step_attr(p, who, n);
    default:
        return step_open(p, who, n);
    }
}

static bool step(struct prop *p)
{
    struct model_actor *who = &actors[prop_choose(p, ACTORS)];
    uint32_t kind = prop_choose(p, 20);
    int n = (int)prop_choose(p, NUMBERS);

    if (kind < 2)
        return step_create(p, who);
    if (kind < 4)
        return step_join(p, who);
    if (kind == 4)
        return prop_choose(p, 3) != 0 || step_unlink(p, who);
    if (kind < 8)
        return step_access(p, who);
    return who->joined[n] == NULL || step_number(p, who, n);
}

/* Everything as it should be at the end: what is left can be removed, and the memory is free. */
static bool clean_up(struct prop *p, int con)
{
    struct mbr_container_attr attr;

    for (int i = 0; i < ACTORS; i++) {
        for (int n = 0; n < NUMBERS; n++) {
            if (actors[i].joined[n] != NULL && !step_leave(p, &actors[i], n))
                return false;
        }
    }
    for (int name = 0; name < NAMES; name++) {
        char text[16];

        name_of((uint64_t)name, text);
        PROP_CHECK(p, mbr_object_unlink(con, text) == (named(name) != NULL ? 0 : -ENOENT));
    }
    PROP_CHECK(p, mbr_container_getattr(con, &attr) == 0);
    PROP_CHECK(p, attr.objects == 0 && attr.members == ACTORS + 1);
    PROP_CHECK(p, attr.bytes < 4 * MIB);
    return true;
}

static bool objects_do_as_the_model(struct prop *p)
{
    int con = HAVE(mbr_container_create("con", -1));
    bool ok = true;

    for (int i = 0; i < ACTORS; i++) {
        memset(&actors[i], 0, sizeof(actors[i]));
        stage_spawn(&actors[i].line, be_actor, NULL);
        (void)stage_hear(&actors[i].line);
    }
    for (size_t i = 0; i < OBJECTS; i++)
        objects[i].exists = false;
    for (int steps = 0; ok && steps < 400 && prop_more(p); steps++)
        ok = step(p);
    ok = ok && clean_up(p, con);
    for (int i = 0; i < ACTORS; i++) {
        (void)tell(&actors[i], (struct order){.verb = QUIT});
        stage_join_ok(&actors[i].line);
    }
    CHECK_INT(mbr_container_destroy_until(con, object_in_ms(10000)), 0);
    return ok;
}

static unsigned int runs = 40;

static void model_of_several_processes(void **state)
{
    prop_run("objects_do_as_the_model", objects_do_as_the_model, runs / stage_slowness() + 1);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(model_of_several_processes)};

    if (argc > 1)
        runs = (unsigned int)strtoul(argv[1], NULL, 10);
    for (size_t i = 0; i < OBJECTS; i++) {
        objects[i].bytes = malloc(SIZE_MAX_BLOCKS * MIB);
        CHECK(objects[i].bytes != NULL);
    }
    int rc = cmocka_run_group_tests(tests, NULL, NULL);

    for (size_t i = 0; i < OBJECTS; i++)
        free(objects[i].bytes);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(argc > 1 ? 1000 : 100, argc, argv, run);
}
