#include "CLinux.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

// The headers of Debian 12 are older than the kernels this runs on.
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // Linux 6.5
#endif

static int address(const char *path, struct sockaddr_un *ret_address) {
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof ret_address->sun_path)
        return -ENAMETOOLONG;
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret_address->sun_path, path, length);
    return 0;
}

static int fail(int fd) {
    int code = errno;
    close(fd);
    return -code;
}

int clx_unix_bind(const char *path) {
    struct sockaddr_un name;
    int result = address(path, &name);
    if (result < 0)
        return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    return bind(fd, (struct sockaddr *)&name, sizeof name) < 0 ? fail(fd) : fd;
}

int clx_unix_listen(int fd, int backlog) { return listen(fd, backlog) < 0 ? -errno : 0; }

int clx_unix_connect(const char *path, bool nonblocking) {
    struct sockaddr_un name;
    int result = address(path, &name);
    if (result < 0)
        return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
    if (fd < 0)
        return -errno;
    do
        result = connect(fd, (struct sockaddr *)&name, sizeof name);
    while (result < 0 && errno == EINTR);
    return result < 0 ? fail(fd) : fd;
}

int clx_accept(int fd) {
    for (;;) {
        int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (connection >= 0)
            return connection;
        // A connection that was aborted while it waited says nothing about the next one.
        if (errno != EINTR && errno != ECONNABORTED)
            return -errno;
    }
}

ssize_t clx_send(int fd, const void *bytes, size_t count) {
    for (;;) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent >= 0)
            return sent;
        if (errno != EINTR)
            return -errno;
    }
}

int clx_set_receive_timeout(int fd, int64_t milliseconds) {
    struct timeval time = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) < 0 ? -errno : 0;
}

int clx_pair(int *ret_first, int *ret_second) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    *ret_first = pair[0];
    *ret_second = pair[1];
    return 0;
}

int clx_peer(int fd, struct clx_peer *ret_peer) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
        return -errno;
    *ret_peer = (struct clx_peer){.pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
    return 0;
}

int clx_peer_pidfd(int fd) {
    int pidfd = -1;
    socklen_t length = sizeof pidfd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) < 0)
        return -errno;
    return pidfd < 0 ? -ESRCH : pidfd;
}

int clx_peer_groups(int fd, uint32_t *ret_groups, size_t capacity) {
    socklen_t length = (socklen_t)(capacity * sizeof(gid_t));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, ret_groups, &length) < 0)
        return -errno;
    return (int)(length / sizeof(gid_t));
}
