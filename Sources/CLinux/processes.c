#include "CLinux.h"

#include <dirent.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>

enum { KCMP_FILES_TYPE = 2, KERNFS_HANDLE = 0xfe, CGROUP2_MAGIC = 0x63677270 };

int clx_pidfd_alive(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int result = poll(&poll_fd, 1, 0);
    if (result < 0)
        return -errno;
    return result == 0;
}

int clx_pidfd_open(int32_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

int clx_share_descriptors(int32_t first, int32_t second) {
    long result = syscall(SYS_kcmp, first, second, KCMP_FILES_TYPE, 0, 0);
    return result < 0 ? -errno : result == 0;
}

int clx_process_stat(int fd, struct clx_process *ret_process) {
    char text[1024];
    ssize_t length = clx_pread(fd, text, sizeof text - 1, 0);
    if (length < 0)
        return (int)length;
    text[length] = 0;
    // The name may hold anything, parentheses too: it ends at the last one.
    char *open = strchr(text, '('), *close = strrchr(text, ')');
    if (!open || !close || close < open || close[1] != ' ')
        return -ESRCH;
    struct clx_process process = {0};
    size_t name = (size_t)(close - open - 1);
    memcpy(process.name, open + 1, name < sizeof process.name - 1 ? name : sizeof process.name - 1);
    // proc_pid_stat(5): 3 state, 4 ppid, 22 starttime, 26 startcode, 27 endcode, 28 startstack, 45 start_data … 51
    // env_end.
    int layout = 0;
    char *cursor = close + 2;
    for (int field = 3; field <= 51 && *cursor; field++) {
        if (field == 4)
            process.parent = (int32_t)strtol(cursor, NULL, 10);
        else if (field == 22)
            process.start = strtoull(cursor, NULL, 10);
        else if ((field >= 26 && field <= 28) || field >= 45)
            process.layout[layout++] = strtoull(cursor, NULL, 10);
        while (*cursor && *cursor != ' ')
            cursor++;
        if (*cursor)
            cursor++;
    }
    if (process.start == 0 && process.parent == 0 && layout == 0)
        return -ESRCH;
    *ret_process = process;
    return 0;
}

bool clx_is_readable(int fd) {
    char byte;
    return clx_pread(fd, &byte, 1, 0) == 1;
}

bool clx_same_program(const struct clx_process *first, const struct clx_process *second) {
    return first->start == second->start && memcmp(first->layout, second->layout, sizeof first->layout) == 0;
}

int64_t clx_socket_inode(int directory, const char *path) {
    char target[64];
    ssize_t length = readlinkat(directory, path, target, sizeof target - 1);
    if (length < 0)
        return -errno;
    static const char prefix[] = "socket:[";
    const size_t start = sizeof prefix - 1;
    if ((size_t)length <= start || memcmp(target, prefix, start) != 0)
        return 0;
    int64_t inode = 0;
    for (ssize_t i = (ssize_t)start; i < length && target[i] >= '0' && target[i] <= '9'; i++)
        inode = inode * 10 + (target[i] - '0');
    return inode;
}

// The number behind a tab after this word at the start of a line; -1 when there is none.
static int64_t field(const char *text, const char *word) {
    size_t length = strlen(word);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, word, length) == 0 && line[length] == '\t')
            return strtoll(line + length + 1, NULL, 10);
    }
    return -1;
}

static int read_record(int directory, const char *path, char *text, size_t capacity) {
    ssize_t length = clx_read_file(directory, path, text, capacity - 1);
    if (length < 0)
        return (int)length;
    text[length] = 0;
    return 0;
}

// proc_pid_fdinfo(5): what lies on the mount of all sockets is a socket. `ino` is there from Linux 5.14 on.
static int64_t recorded_inode(int directory, const char *path, int sockets) {
    char text[256];
    int result = read_record(directory, path, text, sizeof text);
    if (result < 0)
        return result;
    int64_t inode = field(text, "ino:");
    return field(text, "mnt_id:") == sockets && inode > 0 ? inode : 0;
}

static int64_t inode_at(int directory, const char *path, int sockets) {
    return sockets < 0 ? clx_socket_inode(directory, path) : recorded_inode(directory, path, sockets);
}

