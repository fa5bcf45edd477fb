/* SPDX-License-Identifier: MIT */
/* Time: the system clock, in nanoseconds, which only goes forward. */
#include <middl/Time.h>

#include "base/clock.h"
#include "types/modules.h"

static Time_ns now(Time_clp self)
{
    (void)self;
    return (Time_ns)mbr__now_ns();
}

static const Time_op time_op = {.Now = now};

Time_cl mbr__module_Time = {&time_op, NULL};
