#include "CLinux.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define RETRY(expression)                         \
    ({                                            \
        long result_;                             \
        do                                        \
            result_ = (long)(expression);         \
        while (result_ < 0 && errno == EINTR);    \
        result_ < 0 ? -(long)errno : result_;     \
    })

int clx_open(int directory, const char *path, int flags, unsigned mode) {
    return (int)RETRY(openat(directory, path, flags | O_CLOEXEC | O_NOCTTY, mode));
}

ssize_t clx_read(int fd, void *buffer, size_t capacity) { return RETRY(read(fd, buffer, capacity)); }

ssize_t clx_pread(int fd, void *buffer, size_t capacity, int64_t offset) {
    return RETRY(pread(fd, buffer, capacity, offset));
}

ssize_t clx_write(int fd, const void *bytes, size_t count) { return RETRY(write(fd, bytes, count)); }

ssize_t clx_readlink(int directory, const char *path, char *buffer, size_t capacity) {
    return RETRY(readlinkat(directory, path, buffer, capacity));
}

ssize_t clx_read_file(int directory, const char *path, void *buffer, size_t capacity) {
    int fd = clx_open(directory, path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    size_t length = 0;
    ssize_t result = 0;
    while (length < capacity) {
        result = clx_read(fd, (char *)buffer + length, capacity - length);
        if (result <= 0)
            break;
        length += (size_t)result;
    }
    clx_close(fd);
    return result < 0 ? result : (ssize_t)length;
}

int clx_stat(int directory, const char *path, int flags, struct clx_file *ret_file) {
    struct stat status;
    if (fstatat(directory, path, &status, flags | AT_NO_AUTOMOUNT) < 0)
        return -errno;
    *ret_file = (struct clx_file){
        .device = status.st_dev,
        .inode = status.st_ino,
        .mode = status.st_mode,
        .links = (uint32_t)status.st_nlink,
    };
    return 0;
}

int clx_lock(int fd) { return (int)RETRY(flock(fd, LOCK_EX | LOCK_NB)); }

int clx_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    return limit.rlim_cur > INT_MAX ? INT_MAX : (int)limit.rlim_cur;
}

int clx_error_text(int code, char *buffer, size_t capacity) {
    // The GNU variant: the text may lie elsewhere than in the buffer.
    char scratch[256];
    const char *text = strerror_r(code, scratch, sizeof scratch);
    size_t length = strnlen(text, capacity);
    memcpy(buffer, text, length);
    return (int)length;
}

const char *_Nullable clx_error_name(int code) { return strerrorname_np(code); }
