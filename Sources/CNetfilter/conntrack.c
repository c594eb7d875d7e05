#include "internal.h"

#include <linux/netfilter/nfnetlink_conntrack.h>

static uint32_t next_seq = 1;

struct flows {
    void *context;
    enf_flow_callback callback;
};

static void read_tuple(const struct nlattr *tuple, struct enf_flow *flow) {
    const struct nlattr *part, *field;
    mnl_attr_for_each_nested(part, tuple) {
        mnl_attr_for_each_nested(field, part) {
            uint16_t type = mnl_attr_get_type(field);
            const void *value = mnl_attr_get_payload(field);
            uint16_t length = mnl_attr_get_payload_len(field);
            if (mnl_attr_get_type(part) == CTA_TUPLE_IP && length <= 16) {
                if (type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC) memcpy(flow->source, value, length);
                if (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST) memcpy(flow->destination, value, length);
            }
            if (mnl_attr_get_type(part) == CTA_TUPLE_PROTO) {
                if (type == CTA_PROTO_NUM) flow->protocol = mnl_attr_get_u8(field);
                if (type == CTA_PROTO_SRC_PORT) flow->source_port = ntohs(mnl_attr_get_u16(field));
                if (type == CTA_PROTO_DST_PORT) flow->destination_port = ntohs(mnl_attr_get_u16(field));
            }
        }
    }
}

static void put_tuple(struct nlmsghdr *message, uint16_t type, const struct enf_flow *flow) {
    uint32_t length = flow->family == AF_INET ? 4 : 16;
    struct nlattr *tuple = mnl_attr_nest_start(message, type);
    struct nlattr *part = mnl_attr_nest_start(message, CTA_TUPLE_IP);
    mnl_attr_put(message, length == 4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, length, flow->source);
    mnl_attr_put(message, length == 4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, length, flow->destination);
    mnl_attr_nest_end(message, part);
    part = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
    mnl_attr_put_u8(message, CTA_PROTO_NUM, flow->protocol);
    mnl_attr_put_u16(message, CTA_PROTO_SRC_PORT, htons(flow->source_port));
    mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, htons(flow->destination_port));
    mnl_attr_nest_end(message, part);
    mnl_attr_nest_end(message, tuple);
}

static struct enf_flow read_flow(const struct nlmsghdr *message) {
    const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
    struct enf_flow flow = {.family = header->nfgen_family};
    const struct nlattr *attr;
    struct enf_flow reply = {0};
    mnl_attr_for_each(attr, message, sizeof *header) {
        if (mnl_attr_get_type(attr) == CTA_TUPLE_ORIG) read_tuple(attr, &flow);
        if (mnl_attr_get_type(attr) == CTA_TUPLE_REPLY) read_tuple(attr, &reply);
        if (mnl_attr_get_type(attr) == CTA_MARK) flow.mark = ntohl(mnl_attr_get_u32(attr));
    }
    flow.target_port = reply.source_port;
    memcpy(flow.target, reply.source, sizeof flow.target);
    return flow;
}

static int one_flow(void *context, const struct nlmsghdr *message) {
    struct flows *flows = context;
    struct enf_flow flow = read_flow(message);
    flows->callback(flows->context, &flow);
    return 0;
}

struct found {
    bool is_there;
    struct enf_flow flow;
};

static int found_flow(void *context, const struct nlmsghdr *message) {
    struct found *found = context;
    *found = (struct found){true, read_flow(message)};
    return 0;
}

int enf_flow_dump(int fd, uint8_t family, uint32_t mark, uint32_t mask, void *context, enf_flow_callback callback) {
    uint8_t buffer[256];
    struct nlmsghdr *message = enf_header(buffer, (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET, NLM_F_DUMP,
                                          next_seq++, family, 0);
    mnl_attr_put_u32(message, CTA_MARK, htonl(mark));
    mnl_attr_put_u32(message, CTA_MARK_MASK, htonl(mask));
    struct flows flows = {context, callback};
    return enf_answers(fd, message, &flows, one_flow);
}

int enf_flow_find(int fd, const struct enf_flow *reply, struct enf_flow *ret_flow) {
    uint8_t buffer[512];
    // The answer looks like one of several that never come: only the acknowledgement says that it was all.
    struct nlmsghdr *message = enf_header(buffer, (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET, NLM_F_ACK,
                                          next_seq++, reply->family, 0);
    put_tuple(message, CTA_TUPLE_REPLY, reply);
    struct found found = {0};
    int error = enf_answers(fd, message, &found, found_flow);
    if (error < 0) return error;
    if (!found.is_there) return -ENOENT;
    *ret_flow = found.flow;
    return 0;
}

static int read_limits(void *context, const struct nlmsghdr *message) {
    struct enf_flow_limits *limits = context;
    const struct nlattr *attr;
    mnl_attr_for_each(attr, message, sizeof(struct nfgenmsg)) {
        if (mnl_attr_get_payload_len(attr) != sizeof(uint32_t)) continue;
        if (mnl_attr_get_type(attr) == CTA_STATS_GLOBAL_ENTRIES) limits->entries = ntohl(mnl_attr_get_u32(attr));
        if (mnl_attr_get_type(attr) == CTA_STATS_GLOBAL_MAX_ENTRIES) limits->limit = ntohl(mnl_attr_get_u32(attr));
    }
    return 0;
}

struct drops {
    // The processor that is told of first: when an answer is lost, all are told of anew.
    bool has_first;
    uint16_t first;
    uint64_t count;
};

static int add_dropped(void *context, const struct nlmsghdr *message) {
    struct drops *drops = context;
    uint16_t processor = ((const struct nfgenmsg *)mnl_nlmsg_get_payload(message))->res_id;
    if (!drops->has_first || processor == drops->first) *drops = (struct drops){.has_first = true, .first = processor};
    const struct nlattr *attr;
    mnl_attr_for_each(attr, message, sizeof(struct nfgenmsg)) {
        if (mnl_attr_get_type(attr) == CTA_STATS_DROP && mnl_attr_get_payload_len(attr) == sizeof(uint32_t))
            drops->count += ntohl(mnl_attr_get_u32(attr));
    }
    return 0;
}

int enf_flow_limits(int fd, struct enf_flow_limits *ret_limits) {
    uint8_t buffer[256];
    struct enf_flow_limits limits = {0};
    struct nlmsghdr *message = enf_header(buffer, (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET_STATS, NLM_F_ACK,
                                          next_seq++, AF_UNSPEC, 0);
    int error = enf_answers(fd, message, &limits, read_limits);
    if (error < 0) return error;
    // One answer for each processor.
    message = enf_header(buffer, (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET_STATS_CPU, NLM_F_DUMP, next_seq++,
                         AF_UNSPEC, 0);
    struct drops drops = {0};
    error = enf_answers(fd, message, &drops, add_dropped);
    if (error < 0) return error;
    limits.dropped = drops.count;
    *ret_limits = limits;
    return 0;
}

int enf_flow_set_mark(int fd, const struct enf_flow *flow, bool is_reply, uint32_t mark) {
    uint8_t buffer[512];
    struct nlmsghdr *message = enf_header(buffer, (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_NEW, NLM_F_ACK,
                                          next_seq++, flow->family, 0);
    put_tuple(message, is_reply ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG, flow);
    mnl_attr_put_u32(message, CTA_MARK, htonl(mark));
    return enf_ask_again(fd, message, message->nlmsg_len);
}
