/* SPDX-License-Identifier: MIT */
/* The environment and the YAML file that configure demi_init(). */
#ifndef MBR_DEMI_CONFIG_H
#define MBR_DEMI_CONFIG_H

#include <stdint.h>

struct demi_config {
    const char *libos; /* LIBOS as the environment has it */
    uint64_t capacity; /* bytes of ring, from `catmem: capacity:`; 0 the default */
};

/*
 * Reads LIBOS and the file named by CONFIG_PATH: exactly one YAML document, normally a mapping of
 * sections; keys we do not know are ignored, as upstream does. Errors: -EINVAL LIBOS or CONFIG_PATH
 * unset or empty, no YAML, not one document, or a bad value of a known key; -ENOENT, -EACCES, ...
 * as open() says; -ENOMEM.
 */
int demi_config_read(struct demi_config *out);

#endif
