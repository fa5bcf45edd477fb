/* SPDX-License-Identifier: MIT */
/*
 * Processes that change a persistent container, killed at random. What they were told is done must
 * be there when the directory is taken anew; what they were doing is done or not. Sometimes another
 * member lives on: it finds the table whole, goes on, and what it sees is what the disk has.
 *
 *   object_persist_kill [KILLS]
 *
 * The kernel keeps what the killed have written, so nothing is synced to the disk for real.
 */
#include "../unit/object_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../unit/no_sync.h"
#include "../unit/prop.h"

#define OBJECTS 4
#define LARGEST (MBR_OBJECT_BLOCK + 300)

/* An object as it should be: its bytes are `seed` up to `valid`, then zeroes. */
struct object {
    uint32_t size; /* 0: there is none */
    uint32_t name; /* "a" to "h" */
    uint32_t valid;
    uint8_t seed;
};

/* Shared with the one that will be killed. `now` is what was acknowledged; `next` is what becomes
 * of it by the change under way, which is begun when `steps` is odd. */
struct shared {
    uint32_t steps;
    uint32_t sync_only; /* the change concerns the disk alone: in memory there may be anything */
    struct object now[OBJECTS];
    struct object next[OBJECTS];
};

static struct shared *shared;
static uint64_t chance;
static char where[96];
static uint8_t *buffer;
static unsigned kills = 1000;

static uint32_t draw(uint32_t limit)
{
    return (uint32_t)(prop_random(&chance) % limit);
}

static const char *name_of(uint32_t name)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};

    return names[name % 8];
}

static int take_directory(void)
{
    struct mbr_container_options o = {
        .size = sizeof(o), .flags = MBR_CONTAINER_CHECKSUMS, .directory = where};

    return mbr_container_create_with("c", -1, &o);
}

/* ---- the one that is killed ------------------------------------------------------------------ */

static uint32_t random_size(void)
{
    return draw(20) == 0 ? 1 + draw(LARGEST) : 1 + draw(3000);
}

static uint32_t free_name(void)
{
    uint32_t name = draw(8);

    for (int i = 0; i < OBJECTS; i++) {
        if (shared->now[i].size != 0 && shared->now[i].name == name) {
            name = (name + 1) % 8;
            i = -1;
        }
    }
    return name;
}

static void begin(int i, struct object o, bool sync_only)
{
    memcpy(shared->next, shared->now, sizeof(shared->now));
    shared->next[i] = o;
    shared->sync_only = sync_only;
    __atomic_store_n(&shared->steps, shared->steps + 1, __ATOMIC_SEQ_CST);
}

static void end(void)
{
    /* Killed in the middle of this, it is between the two: both are right then. */
    memcpy(shared->now, shared->next, sizeof(shared->now));
    __atomic_store_n(&shared->steps, shared->steps + 1, __ATOMIC_SEQ_CST);
}

static int sync_step(int id, int i, struct object o)
{
    o.seed = (uint8_t)(1 + draw(250));
    o.valid = o.size;
    begin(i, o, true);
    memset(buffer, o.seed, o.size);
    CHILD(mbr_object_write(id, 0, buffer, o.size) == 0);
    CHILD(mbr_object_sync(id) == 0);
    end();
    return 0;
}

static int resize_step(int id, int i, struct object o)
{
    o.size = random_size();
    if (o.valid > o.size)
        o.valid = o.size;
    begin(i, o, false);
    CHILD(mbr_object_resize(id, o.size) == 0);
    end();
    return 0;
}

static int rename_step(int id, int i, struct object o)
{
    o.name = free_name();
    begin(i, o, false);
    CHILD(mbr_object_rename(id, name_of(o.name)) == 0);
    end();
    return 0;
}

static int change_step(int c, int i)
{
    struct object o = shared->now[i];
    int id;
    int rc;

    if (o.size == 0) {
        o = (struct object){.size = random_size(), .name = free_name()};
        begin(i, o, false);
        id = mbr_object_create_with(c, name_of(o.name), o.size,
                                    draw(2) ? MBR_WRITE_IN_PLACE : MBR_WRITE_VERSIONED);
        CHILD(id >= 0);
        end();
        return mbr_object_leave(id);
    }
    if (draw(8) == 0) {
        begin(i, (struct object){0}, false);
        CHILD(mbr_object_unlink(c, name_of(o.name)) == 0);
        end();
        return 0;
    }
    id = mbr_object_join(c, name_of(o.name));
    CHILD(id >= 0);
    switch (draw(4)) {
    case 0:
        rc = resize_step(id, i, o);
        break;
    case 1:
        rc = rename_step(id, i, o);
        break;
    default:
        rc = sync_step(id, i, o);
    }
    return rc != 0 ? rc : mbr_object_leave(id);
}

static int victim(void *arg)
{
    int c = *(int *)arg ? mbr_container_join("c") : take_directory();

    chance += (uint64_t)getpid();
    CHILD(c >= 0);
    for (int i = 0; i < 200; i++) {
        int rc = change_step(c, (int)draw(OBJECTS));

        if (rc != 0)
            return rc;
    }
    for (;;)
        (void)pause();
}

