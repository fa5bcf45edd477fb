/* SPDX-License-Identifier: MIT */
/* The environment and the YAML file that configure demi_init(). */
#ifndef MBR_DEMI_CONFIG_H
#define MBR_DEMI_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include <membrane/queue.h>

struct demi_config {
    const char *libos;                /* LIBOS as the environment has it */
    bool network;                     /* it has sockets */
    struct mbr_libos_options options; /* `size` is not set */
};

/*
 * Reads LIBOS and the file named by CONFIG_PATH: exactly one YAML document, normally a mapping of
 * sections; keys we do not know are ignored, as upstream does. For a libOS with sockets the
 * variables LOCAL_IPV4_ADDR, LINGER (seconds) and NODELAY go before the file, where their keys are
 * not looked at then, and an address is required. Errors: -EINVAL LIBOS or CONFIG_PATH unset or
 * empty, no regular file, no YAML, not one document, a known section that is no mapping, or a bad
 * value of a known key or variable; -ENOENT, -EACCES, ... as open() says; -ENOMEM.
 */
int demi_config_read(struct demi_config *out);

#endif
