#include "internal.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

static uint32_t next_seq = 1;

struct links {
    void *context;
    enf_link_callback callback;
};

static int one_link(void *context, const struct nlmsghdr *message) {
    const struct links *links = context;
    if (message->nlmsg_type != RTM_NEWLINK) return 0;
    const struct ifinfomsg *body = mnl_nlmsg_get_payload(message);
    struct enf_link link = {.flags = body->ifi_flags};
    const struct nlattr *attr, *info;
    mnl_attr_for_each(attr, message, sizeof *body) {
        switch (mnl_attr_get_type(attr)) {
        case IFLA_IFNAME: link.name = mnl_attr_get_str(attr); break;
        case IFLA_LINKINFO:
            mnl_attr_for_each_nested(info, attr) {
                if (mnl_attr_get_type(info) == IFLA_INFO_KIND) link.kind = mnl_attr_get_str(info);
            }
        }
    }
    if (link.name != NULL) links->callback(links->context, &link);
    return 0;
}

int enf_links_dump(int fd, void *context, enf_link_callback callback) {
    uint8_t buffer[64];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = RTM_GETLINK;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message->nlmsg_seq = next_seq++;
    struct ifinfomsg *body = mnl_nlmsg_put_extra_header(message, sizeof *body);
    memset(body, 0, sizeof *body);
    struct links links = {context, callback};
    return enf_answers(fd, message, &links, one_link);
}

struct addresses {
    void *context;
    enf_address_callback callback;
};

static int one_address(void *context, const struct nlmsghdr *message) {
    const struct addresses *addresses = context;
    if (message->nlmsg_type != RTM_NEWADDR) return 0;
    const struct ifaddrmsg *body = mnl_nlmsg_get_payload(message);
    size_t length = body->ifa_family == AF_INET ? 4 : body->ifa_family == AF_INET6 ? 16 : 0;
    const struct nlattr *attr, *peer = NULL, *local = NULL;
    mnl_attr_for_each(attr, message, sizeof *body) {
        switch (mnl_attr_get_type(attr)) {
        case IFA_ADDRESS: peer = attr; break;
        case IFA_LOCAL: local = attr;
        }
    }
    // On a point-to-point device IFA_ADDRESS is the other end's.
    if (local == NULL) local = peer;
    if (length == 0 || local == NULL || mnl_attr_get_payload_len(local) != length) return 0;
    struct enf_address address = {.family = body->ifa_family};
    memcpy(address.bytes, mnl_attr_get_payload(local), length);
    addresses->callback(addresses->context, &address);
    return 0;
}

int enf_addresses_dump(int fd, void *context, enf_address_callback callback) {
    uint8_t buffer[64];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = RTM_GETADDR;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message->nlmsg_seq = next_seq++;
    struct ifaddrmsg *body = mnl_nlmsg_put_extra_header(message, sizeof *body);
    memset(body, 0, sizeof *body);
    struct addresses addresses = {context, callback};
    return enf_answers(fd, message, &addresses, one_address);
}

struct chains {
    void *context;
    enf_chain_callback callback;
};

static void read_hook(const struct nlattr *hook, struct enf_chain *chain, const struct nlattr **devices) {
    const struct nlattr *attr;
    mnl_attr_for_each_nested(attr, hook) {
        switch (mnl_attr_get_type(attr)) {
        case NFTA_HOOK_HOOKNUM: chain->hook = ntohl(mnl_attr_get_u32(attr)); break;
        case NFTA_HOOK_DEV: chain->device = mnl_attr_get_str(attr); break;
        case NFTA_HOOK_DEVS: *devices = attr;
        }
    }
}

static int one_chain(void *context, const struct nlmsghdr *message) {
    const struct chains *chains = context;
    if (message->nlmsg_type != ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWCHAIN)) return 0;
    const struct nfgenmsg *head = mnl_nlmsg_get_payload(message);
    struct enf_chain chain = {.family = head->nfgen_family};
    const struct nlattr *attr, *devices = NULL;
    bool is_base = false;
    mnl_attr_for_each(attr, message, sizeof *head) {
        switch (mnl_attr_get_type(attr)) {
        case NFTA_CHAIN_TABLE: chain.table = mnl_attr_get_str(attr); break;
        case NFTA_CHAIN_NAME: chain.name = mnl_attr_get_str(attr); break;
        case NFTA_CHAIN_POLICY: chain.drops = ntohl(mnl_attr_get_u32(attr)) == NF_DROP; break;
        case NFTA_CHAIN_HOOK:
            is_base = true;
            read_hook(attr, &chain, &devices);
        }
    }
    if (!is_base || chain.table == NULL || chain.name == NULL) return 0;
    if (devices == NULL) {
        chains->callback(chains->context, &chain);
        return 0;
    }
    // The same chain once for every device; a chain of one device tells it in NFTA_HOOK_DEV as well.
    mnl_attr_for_each_nested(attr, devices) {
        if (mnl_attr_get_type(attr) != NFTA_DEVICE_NAME) continue;
        chain.device = mnl_attr_get_str(attr);
        chains->callback(chains->context, &chain);
    }
    return 0;
}

int enf_chains_dump(int fd, void *context, enf_chain_callback callback) {
    uint8_t buffer[64];
    struct nlmsghdr *message = enf_header(buffer, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN,
                                          NLM_F_DUMP, next_seq++, NFPROTO_UNSPEC, 0);
    struct chains chains = {context, callback};
    return enf_answers(fd, message, &chains, one_chain);
}
