// A library to preload: it counts the calls that egressd, and SQLite beneath it, make into the C library and into SQLite,
// and lets one of them fail. The test says which through a shared file (`struct control`), named by FAILCALL.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { NAME = 24, CALLS = 16384 };

// How a call fails besides with an errno.
enum {
    SHORT = -1,  // done, but for fewer bytes than were asked for
    LOST = -2,   // ENOBUFS, and what would have been received is gone, as when netlink runs over
};

// Python knows this by its offsets: see failing.py.
struct control {
    _Atomic uint32_t armed, count;
    // The call that fails, counted from 1, and how many calls of its name fail from it on.
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

static void *next(const char *name) {
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
    int (*real_open)(const char *, int, ...) = next("open");
    int fd = real_open(path, O_RDWR | O_CLOEXEC);
    struct control *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        fprintf(stderr, "failcall: %s: %s\n", path, strerror(errno));
        _exit(99);
    }
    close(fd);
    dl_iterate_phdr(find_sqlite, NULL);
    control = mapped;
}

// Counts a call; the way in which it is to fail, or 0. `detail` says what it was about.
static int count_call(const char *name, const void *caller, const int *ways, unsigned ways_count, const char *detail) {
    if (control == NULL || !atomic_load(&control->armed)) return 0;
    // Swift's runtime looks for its backtracer before the program begins.
    if (strcmp(name, "stat") == 0 && strstr(detail, "swift") != NULL) return 0;
    uintptr_t address = (uintptr_t)caller;
    bool by_sqlite = address >= sqlite.begin && address < sqlite.end;
    char full[NAME];
    snprintf(full, sizeof full, "%s%s", by_sqlite ? "sqlite:" : "", name);
    uint32_t number = atomic_fetch_add(&control->count, 1) + 1;
    if (number <= CALLS) memcpy(control->calls[number - 1], full, sizeof full);
    if (control->first == 0 || number < control->first) return 0;
    uint32_t failed = atomic_load(&control->failed);
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

static const char *of_descriptor(int fd) {
    static _Thread_local char text[32];
    snprintf(text, sizeof text, "fd %d", fd);
    return text;
}

// Within an interposed function: looks the real one up as `real`, and defines `way`.
#define INTERPOSED(name, detail, ...)                                                                   \
    static __typeof__(name) *real;                                                                      \
    if (real == NULL) real = next(#name);                                                               \
    static const int ways[] = {__VA_ARGS__};                                                            \
    int way = count_call(#name, __builtin_return_address(0), ways, sizeof ways / sizeof *ways, detail)

#define FAIL(result)     \
    do {                 \
        if (way > 0) {   \
            errno = way; \
            return result; \
        }                \
    } while (0)

#define PLAIN(type, name, failure, parameters, arguments, detail, ...) \
    type name parameters {                                            \
        INTERPOSED(name, detail, __VA_ARGS__);                        \
        FAIL(failure);                                                \
        return real arguments;                                        \
    }

// ---- Descriptors

#define OPENING EMFILE, ENFILE, ENOMEM, EACCES, EINTR, EIO

#define OPEN(name, parameters, ...)                            \
    int name parameters {                                      \
        mode_t mode = 0;                                       \
        if (flags & (O_CREAT | __O_TMPFILE)) {                 \
            va_list list;                                      \
            va_start(list, flags);                             \
            mode = va_arg(list, mode_t);                       \
            va_end(list);                                      \
        }                                                      \
        INTERPOSED(name, path, OPENING);                       \
        FAIL(-1);                                              \
        return real(__VA_ARGS__, flags, mode);                 \
    }

OPEN(open, (const char *path, int flags, ...), path)
OPEN(open64, (const char *path, int flags, ...), path)
OPEN(openat, (int directory, const char *path, int flags, ...), directory, path)

// To unlock cannot fail, and nothing could be done if it did.
static bool unlocks(int command, const void *argument) {
    return (command == F_SETLK || command == F_OFD_SETLK) && ((const struct flock *)argument)->l_type == F_UNLCK;
}

#define FCNTL(name)                                                    \
    int name(int fd, int command, ...) {                               \
        va_list list;                                                  \
        va_start(list, command);                                       \
        void *argument = va_arg(list, void *);                         \
        va_end(list);                                                  \
        static __typeof__(name) *real_##name;                          \
        if (real_##name == NULL) real_##name = next(#name);            \
        if (unlocks(command, argument)) return real_##name(fd, command, argument); \
        INTERPOSED(name, of_descriptor(fd), EIO, ENOLCK, ENOMEM);      \
        FAIL(-1);                                                      \
        return real(fd, command, argument);                            \
    }

FCNTL(fcntl)
FCNTL(fcntl64)

int ioctl(int fd, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    INTERPOSED(ioctl, of_descriptor(fd), EIO, EPERM);
    FAIL(-1);
    return real(fd, request, argument);
}

#define TRANSFER(type, name, parameters, arguments, shorter, ...)      \
    type name parameters {                                            \
        INTERPOSED(name, of_descriptor(fd), __VA_ARGS__);             \
        FAIL(-1);                                                     \
        if (way == SHORT && count > 1) return real shorter;           \
        return real arguments;                                        \
    }

TRANSFER(ssize_t, read, (int fd, void *buffer, size_t count), (fd, buffer, count), (fd, buffer, count / 2), EIO, EINTR,
         ENOMEM)
TRANSFER(ssize_t, pread, (int fd, void *buffer, size_t count, off_t offset), (fd, buffer, count, offset),
         (fd, buffer, count / 2, offset), EIO, EINTR, SHORT)
TRANSFER(ssize_t, pread64, (int fd, void *buffer, size_t count, off64_t offset), (fd, buffer, count, offset),
         (fd, buffer, count / 2, offset), EIO, EINTR, SHORT)
TRANSFER(ssize_t, pwrite, (int fd, const void *buffer, size_t count, off_t offset), (fd, buffer, count, offset),
         (fd, buffer, count / 2, offset), EIO, ENOSPC, EINTR, SHORT)
TRANSFER(ssize_t, pwrite64, (int fd, const void *buffer, size_t count, off64_t offset), (fd, buffer, count, offset),
         (fd, buffer, count / 2, offset), EIO, ENOSPC, EINTR, SHORT)
TRANSFER(ssize_t, send, (int fd, const void *buffer, size_t count, int flags), (fd, buffer, count, flags),
         (fd, buffer, count / 2, flags), ENOBUFS, EPIPE, EAGAIN, EINTR, SHORT)

ssize_t write(int fd, const void *buffer, size_t count) {
    static __typeof__(write) *real_write;
    if (real_write == NULL) real_write = next("write");
    // The log: nobody could be told that it cannot be told of.
    if (fd == STDERR_FILENO) return real_write(fd, buffer, count);
    INTERPOSED(write, of_descriptor(fd), EIO, ENOSPC, EINTR, ENOMEM);
    FAIL(-1);
    return real(fd, buffer, count);
}

PLAIN(off_t, lseek, -1, (int fd, off_t offset, int whence), (fd, offset, whence), of_descriptor(fd), EINVAL, ESPIPE)
PLAIN(int, fsync, -1, (int fd), (fd), of_descriptor(fd), EIO, ENOSPC)
PLAIN(int, fdatasync, -1, (int fd), (fd), of_descriptor(fd), EIO, ENOSPC)
PLAIN(int, ftruncate, -1, (int fd, off_t length), (fd, length), of_descriptor(fd), EIO, ENOSPC)
PLAIN(int, ftruncate64, -1, (int fd, off64_t length), (fd, length), of_descriptor(fd), EIO, ENOSPC)
PLAIN(int, flock, -1, (int fd, int operation), (fd, operation), of_descriptor(fd), ENOLCK, EINTR)
PLAIN(int, pipe, -1, (int ends[2]), (ends), "", EMFILE, ENFILE)
PLAIN(int, fchmod, -1, (int fd, mode_t mode), (fd, mode), of_descriptor(fd), EPERM, EIO)
PLAIN(int, fchown, -1, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), of_descriptor(fd), EPERM, EIO)

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    INTERPOSED(mmap64, of_descriptor(fd), ENOMEM, EAGAIN);
    FAIL(MAP_FAILED);
    return real(address, length, protection, flags, fd, offset);
}

// ---- Names of files

#define LOOKING ENOMEM, EACCES, EIO

PLAIN(int, stat, -1, (const char *path, struct stat *status), (path, status), path, LOOKING)
PLAIN(int, stat64, -1, (const char *path, struct stat64 *status), (path, status), path, LOOKING)
PLAIN(int, lstat, -1, (const char *path, struct stat *status), (path, status), path, LOOKING)
PLAIN(int, lstat64, -1, (const char *path, struct stat64 *status), (path, status), path, LOOKING)
PLAIN(int, fstat, -1, (int fd, struct stat *status), (fd, status), of_descriptor(fd), ENOMEM, EIO)
PLAIN(int, fstat64, -1, (int fd, struct stat64 *status), (fd, status), of_descriptor(fd), ENOMEM, EIO)
PLAIN(int, fstatat, -1, (int directory, const char *path, struct stat *status, int flags),
      (directory, path, status, flags), path, LOOKING)
PLAIN(int, fstatfs, -1, (int fd, struct statfs *status), (fd, status), of_descriptor(fd), ENOMEM, EIO)
PLAIN(int, access, -1, (const char *path, int mode), (path, mode), path, LOOKING)
PLAIN(int, mkdir, -1, (const char *path, mode_t mode), (path, mode), path, ENOSPC, EACCES)
PLAIN(int, unlink, -1, (const char *path), (path), path, EACCES, EIO)
PLAIN(int, chmod, -1, (const char *path, mode_t mode), (path, mode), path, EPERM, EIO)
PLAIN(ssize_t, readlink, -1, (const char *path, char *buffer, size_t size), (path, buffer, size), path, LOOKING)
PLAIN(ssize_t, readlinkat, -1, (int directory, const char *path, char *buffer, size_t size),
      (directory, path, buffer, size), path, LOOKING)
PLAIN(DIR *, fdopendir, NULL, (int fd), (fd), of_descriptor(fd), ENOMEM)
PLAIN(struct dirent *, readdir, NULL, (DIR *directory), (directory), "", EIO, ENOMEM)
PLAIN(int, name_to_handle_at, -1,
      (int directory, const char *path, struct file_handle *handle, int *mount, int flags),
      (directory, path, handle, mount, flags), path, ENOMEM, EACCES)
PLAIN(int, open_by_handle_at, -1, (int mount, struct file_handle *handle, int flags), (mount, handle, flags), "", EMFILE,
      ENOMEM, EPERM)
PLAIN(int, inotify_init1, -1, (int flags), (flags), "", EMFILE, ENOMEM)
PLAIN(int, inotify_add_watch, -1, (int fd, const char *path, uint32_t mask), (fd, path, mask), path, ENOSPC, ENOMEM,
      EACCES)
PLAIN(int, inotify_rm_watch, -1, (int fd, int watch), (fd, watch), of_descriptor(fd), EINVAL)

// ---- Sockets

PLAIN(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol), "", EMFILE, ENFILE, ENOBUFS, EPERM)
PLAIN(int, socketpair, -1, (int domain, int type, int protocol, int ends[2]), (domain, type, protocol, ends), "", EMFILE)
PLAIN(int, bind, -1, (int fd, const struct sockaddr *name, socklen_t length), (fd, name, length), of_descriptor(fd),
      ENOMEM, EPERM, EADDRINUSE)
PLAIN(int, listen, -1, (int fd, int backlog), (fd, backlog), of_descriptor(fd), EADDRINUSE)
PLAIN(int, connect, -1, (int fd, const struct sockaddr *name, socklen_t length), (fd, name, length), of_descriptor(fd),
      ENOBUFS, EPERM, ENETUNREACH)
PLAIN(int, accept4, -1, (int fd, struct sockaddr *name, socklen_t *length, int flags), (fd, name, length, flags),
      of_descriptor(fd), EMFILE, ENOMEM, ECONNABORTED, EINTR)
PLAIN(int, shutdown, -1, (int fd, int how), (fd, how), of_descriptor(fd), ENOTCONN, ENOBUFS)
PLAIN(int, getsockopt, -1, (int fd, int level, int option, void *value, socklen_t *length),
      (fd, level, option, value, length), of_descriptor(fd), ENOMEM, EACCES)
PLAIN(int, setsockopt, -1, (int fd, int level, int option, const void *value, socklen_t length),
      (fd, level, option, value, length), of_descriptor(fd), ENOMEM, EPERM)
PLAIN(int, getsockname, -1, (int fd, struct sockaddr *name, socklen_t *length), (fd, name, length), of_descriptor(fd),
      ENOBUFS)
PLAIN(int, getpeername, -1, (int fd, struct sockaddr *name, socklen_t *length), (fd, name, length), of_descriptor(fd),
      ENOBUFS, ENOTCONN)
PLAIN(ssize_t, sendto, -1,
      (int fd, const void *buffer, size_t count, int flags, const struct sockaddr *name, socklen_t length),
      (fd, buffer, count, flags, name, length), of_descriptor(fd), ENOBUFS, ENOMEM, EINTR, EPERM)
PLAIN(ssize_t, sendmsg, -1, (int fd, const struct msghdr *message, int flags), (fd, message, flags), of_descriptor(fd),
      ENOBUFS, ENOMEM, EPERM, EAGAIN)
PLAIN(int, sendmmsg, -1, (int fd, struct mmsghdr *messages, unsigned count, int flags), (fd, messages, count, flags),
      of_descriptor(fd), ENOBUFS, ENOMEM, EPERM)

// Looks that find nothing are as many as there was time for: they are not counted, or no number would mean a call.
static bool has_something(int fd) {
    static __typeof__(poll) *real_poll;
    if (real_poll == NULL) real_poll = next("poll");
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return real_poll(&one, 1, 0) != 0;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
    static __typeof__(recvmmsg) *real_recvmmsg;
    if (real_recvmmsg == NULL) real_recvmmsg = next("recvmmsg");
    if (!has_something(fd)) return real_recvmmsg(fd, messages, count, flags, timeout);
    INTERPOSED(recvmmsg, of_descriptor(fd), ENOBUFS, ENOMEM, EINTR);
    FAIL(-1);
    return real(fd, messages, count, flags, timeout);
}

ssize_t recv(int fd, void *buffer, size_t count, int flags) {
    INTERPOSED(recv, of_descriptor(fd), ENOBUFS, LOST, ENOMEM, EINTR);
    FAIL(-1);
    ssize_t result = real(fd, buffer, count, flags);
    if (way != LOST) return result;
    errno = ENOBUFS;
    return -1;
}

// ---- Waiting

PLAIN(int, epoll_create1, -1, (int flags), (flags), "", EMFILE, ENOMEM)
PLAIN(int, epoll_ctl, -1, (int epoll, int operation, int fd, struct epoll_event *event), (epoll, operation, fd, event),
      of_descriptor(fd), ENOMEM, ENOSPC)

int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout) {
    static __typeof__(epoll_wait) *real_epoll_wait;
    if (real_epoll_wait == NULL) real_epoll_wait = next("epoll_wait");
    if (timeout == 0) return real_epoll_wait(epoll, events, count, timeout);
    INTERPOSED(epoll_wait, "", EINTR, ENOMEM);
    FAIL(-1);
    return real(epoll, events, count, timeout);
}

