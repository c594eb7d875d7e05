// A library to preload: it counts the calls that egressd, and SQLite beneath it, make into the C library and into
// SQLite, and lets one of them fail, or kills the process before it. The test says which through a shared file (`struct control`), named by FAILCALL.

#include "failcall.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NAME = 24, CALLS = 16384 };

// Python knows this by its offsets: see failing.py.
struct control {
    _Atomic uint32_t armed, count;
    // The call that fails, counted from 1, and how many calls of its name fail from it on; 0: the process is killed.
    uint32_t first, times;
    // Picks one of the ways in which the call can fail.
    uint32_t choice;
    _Atomic uint32_t failed;
    int32_t way;
    char name[NAME];
    char detail[64];
    // The names of the calls, in their order; those that SQLite made begin with "sqlite:".
    char calls[CALLS][NAME];
};

static struct control *control;
static struct { uintptr_t begin, end; } sqlite;

static int find_sqlite(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    (void)context;
    if (strstr(info->dlpi_name, "libsqlite3") == NULL) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD) continue;
        uintptr_t begin = info->dlpi_addr + part->p_vaddr;
        if (sqlite.begin == 0 || begin < sqlite.begin) sqlite.begin = begin;
        if (begin + part->p_memsz > sqlite.end) sqlite.end = begin + part->p_memsz;
    }
    return 1;
}

void *failcall_next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        fprintf(stderr, "failcall: no %s\n", name);
        _exit(99);
    }
    return found;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAILCALL");
    if (path == NULL) return;
    int (*real_open)(const char *, int, ...) = failcall_next("open");
    int fd = real_open(path, O_RDWR | O_CLOEXEC);
    struct control *mapped = MAP_FAILED;
    if (fd >= 0) mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        fprintf(stderr, "failcall: %s: %s\n", path, strerror(errno));
        _exit(99);
    }
    close(fd);
    dl_iterate_phdr(find_sqlite, NULL);
    control = mapped;
}

bool failcall_is_sqlite(const void *caller) {
    return (uintptr_t)caller >= sqlite.begin && (uintptr_t)caller < sqlite.end;
}

int failcall_count(const char *name, const void *caller, const int *ways, unsigned ways_count, const char *detail) {
    if (control == NULL || !atomic_load(&control->armed)) return 0;
    char full[NAME];
    bool is_netlink = strncmp(detail, "netlink ", 8) == 0;
    snprintf(full, sizeof full, "%s%s", failcall_is_sqlite(caller) ? "sqlite:" : is_netlink ? "netlink:" : "", name);
    uint32_t number = atomic_fetch_add(&control->count, 1) + 1;
    if (number <= CALLS) memcpy(control->calls[number - 1], full, sizeof full);
    if (control->first == 0 || number < control->first) return 0;
    uint32_t failed = atomic_load(&control->failed);
    if (number == control->first && control->times == 0) kill(getpid(), SIGKILL);
    if (number == control->first) {
        control->way = ways[control->choice % ways_count];
        memcpy(control->name, full, sizeof full);
        snprintf(control->detail, sizeof control->detail, "%s", detail);
    } else if (failed == 0 || failed >= control->times || strcmp(full, control->name) != 0) {
        return 0;
    }
    atomic_fetch_add(&control->failed, 1);
    return control->way;
}

const char *failcall_fd(int fd) {
    static _Thread_local char text[32];
    snprintf(text, sizeof text, "fd %d", fd);
    return text;
}

const char *failcall_socket(int fd) {
    static int (*real)(int, int, int, void *, socklen_t *);
    if (real == NULL) real = failcall_next("getsockopt");
    int domain = 0;
    socklen_t length = sizeof domain;
    if (real(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 || domain != AF_NETLINK) return failcall_fd(fd);
    static _Thread_local char text[32];
    snprintf(text, sizeof text, "netlink fd %d", fd);
    return text;
}
