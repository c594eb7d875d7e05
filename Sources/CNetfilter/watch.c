#include "internal.h"

#include <linux/filter.h>

int enf_port(int fd, uint32_t *ret_port) {
    struct sockaddr_nl address = {0};
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) return -errno;
    *ret_port = address.nl_pid;
    return 0;
}

int enf_ruleset_watch(int fd, bool joins) {
    int group = NFNLGRP_NFTABLES;
    int option = joins ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP;
    return setsockopt(fd, SOL_NETLINK, option, &group, sizeof group) < 0 ? -errno : 0;
}

int enf_ignore_port(int fd, uint32_t port) {
    struct sock_filter code[] = {
        // The messages of one datagram are one transaction's, and so one port's. Words are loaded in network byte order.
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(port), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

struct listener {
    void *context;
    enf_ruleset_callback callback;
};

static int hand_over(void *context, const struct nlmsghdr *message) {
    const struct listener *listener = context;
    listener->callback(listener->context, message->nlmsg_type, mnl_nlmsg_get_payload(message),
                       mnl_nlmsg_get_payload_len(message));
    return 0;
}

int enf_ruleset_ask(int fd, uint32_t sequence, uint16_t type, bool dump, uint8_t family, const char *table,
                    const char *chain, void *context, enf_ruleset_callback callback) {
    uint8_t buffer[1024];
    if ((table != NULL && strlen(table) > 256) || (chain != NULL && strlen(chain) > 256)) return -ENAMETOOLONG;
    struct nlmsghdr *message = enf_header(buffer, (NFNL_SUBSYS_NFTABLES << 8) | type, dump ? NLM_F_DUMP : 0, sequence,
                                          family, 0);
    // The table's name is the first attribute of every object, and the chain's the second of a rule.
    if (table != NULL) mnl_attr_put_strz(message, NFTA_RULE_TABLE, table);
    if (chain != NULL) mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain);
    struct listener listener = {context, callback};
    return enf_answers(fd, message, &listener, hand_over);
}
