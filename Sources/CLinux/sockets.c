#include "CLinux.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

int clx_await_input(int fd, int output) {
    struct pollfd both[] = {{.fd = fd, .events = POLLIN}, {.fd = output}};
    for (;;) {
        if (poll(both, 2, -1) < 0) {
            if (errno != EINTR)
                return -errno;
            continue;
        }
        if (both[1].revents & (POLLERR | POLLHUP))
            return 0;
        if (both[0].revents)
            return 1;
        // An output that is none is for whoever writes to find out.
        both[1].fd = -1;
    }
}

int clx_set_receive_timeout(int fd, int64_t milliseconds) {
    struct timeval time = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) < 0 ? -errno : 0;
}

int clx_shutdown_write(int fd) { return shutdown(fd, SHUT_WR) < 0 ? -errno : 0; }

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

static int messages(const char *path, struct sockaddr_un *ret_name) {
    int result = address(path, ret_name);
    if (result < 0)
        return result;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int clx_messages_connect(const char *path) {
    struct sockaddr_un name;
    int fd = messages(path, &name);
    if (fd < 0)
        return fd;
    int yes = 1, result = setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes);
    // Whoever listens and accepts nobody is not waited for: connect(2) goes by the time for sending.
    struct timeval patience = {.tv_usec = 50000};
    if (result == 0)
        result = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (result == 0)
        do
            result = connect(fd, (struct sockaddr *)&name, sizeof name);
        while (result < 0 && errno == EINTR);
    return result < 0 ? fail(fd) : fd;
}

int clx_messages_listen(const char *path) {
    struct sockaddr_un name;
    int fd = messages(path, &name);
    if (fd < 0)
        return fd;
    // Before anybody can connect.
    if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0 || chmod(path, 0600) < 0 || listen(fd, 8) < 0)
        return fail(fd);
    return fd;
}

union rights {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(CLX_PASSED_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

int clx_message_send(int fd, const void *bytes, size_t count, const int *passed, size_t passed_count) {
    if (passed_count > CLX_PASSED_MAX)
        return -EINVAL;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    union rights control = {0};
    if (passed_count > 0) {
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(passed_count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), passed, passed_count * sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(passed_count * sizeof(int));
    }
    for (;;) {
        if (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return 0;
        if (errno != EINTR)
            return -errno;
    }
}

ssize_t clx_message_receive(
    int fd, void *buffer, size_t capacity, bool waits, int *ret_passed, int *ret_count, int32_t *ret_pid) {
    struct iovec part = {.iov_base = buffer, .iov_len = capacity};
    union rights control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t length;
    do
        length = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | (waits ? 0 : MSG_DONTWAIT));
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return -errno;
    int received[CLX_PASSED_MAX], count = 0;
    int32_t pid = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
            // Without credentials there is room for more than the caller has.
            int more = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            for (int i = 0; i < more; i++) {
                int passed;
                memcpy(&passed, CMSG_DATA(header) + (size_t)i * sizeof(int), sizeof passed);
                if (count < CLX_PASSED_MAX)
                    received[count++] = passed;
                else
                    close(passed);
            }
        } else if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS) {
            struct ucred credentials;
            memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
            pid = credentials.pid;
        }
    }
    if (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
        for (int i = 0; i < count; i++)
            close(received[i]);
        return -EBADMSG;
    }
    memcpy(ret_passed, received, (size_t)count * sizeof received[0]);
    *ret_count = count;
    *ret_pid = pid;
    return length;
}
