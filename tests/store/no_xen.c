/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into Debian's xenstored 4.17, so that it runs without a hypervisor and has guests:
 * what it takes from Xen's libraries comes out of $XENSTORED_RUNDIR. There dom.N says that domain
 * N exists (0 always does), page.N is its page of rings, and port numbers written into the FIFO
 * `wake` are event channels that have fired: PORT_FIRST + N that of domain N, PORT_DOMAINS the news
 * that domains have come or gone. Notifications of the other direction are dropped; who drives the
 * rings looks at them.
 *
 * Nothing of membrane is in here; the functions are those of xenctrl.h, xenevtchn.h, xengnttab.h.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define EXPORT       __attribute__((visibility("default")))
#define PORT_DOMAINS 1000
#define PORT_FIRST   2000
#define PAGE         4096

static int wake = -1;
static char handle; /* what opaque handles point at */

typedef int open_fn(const char *path, int flags, ...);

static int real_open(const char *path, int flags, int mode)
{
    static open_fn *real;

    if (real == NULL)
        real = (open_fn *)dlsym(RTLD_NEXT, "open");
    return real(path, flags, mode);
}

static int open_here(const char *name, int flags)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", getenv("XENSTORED_RUNDIR"), name);
    return real_open(path, flags, 0);
}

static int open_numbered(const char *what, uint32_t domid, int flags)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "%s.%u", what, domid);
    return open_here(name, flags);
}

/* Domain 0's own page and port come through files of the kernel's. */
EXPORT int open(const char *path, int flags, ...)
{
    va_list rest;
    int mode;

    if (strcmp(path, "/proc/xen/xsd_port") == 0)
        return open_here("port", flags);
    if (strcmp(path, "/proc/xen/xsd_kva") == 0)
        return open_here("page.0", flags);
    va_start(rest, flags);
    mode = va_arg(rest, int);
    va_end(rest);
    return real_open(path, flags, mode);
}

/* ---- domains ---- */

EXPORT xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *builder,
                                       unsigned flags)
{
    (void)logger;
    (void)builder;
    (void)flags;
    return (xc_interface *)&handle;
}

EXPORT int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

EXPORT int xc_domain_getinfo(xc_interface *xch, uint32_t first, unsigned max, xc_dominfo_t *info)
{
    int fd = open_numbered("dom", first, O_RDONLY);

    (void)xch;
    (void)max;
    if (fd < 0 && first != 0)
        return 0;
    if (fd >= 0)
        (void)close(fd);
    memset(info, 0, sizeof(*info));
    info->domid = first;
    return 1;
}

/* ---- event channels ---- */

EXPORT xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned flags)
{
    (void)logger;
    (void)flags;
    wake = open_here("wake", O_RDWR | O_NONBLOCK);
    return wake < 0 ? NULL : (xenevtchn_handle *)&handle;
}

EXPORT int xenevtchn_fd(xenevtchn_handle *xce)
{
    (void)xce;
    return wake;
}

EXPORT xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned virq)
{
    (void)xce;
    (void)virq;
    return PORT_DOMAINS;
}

EXPORT xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
                                                            evtchn_port_t remote_port)
{
    (void)xce;
    (void)remote_port;
    return PORT_FIRST + (int)domid;
}

EXPORT int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    (void)port;
    return 0;
}

EXPORT int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
    return xenevtchn_notify(xce, port);
}

EXPORT int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
    return xenevtchn_notify(xce, port);
}

EXPORT xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
    uint32_t port;

    (void)xce;
    return read(wake, &port, sizeof(port)) == sizeof(port) ? (int)port : -1;
}

/* ---- grants ---- */

EXPORT xengnttab_handle *xengnttab_open(xentoollog_logger *logger, unsigned flags)
{
    (void)logger;
    (void)flags;
    return (xengnttab_handle *)&handle;
}

EXPORT int xengnttab_close(xengnttab_handle *xgt)
{
    (void)xgt;
    return 0;
}

EXPORT int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t count)
{
    (void)xgt;
    (void)count;
    return 0;
}

EXPORT void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
    int fd = open_numbered("page", domid, O_RDWR);
    void *page;

    (void)xgt;
    (void)ref;
    if (fd < 0)
        return NULL;
    page = mmap(NULL, PAGE, prot, MAP_SHARED, fd, 0);
    (void)close(fd);
    return page == MAP_FAILED ? NULL : page;
}

EXPORT int xengnttab_unmap(xengnttab_handle *xgt, void *page, uint32_t count)
{
    (void)xgt;
    return munmap(page, (size_t)count * PAGE);
}
