// Files and descriptors. Not close: it lets go whatever it says, so nothing follows from a failure.

#include "failcall.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

// ---- Descriptors

#define OPENING EMFILE, ENFILE, ENOMEM, EACCES, EINTR, EIO

#define OPEN(name, parameters, ...)            \
    int name parameters {                      \
        mode_t mode = 0;                       \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list list;                      \
            va_start(list, flags);             \
            mode = va_arg(list, mode_t);       \
            va_end(list);                      \
        }                                      \
        INTERPOSED(name, path, OPENING);       \
        FAIL(-1);                              \
        return real(__VA_ARGS__, flags, mode); \
    }

OPEN(open, (const char *path, int flags, ...), path)
OPEN(open64, (const char *path, int flags, ...), path)
OPEN(openat, (int directory, const char *path, int flags, ...), directory, path)

// To unlock cannot fail, and nothing could be done if it did.
static bool unlocks(int command, const void *argument) {
    return (command == F_SETLK || command == F_OFD_SETLK) && ((const struct flock *)argument)->l_type == F_UNLCK;
}

#define FCNTL(name)                                                         \
    int name(int fd, int command, ...) {                                    \
        va_list list;                                                       \
        va_start(list, command);                                            \
        void *argument = va_arg(list, void *);                              \
        va_end(list);                                                       \
        REAL(name);                                                         \
        if (unlocks(command, argument)) return real(fd, command, argument); \
        WAY(name, failcall_fd(fd), EIO, ENOLCK, ENOMEM);                    \
        FAIL(-1);                                                           \
        return real(fd, command, argument);                                 \
    }

FCNTL(fcntl)
FCNTL(fcntl64)

int ioctl(int fd, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    INTERPOSED(ioctl, failcall_fd(fd), EIO, EPERM);
    FAIL(-1);
    return real(fd, request, argument);
}

#define TRANSFER(type, name, parameters, arguments, shorter, ...) \
    type name parameters {                                        \
        INTERPOSED(name, failcall_fd(fd), __VA_ARGS__);           \
        FAIL(-1);                                                 \
        if (way == SHORT && count > 1) return real shorter;       \
        return real arguments;                                    \
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
    REAL(write);
    // The log: nobody could be told that it cannot be told of.
    if (fd == STDERR_FILENO) return real(fd, buffer, count);
    WAY(write, failcall_fd(fd), EIO, ENOSPC, EINTR, ENOMEM);
    FAIL(-1);
    return real(fd, buffer, count);
}

PLAIN(off_t, lseek, -1, (int fd, off_t offset, int whence), (fd, offset, whence), failcall_fd(fd), EINVAL, ESPIPE)
PLAIN(int, fsync, -1, (int fd), (fd), failcall_fd(fd), EIO, ENOSPC)
PLAIN(int, fdatasync, -1, (int fd), (fd), failcall_fd(fd), EIO, ENOSPC)
PLAIN(int, ftruncate, -1, (int fd, off_t length), (fd, length), failcall_fd(fd), EIO, ENOSPC)
PLAIN(int, ftruncate64, -1, (int fd, off64_t length), (fd, length), failcall_fd(fd), EIO, ENOSPC)

int flock(int fd, int operation) {
    REAL(flock);
    if (operation == LOCK_UN) return real(fd, operation);
    WAY(flock, failcall_fd(fd), ENOLCK, EINTR);
    FAIL(-1);
    return real(fd, operation);
}

PLAIN(int, pipe, -1, (int ends[2]), (ends), "", EMFILE, ENFILE)
PLAIN(int, fchmod, -1, (int fd, mode_t mode), (fd, mode), failcall_fd(fd), EPERM, EIO)
PLAIN(int, fchown, -1, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), failcall_fd(fd), EPERM, EIO)

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    INTERPOSED(mmap64, failcall_fd(fd), ENOMEM, EAGAIN);
    FAIL(MAP_FAILED);
    return real(address, length, protection, flags, fd, offset);
}

// ---- Names of files

#define LOOKING ENOMEM, EACCES, EIO

// Not stat: Swift's runtime looks for its backtracer by it, and nobody else asks.
PLAIN(int, stat64, -1, (const char *path, struct stat64 *status), (path, status), path, LOOKING)
PLAIN(int, lstat, -1, (const char *path, struct stat *status), (path, status), path, LOOKING)
PLAIN(int, lstat64, -1, (const char *path, struct stat64 *status), (path, status), path, LOOKING)
PLAIN(int, fstat, -1, (int fd, struct stat *status), (fd, status), failcall_fd(fd), ENOMEM, EIO)
PLAIN(int, fstat64, -1, (int fd, struct stat64 *status), (fd, status), failcall_fd(fd), ENOMEM, EIO)
PLAIN(int, fstatat, -1, (int directory, const char *path, struct stat *status, int flags),
      (directory, path, status, flags), path, LOOKING)
PLAIN(int, fstatfs, -1, (int fd, struct statfs *status), (fd, status), failcall_fd(fd), ENOMEM, EIO)
PLAIN(int, access, -1, (const char *path, int mode), (path, mode), path, LOOKING)
PLAIN(int, mkdir, -1, (const char *path, mode_t mode), (path, mode), path, ENOSPC, EACCES)
PLAIN(int, unlink, -1, (const char *path), (path), path, EACCES, EIO)
PLAIN(int, chmod, -1, (const char *path, mode_t mode), (path, mode), path, EPERM, EIO)
PLAIN(ssize_t, readlink, -1, (const char *path, char *buffer, size_t size), (path, buffer, size), path, LOOKING)
PLAIN(ssize_t, readlinkat, -1, (int directory, const char *path, char *buffer, size_t size),
      (directory, path, buffer, size), path, LOOKING)
PLAIN(DIR *, fdopendir, NULL, (int fd), (fd), failcall_fd(fd), ENOMEM)
PLAIN(struct dirent *, readdir, NULL, (DIR *directory), (directory), "", EIO, ENOMEM)
PLAIN(int, name_to_handle_at, -1,
      (int directory, const char *path, struct file_handle *handle, int *mount, int flags),
      (directory, path, handle, mount, flags), path, ENOMEM, EACCES)
PLAIN(int, open_by_handle_at, -1, (int mount, struct file_handle *handle, int flags), (mount, handle, flags), "",
      EMFILE, ENOMEM, EPERM)
PLAIN(int, inotify_init1, -1, (int flags), (flags), "", EMFILE, ENOMEM)
PLAIN(int, inotify_add_watch, -1, (int fd, const char *path, uint32_t mask), (fd, path, mask), path, ENOSPC, ENOMEM,
      EACCES)
PLAIN(int, inotify_rm_watch, -1, (int fd, int watch), (fd, watch), failcall_fd(fd), EINVAL)
