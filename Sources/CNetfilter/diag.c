#include "internal.h"

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

#ifndef INET_DIAG_CGROUP_ID
#define INET_DIAG_CGROUP_ID 21
#endif

static uint32_t next_seq = 1;

static struct inet_diag_req_v2 *request(struct nlmsghdr *message, uint16_t type, uint16_t flags, uint8_t family,
                                        uint8_t protocol) {
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    message->nlmsg_seq = next_seq++;
    struct inet_diag_req_v2 *body = mnl_nlmsg_put_extra_header(message, sizeof *body);
    memset(body, 0, sizeof *body);
    body->sdiag_family = family;
    body->sdiag_protocol = protocol;
    body->idiag_states = UINT32_MAX;
    body->id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    body->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    return body;
}

static void read_sock(const struct nlmsghdr *message, uint8_t protocol, struct enf_sock *sock) {
    const struct inet_diag_msg *body = mnl_nlmsg_get_payload(message);
    memset(sock, 0, sizeof *sock);
    sock->endpoint.family = body->idiag_family;
    sock->endpoint.protocol = protocol;
    sock->endpoint.local_port = ntohs(body->id.idiag_sport);
    sock->endpoint.remote_port = ntohs(body->id.idiag_dport);
    memcpy(sock->endpoint.local, body->id.idiag_src, 16);
    memcpy(sock->endpoint.remote, body->id.idiag_dst, 16);
    sock->state = body->idiag_state;
    sock->uid = body->idiag_uid;
    sock->inode = body->idiag_inode;
    sock->interface = body->id.idiag_if;
    sock->cookie[0] = body->id.idiag_cookie[0];
    sock->cookie[1] = body->id.idiag_cookie[1];
    const struct nlattr *attr;
    mnl_attr_for_each(attr, message, sizeof *body) {
        if (mnl_attr_get_type(attr) == INET_DIAG_CGROUP_ID) sock->cgroup = mnl_attr_get_u64(attr);
    }
}

struct search {
    uint8_t protocol;
    bool found;
    struct enf_sock sock;
    void *context;
    enf_sock_callback callback;
};

static int one_sock(void *context, const struct nlmsghdr *message) {
    struct search *search = context;
    if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY) return 0;
    struct enf_sock sock;
    read_sock(message, search->protocol, &sock);
    if (search->callback != NULL) {
        search->callback(search->context, &sock);
    } else {
        search->sock = sock;
        search->found = true;
    }
    return 0;
}

int enf_sock_find(int fd, const struct enf_endpoint *endpoint, uint32_t interface, struct enf_sock *ret_sock) {
    uint8_t buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct inet_diag_req_v2 *body = request(message, SOCK_DIAG_BY_FAMILY, 0, endpoint->family, endpoint->protocol);
    // UDP is looked up as if for a packet that arrives: source and destination change places, though not to destroy a socket
    // (net/ipv4/udp_diag.c).
    bool swapped = endpoint->protocol == IPPROTO_UDP;
    body->id.idiag_sport = htons(swapped ? endpoint->remote_port : endpoint->local_port);
    body->id.idiag_dport = htons(swapped ? endpoint->local_port : endpoint->remote_port);
    memcpy(body->id.idiag_src, swapped ? endpoint->remote : endpoint->local, 16);
    memcpy(body->id.idiag_dst, swapped ? endpoint->local : endpoint->remote, 16);
    body->id.idiag_if = interface;
    struct search search = {.protocol = endpoint->protocol};
    int error = enf_answers(fd, message, &search, one_sock);
    if (error < 0) return error;
    if (!search.found) return -ENOENT;
    *ret_sock = search.sock;
    return 0;
}

int enf_sock_dump(int fd, uint8_t family, uint8_t protocol, uint32_t states, uint16_t local_port, void *context,
                  enf_sock_callback callback) {
    uint8_t buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct inet_diag_req_v2 *body = request(message, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family, protocol);
    body->idiag_states = states;
    body->id.idiag_sport = htons(local_port);
    struct search search = {.protocol = protocol, .context = context, .callback = callback};
    return enf_answers(fd, message, &search, one_sock);
}

int enf_sock_destroy(int fd, const struct enf_sock *sock) {
    uint8_t buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct inet_diag_req_v2 *body =
        request(message, SOCK_DESTROY, NLM_F_ACK, sock->endpoint.family, sock->endpoint.protocol);
    body->id.idiag_sport = htons(sock->endpoint.local_port);
    body->id.idiag_dport = htons(sock->endpoint.remote_port);
    memcpy(body->id.idiag_src, sock->endpoint.local, 16);
    memcpy(body->id.idiag_dst, sock->endpoint.remote, 16);
    body->id.idiag_if = sock->interface;
    body->id.idiag_cookie[0] = sock->cookie[0];
    body->id.idiag_cookie[1] = sock->cookie[1];
    return enf_ask_again(fd, message, message->nlmsg_len);
}
