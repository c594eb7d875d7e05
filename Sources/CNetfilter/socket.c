#include "internal.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static void set_options(int fd, uint32_t receive_buffer) {
    int one = 1;
    // Kernels without extended acknowledgements only say less about an error.
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
    // The answers to a request are short: the copy of the request is not wanted back.
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
    if (receive_buffer > 0
        && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer) < 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
}

int enf_open(int protocol, uint32_t receive_buffer) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0) return -errno;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    set_options(fd, receive_buffer);
    return fd;
}

static int option(int fd, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -errno : value;
}

// 0 where the kernel does not tell (before 5.14).
static uint64_t namespace_of(int fd) {
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) < 0 ? 0 : cookie;
}

int enf_adopt(int fd, int protocol, uint32_t receive_buffer, uint32_t *ret_port) {
    if (option(fd, SO_DOMAIN) != AF_NETLINK || option(fd, SO_PROTOCOL) != protocol) return -EPROTOTYPE;
    struct sockaddr_nl address;
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) return -errno;
    if (address.nl_pid == 0) return -EDESTADDRREQ;
    int fresh = enf_open(protocol, 0);
    if (fresh < 0) return fresh;
    bool is_ours = namespace_of(fd) == namespace_of(fresh);
    close(fresh);
    if (!is_ours) return -EXDEV;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
    set_options(fd, receive_buffer);
    *ret_port = address.nl_pid;
    return 0;
}

void enf_close(int fd) { close(fd); }

long enf_receive(int fd, uint8_t *buffer, size_t size, bool wait) {
    for (;;) {
        ssize_t count = recv(fd, buffer, size, MSG_TRUNC | (wait ? 0 : MSG_DONTWAIT));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -errno;
        return (size_t)count > size ? -EMSGSIZE : count;
    }
}

int enf_receive_some(int fd, uint8_t *buffers, size_t size, uint32_t *ret_lengths, uint32_t count) {
    struct mmsghdr messages[16];
    struct iovec parts[16];
    if (count > 16) count = 16;
    memset(messages, 0, sizeof messages);
    for (uint32_t index = 0; index < count; index++) {
        parts[index] = (struct iovec){.iov_base = buffers + index * size, .iov_len = size};
        messages[index].msg_hdr.msg_iov = &parts[index];
        messages[index].msg_hdr.msg_iovlen = 1;
    }
    int received;
    do received = recvmmsg(fd, messages, count, MSG_DONTWAIT, NULL);
    while (received < 0 && errno == EINTR);
    if (received < 0) return errno == EAGAIN ? 0 : -errno;
    // One that was cut off has no bytes: what is not whole is not read.
    for (int index = 0; index < received; index++)
        ret_lengths[index] = messages[index].msg_hdr.msg_flags & MSG_TRUNC ? 0 : messages[index].msg_len;
    return received;
}

int enf_send(int fd, const void *bytes, size_t length) {
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    for (int attempt = 1;;) {
        ssize_t count = sendto(fd, bytes, length, 0, (struct sockaddr *)&kernel, sizeof kernel);
        if (count < 0 && errno == EINTR) continue;
        // Nothing of it was taken: it may be sent again.
        if (count < 0 && (errno == ENOBUFS || errno == ENOMEM) && attempt++ < ENF_ATTEMPTS) continue;
        if (count < 0) return -errno;
        return (size_t)count == length ? 0 : -EMSGSIZE;
    }
}

bool enf_discard(int fd) {
    uint8_t buffer[8192];
    bool lost = false;
    int failures = 0;
    for (;;) {
        long count = enf_receive(fd, buffer, sizeof buffer, false);
        if (count == -EAGAIN) return lost;
        if (count == -ENOBUFS) lost = true;
        // One that does not fit is gone as well; what else fails is told once by the kernel.
        if (count < 0 && count != -EMSGSIZE && ++failures == ENF_ATTEMPTS) return lost;
    }
}

struct nlmsghdr *enf_header(void *buffer, uint16_t type, uint16_t flags, uint32_t seq, uint8_t family,
                            uint16_t res_id) {
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    message->nlmsg_seq = seq;
    struct nfgenmsg *extra = mnl_nlmsg_put_extra_header(message, sizeof *extra);
    extra->nfgen_family = family;
    extra->version = NFNETLINK_V0;
    extra->res_id = htons(res_id);
    return message;
}

// What one exchange came to: 0 or the kernel's -errno; `ret_lost` says that it is the answer which could not be received.
static int ask(int fd, const struct nlmsghdr *message, size_t length, bool *ret_lost) {
    *ret_lost = false;
    int error = enf_send(fd, message, length);
    if (error < 0) return error;
    uint8_t buffer[8192];
    for (;;) {
        long count = enf_receive(fd, buffer, sizeof buffer, true);
        if (count < 0) {
            *ret_lost = true;
            return (int)count;
        }
        int left = (int)count;
        const struct nlmsghdr *answer = (const struct nlmsghdr *)buffer;
        for (; mnl_nlmsg_ok(answer, left); answer = mnl_nlmsg_next(answer, &left)) {
            if (answer->nlmsg_type != NLMSG_ERROR || answer->nlmsg_seq != message->nlmsg_seq) continue;
            const struct nlmsgerr *body = mnl_nlmsg_get_payload(answer);
            return body->error;
        }
    }
}

int enf_ask(int fd, const struct nlmsghdr *message, size_t length) {
    bool lost;
    int error = ask(fd, message, length, &lost);
    if (lost) enf_discard(fd);
    return error;
}

int enf_ask_again(int fd, const struct nlmsghdr *message, size_t length) {
    for (int attempt = 1;; attempt++) {
        bool lost;
        int error = ask(fd, message, length, &lost);
        if (!lost) return error;
        enf_discard(fd);
        if (attempt == ENF_ATTEMPTS) return error;
    }
}

static int answers(int fd, const struct nlmsghdr *message, void *context, enf_message_callback callback, bool *ret_lost) {
    *ret_lost = false;
    int error = enf_send(fd, message, message->nlmsg_len);
    if (error < 0) return error;
    static _Thread_local uint8_t buffer[65536];
    int result = 0;
    bool interrupted = false;
    for (;;) {
        long count = enf_receive(fd, buffer, sizeof buffer, true);
        if (count < 0) {
            *ret_lost = true;
            return (int)count;
        }
        int left = (int)count;
        const struct nlmsghdr *answer = (const struct nlmsghdr *)buffer;
        for (; mnl_nlmsg_ok(answer, left); answer = mnl_nlmsg_next(answer, &left)) {
            if (answer->nlmsg_seq != message->nlmsg_seq) continue;
            if (answer->nlmsg_flags & NLM_F_DUMP_INTR) interrupted = true;
            if (answer->nlmsg_type == NLMSG_ERROR) {
                const struct nlmsgerr *body = mnl_nlmsg_get_payload(answer);
                return body->error != 0 ? body->error : result;
            }
            if (answer->nlmsg_type == NLMSG_DONE) return result < 0 ? result : interrupted ? -EINTR : 0;
            if (result == 0) result = callback(context, answer);
            if (!(answer->nlmsg_flags & NLM_F_MULTI) && !(message->nlmsg_flags & NLM_F_ACK)) return result;
        }
    }
}

int enf_answers(int fd, const struct nlmsghdr *message, void *context, enf_message_callback callback) {
    for (int attempt = 1;; attempt++) {
        bool lost;
        int error = answers(fd, message, context, callback, &lost);
        if (!lost) return error;
        enf_discard(fd);
        if (attempt == ENF_ATTEMPTS) return error;
    }
}