PLAIN(int, poll, -1, (struct pollfd *descriptors, nfds_t count, int timeout), (descriptors, count, timeout), "", EINTR,
      ENOMEM)
PLAIN(int, eventfd, -1, (unsigned value, int flags), (value, flags), "", EMFILE, ENOMEM)
PLAIN(int, timerfd_create, -1, (clockid_t clock, int flags), (clock, flags), "", EMFILE, ENOMEM)
PLAIN(int, timerfd_settime, -1, (int fd, int flags, const struct itimerspec *time, struct itimerspec *before),
      (fd, flags, time, before), of_descriptor(fd), ECANCELED)
PLAIN(int, signalfd, -1, (int fd, const sigset_t *signals, int flags), (fd, signals, flags), "", EMFILE, ENOMEM)

// ---- The rest

PLAIN(int, getrlimit, -1, (__rlimit_resource_t resource, struct rlimit *limit), (resource, limit), "", EINVAL)
PLAIN(int, setrlimit, -1, (__rlimit_resource_t resource, const struct rlimit *limit), (resource, limit), "", EPERM)

// These return the errno.
#define TELLING(name, parameters, arguments, ...)  \
    int name parameters {                          \
        INTERPOSED(name, "", __VA_ARGS__);         \
        return way > 0 ? way : real arguments;     \
    }

