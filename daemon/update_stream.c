/* SPDX-License-Identifier: MIT */
/*
 * See update_stream.h.
 */
#include "update_stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "record.h"

static int write_all(int fd, const unsigned char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        length -= (size_t)n;
    }
    return 0;
}

int stream_finish(struct stream_out *out)
{
    if (out->error == 0)
        out->error = write_all(out->fd, out->buffer, out->used);
    out->used = 0;
    return out->error;
}

void stream_put_bytes(struct stream_out *out, const void *data, size_t length)
{
    if (out->error != 0 || length == 0)
        return;
    if (sizeof(out->buffer) - out->used < length)
        (void)stream_finish(out);
    if (length >= sizeof(out->buffer)) {
        if (out->error == 0)
            out->error = write_all(out->fd, data, length);
        return;
    }
    memcpy(out->buffer + out->used, data, length);
    out->used += length;
}

void stream_put(struct stream_out *out, uint64_t number)
{
    unsigned char bytes[8];

    record_put64(bytes, number);
    stream_put_bytes(out, bytes, sizeof(bytes));
}

int stream_writer(void *user, const void *data, size_t length)
{
    struct stream_out *out = user;

    stream_put_bytes(out, data, length);
    return out->error;
}

const unsigned char *stream_get_bytes(struct stream_in *in, size_t length)
{
    const unsigned char *at = in->at;

    if (in->error != 0 || length > in->left) {
        in->error = -EBADMSG;
        return NULL;
    }
    in->at += length;
    in->left -= length;
    return at;
}

uint64_t stream_get(struct stream_in *in)
{
    const unsigned char *bytes = stream_get_bytes(in, 8);

    return bytes != NULL ? record_get64(bytes) : 0;
}

uint64_t stream_get_most(struct stream_in *in, uint64_t max)
{
    uint64_t number = stream_get(in);

    if (number <= max)
        return number;
    in->error = -EBADMSG;
    return 0;
}

int stream_reader(void *user, void *data, size_t length)
{
    struct stream_in *in = user;
    const unsigned char *bytes = stream_get_bytes(in, length);

    if (bytes == NULL)
        return in->error;
    if (length != 0)
        memcpy(data, bytes, length);
    return 0;
}
