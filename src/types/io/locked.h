/* SPDX-License-Identifier: MIT */
/* What readers and writers do under their locks, which may raise. */
#ifndef MBR_TYPES_IO_LOCKED_H
#define MBR_TYPES_IO_LOCKED_H

#include <pthread.h>

#include <membrane/middl.h>

/* Runs CALL with the lock of STREAM, its member `lock`, held and released, come what may. */
#define LOCKED(stream, call)                       \
    do {                                           \
        pthread_mutex_lock(&(stream)->lock);       \
        TRY                                        \
        {                                          \
            call;                                  \
        }                                          \
        FINALLY                                    \
        {                                          \
            pthread_mutex_unlock(&(stream)->lock); \
        }                                          \
        ENDTRY                                     \
    } while (0)

#endif
