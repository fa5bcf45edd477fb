/* SPDX-License-Identifier: MIT */
/*
 * Buffers: sizes and alignment, references, what is kept and what goes back to the kernel, threads
 * that free each other's buffers, forks at the worst moment, no system call after warm-up, no
 * memory.
 */
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/clock.h"
#include "prop.h"
#include "shm/buf.h"
#include "shm_test.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* ---- wrapped calls --------------------------------------------------------------------------- */

static uint64_t calls;            /* of mmap(), munmap() and malloc() */
static void (*inside_mmap)(void); /* called once, in the next mmap() */

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len);
void *__real_malloc(size_t len);
void *__wrap_malloc(size_t len);

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    void (*fn)(void) = inside_mmap;

    (void)mbr_fetch_add(&calls, 1);
    if (test_calls_now())
        return MAP_FAILED;
    if (fn != NULL) {
        inside_mmap = NULL;
        fn();
    }
    return __real_mmap(at, len, prot, flags, fd, offset);
}

int __wrap_munmap(void *at, size_t len)
{
    (void)mbr_fetch_add(&calls, 1);
    return __real_munmap(at, len);
}

void *__wrap_malloc(size_t len)
{
    (void)mbr_fetch_add(&calls, 1);
    return __real_malloc(len);
}

/* ---- one thread ------------------------------------------------------------------------------ */

static size_t in_use(void)
{
    size_t used;
    size_t cached;

    mbr__buf_stat(&used, &cached);
    return used;
}

static size_t cached(void)
{
    size_t used;
    size_t kept;

    mbr__buf_stat(&used, &kept);
    return kept;
}

static void check_size(size_t size)
{
    struct mbr__buf *b = mbr__buf_alloc(size);
    unsigned char *data;

    assert_non_null(b);
    data = b->data;
    assert_int_equal((uintptr_t)b % 64, 0);
    assert_ptr_equal(data, (unsigned char *)b + MBR__BUF_HEADER);
    assert_true(b->capacity >= size);
    /* At most a fifth is waste, beside rounding to a cache line, and to a page in large ones. */
    assert_true(b->capacity <= size + size / 4 + (size > 32 * KIB ? 4095 : 63));
    assert_int_equal(b->magic, MBR__BUF_LIVE);
    assert_int_equal(b->refs, 1);
    assert_null(b->release);
    data[0] = 1;
    data[size - 1] = 2;
    data[b->capacity - 1] = 3;
    assert_ptr_equal(mbr__buf_check(b), b);
    assert_true(in_use() >= size);
    mbr__buf_unref(b);
}

static void serves_all_sizes(void **state)
{
    for (size_t size = 1; size <= 5000; size++)
        check_size(size);
    for (size_t power = 4 * KIB; power <= MBR__BUF_MAX; power *= 2) {
        for (size_t quarter = 4; quarter < 8; quarter++) {
            size_t size = power / 4 * quarter;

            if (size > MBR__BUF_MAX || (size > 64 * MIB && size < MBR__BUF_MAX))
                continue;
            check_size(size - 1);
            check_size(size);
            if (size < MBR__BUF_MAX)
                check_size(size + 1);
        }
    }
    assert_null(mbr__buf_alloc(0));
    assert_null(mbr__buf_alloc(MBR__BUF_MAX + 1));
    assert_null(mbr__buf_alloc(SIZE_MAX));
    assert_int_equal(in_use(), 0);
}

static int released;

static void foreign_release(struct mbr__buf *b)
{
    assert_int_equal(b->magic, MBR__BUF_DEAD);
    released += (int)b->cookie;
}

static void counts_references(void **state)
{
    struct mbr__buf foreign = {
        .magic = MBR__BUF_LIVE, .refs = 1, .capacity = 5, .release = foreign_release, .cookie = 7};
    struct mbr__buf *b = mbr__buf_alloc(100);

    mbr__buf_ref(b);
    mbr__buf_ref(b);
    assert_int_equal(b->refs, 3);
    mbr__buf_unref(b);
    mbr__buf_unref(b);
    assert_int_equal(b->magic, MBR__BUF_LIVE);
    assert_true(in_use() > 0);
    mbr__buf_unref(b);
    assert_int_equal(in_use(), 0);
    mbr__buf_unref(NULL);

    mbr__buf_ref(&foreign);
    mbr__buf_unref(&foreign);
    assert_int_equal(released, 0);
    mbr__buf_unref(&foreign);
    assert_int_equal(released, 7);
    assert_int_equal(in_use(), 0);
}

