/* SPDX-License-Identifier: MIT */
/*
 * Every call of the Demikernel C API with arguments that make no sense: each must fail, and none
 * may crash. Build: gcc -std=c99 -I include syscalls.c -ldemikernel. Run with
 * LIBOS=catmem and CONFIG_PATH set to a YAML file.
 */
#include <stdio.h>
#include <string.h>

#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>

/* NULL on purpose, where the headers forbid it: through a variable, compilers do not see it. */
static void *volatile nothing;

static int failures;

static void must_fail(const char *call, int rc)
{
    if (rc > 0)
        return;
    printf("%s returned %d\n", call, rc);
    failures++;
}

static void sockets(void)
{
    must_fail("demi_socket", demi_socket(nothing, -1, -1, -1));
    must_fail("demi_accept", demi_accept(nothing, -1));
    must_fail("demi_bind", demi_bind(-1, nothing, 0));
    must_fail("demi_connect", demi_connect(nothing, -1, nothing, 0));
    must_fail("demi_listen", demi_listen(-1, -1));
    must_fail("demi_pushto", demi_pushto(nothing, -1, nothing, nothing, 0));
    must_fail("demi_getpeername", demi_getpeername(-1, nothing, nothing));
    must_fail("demi_setsockopt", demi_setsockopt(-1, -1, -1, nothing, 0));
    must_fail("demi_getsockopt", demi_getsockopt(-1, -1, -1, nothing, nothing));
}

static void queues(void)
{
    must_fail("demi_create_pipe", demi_create_pipe(nothing, nothing));
    must_fail("demi_open_pipe", demi_open_pipe(nothing, nothing));
    must_fail("demi_close", demi_close(-1));
    must_fail("demi_pop", demi_pop(nothing, -1));
    must_fail("demi_push", demi_push(nothing, -1, nothing));
    must_fail("demi_wait", demi_wait(nothing, (demi_qtoken_t)-1, NULL));
    must_fail("demi_wait_any", demi_wait_any(nothing, nothing, nothing, -1, NULL));
    must_fail("demi_wait_next_n", demi_wait_next_n(nothing, -1, nothing, NULL));
}

static void memory(void)
{
    demi_sgarray_t none = demi_sgaalloc(0);

    must_fail("demi_sgaalloc", none.sga_buf == NULL);
    must_fail("demi_sgafree", demi_sgafree(nothing));
}

int main(int argc, char **argv)
{
    struct demi_args args = {.argc = argc, .argv = argv};
    int rc = demi_init(&args);

    if (rc != 0) {
        fprintf(stderr, "demi_init: %s\n", strerror(rc));
        return 1;
    }
    sockets();
    queues();
    memory();
    printf("%d calls did not fail\n", failures);
    return failures ? 1 : 0;
}
