#include "CLinux.h"

#include <dirent.h>
#include <string.h>

int clx_permissions(const char *path, struct clx_permissions *ret_permissions) {
    struct stat status;
    if (fstatat(AT_FDCWD, path, &status, AT_NO_AUTOMOUNT) < 0)
        return -errno;
    *ret_permissions = (struct clx_permissions){
        .owner = status.st_uid, .group = status.st_gid, .mode = status.st_mode, .inode = status.st_ino};
    return 0;
}

ssize_t clx_directory_names(const char *path, char *buffer, size_t capacity) {
    DIR *directory = opendir(path);
    if (!directory)
        return -errno;
    size_t length = 0;
    ssize_t result = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry) {
            result = errno ? -errno : (ssize_t)length;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        size_t size = strlen(entry->d_name) + 1;
        if (length + size > capacity) {
            result = -ERANGE;
            break;
        }
        memcpy(buffer + length, entry->d_name, size);
        length += size;
    }
    closedir(directory);
    return result;
}