static void knows_live_buffers(void **state)
{
    uint64_t other[8] = {0};
    struct mbr__buf *b = mbr__buf_alloc(64);

    assert_ptr_equal(mbr__buf_check(b), b);
    assert_null(mbr__buf_check((char *)b + 4));
    assert_null(mbr__buf_check(NULL));
    assert_null(mbr__buf_check(other));
    /* Numbers that are no addresses are not read. */
    assert_null(mbr__buf_check((void *)(uintptr_t)64));
    assert_null(mbr__buf_check((void *)(uintptr_t)65528));
    assert_null(mbr__buf_check((void *)(UINTPTR_MAX - 63)));
    assert_null(mbr__buf_check((void *)(UINTPTR_MAX / 2 + 1)));
    mbr__buf_unref(b);
    assert_null(mbr__buf_check(b));
}

static void free_twice(void *arg)
{
    struct mbr__buf *b = mbr__buf_alloc(64);

    mbr__buf_unref(b);
    fclose(stderr); /* the message is for the log of a real program */
    mbr__buf_unref(b);
}

static void aborts_on_a_double_free(void **state)
{
    int status = test_in_child(free_twice, NULL);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void stream(size_t size, int n)
{
    struct mbr__buf *window[8] = {NULL};

    for (int i = 0; i < n; i++) {
        mbr__buf_unref(window[i % 8]);
        window[i % 8] = mbr__buf_alloc(size);
        assert_non_null(window[i % 8]);
    }
    for (int i = 0; i < 8; i++)
        mbr__buf_unref(window[i]);
}

static void is_silent_after_warm_up(void **state)
{
    static const size_t sizes[] = {1, 64, 1500, 32 * KIB, 33 * KIB, 64 * KIB, MIB, 7 * MIB};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t before;

        stream(sizes[i], 100);
        before = calls;
        stream(sizes[i], 10000);
        assert_int_equal(calls, before);
    }
}

static void keeps_a_bounded_amount(void **state)
{
    struct mbr__buf *b[100];
    size_t before = cached();
    uint64_t before_calls;

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++)
            assert_non_null(b[i] = mbr__buf_alloc(MIB));
        assert_true(in_use() >= 100 * MIB);
        for (int i = 0; i < 100; i++)
            mbr__buf_unref(b[i]);
        assert_true(cached() <= before + MBR__BUF_KEEP);
        assert_true(cached() >= MBR__BUF_KEEP - 2 * MIB);
    }

    /* Another size finds the depot full, and is not kept out for ever. */
    stream(300 * KIB, 100);
    before_calls = calls;
    stream(300 * KIB, 1000);
    assert_int_equal(calls, before_calls);
    assert_true(cached() <= before + MBR__BUF_KEEP);

    /* What is larger than all that may be kept leaves the rest alone. */
    mbr__buf_unref(mbr__buf_alloc(65 * MIB));
    assert_true(cached() >= MBR__BUF_KEEP - 4 * MIB);
    assert_int_equal(in_use(), 0);
}

static void flush_gives_all_back(void **state)
{
    size_t before;

    stream(64, 100);
    before = cached();
    mbr__buf_flush();
    assert_int_equal(cached(), before);
    mbr__buf_flush();
    stream(64, 100);
    assert_int_equal(cached(), before);
}

/* ---- against a model ------------------------------------------------------------------------- */

#define MODEL 64

struct model {
    struct mbr__buf *buf[MODEL];
    size_t size[MODEL];
    unsigned char fill[MODEL];
    uint32_t refs[MODEL];
};

static bool is_filled(const struct model *m, size_t i)
{
    const unsigned char *data = m->buf[i]->data;
    size_t size = m->size[i];

    return data[0] == m->fill[i] && data[size / 2] == m->fill[i] && data[size - 1] == m->fill[i];
}

static bool model_step(struct prop *p, struct model *m)
{
    size_t i = prop_choose(p, MODEL);

    if (m->buf[i] == NULL) {
        m->size[i] = 1 + prop_choose(p, 1u << (4 + prop_choose(p, 15)));
        m->fill[i] = (unsigned char)prop_choose(p, 256);
        m->refs[i] = 1;
        m->buf[i] = mbr__buf_alloc(m->size[i]);
        PROP_CHECK(p, m->buf[i] != NULL && m->buf[i]->capacity >= m->size[i]);
        memset(m->buf[i]->data, m->fill[i], m->size[i]);
        return true;
    }
    PROP_CHECK(p, is_filled(m, i));
    PROP_CHECK(p, m->buf[i]->refs == m->refs[i]);
    if (prop_choose(p, 4) == 0) {
        mbr__buf_ref(m->buf[i]);
        m->refs[i]++;
        return true;
    }
    mbr__buf_unref(m->buf[i]);
    if (--m->refs[i] == 0)
        m->buf[i] = NULL;
    return true;
}

