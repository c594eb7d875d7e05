#include "CLinux.h"

#include <endian.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

// The headers of Debian 12 are older than the kernels this runs on.
#ifndef SO_RCVMARK
#define SO_RCVMARK 75  // Linux 5.19
#endif

enum { RECEIVE_LIMIT = 32, SEND_LIMIT = 64 };

union name {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t encode(const struct clx_endpoint *endpoint, union name *ret_name) {
    if (!endpoint->is_v6) {
        ret_name->v4 = (struct sockaddr_in){
            .sin_family = AF_INET,
            .sin_port = htons(endpoint->port),
            .sin_addr = {htonl((uint32_t)endpoint->low)},
        };
        return sizeof ret_name->v4;
    }
    ret_name->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
    uint64_t words[2] = {htobe64(endpoint->high), htobe64(endpoint->low)};
    memcpy(&ret_name->v6.sin6_addr, words, sizeof words);
    return sizeof ret_name->v6;
}

static struct clx_endpoint decode(const union name *name) {
    if (name->any.sa_family == AF_INET)
        return (struct clx_endpoint){.low = ntohl(name->v4.sin_addr.s_addr), .port = ntohs(name->v4.sin_port)};
    uint64_t words[2];
    memcpy(words, &name->v6.sin6_addr, sizeof words);
    return (struct clx_endpoint){
        .high = be64toh(words[0]),
        .low = be64toh(words[1]),
        .port = ntohs(name->v6.sin6_port),
        .is_v6 = true,
    };
}

static int set(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

int clx_internet_socket(bool is_v6, bool is_stream) {
    int type = is_stream ? SOCK_STREAM : SOCK_DGRAM;
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

static bool has(int fd, int option, int expected) {
    int value;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 && value == expected;
}

bool clx_is_internet_socket(int fd, bool is_v6, bool is_stream) {
    return has(fd, SO_DOMAIN, is_v6 ? AF_INET6 : AF_INET) && has(fd, SO_TYPE, is_stream ? SOCK_STREAM : SOCK_DGRAM)
        && has(fd, SO_PROTOCOL, is_stream ? IPPROTO_TCP : IPPROTO_UDP);
}

static int prepare(int fd, const struct clx_endpoint *endpoint, union name *ret_name, socklen_t *ret_length) {
    *ret_length = encode(endpoint, ret_name);
    return endpoint->is_v6 ? set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) : 0;
}

int clx_datagram_bind(int fd, const struct clx_endpoint *endpoint) {
    union name name;
    socklen_t length;
    int result = prepare(fd, endpoint, &name, &length);
    if (result < 0)
        return result;
    return bind(fd, &name.any, length) < 0 ? -errno : 0;
}

int clx_datagram_connect(int fd, const struct clx_endpoint *endpoint) {
    union name name;
    socklen_t length;
    int result = prepare(fd, endpoint, &name, &length);
    if (result < 0)
        return result;
    return connect(fd, &name.any, length) < 0 ? -errno : 0;
}

int clx_take_place(int fd, int other) {
    for (;;) {
        if (dup3(other, fd, O_CLOEXEC) >= 0)
            return 0;
        if (errno != EINTR && errno != EBUSY)
            return -errno;
    }
}

void clx_grow_buffers(int fd, int bytes) {
    if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes) < 0)
        set(fd, SOL_SOCKET, SO_RCVBUF, bytes);
    if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes) < 0)
        set(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

int clx_tell_mark(int fd) { return set(fd, SOL_SOCKET, SO_RCVMARK, 1); }

// What a datagram sent before met on its way (icmp_err_convert of net/ipv4/icmp.c); each is told once.
static bool is_from_icmp(int code) {
    switch (code) {
    case ECONNREFUSED: case EHOSTUNREACH: case ENETUNREACH: case EHOSTDOWN: case ENONET: case ENOPROTOOPT:
    case EOPNOTSUPP: case EMSGSIZE: case EACCES: case EPROTO:
        return true;
    default:
        return false;
    }
}

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(uint32_t))];
};

static void read_mark(struct msghdr *message, struct clx_datagram *datagram) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SO_MARK)
            continue;
        memcpy(&datagram->mark, CMSG_DATA(header), sizeof datagram->mark);
        datagram->has_mark = true;
    }
}

