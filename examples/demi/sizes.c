/* SPDX-License-Identifier: MIT */
/*
 * Prints the sizes of the types of the Demikernel C API, which programs compiled against any copy
 * of its headers rely on. Does not call the library. Build: gcc -std=c99 -I include sizes.c.
 */
#include <stdio.h>

#include <demi/types.h>

static int differs(const char *type, size_t size, size_t expected)
{
    printf("%-24s %2zu bytes%s\n", type, size, size == expected ? "" : ": WRONG");
    return size != expected;
}

int main(void)
{
    int wrong = 0;

    wrong += differs("demi_sgaseg_t", sizeof(demi_sgaseg_t), 12);
    wrong += differs("demi_sgarray_t", sizeof(demi_sgarray_t), 40);
    wrong += differs("demi_accept_result_t", sizeof(demi_accept_result_t), 20);
    wrong += differs("demi_qresult_t", sizeof(demi_qresult_t), 64);
    wrong += differs("struct demi_args", sizeof(struct demi_args), 20);
    return wrong ? 1 : 0;
}
