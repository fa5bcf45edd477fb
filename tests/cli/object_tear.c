/* SPDX-License-Identifier: MIT */
/*
 * Leaves a block of an object torn: writes one byte of it in place and is killed. In a child, so
 * that the exit code says whether it was done.
 *
 *   object_tear CONTAINER OBJECT OFFSET
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <membrane/objects.h>

static void tear(char **argv)
{
    int object = mbr_object_join(mbr_container_join(argv[1]), argv[2]);
    char *byte = NULL;

    if (mbr_object_edit(object, strtoul(argv[3], NULL, 10), 1, &byte) < 0)
        _exit(1);
    *byte = (char)~*byte;
    (void)kill(getpid(), SIGKILL);
}

int main(int argc, char **argv)
{
    int status = 0;
    pid_t child;

    if (argc != 4)
        return 2;
    child = fork();
    if (child == 0)
        tear(argv);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    return WIFSIGNALED(status) ? 0 : 1;
}
