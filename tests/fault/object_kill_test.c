/* SPDX-License-Identifier: MIT */
/*
 * Random deaths of members of a container: victims do everything that can be done with objects, and
 * are killed with -9 at a random moment, two at a time; a survivor that works on meanwhile looks
 * after each death whether a lock is still held, whether bytes are half written and nobody says so,
 * whether an object is half created, and whether what is counted is right; at the end all memory is
 * free. The argument is the number of deaths. Not here: members that lie (object_hostile_test.c).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "../conformance/object_util.h"

#include <cmocka.h>

#define BLOCKS     3
#define SIZE       (BLOCKS * MIB)
#define CHURN      4 /* names that are created, renamed, removed */
#define CHURN_SIZE (2 * MIB + 5)
#define VICTIMS    2

static uint64_t deaths = 1000;

/* ---- stamped bytes: every 8 bytes of a block say who wrote them ---- */

static void stamp(char *bytes, size_t n, uint64_t value)
{
    for (size_t i = 0; i < n / 8; i++)
        memcpy(bytes + 8 * i, &value, 8);
}

/* Whether all say the same, and what. */
static bool stamped(const char *bytes, size_t n, uint64_t *value)
{
    uint64_t word;

    memcpy(value, bytes, 8);
    for (size_t i = 1; i < n / 8; i++) {
        memcpy(&word, bytes + 8 * i, 8);
        if (word != *value)
            return false;
    }
    return true;
}

/* ---- the victims ---- */

struct hands {
    int con, in_place, versioned;
    uint64_t random;
    char *bytes; /* SIZE */
};

static void churn_name(struct hands *h, char name[16])
{
    (void)snprintf(name, 16, "churn %d", (int)stage_below(&h->random, CHURN));
}

static void churn_step(struct hands *h)
{
    char name[16], other[16];
    uint64_t kind = stage_below(&h->random, 8);
    int o, rc;

    churn_name(h, name);
    churn_name(h, other);
    if (kind < 3) {
        o = mbr_object_create_with(h->con, name, CHURN_SIZE,
                                   (enum mbr_write_policy)(kind % OBJECT_POLICIES));
        CHECK(o >= 0 || o == -EEXIST);
    } else {
        o = mbr_object_join(h->con, name);
        CHECK(o >= 0 || o == -ENOENT);
    }
    if (kind == 3) {
        rc = mbr_object_unlink(h->con, name);
        CHECK(rc == 0 || rc == -ENOENT);
    }
    if (o < 0)
        return;
    if (kind == 4) {
        rc = mbr_object_rename(o, other);
        CHECK(rc == 0 || rc == -EEXIST || rc == -ENOENT);
    } else if (kind == 5) {
        rc = mbr_object_resize_until(o, 1 + stage_below(&h->random, 4) * MIB, 0);
        CHECK(rc == 0 || rc == -ETIMEDOUT);
    } else if (kind == 6) {
        rc = mbr_object_destroy_until(o, 0);
        CHECK(rc == 0 || rc == -ETIMEDOUT || rc == -EALREADY || rc == -ENOENT);
        if (rc == 0)
            return;
    }
    CHECK_INT(mbr_object_leave(o), 0);
}

static bool torn(int rc)
{
    return rc == -EOWNERDEAD || rc == -ENOTRECOVERABLE;
}

static void in_place_step(struct hands *h)
{
    size_t first = stage_below(&h->random, BLOCKS);
    size_t count = 1 + stage_below(&h->random, BLOCKS - first);
    char *p;
    int rc;

    switch (stage_below(&h->random, 4)) {
    case 0:
        stamp(h->bytes, count * MIB, stage_random(&h->random));
        CHECK_INT(mbr_object_write(h->in_place, first * MIB, h->bytes, count * MIB), 0);
        break;
    case 1:
        rc = mbr_object_edit(h->in_place, first * MIB, count * MIB, &p);
        CHECK(rc >= 0 || torn(rc));
        if (rc < 0)
            break;
        stamp(p, count * MIB, stage_random(&h->random));
        CHECK_INT(mbr_object_put(rc), 0);
        break;
    case 2:
        rc = mbr_object_get(h->in_place, first * MIB, count * MIB, &p);
        CHECK(rc >= 0 || torn(rc));
        if (rc >= 0)
            CHECK_INT(mbr_object_put(rc), 0);
        break;
    default:
        rc = mbr_object_awrite(h->in_place, first * MIB, h->bytes, 0);
        CHECK(rc >= 0);
        CHECK_INT(mbr_object_opwait(rc, MBR_FOREVER), 0);
        CHECK_INT(mbr_object_return(rc), 0);
        break;
    }
}