int clx_socket_mount(int socket) {
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", socket);
    int result = read_record(AT_FDCWD, path, text, sizeof text);
    if (result < 0)
        return result;
    int64_t mount = field(text, "mnt_id:");
    return mount < 0 || field(text, "ino:") < 0 ? -EOPNOTSUPP : (int)mount;
}

ssize_t clx_process_memory(int32_t pid, uint64_t address, void *buffer, size_t length) {
    struct iovec here = {.iov_base = buffer, .iov_len = length};
    struct iovec there = {.iov_base = (void *)(uintptr_t)address, .iov_len = length};
    ssize_t count = process_vm_readv(pid, &here, 1, &there, 1, 0);
    return count < 0 ? -errno : count;
}

int64_t clx_socket_inode_at(int directory, const char *prefix, int number, int sockets) {
    char path[64], digits[12];
    size_t length = strlen(prefix);
    if (length > 40 || number < 0)
        return -EINVAL;
    memcpy(path, prefix, length);
    if (length)
        path[length++] = '/';
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        path[length++] = digits[--count];
    path[length] = 0;
    return inode_at(directory, path, sockets);
}

struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

static bool holds(int directory, const char *name, const uint64_t *inodes, int count, int sockets) {
    int64_t inode = inode_at(directory, name, sockets);
    if (inode <= 0)
        return false;
    for (int i = 0; i < count; i++)
        if (inodes[i] == (uint64_t)inode)
            return true;
    return false;
}

int clx_find_socket(
    int directory,
    const uint64_t *inodes,
    int count,
    int sockets,
    int limit,
    int64_t deadline,
    int *ret_number) {
    if (lseek(directory, 0, SEEK_SET) < 0)
        return -errno;
    _Alignas(8) char buffer[16384];
    int seen = 0;
    for (;;) {
        long length = syscall(SYS_getdents64, directory, buffer, sizeof buffer);
        if (length < 0)
            return -errno;
        if (length == 0)
            return 0;
        for (long position = 0; position < length;) {
            const struct entry *entry = (const struct entry *)(buffer + position);
            position += entry->length;
            if (entry->name[0] < '0' || entry->name[0] > '9')
                continue;
            if (seen++ == limit || (seen % 64 == 0 && clx_thread_nanoseconds() > deadline))
                return -EAGAIN;
            if (holds(directory, entry->name, inodes, count, sockets)) {
                *ret_number = (int)strtol(entry->name, NULL, 10);
                return 1;
            }
        }
    }
}

int clx_link_is(int directory, const char *path, const char *target, size_t length) {
    char buffer[PATH_MAX];
    ssize_t count = readlinkat(directory, path, buffer, sizeof buffer);
    if (count < 0)
        return -errno;
    return (size_t)count == length && memcmp(buffer, target, length) == 0;
}

int clx_numeric_entries(int directory, int32_t *ret_numbers, int capacity) {
    if (lseek(directory, 0, SEEK_SET) < 0)
        return -errno;
    _Alignas(8) char buffer[16384];
    int count = 0;
    for (;;) {
        long length = syscall(SYS_getdents64, directory, buffer, sizeof buffer);
        if (length < 0)
            return -errno;
        if (length == 0)
            return count;
        for (long position = 0; position < length;) {
            const struct entry *entry = (const struct entry *)(buffer + position);
            position += entry->length;
            if (entry->name[0] < '0' || entry->name[0] > '9')
                continue;
            if (count == capacity)
                return capacity + 1;
            ret_numbers[count++] = (int32_t)strtol(entry->name, NULL, 10);
        }
    }
}

