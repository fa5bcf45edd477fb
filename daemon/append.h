/* SPDX-License-Identifier: MIT */
/*
 * Opens a file that somebody has named in a request, to append to it. The daemon may have rights
 * that others who can write to a directory on the way have not: no link of theirs is followed, and
 * no file of theirs is written to.
 *
 * Not here: files of the configuration, which is trusted.
 */
#ifndef DAEMON_APPEND_H
#define DAEMON_APPEND_H

/*
 * The file at PATH, made if it is not there (mode 0640), for appending; PATH must be absolute. A
 * descriptor, or a negative errno, among them:
 * -EINVAL: not absolute, empty, or with a slash at its end
 * -ENAMETOOLONG
 * -ELOOP: a link on the way belongs neither to root nor to the daemon's user, or there are too many
 * -EPERM: the file belongs to neither of them, has a second name, or is no file or character device
 */
int append_open(const char *path);

#endif
