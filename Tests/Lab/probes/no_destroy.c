// A kernel without INET_DIAG_DESTROY, for the program that this is preloaded into: it is asked to end sockets of a family that
// it cannot end, and says so.
#define _GNU_SOURCE

#include <dlfcn.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t to_length) {
    ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) =
        (ssize_t (*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "sendto");
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 body;
    } message;
    int protocol = -1;
    socklen_t size = sizeof protocol;
    if (length != sizeof message || to == NULL || to->sa_family != AF_NETLINK
        || getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0 || protocol != NETLINK_SOCK_DIAG)
        return real(fd, bytes, length, flags, to, to_length);
    memcpy(&message, bytes, sizeof message);
    if (message.header.nlmsg_type == SOCK_DESTROY) message.body.sdiag_family = AF_UNIX;
    return real(fd, &message, length, flags, to, to_length);
}