/* ---- the one that looks ---------------------------------------------------------------------- */

static bool bytes_are(int id, const struct object *o)
{
    if (mbr_object_read(id, 0, buffer, o->size) != 0)
        return false;
    for (uint32_t i = 0; i < o->size; i++) {
        if (buffer[i] != (i < o->valid ? o->seed : 0))
            return false;
    }
    return true;
}

/* Whether the container has these objects and no others; BYTES: and these bytes. */
static bool has(int c, const struct object *objects, bool bytes)
{
    struct mbr_container_attr attr;
    struct mbr_object_attr object;
    uint64_t count = 0;

    for (int i = 0; i < OBJECTS; i++) {
        const struct object *o = &objects[i];
        bool good;
        int id;

        if (o->size == 0)
            continue;
        count++;
        id = mbr_object_join(c, name_of(o->name));
        if (id == -ENOENT)
            return false;
        assert_true(id >= 0);
        assert_int_equal(mbr_object_getattr(id, &object), 0);
        good = object.size == o->size && (!bytes || bytes_are(id, o));
        assert_int_equal(mbr_object_leave(id), 0);
        if (!good)
            return false;
    }
    assert_int_equal(mbr_container_getattr(c, &attr), 0);
    return attr.objects == count;
}

/* What there is becomes what was acknowledged. */
static void settle(int c, bool bytes)
{
    bool under_way = shared->steps % 2 != 0;

    if (under_way && has(c, shared->next, bytes)) {
        memcpy(shared->now, shared->next, sizeof(shared->now));
    } else if (!has(c, shared->now, bytes)) {
        for (int i = 0; i < OBJECTS; i++)
            print_message("%s %u %u %u -> %s %u %u %u\n", name_of(shared->now[i].name),
                          shared->now[i].size, shared->now[i].valid, shared->now[i].seed,
                          name_of(shared->next[i].name), shared->next[i].size,
                          shared->next[i].valid, shared->next[i].seed);
        fail_msg("not what was acknowledged (step %u)", shared->steps);
    }
    shared->steps = 0;
}

static void kill_one(bool joins)
{
    int arg = joins;
    uint32_t target = draw(30);
    pid_t pid;

    chance = chance * 3 + 1;
    pid = object_test_child(victim, &arg);
    while (__atomic_load_n(&shared->steps, __ATOMIC_SEQ_CST) < target)
        (void)sched_yield();
    for (volatile uint32_t spin = draw(60000); spin > 0; spin--)
        ;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(object_test_wait(pid), -SIGKILL);
}

/* All members are dead. */
static void everybody_dies(void)
{
    int c;

    kill_one(false);
    c = take_directory();
    assert_true(c >= 0);
    settle(c, true);
    assert_int_equal(mbr_container_leave(c), 0);
}

/* Writes all objects anew, whatever the dead one has left of their bytes. */
static void rewrite(int c)
{
    for (int i = 0; i < OBJECTS; i++) {
        struct object *o = &shared->now[i];
        int id;

        if (o->size == 0)
            continue;
        id = mbr_object_join(c, name_of(o->name));
        assert_true(id >= 0);
        o->seed = (uint8_t)(1 + draw(250));
        o->valid = o->size;
        memset(buffer, o->seed, o->size);
        assert_int_equal(mbr_object_write(id, 0, buffer, o->size), 0);
        assert_int_equal(mbr_object_sync(id), 0);
        assert_int_equal(mbr_object_leave(id), 0);
    }
}

static void one_lives_on(void)
{
    int c = take_directory();

    assert_true(c >= 0);
    assert_true(has(c, shared->now, true));
    kill_one(true);
    settle(c, false);
    rewrite(c);
    assert_true(has(c, shared->now, true));
    assert_int_equal(mbr_container_leave(c), 0);
    c = take_directory();
    assert_true(c >= 0);
    assert_true(has(c, shared->now, true));
    assert_int_equal(mbr_container_leave(c), 0);
}

static void acknowledged_changes_survive(void **state)
{
    chance = prop_setting("MBR_PROP_SEED", 1);
    for (unsigned i = 0; i < kills; i++) {
        if (draw(2))
            everybody_dies();
        else
            one_lives_on();
    }
}

static int setup(void **state)
{
    int rc = object_test_setup(state);

    (void)snprintf(where, sizeof(where), "%s/disk", object_test_dir);
    buffer = malloc(LARGEST + 1);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return rc == 0 && buffer != NULL && shared != MAP_FAILED ? mkdir(where, 0700) : -1;
}

static int teardown(void **state)
{
    free(buffer);
    (void)munmap(shared, sizeof(*shared));
    return object_test_teardown(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(acknowledged_changes_survive, setup, teardown)};

    if (argc > 1)
        kills = (unsigned)strtoul(argv[1], NULL, 10);
    return cmocka_run_group_tests_name("object_persist_kill", tests, NULL, NULL);
}
