/* SPDX-License-Identifier: MIT */
/* The notes of guests, as the shim needs them, which has nothing else of catloop. */
#include <string.h>

#include "queue/catloop/guest.h"
#include "shm/post.h"

void mbr__guest_note(const struct mbr__link *link, int fd, struct mbr__note *note)
{
    const struct mbr__hello h = {
        .magic = MBR__HELLO_MAGIC,
        .kind = MBR__HELLO_GUEST,
        .target = {link->id[0], link->id[1]},
    };

    *note = (struct mbr__note){.len = sizeof(h), .nfds = 1, .fds = {fd}};
    memcpy(note->data, &h, sizeof(h));
}

bool mbr__guest_admitted(const struct mbr__note *note)
{
    struct mbr__hello h;

    if (note->len != sizeof(h))
        return false;
    memcpy(&h, note->data, sizeof(h));
    return h.magic == MBR__HELLO_MAGIC && h.kind == MBR__HELLO_ADMITTED;
}