int clx_receive_datagrams(int fd, void *buffer, size_t size, struct clx_datagram *ret_datagrams, int capacity) {
    struct mmsghdr messages[RECEIVE_LIMIT];
    struct iovec places[RECEIVE_LIMIT];
    union name names[RECEIVE_LIMIT];
    union control controls[RECEIVE_LIMIT];
    if (capacity > RECEIVE_LIMIT)
        capacity = RECEIVE_LIMIT;
    for (int i = 0; i < capacity; i++) {
        places[i] = (struct iovec){.iov_base = (char *)buffer + (size_t)i * size, .iov_len = size};
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &names[i],
            .msg_namelen = sizeof names[i],
            .msg_iov = &places[i],
            .msg_iovlen = 1,
            .msg_control = &controls[i],
            .msg_controllen = sizeof controls[i],
        };
    }
    int count, errors = 0;
    do
        count = recvmmsg(fd, messages, (unsigned)capacity, MSG_DONTWAIT, NULL);
    while (count < 0 && (errno == EINTR || (is_from_icmp(errno) && ++errors < RECEIVE_LIMIT)));
    if (count < 0)
        return is_from_icmp(errno) ? -EAGAIN : -errno;
    for (int i = 0; i < count; i++) {
        ret_datagrams[i] = (struct clx_datagram){
            .peer = decode(&names[i]),
            .offset = (uint32_t)((size_t)i * size),
            .length = messages[i].msg_len,
            .is_cut = messages[i].msg_hdr.msg_flags & MSG_TRUNC,
        };
        read_mark(&messages[i].msg_hdr, &ret_datagrams[i]);
    }
    return count;
}

int clx_send_datagrams(int fd, const void *buffer, const struct clx_datagram *datagrams, int count) {
    struct mmsghdr messages[SEND_LIMIT];
    struct iovec places[SEND_LIMIT];
    union name names[SEND_LIMIT];
    if (count > SEND_LIMIT)
        count = SEND_LIMIT;
    for (int i = 0; i < count; i++) {
        places[i] = (struct iovec){(char *)buffer + datagrams[i].offset, datagrams[i].length};
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &names[i],
            .msg_namelen = encode(&datagrams[i].peer, &names[i]),
            .msg_iov = &places[i],
            .msg_iovlen = 1,
        };
    }
    int sent;
    do
        sent = sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

ssize_t clx_receive_datagram(int fd, void *buffer, size_t capacity) {
    ssize_t length;
    do
        length = recv(fd, buffer, capacity, MSG_DONTWAIT | MSG_TRUNC);
    while (length < 0 && errno == EINTR);
    return length < 0 ? -errno : length;
}

int clx_stream_listen(int fd, const struct clx_endpoint *endpoint, int backlog) {
    union name name;
    socklen_t length;
    int result = prepare(fd, endpoint, &name, &length);
    // Connections inherit TCP_NODELAY.
    if (result < 0 || (result = set(fd, SOL_SOCKET, SO_REUSEADDR, 1)) < 0
        || (result = set(fd, IPPROTO_TCP, TCP_NODELAY, 1)) < 0)
        return result;
    return bind(fd, &name.any, length) < 0 || listen(fd, backlog) < 0 ? -errno : 0;
}

int clx_stream_connect(int fd, const struct clx_endpoint *endpoint) {
    union name name;
    socklen_t length;
    int result = prepare(fd, endpoint, &name, &length);
    if (result < 0 || (result = set(fd, IPPROTO_TCP, TCP_NODELAY, 1)) < 0)
        return result;
    return connect(fd, &name.any, length) < 0 && errno != EINPROGRESS ? -errno : 0;
}

int clx_stream_is_connected(int fd) {
    int code = 0;
    socklen_t length = sizeof code;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0)
        return -errno;
    if (code != 0)
        return -code;
    union name name;
    length = sizeof name;
    if (getpeername(fd, &name.any, &length) == 0)
        return 1;
    return errno == ENOTCONN ? 0 : -errno;
}

int clx_accept_from(int fd, struct clx_endpoint *ret_peer) {
    union name name;
    int connection;
    // accept(2): what is already wrong with a new connection is told here, and says nothing about the next one.
    do {
        socklen_t length = sizeof name;
        connection = accept4(fd, &name.any, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (connection < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
    if (connection < 0)
        return -errno;
    *ret_peer = decode(&name);
    return connection;
}

int clx_local_endpoint(int fd, struct clx_endpoint *ret_endpoint) {
    union name name;
    socklen_t length = sizeof name;
    if (getsockname(fd, &name.any, &length) < 0)
        return -errno;
    *ret_endpoint = decode(&name);
    return 0;
}

int64_t clx_socket_mark(int fd) {
    uint32_t mark = 0;
    socklen_t length = sizeof mark;
    return getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &length) < 0 ? -errno : (int64_t)mark;
}
