/* SPDX-License-Identifier: MIT */
/*
 * The macros of membrane/exn.h, which says how to use them. Apart from it because they use local
 * labels and repeat names in nested blocks on purpose: here the compiler does not warn of that,
 * while it still warns of what stands inside the blocks. Include membrane/exn.h.
 *
 * How it works. TRY opens a block with a frame whose cleanup takes it off the chain however the
 * block is left. Whether there is a FINALLY is known only at ENDTRY, but wanted at the beginning (a
 * return that would pass it by is then found out), so TRY first goes to a line that ENDTRY has
 * written inside the last part, where mbr_exn_has_finally_ has the right value, and comes back. The
 * compiler makes one store of the two jumps. Each part opens two braces beside the user's own,
 * which the next part closes; after CATCH_ALL or FINALLY there is no if left for another CATCH's
 * else.
 */
#ifndef MEMBRANE_EXN_MACROS_H
#define MEMBRANE_EXN_MACROS_H

#pragma GCC system_header

/* The frame of the handler these stand in. The name is what the compiler says elsewhere. */
#define MBR_EXN_HANDLED mbr_exn_this_belongs_inside_CATCH_or_CATCH_ALL_

/* clang-format off */
#define MBR_TRY                                                                  \
    {                                                                            \
        __label__ mbr_exn_plan_, mbr_exn_begin_;                                 \
        enum { mbr_exn_has_finally_ = MBR_EXN_BODY };                            \
        struct mbr_exn_frame mbr_exn_frame_ __attribute__((cleanup(mbr_exn_leave))); \
        goto mbr_exn_plan_;                                                      \
    mbr_exn_begin_:                                                              \
        mbr_exn_enter(&mbr_exn_frame_);                                          \
        if (_setjmp(mbr_exn_frame_.env) == 0) {                                  \
            {

#define MBR_EXN_CATCH_(ID)                                                       \
            }                                                                    \
        } else if (mbr_exn_frame_.phase != MBR_EXN_LAST && mbr_exn_caught(&mbr_exn_frame_, ID)) { \
            {                                                                    \
                struct mbr_exn_frame *const MBR_EXN_HANDLED __attribute__((unused)) = &mbr_exn_frame_;

#define MBR_EXN_CATCH_1(EXN) MBR_EXN_CATCH_(EXN##_ID)
#define MBR_EXN_CATCH_2(EXN, ARGS)                                               \
    MBR_EXN_CATCH_(EXN##_ID)                                                     \
                const EXN##_Args *const ARGS __attribute__((unused)) =           \
                    (const EXN##_Args *)mbr_exn_frame_.args;

/* MBR_CATCH(I_E) or MBR_CATCH(I_E, args): args is a const I_E_Args *, NULL if it has none. */
#define MBR_EXN_THIRD_(A, B, C, ...) C
#define MBR_CATCH(...)                                                           \
    MBR_EXN_THIRD_(__VA_ARGS__, MBR_EXN_CATCH_2, MBR_EXN_CATCH_1, 0)(__VA_ARGS__)

#define MBR_CATCH_ALL                                                            \
            }                                                                    \
        } else if (mbr_exn_frame_.phase == MBR_EXN_LAST) {                       \
        } else {                                                                 \
            (void)mbr_exn_caught(&mbr_exn_frame_, NULL);                         \
            {                                                                    \
                struct mbr_exn_frame *const MBR_EXN_HANDLED __attribute__((unused)) = &mbr_exn_frame_;

#define MBR_FINALLY                                                              \
            }                                                                    \
        }                                                                        \
        {                                                                        \
            enum { mbr_exn_has_finally_ = MBR_EXN_FINALLY };                     \
            if (mbr_exn_frame_.phase == MBR_EXN_BODY)                            \
                mbr_exn_frame_.phase = MBR_EXN_FINALLY;                          \
            else                                                                 \
                mbr_exn_finally(&mbr_exn_frame_);                                \
            {

#define MBR_ENDTRY                                                               \
            }                                                                    \
            if (0) {                                                             \
            mbr_exn_plan_:;                                                      \
                static const struct mbr_exn_site mbr_exn_site_ = {__FILE__, __LINE__, \
                                                                  mbr_exn_has_finally_}; \
                mbr_exn_frame_.site = &mbr_exn_site_;                            \
                goto mbr_exn_begin_;                                             \
            }                                                                    \
        }                                                                        \
        if (mbr_exn_frame_.id != NULL)                                           \
            mbr_exn_end(&mbr_exn_frame_);                                        \
    }

/* MBR_RAISE(I_E) or MBR_RAISE(I_E, argument...), in the order of the declaration, at most 16. */
#define MBR_EXN_RAISE_0(EXN) mbr_exn_raise(EXN##_ID, NULL, 0, __FILE__, __LINE__, __func__)
#define MBR_EXN_RAISE_N(EXN, ...)                                                \
    do {                                                                         \
        const EXN##_Args mbr_exn_args_ = {__VA_ARGS__};                          \
        mbr_exn_raise(EXN##_ID, &mbr_exn_args_, sizeof(mbr_exn_args_), __FILE__, __LINE__, \
                      __func__);                                                 \
    } while (0)
#define MBR_EXN_18TH_(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, ...) R
#define MBR_RAISE(...)                                                           \
    MBR_EXN_18TH_(__VA_ARGS__, MBR_EXN_RAISE_N, MBR_EXN_RAISE_N, MBR_EXN_RAISE_N, \
                  MBR_EXN_RAISE_N, MBR_EXN_RAISE_N, MBR_EXN_RAISE_N, MBR_EXN_RAISE_N, \
                  MBR_EXN_RAISE_N, MBR_EXN_RAISE_N, MBR_EXN_RAISE_N, MBR_EXN_RAISE_N, \
                  MBR_EXN_RAISE_N, MBR_EXN_RAISE_N, MBR_EXN_RAISE_N, MBR_EXN_RAISE_N, \
                  MBR_EXN_RAISE_N, MBR_EXN_RAISE_0, 0)(__VA_ARGS__)

#define MBR_RERAISE mbr_exn_reraise(MBR_EXN_HANDLED)

/* Inside a handler: the name of what was caught, "I$E", and where it was raised. */
#define MBR_EXN_NAME (MBR_EXN_HANDLED->id)
#define MBR_EXN_FILE (MBR_EXN_HANDLED->file)
#define MBR_EXN_LINE (MBR_EXN_HANDLED->line)
#define MBR_EXN_FUNC (MBR_EXN_HANDLED->func)

#ifndef MBR_EXN_NO_SHORT_NAMES
#define TRY       MBR_TRY
#define CATCH     MBR_CATCH
#define CATCH_ALL MBR_CATCH_ALL
#define FINALLY   MBR_FINALLY
#define ENDTRY    MBR_ENDTRY
#define RAISE     MBR_RAISE
#define RERAISE   MBR_RERAISE
#endif
/* clang-format on */

#endif