static void model_empty(struct model *m)
{
    for (size_t i = 0; i < MODEL; i++) {
        while (m->buf[i] != NULL && m->refs[i]-- > 0)
            mbr__buf_unref(m->buf[i]);
        m->buf[i] = NULL;
    }
}

static bool buffers_do_not_overlap(struct prop *p)
{
    static struct model m;
    bool good = true;

    while (good && prop_more(p))
        good = model_step(p, &m);
    model_empty(&m);
    if (good && prop_choose(p, 4) == 0)
        mbr__buf_flush();
    PROP_CHECK(p, !good || in_use() == 0);
    return good;
}

static void agrees_with_a_model(void **state)
{
    prop_run("buffers_do_not_overlap", buffers_do_not_overlap, 200);
}

/* ---- threads --------------------------------------------------------------------------------- */

#define HANDED 20000

/* One thread allocates, another frees: a list with a lock between them. */
static struct {
    pthread_mutex_t lock;
    struct mbr__buf *head;
    int handed;
} hand = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *allocate_for_others(void *arg)
{
    uint64_t seed = (uintptr_t)arg;

    for (int i = 0; i < HANDED; i++) {
        struct mbr__buf *b = mbr__buf_alloc(1 + prop_random(&seed) % 3000);

        if (b == NULL)
            abort();
        *(uint32_t *)b->data = 0x12345678;
        pthread_mutex_lock(&hand.lock);
        b->next = hand.head;
        hand.head = b;
        hand.handed++;
        pthread_mutex_unlock(&hand.lock);
    }
    return NULL;
}

static void *free_for_others(void *arg)
{
    for (int i = 0; i < HANDED;) {
        struct mbr__buf *b;

        pthread_mutex_lock(&hand.lock);
        b = hand.head;
        if (b != NULL)
            hand.head = b->next;
        pthread_mutex_unlock(&hand.lock);
        if (b == NULL) {
            sched_yield();
            continue;
        }
        if (*(uint32_t *)b->data != 0x12345678)
            abort();
        mbr__buf_unref(b);
        i++;
    }
    return NULL;
}

static void threads_free_for_each_other(void **state)
{
    pthread_t threads[4];

    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i % 2 ? free_for_others : allocate_for_others, (void *)i),
                         0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_null(hand.head);
    assert_int_equal(in_use(), 0);
}

static void *share(void *arg)
{
    struct mbr__buf *b = arg;

    for (int i = 0; i < 20000; i++) {
        mbr__buf_ref(b);
        mbr__buf_unref(b);
    }
    mbr__buf_unref(b);
    return NULL;
}

static void threads_share_a_buffer(void **state)
{
    struct mbr__buf *b = mbr__buf_alloc(10);
    pthread_t threads[3];

    for (int i = 0; i < 3; i++) {
        mbr__buf_ref(b);
        assert_int_equal(pthread_create(&threads[i], NULL, share, b), 0);
    }
    mbr__buf_unref(b);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(in_use(), 0);
}

static void *use_and_end(void *arg)
{
    stream(200, 1000);
    return mbr__buf_alloc(200);
}

static void ended_threads_leave_nothing(void **state)
{
    size_t before;
    void *b;

    for (int i = 0; i < 20; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, use_and_end, NULL), 0);
        assert_int_equal(pthread_join(thread, &b), 0);
        mbr__buf_unref(b);
    }
    before = cached();
    assert_int_equal(in_use(), 0);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, use_and_end, NULL), 0);
        assert_int_equal(pthread_join(thread, &b), 0);
        mbr__buf_unref(b);
    }
    assert_int_equal(cached(), before); /* the later threads used what the earlier ones left */
}

/* A destructor that runs after ours, when the thread's cache is gone. */
static pthread_key_t late_key;

static void free_late(void *arg)
{
    static __thread int rounds;

    if (++rounds < 3) {
        (void)pthread_setspecific(late_key, arg);
        return;
    }
    mbr__buf_unref(arg);
    mbr__buf_unref(mbr__buf_alloc(64));
    mbr__buf_flush();
}

static void *end_late(void *arg)
{
    stream(64, 10);
    (void)pthread_setspecific(late_key, mbr__buf_alloc(64));
    return NULL;
}

