/* SPDX-License-Identifier: MIT */
#undef _FORTIFY_SOURCE
#include <relacy/relacy.hpp>
#define MBR_ATOMIC_MODEL "../../tests/model/relacy_atomic.hh"
#include "ring/ring.h"
#undef _GNU_SOURCE
#include "../../src/ring/ring.c"
#include "../../src/event/wait.c"
int main(void){return 0;}
