#include "CLinux.h"

#include <sys/inotify.h>

int clx_watch_create(void) {
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static int add(int fd, const char *path, uint32_t mask) {
    int watch = inotify_add_watch(fd, path, mask | IN_DONT_FOLLOW);
    return watch < 0 ? -errno : watch;
}

int clx_watch_directory(int fd, const char *path) {
    return add(
        fd,
        path,
        IN_ONLYDIR | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF
            | IN_MOVE_SELF);
}

int clx_watch_entries(int fd, const char *path) {
    return add(fd, path, IN_ONLYDIR | IN_CREATE | IN_DELETE);
}

// Beside its directory: a file that is mounted over another is written under a name elsewhere.
int clx_watch_file(int fd, const char *path) {
    return add(fd, path, IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF);
}

int clx_watch_remove(int fd, int watch) { return inotify_rm_watch(fd, watch) < 0 ? -errno : 0; }

int clx_file_version(const char *path, struct clx_version *ret_version) {
    struct stat status;
    if (fstatat(AT_FDCWD, path, &status, AT_NO_AUTOMOUNT) < 0)
        return -errno;
    *ret_version = (struct clx_version){
        .device = status.st_dev,
        .inode = status.st_ino,
        .size = status.st_size,
        .changed = (int64_t)status.st_ctim.tv_sec * 1000000000 + status.st_ctim.tv_nsec,
    };
    return 0;
}