ssize_t clx_subdirectories(int directory, char *ret_names, size_t capacity) {
    if (lseek(directory, 0, SEEK_SET) < 0)
        return -errno;
    _Alignas(8) char buffer[16384];
    size_t used = 0;
    for (;;) {
        long length = syscall(SYS_getdents64, directory, buffer, sizeof buffer);
        if (length < 0)
            return -errno;
        if (length == 0)
            return (ssize_t)used;
        for (long position = 0; position < length;) {
            const struct entry *entry = (const struct entry *)(buffer + position);
            position += entry->length;
            if (entry->type != DT_DIR || strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
                continue;
            size_t size = strlen(entry->name) + 1;
            if (capacity - used < size)
                return -ERANGE;
            memcpy(ret_names + used, entry->name, size);
            used += size;
        }
    }
}

int clx_numbers(int fd, int32_t *ret_numbers, int capacity) {
    char buffer[8192];
    int count = 0, digits = 0;
    int32_t number = 0;
    for (;;) {
        ssize_t length = clx_read(fd, buffer, sizeof buffer);
        if (length < 0)
            return (int)length;
        for (ssize_t i = 0; i < length || (length == 0 && i == 0); i++) {
            char character = length ? buffer[i] : '\n';
            if (character >= '0' && character <= '9') {
                number = number * 10 + (character - '0');
                digits++;
                continue;
            }
            if (digits) {
                if (count == capacity)
                    return capacity + 1;
                ret_numbers[count++] = number;
            }
            number = 0;
            digits = 0;
        }
        if (length == 0)
            return count;
    }
}

int clx_cgroup_open(int mount, uint64_t id) {
    union {
        struct file_handle handle;
        char bytes[sizeof(struct file_handle) + sizeof id];
    } handle = {.handle = {.handle_bytes = sizeof id, .handle_type = KERNFS_HANDLE}};
    memcpy(handle.bytes + offsetof(struct file_handle, f_handle), &id, sizeof id);
    int fd = open_by_handle_at(mount, &handle.handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int clx_cgroup_id(int mount, const char *path, uint64_t *ret_id) {
    union {
        struct file_handle handle;
        char bytes[sizeof(struct file_handle) + sizeof(uint64_t)];
    } handle = {.handle = {.handle_bytes = sizeof(uint64_t)}};
    int mount_id;
    if (name_to_handle_at(mount, path, &handle.handle, &mount_id, *path ? 0 : AT_EMPTY_PATH) < 0)
        return -errno;
    if (handle.handle.handle_type != KERNFS_HANDLE || handle.handle.handle_bytes != sizeof(uint64_t))
        return -EINVAL;
    memcpy(ret_id, handle.bytes + offsetof(struct file_handle, f_handle), sizeof(uint64_t));
    return 0;
}

int clx_is_cgroup2(int fd) {
    struct statfs status;
    if (fstatfs(fd, &status) < 0)
        return -errno;
    return status.f_type == CGROUP2_MAGIC;
}

enum { USER_BUFFER = 65536 };

// getpwnam_r and its kin return the error instead of setting errno, and "not found" is no error.
#define LOOKUP(type, call, field)                                  \
    ({                                                             \
        struct type entry_, *found_ = NULL;                        \
        char *scratch_ = malloc(USER_BUFFER);                      \
        int64_t value_ = -ENOMEM;                                  \
        if (scratch_) {                                            \
            int code_ = call(name, &entry_, scratch_, USER_BUFFER, &found_); \
            value_ = found_ ? (int64_t)found_->field : code_ > 0 ? -code_ : -ENOENT; \
        }                                                          \
        free(scratch_);                                            \
        value_;                                                    \
    })

int64_t clx_user_id(const char *name) { return LOOKUP(passwd, getpwnam_r, pw_uid); }

int64_t clx_group_id(const char *name) { return LOOKUP(group, getgrnam_r, gr_gid); }

int clx_user_name(uint32_t uid, char *buffer, size_t capacity) {
    char *scratch = malloc(USER_BUFFER);
    if (!scratch)
        return -ENOMEM;
    struct passwd entry, *found = NULL;
    int code = getpwuid_r(uid, &entry, scratch, USER_BUFFER, &found);
    int result = code > 0 ? -code : -ENOENT;
    if (found) {
        size_t length = strlen(found->pw_name);
        result = length > capacity ? -ERANGE : (int)length;
        if (result >= 0)
            memcpy(buffer, found->pw_name, length);
    }
    free(scratch);
    return result;
}

int clx_user_groups(uint32_t uid, uint32_t *ret_groups, size_t capacity) {
    char *scratch = malloc(USER_BUFFER);
    if (!scratch)
        return -ENOMEM;
    struct passwd entry, *found = NULL;
    int code = getpwuid_r(uid, &entry, scratch, USER_BUFFER, &found);
    int result = code > 0 ? -code : -ENOENT;
    if (found) {
        int count = (int)capacity;
        result = getgrouplist(found->pw_name, found->pw_gid, ret_groups, &count) < 0 ? -ERANGE : count;
    }
    free(scratch);
    return result;
}
