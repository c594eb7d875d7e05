// A kernel that has trouble with netlink, for the program that this is preloaded into. While these files are in the folder
// $NETLINK_TROUBLE:
//
//     refuse    no transaction is taken: there is no memory for it
//     lose      an element is taken out, and what tells of it is lost, as when the receive buffer runs over
//     stall     no packet is answered: the program stands still before it
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// The socket whose next message is lost, -1 for none.
static _Thread_local int lost = -1;

static bool has(const char *trouble) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", getenv("NETLINK_TROUBLE"), trouble);
    return access(path, F_OK) == 0;
}

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t to_length) {
    ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) =
        (ssize_t (*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "sendto");
    const struct nlmsghdr *first = bytes;
    if (to == NULL || to->sa_family != AF_NETLINK || length < 2 * sizeof *first)
        return real(fd, bytes, length, flags, to, to_length);
    if (first->nlmsg_type == ((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_VERDICT))
        while (has("stall")) usleep(1000);
    if (first->nlmsg_type != NFNL_MSG_BATCH_BEGIN) return real(fd, bytes, length, flags, to, to_length);
    if (has("refuse")) {
        errno = ENOMEM;
        return -1;
    }
    const struct nlmsghdr *second = (const struct nlmsghdr *)((const char *)bytes + NLMSG_ALIGN(first->nlmsg_len));
    ssize_t result = real(fd, bytes, length, flags, to, to_length);
    bool takes = second->nlmsg_type == ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_DELSETELEM);
    if (takes && second->nlmsg_flags & NLM_F_ECHO && has("lose")) lost = fd;
    return result;
}

ssize_t recv(int fd, void *buffer, size_t size, int flags) {
    ssize_t (*real)(int, void *, size_t, int) = (ssize_t (*)(int, void *, size_t, int))dlsym(RTLD_NEXT, "recv");
    if (fd != lost) return real(fd, buffer, size, flags);
    lost = -1;
    while (real(fd, buffer, size, MSG_DONTWAIT) >= 0) continue;
    errno = ENOBUFS;
    return -1;
}