static void versioned_step(struct hands *h)
{
    uint64_t value;
    char *p;

    if (stage_below(&h->random, 2) == 0) {
        stamp(h->bytes, SIZE, stage_random(&h->random));
        int rc = mbr_object_write(h->versioned, 0, h->bytes, SIZE);

        CHECK(rc == 0 || rc == -ENOMEM || rc == -ENOSPC);
    } else {
        int access = HAVE(mbr_object_get(h->versioned, 0, SIZE, &p));

        CHECK(stamped(p, SIZE, &value));
        CHECK_INT(mbr_object_put(access), 0);
    }
}

static void any_step(struct hands *h)
{
    switch (stage_below(&h->random, 4)) {
    case 0:
        in_place_step(h);
        break;
    case 1:
        versioned_step(h);
        break;
    case 2: {
        int again = HAVE(mbr_container_join("con"));

        if (stage_below(&h->random, 2) == 0)
            CHECK_INT(mbr_object_leave(HAVE(mbr_object_join(again, "in place"))), 0);
        CHECK_INT(mbr_container_leave(again), 0);
        break;
    }
    default:
        churn_step(h);
        break;
    }
}

static struct hands hands_of(uint64_t seed)
{
    struct hands h = {.random = seed, .bytes = malloc(SIZE)};

    CHECK(h.bytes != NULL);
    h.con = HAVE(mbr_container_join("con"));
    h.in_place = HAVE(mbr_object_join(h.con, "in place"));
    h.versioned = HAVE(mbr_object_join(h.con, "versioned"));
    return h;
}

static void be_victim(struct stage_actor *parent, void *arg)
{
    uint64_t seed = *(const uint64_t *)arg;

    stage_say(parent, 0);
    struct hands h = hands_of(seed);

    for (;;)
        any_step(&h);
}

/* ---- the survivor ---- */

static uint64_t torn_told;

/* Reads block by block: sound ones are of one piece, torn ones are told once and then repaired. */
static void look_at_blocks(struct hands *h)
{
    uint64_t deadline = object_in_ms(20000), value;

    for (size_t b = 0; b < BLOCKS; b++) {
        int rc = mbr_object_read_until(h->in_place, b * MIB, h->bytes, MIB, deadline);

        if (rc == 0)
            CHECK(stamped(h->bytes, MIB, &value));
        else
            CHECK(torn(rc));
        if (rc == -EOWNERDEAD) {
            torn_told++;
            rc = mbr_object_read_until(h->in_place, b * MIB, h->bytes, MIB, deadline);
            /* Another victim may have written it as a whole in between, or torn it anew. */
            CHECK(rc == 0 || torn(rc));
        }
    }
}

static void look_at_all(struct hands *h)
{
    uint64_t deadline = object_in_ms(20000), value;
    char *p;

    look_at_blocks(h);
    int access = HAVE(mbr_object_get_until(h->versioned, 0, SIZE, &p, deadline));

    CHECK(stamped(p, SIZE, &value));
    CHECK_INT(mbr_object_put(access), 0);
}

/* With nobody else about: nothing is locked, counted wrongly or half made. */
static void look_when_alone(struct hands *h)
{
    uint64_t deadline = object_in_ms(20000), cursor = 0, listed = 0;
    char name[MBR_OBJECT_NAME_MAX + 1];
    struct mbr_container_attr attr;
    int rc;

    stamp(h->bytes, SIZE, 1);
    CHECK_INT(mbr_object_write_until(h->in_place, 0, h->bytes, SIZE, deadline), 0);
    CHECK_INT(mbr_object_write_until(h->versioned, 0, h->bytes, SIZE, deadline), 0);
    CHECK_INT(object_attr_of(h->in_place).torn, 0);
    CHECK_INT(object_attr_of(h->in_place).users, 1);
    CHECK_INT(object_attr_of(h->versioned).users, 1);
    while ((rc = mbr_container_list(h->con, &cursor, name)) == 1) {
        listed++;
        int o = HAVE(mbr_object_join(h->con, name));
        struct mbr_object_attr a = object_attr_of(o);

        CHECK(strcmp(a.name, name) == 0 && a.size > 0 && a.size <= 3 * MIB + 1);
        CHECK(a.users == 1);
        if (strncmp(name, "churn", 5) == 0) {
            char *bytes = calloc(1, a.size), *seen = malloc(a.size);

            CHECK(bytes != NULL && seen != NULL);
            CHECK_INT(mbr_object_read_until(o, 0, seen, a.size, deadline), 0);
            CHECK(memcmp(bytes, seen, a.size) == 0);
            free(bytes);
            free(seen);
            CHECK_INT(mbr_object_destroy_until(o, deadline), 0);
        } else {
            CHECK_INT(mbr_object_leave(o), 0);
        }
    }
    CHECK_INT(rc, 0);
    CHECK_INT(mbr_container_getattr(h->con, &attr), 0);
    CHECK_INT(attr.objects, 2);
    CHECK_INT(attr.members, 1);
    CHECK(listed >= 2 && listed <= 2 + CHURN);
}