TELLING(pthread_create,
        (pthread_t * thread, const pthread_attr_t *attributes, void *(*body)(void *), void *context),
        (thread, attributes, body, context), EAGAIN)
TELLING(getgrnam_r, (const char *name, struct group *group, char *buffer, size_t size, struct group **result),
        (name, group, buffer, size, result), EMFILE, EIO)
TELLING(getpwnam_r, (const char *name, struct passwd *user, char *buffer, size_t size, struct passwd **result),
        (name, user, buffer, size, result), EMFILE, EIO)
TELLING(getpwuid_r, (uid_t uid, struct passwd *user, char *buffer, size_t size, struct passwd **result),
        (uid, user, buffer, size, result), EMFILE, EIO)

long syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long), d = va_arg(list, long);
    long e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    // futex and its like belong to Swift's runtime.
    static __typeof__(syscall) *real_syscall;
    if (real_syscall == NULL) real_syscall = next("syscall");
    if (number != SYS_pidfd_open && number != SYS_kcmp && number != SYS_getdents64)
        return real_syscall(number, a, b, c, d, e, f);
    char detail[32];
    snprintf(detail, sizeof detail, "number %ld", number);
    INTERPOSED(syscall, detail, EMFILE, ENOMEM, EPERM);
    FAIL(-1);
    return real(number, a, b, c, d, e, f);
}

