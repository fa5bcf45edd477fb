/* SPDX-License-Identifier: MIT */
/*
 * Fork marks: a number that a process does not share with its ancestors. A counter alone would be
 * inherited by children unchanged, and asking for the pid is a system call and pids are reused; so
 * the number is kept in a page that the kernel gives to a child wiped.
 *
 * Not here: what a handle does when it finds that it was inherited.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "shm/proc.h"

/*
 * The page holds the mark of this process; in a child it reads 0. The counter is ordinary memory,
 * so a child inherits a value no less than any mark that an ancestor has been given before the fork
 * (a mark is counted first and only then put into the page) and takes a higher one itself.
 */
uint32_t *mbr__fork_page; /* NULL not decided, &by_pid the kernel cannot wipe pages */
static uint32_t mark_count;
static uint32_t by_pid; /* stays 0 */

static uint32_t *mark_page_new(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t *seen = NULL;
    uint32_t *mine = page;

    if (page == MAP_FAILED || madvise(page, size, MADV_WIPEONFORK) < 0)
        mine = &by_pid;
    /* Decided once: marks from the two sources must never be compared with each other. */
    if (mbr_cas(&mbr__fork_page, &seen, mine))
        seen = mine;
    if (page != MAP_FAILED && seen != page)
        munmap(page, size);
    return seen;
}

uint32_t mbr__fork_mark_slow(uint32_t *page)
{
    uint32_t seen = 0;
    uint32_t mine;

    if (page == NULL)
        page = mark_page_new();
    if (page == &by_pid)
        return (uint32_t)getpid();
    do {
        mine = mbr_fetch_add(&mark_count, 1) + 1;
    } while (mine == 0);
    return mbr_cas(page, &seen, mine) ? mine : seen;
}