static void wait_a_moment(uint64_t ns)
{
    uint64_t until = object_now() + ns;

    while (object_now() < until)
        continue;
}

static void deaths_leave_nothing(void **state)
{
    uint64_t random = stage_seed(), seeds[VICTIMS], memory = 0;
    struct stage_actor victims[VICTIMS];
    struct mbr_container_attr attr;
    int con = HAVE(mbr_container_create("con", -1));

    HAVE(mbr_object_create(con, "in place", SIZE));
    HAVE(mbr_object_create_with(con, "versioned", SIZE, MBR_WRITE_VERSIONED));
    CHECK_INT(mbr_object_leave(0), 0);
    CHECK_INT(mbr_object_leave(1), 0);
    struct hands h = hands_of(random);

    for (uint64_t death = 0; death < deaths;) {
        for (int i = 0; i < VICTIMS; i++) {
            seeds[i] = stage_random(&random);
            stage_spawn(&victims[i], be_victim, &seeds[i]);
            (void)stage_hear(&victims[i]);
        }
        for (int i = 0; i < VICTIMS; i++, death++) {
            uint64_t longest = stage_below(&random, 4) == 0 ? 8000000 : 1000000;

            wait_a_moment(stage_below(&random, longest));
            if (stage_below(&random, 2) == 0)
                look_at_all(&h);
            stage_kill(&victims[i]);
            if (i + 1 < VICTIMS)
                look_at_all(&h);
        }
        look_at_all(&h);
        look_when_alone(&h);
        CHECK_INT(mbr_container_getattr(con, &attr), 0);
        if (death == VICTIMS)
            memory = attr.bytes;
        /* Pages of tables stay once used; those of objects do not. */
        CHECK(attr.bytes <= memory + 8 * MIB);
    }
    print_message("%llu deaths, %llu torn blocks told\n", (unsigned long long)deaths,
                  (unsigned long long)torn_told);
    CHECK_INT(mbr_object_destroy_until(h.in_place, object_in_ms(10000)), 0);
    CHECK_INT(mbr_object_destroy_until(h.versioned, object_in_ms(10000)), 0);
    CHECK_INT(mbr_container_getattr(con, &attr), 0);
    CHECK_INT(attr.objects, 0);
    CHECK_INT(mbr_container_leave(h.con), 0);
    CHECK_INT(mbr_container_destroy_until(con, object_in_ms(10000)), 0);
    free(h.bytes);
}

/* What the last member leaves behind is nothing, however he ended: the name can be used anew, and
 * no memory is left (it is a nameless file: it has gone with its last descriptor). */
static void be_last(struct stage_actor *parent, void *arg)
{
    int c = HAVE(mbr_container_create("last", -1));

    HAVE(mbr_object_create(c, "x", 10 * MIB));
    stage_say(parent, 0);
    (void)stage_hear(parent);
}

static void last_member_is_killed(void **state)
{
    for (int i = 0; i < 20; i++) {
        struct stage_actor last;

        stage_spawn(&last, be_last, NULL);
        (void)stage_hear(&last);
        int c = HAVE(mbr_container_join("last"));

        CHECK_INT(mbr_container_leave(c), 0);
        stage_kill(&last);
        CHECK_INT(mbr_container_join("last"), -ENOENT);
        c = HAVE(mbr_container_create("last", -1));
        CHECK_INT(mbr_object_join(c, "x"), -ENOENT);
        CHECK_INT(mbr_container_leave(c), 0);
    }
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deaths_leave_nothing),
        cmocka_unit_test(last_member_is_killed),
    };

    if (argc > 1)
        deaths = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(argc > 1 ? 1200 : 110, argc, argv, run);
}
