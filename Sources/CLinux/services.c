#include "CLinux.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

_Static_assert(CLX_PASSED_MAX * sizeof(int) <= 256, "the control message fits on the stack");

int clx_datagram_socket(void) {
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

// systemd writes the address of a socket without a file with '@' in place of its first byte.
static int address(const char *path, struct sockaddr_un *ret_address, socklen_t *ret_length) {
    size_t length = strlen(path);
    if (length < 2 || length >= sizeof ret_address->sun_path || (path[0] != '/' && path[0] != '@'))
        return -EINVAL;
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret_address->sun_path, path, length);
    if (path[0] == '@')
        ret_address->sun_path[0] = 0;
    *ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return 0;
}

int clx_datagram_send(
    int fd, const char *path, const void *bytes, size_t count, const int *_Nullable passed, size_t passed_count) {
    struct sockaddr_un name;
    socklen_t length;
    int result = address(path, &name, &length);
    if (result < 0)
        return result;
    if (passed_count > CLX_PASSED_MAX)
        return -EINVAL;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_name = &name, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(CLX_PASSED_MAX * sizeof(int))];
    } control = {0};
    if (passed_count > 0 && passed != NULL) {
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(passed_count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), passed, passed_count * sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(passed_count * sizeof(int));
    }
    for (;;) {
        if (sendmsg(fd, &message, MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno != EINTR)
            return -errno;
    }
}