// ---- SQLite: of its header only what is interposed

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
enum { SQLITE_BUSY = 5, SQLITE_NOMEM = 7, SQLITE_IOERR = 10, SQLITE_FULL = 13 };

int sqlite3_open_v2(const char *, sqlite3 **, int, const char *);
int sqlite3_exec(sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **);
int sqlite3_prepare_v3(sqlite3 *, const char *, int, unsigned, sqlite3_stmt **, const char **);
int sqlite3_step(sqlite3_stmt *);
int sqlite3_bind_int64(sqlite3_stmt *, int, int64_t);
int sqlite3_bind_null(sqlite3_stmt *, int);
int sqlite3_bind_text(sqlite3_stmt *, int, const char *, int, void (*)(void *));
int sqlite3_bind_text64(sqlite3_stmt *, int, const char *, uint64_t, void (*)(void *), unsigned char);

// SQLite calls itself within: only what the daemon asked for is counted.
#define SQLITE(name, failure, parameters, arguments, detail, ...)                                          \
    int name parameters {                                                                                 \
        static __typeof__(name) *real_##name;                                                             \
        if (real_##name == NULL) real_##name = next(#name);                                               \
        uintptr_t caller = (uintptr_t)__builtin_return_address(0);                                        \
        if (caller >= sqlite.begin && caller < sqlite.end) return real_##name arguments;                  \
        INTERPOSED(name, detail, __VA_ARGS__);                                                            \
        if (way > 0) {                                                                                    \
            failure;                                                                                      \
            return way;                                                                                   \
        }                                                                                                 \
        return real arguments;                                                                            \
    }

SQLITE(sqlite3_open_v2, *result = NULL, (const char *path, sqlite3 **result, int flags, const char *system),
       (path, result, flags, system), path, SQLITE_NOMEM)
SQLITE(sqlite3_exec, if (message != NULL) *message = NULL,
       (sqlite3 * database, const char *text, int (*each)(void *, int, char **, char **), void *context, char **message),
       (database, text, each, context, message), text, SQLITE_IOERR, SQLITE_FULL, SQLITE_BUSY)
SQLITE(sqlite3_prepare_v3, *result = NULL,
       (sqlite3 * database, const char *text, int length, unsigned flags, sqlite3_stmt **result, const char **rest),
       (database, text, length, flags, result, rest), text, SQLITE_NOMEM, SQLITE_BUSY)
SQLITE(sqlite3_step, , (sqlite3_stmt * statement), (statement), "", SQLITE_IOERR, SQLITE_FULL, SQLITE_BUSY, SQLITE_NOMEM)
SQLITE(sqlite3_bind_int64, , (sqlite3_stmt * statement, int place, int64_t value), (statement, place, value), "",
       SQLITE_NOMEM)
SQLITE(sqlite3_bind_null, , (sqlite3_stmt * statement, int place), (statement, place), "", SQLITE_NOMEM)
SQLITE(sqlite3_bind_text, , (sqlite3_stmt * statement, int place, const char *text, int length, void (*end)(void *)),
       (statement, place, text, length, end), "", SQLITE_NOMEM)
SQLITE(sqlite3_bind_text64, ,
       (sqlite3_stmt * statement, int place, const char *text, uint64_t length, void (*end)(void *), unsigned char code),
       (statement, place, text, length, end, code), "", SQLITE_NOMEM)
