/* SPDX-License-Identifier: MIT */
/*
 * Stands in for libFuzzer: replay DIRECTORY runs a fuzz target once on nothing and once on each
 * file of DIRECTORY, with any compiler. Looking for new inputs is left to ./dev fuzz.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each input gets a block of exactly its size, so that ASan sees the first byte read beyond it. */
static void replay_file(int dir, const char *name)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0) {
        perror(name);
        exit(1);
    }
    size_t size = S_ISREG(st.st_mode) ? (size_t)st.st_size : 0;
    uint8_t *data = malloc(size + !size);
    if (!data || read(fd, data, size) != (ssize_t)size) {
        perror(name);
        exit(1);
    }
    close(fd);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    LLVMFuzzerTestOneInput(NULL, 0);

    DIR *dir = opendir(argv[1]);
    if (!dir) {
        /* A target nothing has ever broken has no corpus. */
        return errno == ENOENT ? 0 : 1;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] != '.') {
            printf("%s\n", entry->d_name);
            fflush(stdout);
            replay_file(dirfd(dir), entry->d_name);
        }
    }
    closedir(dir);
    return 0;
}