static void late_destructors_may_free(void **state)
{
    pthread_t thread;

    assert_int_equal(pthread_key_create(&late_key, free_late), 0);
    assert_int_equal(pthread_create(&thread, NULL, end_late, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pthread_key_delete(late_key), 0);
    assert_int_equal(in_use(), 0);
}

/* ---- forks ----------------------------------------------------------------------------------- */

static struct mbr__buf *inherited;

static void use_in_child(void *arg)
{
    pthread_t threads[4];

    CHILD_CHECK(*(uint32_t *)inherited->data == 0xabcd);
    mbr__buf_unref(inherited);
    for (uintptr_t i = 0; i < 4; i++)
        CHILD_CHECK(pthread_create(&threads[i], NULL, i % 2 ? free_for_others : allocate_for_others,
                                   (void *)i) == 0);
    for (int i = 0; i < 4; i++)
        CHILD_CHECK(pthread_join(threads[i], NULL) == 0);
    stream(MIB, 20);
    mbr__buf_flush();
    CHILD_CHECK(arg != NULL || in_use() == 0);
}

static void children_may_go_on(void **state)
{
    stream(MIB, 20);
    stream(100, 1000);
    inherited = mbr__buf_alloc(100);
    *(uint32_t *)inherited->data = 0xabcd;
    test_child_passes(use_in_child, NULL);
    mbr__buf_unref(inherited);
    assert_int_equal(in_use(), 0);
}

static int fork_status = -1;

/* In the middle of the depot, its lock held. */
static void fork_here(void)
{
    static int any;
    pid_t pid = fork();

    if (pid == 0) {
        alarm(20);
        use_in_child(&any);
        _exit(0);
    }
    waitpid(pid, &fork_status, 0);
}

static void children_never_wait_for_the_depot(void **state)
{
    struct mbr__buf *b[100];
    int n = 0;

    inherited = mbr__buf_alloc(100);
    *(uint32_t *)inherited->data = 0xabcd;
    inside_mmap = fork_here;
    while (inside_mmap != NULL) { /* until a chunk is used up */
        assert_true(n < 100);
        assert_non_null(b[n++] = mbr__buf_alloc(32 * KIB));
    }
    assert_int_equal(fork_status, 0);
    while (n > 0)
        mbr__buf_unref(b[--n]);
    mbr__buf_unref(inherited);
    assert_int_equal(in_use(), 0);
}

/* ---- failures -------------------------------------------------------------------------------- */

/* In a child, so that nothing is there yet but what main() has needed. */
static void without_memory(void *arg)
{
    struct mbr__buf *b[2000];
    size_t size = *(size_t *)arg;
    int n = 0;

    test_calls_arm(0, ENOMEM);
    while (n < 2000) {
        b[n] = mbr__buf_alloc(size);
        if (b[n] == NULL)
            break;
        n++;
        if (test_calls_hit)
            test_calls_arm(0, ENOMEM);
    }
    CHILD_CHECK(n < 2000);
    (void)test_calls_disarm();
    CHILD_CHECK(mbr__buf_alloc(size) != NULL);
    while (n > 0)
        mbr__buf_unref(b[--n]);
}

static void says_when_there_is_no_memory(void **state)
{
    static size_t sizes[] = {1, 1000, 32 * KIB, 40 * KIB, MIB, MBR__BUF_MAX};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        test_child_passes(without_memory, &sizes[i]);
}

/* The choice is made at the first use, so this needs a process that has not made one. */
static void works_without_thread_caches(void **state)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        execl("/proc/self/exe", "test", "no-keys", (char *)NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* All keys of the process are taken: no thread can have a cache. */
static int take_all_keys(void **state)
{
    pthread_key_t key;

    while (pthread_key_create(&key, NULL) == 0)
        ;
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_all_sizes),
        cmocka_unit_test(counts_references),
        cmocka_unit_test(knows_live_buffers),
        cmocka_unit_test(aborts_on_a_double_free),
        cmocka_unit_test(is_silent_after_warm_up),
        cmocka_unit_test(keeps_a_bounded_amount),
        cmocka_unit_test(flush_gives_all_back),
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(threads_free_for_each_other),
        cmocka_unit_test(threads_share_a_buffer),
        cmocka_unit_test(ended_threads_leave_nothing),
        cmocka_unit_test(late_destructors_may_free),
        cmocka_unit_test(children_may_go_on),
        cmocka_unit_test(children_never_wait_for_the_depot),
        cmocka_unit_test(says_when_there_is_no_memory),
        cmocka_unit_test(works_without_thread_caches),
    };
    const struct CMUnitTest without_keys[] = {
        cmocka_unit_test(serves_all_sizes),    cmocka_unit_test(counts_references),
        cmocka_unit_test(agrees_with_a_model), cmocka_unit_test(threads_free_for_each_other),
        cmocka_unit_test(children_may_go_on),
    };

    if (argc > 1)
        return cmocka_run_group_tests_name("shm_buf_no_keys", without_keys, take_all_keys, NULL);
    return cmocka_run_group_tests_name("shm_buf", tests, NULL, NULL);
}
