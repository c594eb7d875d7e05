#include "internal.h"

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <stdlib.h>

// Room that every message may need beyond what has been written; rules are the largest, at well under this.
#define HEADROOM 16384
// An attribute's length has 16 bits: a list of elements ends before that.
#define LIST_LIMIT 60000

struct enf_batch {
    uint8_t *bytes;
    size_t length, capacity;
    uint32_t first_seq, count;
    struct nftnl_rule *rule;
    // The list of elements that is being written.
    struct nlmsghdr *message;
    struct nlattr *list;
    uint8_t family;
    bool remove;
    char table[64], set[64];
};

static uint32_t next_seq = 1;

struct enf_batch *enf_batch_new(void) {
    struct enf_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) return NULL;
    enf_batch_reset(batch);
    return batch;
}

void enf_batch_free(struct enf_batch *batch) {
    if (batch->rule != NULL) nftnl_rule_free(batch->rule);
    free(batch->bytes);
    free(batch);
}

static int reserve(struct enf_batch *batch, size_t more) {
    if (batch->capacity - batch->length >= more) return 0;
    size_t wanted = batch->capacity * 2 > batch->length + more ? batch->capacity * 2 : batch->length + more;
    uint8_t *grown = realloc(batch->bytes, wanted);
    if (grown == NULL) return -ENOMEM;
    batch->bytes = grown;
    batch->capacity = wanted;
    return 0;
}

void enf_batch_reset(struct enf_batch *batch) {
    if (batch->rule != NULL) nftnl_rule_free(batch->rule);
    batch->rule = NULL;
    if (batch->capacity > 1 << 20) {
        free(batch->bytes);
        batch->bytes = NULL;
        batch->capacity = 0;
    }
    batch->length = 0;
    batch->count = 0;
}

uint32_t enf_batch_count(const struct enf_batch *batch) { return batch->count; }

static void put_control(struct enf_batch *batch, uint16_t type, uint32_t seq) {
    struct nlmsghdr *message = enf_header(batch->bytes + batch->length, type, 0, seq, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    batch->length += message->nlmsg_len;
}

// The start of the next message of the transaction; NULL when there is no memory.
static struct nlmsghdr *begin(struct enf_batch *batch, uint16_t type, uint16_t flags, uint8_t family) {
    if (reserve(batch, HEADROOM) < 0) return NULL;
    if (batch->count == 0) {
        batch->first_seq = next_seq + 1;
        put_control(batch, NFNL_MSG_BATCH_BEGIN, next_seq);
    }
    return enf_header(batch->bytes + batch->length, (NFNL_SUBSYS_NFTABLES << 8) | type, flags,
                      batch->first_seq + batch->count, family, 0);
}

static int end(struct enf_batch *batch, const struct nlmsghdr *message) {
    batch->length += MNL_ALIGN(message->nlmsg_len);
    batch->count += 1;
    return 0;
}

static int send_all(struct enf_batch *batch, int fd) {
    int error = reserve(batch, HEADROOM);
    if (error < 0) return error;
    next_seq = batch->first_seq + batch->count + 1;
    put_control(batch, NFNL_MSG_BATCH_END, next_seq - 1);
    // Netlink refuses a datagram larger than the send buffer.
    static uint32_t granted = 0;
    uint32_t wanted = (uint32_t)(batch->length + (1 << 16));
    if (batch->length > 100000 && wanted > granted) {
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted) == 0) granted = wanted;
    }
    return enf_send(fd, batch->bytes, batch->length);
}

int enf_batch_commit(struct enf_batch *batch, int fd, uint32_t *ret_index, int32_t *ret_errors) {
    if (batch->count == 0) return 0;
    *ret_index = UINT32_MAX;
    int error = send_all(batch, fd);
    if (error < 0) return error;
    uint8_t buffer[16384];
    int result = 0, lost = 0, failures = 0;
    // The kernel has done all of it when the call that sent it returns: errors wait by then, and success says nothing.
    for (;;) {
        long count = enf_receive(fd, buffer, sizeof buffer, false);
        if (count == -EAGAIN) return result < 0 ? result : lost;
        if (count < 0) {
            // Only ENOBUFS means that there was an error which cannot be read any more.
            if (count == -ENOBUFS) lost = (int)count;
            if (++failures < ENF_ATTEMPTS) continue;
            return result < 0 ? result : (int)count;
        }
        int left = (int)count;
        const struct nlmsghdr *answer = (const struct nlmsghdr *)buffer;
        for (; mnl_nlmsg_ok(answer, left); answer = mnl_nlmsg_next(answer, &left)) {
            uint32_t place = answer->nlmsg_seq - batch->first_seq;
            if (answer->nlmsg_type != NLMSG_ERROR) continue;
            // The transaction's own number (a lack of permission, a failed commit) comes instead of the rest.
            bool whole = answer->nlmsg_seq == batch->first_seq - 1;
            if (place >= batch->count && !whole) continue;
            const struct nlmsgerr *body = mnl_nlmsg_get_payload(answer);
            if (!whole && ret_errors != NULL) ret_errors[place] = body->error;
            if (body->error != 0 && result == 0) {
                result = body->error;
                *ret_index = whole ? UINT32_MAX : place;
            }
        }
    }
}

int enf_table_add(struct enf_batch *batch, uint8_t family, const char *table, uint32_t flags) {
    struct nlmsghdr *message = begin(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE, family);
    struct nftnl_table *value = nftnl_table_alloc();
    if (message == NULL || value == NULL) return -ENOMEM;
    nftnl_table_set_str(value, NFTNL_TABLE_NAME, table);
    nftnl_table_set_u32(value, NFTNL_TABLE_FLAGS, flags);
    nftnl_table_nlmsg_build_payload(message, value);
    nftnl_table_free(value);
    return end(batch, message);
}

int enf_table_delete(struct enf_batch *batch, uint8_t family, const char *table) {
    struct nlmsghdr *message = begin(batch, NFT_MSG_DELTABLE, 0, family);
    if (message == NULL) return -ENOMEM;
    mnl_attr_put_strz(message, NFTA_TABLE_NAME, table);
    return end(batch, message);
}

int enf_chain_add(struct enf_batch *batch, uint8_t family, const char *table, const char *chain,
                  const char *type, int hook, int priority, bool drop) {
    struct nlmsghdr *message = begin(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, family);
    struct nftnl_chain *value = nftnl_chain_alloc();
    if (message == NULL || value == NULL) return -ENOMEM;
    nftnl_chain_set_str(value, NFTNL_CHAIN_TABLE, table);
    nftnl_chain_set_str(value, NFTNL_CHAIN_NAME, chain);
    if (hook >= 0) {
        nftnl_chain_set_str(value, NFTNL_CHAIN_TYPE, type);
        nftnl_chain_set_u32(value, NFTNL_CHAIN_HOOKNUM, (uint32_t)hook);
        nftnl_chain_set_s32(value, NFTNL_CHAIN_PRIO, priority);
        nftnl_chain_set_u32(value, NFTNL_CHAIN_POLICY, drop ? NF_DROP : NF_ACCEPT);
    }
    nftnl_chain_nlmsg_build_payload(message, value);
    nftnl_chain_free(value);
    return end(batch, message);
}

int enf_egress_chain_add(struct enf_batch *batch, const char *table, const char *chain, const char *device) {
    struct nlmsghdr *message = begin(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFPROTO_NETDEV);
    struct nftnl_chain *value = nftnl_chain_alloc();
    if (message == NULL || value == NULL) return -ENOMEM;
    nftnl_chain_set_str(value, NFTNL_CHAIN_TABLE, table);
    nftnl_chain_set_str(value, NFTNL_CHAIN_NAME, chain);
    nftnl_chain_set_str(value, NFTNL_CHAIN_TYPE, "filter");
    nftnl_chain_set_u32(value, NFTNL_CHAIN_HOOKNUM, NF_NETDEV_EGRESS);
    nftnl_chain_set_s32(value, NFTNL_CHAIN_PRIO, 0);
    nftnl_chain_set_str(value, NFTNL_CHAIN_DEV, device);
    nftnl_chain_nlmsg_build_payload(message, value);
    nftnl_chain_free(value);
    return end(batch, message);
}

int enf_chain_delete(struct enf_batch *batch, uint8_t family, const char *table, const char *chain) {
    struct nlmsghdr *message = begin(batch, NFT_MSG_DELCHAIN, 0, family);
    if (message == NULL) return -ENOMEM;
    mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, table);
    mnl_attr_put_strz(message, NFTA_CHAIN_NAME, chain);
    return end(batch, message);
}

int enf_chain_flush(struct enf_batch *batch, uint8_t family, const char *table, const char *chain) {
    struct nlmsghdr *message = begin(batch, NFT_MSG_DELRULE, 0, family);
    if (message == NULL) return -ENOMEM;
    mnl_attr_put_strz(message, NFTA_RULE_TABLE, table);
    mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain);
    return end(batch, message);
}

int enf_set_add(struct enf_batch *batch, uint8_t family, const char *table, const struct enf_set *set, uint32_t id) {
    struct nlmsghdr *message = begin(batch, NFT_MSG_NEWSET, NLM_F_CREATE, family);
    struct nftnl_set *value = nftnl_set_alloc();
    if (message == NULL || value == NULL) return -ENOMEM;
    nftnl_set_set_str(value, NFTNL_SET_TABLE, table);
    nftnl_set_set_str(value, NFTNL_SET_NAME, set->name);
    nftnl_set_set_u32(value, NFTNL_SET_FLAGS, set->flags);
    nftnl_set_set_u32(value, NFTNL_SET_KEY_TYPE, set->key_type);
    nftnl_set_set_u32(value, NFTNL_SET_KEY_LEN, set->key_length);
    nftnl_set_set_u32(value, NFTNL_SET_ID, id);
    if (set->size > 0) nftnl_set_set_u32(value, NFTNL_SET_DESC_SIZE, set->size);
    if (set->data_type != 0) {
        nftnl_set_set_u32(value, NFTNL_SET_DATA_TYPE, set->data_type);
        nftnl_set_set_u32(value, NFTNL_SET_DATA_LEN, set->data_length);
    }
    if (set->field_count > 1 && (set->flags & NFT_SET_CONCAT))
        nftnl_set_set_data(value, NFTNL_SET_DESC_CONCAT, set->field_lengths, set->field_count);
    if (set->counter) {
        struct nftnl_expr *counter = nftnl_expr_alloc("counter");
        if (counter == NULL) {
            nftnl_set_free(value);
            return -ENOMEM;
        }
        nftnl_set_add_expr(value, counter);
    }
    // Without it nft shows numbers the wrong way round: a single port (13, inet_service) is in network byte order too.
    struct nftnl_udata_buf *notes = nftnl_udata_buf_alloc(64);
    if (notes != NULL) {
        nftnl_udata_put_u32(notes, NFTNL_UDATA_SET_KEYBYTEORDER, set->field_count > 1 || set->key_type == 13 ? 2 : 1);
        if (set->data_type == 19) nftnl_udata_put_u32(notes, NFTNL_UDATA_SET_DATABYTEORDER, 1);
        nftnl_set_set_data(value, NFTNL_SET_USERDATA, nftnl_udata_buf_data(notes), nftnl_udata_buf_len(notes));
        nftnl_udata_buf_free(notes);
    }
    nftnl_set_nlmsg_build_payload(message, value);
    nftnl_set_free(value);
    return end(batch, message);
}

// ---- rules -----------------------------------------------------------------------------------------------------------

int enf_rule_begin(struct enf_batch *batch, uint8_t family, const char *table, const char *chain) {
    batch->rule = nftnl_rule_alloc();
    if (batch->rule == NULL) return -ENOMEM;
    nftnl_rule_set_u32(batch->rule, NFTNL_RULE_FAMILY, family);
    nftnl_rule_set_str(batch->rule, NFTNL_RULE_TABLE, table);
    nftnl_rule_set_str(batch->rule, NFTNL_RULE_CHAIN, chain);
    return 0;
}

int enf_rule_end(struct enf_batch *batch) {
    uint8_t family = (uint8_t)nftnl_rule_get_u32(batch->rule, NFTNL_RULE_FAMILY);
    struct nlmsghdr *message = begin(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family);
    if (message == NULL) return -ENOMEM;
    nftnl_rule_nlmsg_build_payload(message, batch->rule);
    nftnl_rule_free(batch->rule);
    batch->rule = NULL;
    return end(batch, message);
}

static struct nftnl_expr *expr(struct enf_batch *batch, const char *name) {
    struct nftnl_expr *value = nftnl_expr_alloc(name);
    if (value != NULL) nftnl_rule_add_expr(batch->rule, value);
    return value;
}

// Defines `value` as a new expression of the rule, or returns.
#define EXPR(value, name)                              \
    struct nftnl_expr *value = expr(batch, name);      \
    if (value == NULL) return -ENOMEM

int enf_expr_meta_load(struct enf_batch *batch, uint32_t key, uint32_t reg) {
    EXPR(value, "meta");
    nftnl_expr_set_u32(value, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(value, NFTNL_EXPR_META_DREG, reg);
    return 0;
}

int enf_expr_meta_set(struct enf_batch *batch, uint32_t key, uint32_t reg) {
    EXPR(value, "meta");
    nftnl_expr_set_u32(value, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(value, NFTNL_EXPR_META_SREG, reg);
    return 0;
}

int enf_expr_ct_load(struct enf_batch *batch, uint32_t key, uint32_t reg) {
    EXPR(value, "ct");
    nftnl_expr_set_u32(value, NFTNL_EXPR_CT_KEY, key);
    nftnl_expr_set_u32(value, NFTNL_EXPR_CT_DREG, reg);
    return 0;
}

int enf_expr_ct_set(struct enf_batch *batch, uint32_t key, uint32_t reg) {
    EXPR(value, "ct");
    nftnl_expr_set_u32(value, NFTNL_EXPR_CT_KEY, key);
    nftnl_expr_set_u32(value, NFTNL_EXPR_CT_SREG, reg);
    return 0;
}

int enf_expr_socket_cgroup(struct enf_batch *batch, uint32_t level, uint32_t reg) {
    EXPR(value, "socket");
    nftnl_expr_set_u32(value, NFTNL_EXPR_SOCKET_KEY, NFT_SOCKET_CGROUPV2);
    nftnl_expr_set_u32(value, NFTNL_EXPR_SOCKET_LEVEL, level);
    nftnl_expr_set_u32(value, NFTNL_EXPR_SOCKET_DREG, reg);
    return 0;
}

int enf_expr_payload(struct enf_batch *batch, uint32_t base, uint32_t offset, uint32_t length, uint32_t reg) {
    EXPR(value, "payload");
    nftnl_expr_set_u32(value, NFTNL_EXPR_PAYLOAD_BASE, base);
    nftnl_expr_set_u32(value, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
    nftnl_expr_set_u32(value, NFTNL_EXPR_PAYLOAD_LEN, length);
    nftnl_expr_set_u32(value, NFTNL_EXPR_PAYLOAD_DREG, reg);
    return 0;
}

int enf_expr_bitwise(struct enf_batch *batch, uint32_t reg, const uint8_t *mask, const uint8_t *xor, uint32_t length) {
    EXPR(value, "bitwise");
    nftnl_expr_set_u32(value, NFTNL_EXPR_BITWISE_SREG, reg);
    nftnl_expr_set_u32(value, NFTNL_EXPR_BITWISE_DREG, reg);
    nftnl_expr_set_u32(value, NFTNL_EXPR_BITWISE_LEN, length);
    nftnl_expr_set_data(value, NFTNL_EXPR_BITWISE_MASK, mask, length);
    nftnl_expr_set_data(value, NFTNL_EXPR_BITWISE_XOR, xor, length);
    return 0;
}

int enf_expr_byteorder(struct enf_batch *batch, uint32_t reg, uint32_t size, uint32_t length) {
    EXPR(value, "byteorder");
    nftnl_expr_set_u32(value, NFTNL_EXPR_BYTEORDER_SREG, reg);
    nftnl_expr_set_u32(value, NFTNL_EXPR_BYTEORDER_DREG, reg);
    nftnl_expr_set_u32(value, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
    nftnl_expr_set_u32(value, NFTNL_EXPR_BYTEORDER_LEN, length);
    nftnl_expr_set_u32(value, NFTNL_EXPR_BYTEORDER_SIZE, size);
    return 0;
}

int enf_expr_cmp(struct enf_batch *batch, uint32_t op, uint32_t reg, const uint8_t *data, uint32_t length) {
    EXPR(value, "cmp");
    nftnl_expr_set_u32(value, NFTNL_EXPR_CMP_SREG, reg);
    nftnl_expr_set_u32(value, NFTNL_EXPR_CMP_OP, op);
    nftnl_expr_set_data(value, NFTNL_EXPR_CMP_DATA, data, length);
    return 0;
}

int enf_expr_lookup(struct enf_batch *batch, const char *set, uint32_t sreg, uint32_t dreg) {
    EXPR(value, "lookup");
    nftnl_expr_set_str(value, NFTNL_EXPR_LOOKUP_SET, set);
    nftnl_expr_set_u32(value, NFTNL_EXPR_LOOKUP_SREG, sreg);
    if (dreg != UINT32_MAX) nftnl_expr_set_u32(value, NFTNL_EXPR_LOOKUP_DREG, dreg);
    return 0;
}

int enf_expr_immediate(struct enf_batch *batch, uint32_t reg, const uint8_t *data, uint32_t length) {
    EXPR(value, "immediate");
    nftnl_expr_set_u32(value, NFTNL_EXPR_IMM_DREG, reg);
    nftnl_expr_set_data(value, NFTNL_EXPR_IMM_DATA, data, length);
    return 0;
}

int enf_expr_verdict(struct enf_batch *batch, int verdict, const char *chain) {
    EXPR(value, "immediate");
    nftnl_expr_set_u32(value, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(value, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
    if (chain != NULL) nftnl_expr_set_str(value, NFTNL_EXPR_IMM_CHAIN, chain);
    return 0;
}

int enf_expr_reject(struct enf_batch *batch, uint32_t type, uint8_t code) {
    EXPR(value, "reject");
    nftnl_expr_set_u32(value, NFTNL_EXPR_REJECT_TYPE, type);
    nftnl_expr_set_u8(value, NFTNL_EXPR_REJECT_CODE, code);
    return 0;
}

int enf_expr_redirect(struct enf_batch *batch, uint32_t reg) {
    EXPR(value, "redir");
    nftnl_expr_set_u32(value, NFTNL_EXPR_REDIR_REG_PROTO_MIN, reg);
    return 0;
}

int enf_expr_log(struct enf_batch *batch, uint16_t group, const char *prefix) {
    EXPR(value, "log");
    nftnl_expr_set_u16(value, NFTNL_EXPR_LOG_GROUP, group);
    if (prefix != NULL) nftnl_expr_set_str(value, NFTNL_EXPR_LOG_PREFIX, prefix);
    return 0;
}

int enf_expr_queue(struct enf_batch *batch, uint16_t number) {
    EXPR(value, "queue");
    nftnl_expr_set_u16(value, NFTNL_EXPR_QUEUE_NUM, number);
    nftnl_expr_set_u16(value, NFTNL_EXPR_QUEUE_TOTAL, 1);
    return 0;
}

int enf_expr_queue_target(struct enf_batch *batch, uint16_t number) {
    EXPR(value, "target");
    // The kernel wants the private part at its aligned size, which libnftnl owns and frees.
    struct xt_NFQ_info_v3 *info = calloc(1, XT_ALIGN(sizeof *info));
    if (info == NULL) return -ENOMEM;
    info->queuenum = number;
    info->queues_total = 1;
    nftnl_expr_set_str(value, NFTNL_EXPR_TG_NAME, "NFQUEUE");
    nftnl_expr_set_u32(value, NFTNL_EXPR_TG_REV, 3);
    nftnl_expr_set(value, NFTNL_EXPR_TG_INFO, info, XT_ALIGN(sizeof *info));
    return 0;
}

// ---- elements --------------------------------------------------------------------------------------------------------

// Elements are written with libmnl alone: an object of libnftnl for each would cost more than the kernel's part.
static int list_begin(struct enf_batch *batch) {
    uint16_t type = batch->remove ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM;
    if (reserve(batch, LIST_LIMIT + HEADROOM) < 0) return -ENOMEM;
    batch->message = begin(batch, type, batch->remove ? 0 : NLM_F_CREATE, batch->family);
    if (batch->message == NULL) return -ENOMEM;
    mnl_attr_put_strz(batch->message, NFTA_SET_ELEM_LIST_TABLE, batch->table);
    mnl_attr_put_strz(batch->message, NFTA_SET_ELEM_LIST_SET, batch->set);
    batch->list = mnl_attr_nest_start(batch->message, NFTA_SET_ELEM_LIST_ELEMENTS);
    return 0;
}

int enf_elements_begin(struct enf_batch *batch, uint8_t family, const char *table, const char *set, bool remove) {
    batch->family = family;
    batch->remove = remove;
    if (strlen(table) >= sizeof batch->table || strlen(set) >= sizeof batch->set) return -ENAMETOOLONG;
    strcpy(batch->table, table);
    strcpy(batch->set, set);
    return list_begin(batch);
}

int enf_elements_end(struct enf_batch *batch) {
    mnl_attr_nest_end(batch->message, batch->list);
    return end(batch, batch->message);
}

static void put_data(struct nlmsghdr *message, uint16_t type, const uint8_t *bytes, uint32_t length) {
    struct nlattr *nest = mnl_attr_nest_start(message, type);
    mnl_attr_put(message, NFTA_DATA_VALUE, length, bytes);
    mnl_attr_nest_end(message, nest);
}

static void put_element(struct nlmsghdr *message, const uint8_t *key, const uint8_t *key_end, uint32_t key_length,
                        const uint8_t *data, uint32_t data_length, int verdict, const char *chain, uint64_t timeout) {
    struct nlattr *element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
    put_data(message, NFTA_SET_ELEM_KEY, key, key_length);
    if (key_end != NULL) put_data(message, NFTA_SET_ELEM_KEY_END, key_end, key_length);
    if (data != NULL) put_data(message, NFTA_SET_ELEM_DATA, data, data_length);
    if (chain != NULL) {
        struct nlattr *value = mnl_attr_nest_start(message, NFTA_SET_ELEM_DATA);
        struct nlattr *nest = mnl_attr_nest_start(message, NFTA_DATA_VERDICT);
        mnl_attr_put_u32(message, NFTA_VERDICT_CODE, htonl((uint32_t)verdict));
        mnl_attr_put_strz(message, NFTA_VERDICT_CHAIN, chain);
        mnl_attr_nest_end(message, nest);
        mnl_attr_nest_end(message, value);
    }
    if (timeout > 0) mnl_attr_put_u64(message, NFTA_SET_ELEM_TIMEOUT, htobe64(timeout));
    mnl_attr_nest_end(message, element);
}

int enf_element(struct enf_batch *batch, const uint8_t *key, const uint8_t *key_end, uint32_t key_length,
                const uint8_t *data, uint32_t data_length, int verdict, const char *chain, uint64_t timeout) {
    if (batch->message->nlmsg_len > LIST_LIMIT) {
        enf_elements_end(batch);
        int error = list_begin(batch);
        if (error < 0) return error;
    }
    bool bare = batch->remove;
    put_element(batch->message, key, key_end, key_length, bare ? NULL : data, data_length, verdict, bare ? NULL : chain,
                bare ? 0 : timeout);
    return 0;
}

int enf_elements_flush(struct enf_batch *batch, uint8_t family, const char *table, const char *set) {
    struct nlmsghdr *message = begin(batch, NFT_MSG_DELSETELEM, 0, family);
    if (message == NULL) return -ENOMEM;
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table);
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set);
    return end(batch, message);
}

// ---- reading back ----------------------------------------------------------------------------------------------------

struct dump {
    void *context;
    enf_element_callback callback;
};

// The packets of a counter among the expressions of an element; 0 without one.
static uint64_t counter_of(const struct nlattr *expressions, bool list) {
    uint64_t packets = 0;
    const struct nlattr *attr;
    if (list) {
        mnl_attr_for_each_nested(attr, expressions) {
            if (mnl_attr_get_type(attr) == NFTA_LIST_ELEM) packets += counter_of(attr, false);
        }
        return packets;
    }
    mnl_attr_for_each_nested(attr, expressions) {
        if (mnl_attr_get_type(attr) != NFTA_EXPR_DATA) continue;
        const struct nlattr *field;
        mnl_attr_for_each_nested(field, attr) {
            if (mnl_attr_get_type(field) == NFTA_COUNTER_PACKETS) packets = be64toh(mnl_attr_get_u64(field));
        }
    }
    return packets;
}

static int read_elements(void *context, const struct nlmsghdr *message) {
    struct dump *dump = context;
    const struct nlattr *attr;
    mnl_attr_for_each(attr, message, sizeof(struct nfgenmsg)) {
        if (mnl_attr_get_type(attr) != NFTA_SET_ELEM_LIST_ELEMENTS) continue;
        const struct nlattr *element;
        mnl_attr_for_each_nested(element, attr) {
            const struct nlattr *field, *value, *key = NULL;
            uint64_t packets = 0;
            uint32_t mark = 0;
            mnl_attr_for_each_nested(field, element) {
                switch (mnl_attr_get_type(field)) {
                case NFTA_SET_ELEM_KEY:
                    mnl_attr_for_each_nested(value, field) {
                        if (mnl_attr_get_type(value) == NFTA_DATA_VALUE) key = value;
                    }
                    break;
                case NFTA_SET_ELEM_DATA:
                    mnl_attr_for_each_nested(value, field) {
                        if (mnl_attr_get_type(value) != NFTA_DATA_VALUE) continue;
                        if (mnl_attr_get_payload_len(value) == sizeof mark) mark = mnl_attr_get_u32(value);
                    }
                    break;
                case NFTA_SET_ELEM_EXPR: packets = counter_of(field, false); break;
                case NFTA_SET_ELEM_EXPRESSIONS: packets = counter_of(field, true); break;
                default: break;
                }
            }
            if (key != NULL)
                dump->callback(dump->context, mnl_attr_get_payload(key), mnl_attr_get_payload_len(key), mark, packets);
        }
    }
    return 0;
}

static struct nlmsghdr *element_request(uint8_t *buffer, uint16_t flags, uint8_t family, const char *table,
                                        const char *set) {
    struct nlmsghdr *message = enf_header(buffer, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETSETELEM, flags, next_seq++,
                                          family, 0);
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table);
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set);
    return message;
}

int enf_elements_dump(int fd, uint8_t family, const char *table, const char *set, void *context,
                      enf_element_callback callback) {
    uint8_t buffer[1024];
    struct nlmsghdr *message = element_request(buffer, NLM_F_DUMP, family, table, set);
    struct dump dump = {context, callback};
    return enf_answers(fd, message, &dump, read_elements);
}

// The counter of one element among others.
struct counted {
    const uint8_t *key;
    uint32_t key_length;
    bool told;
    uint64_t packets;
};

static void read_counter(void *context, const uint8_t *key, uint32_t key_length, uint32_t mark, uint64_t packets) {
    (void)mark;
    struct counted *counted = context;
    if (key_length != counted->key_length || memcmp(key, counted->key, key_length) != 0) return;
    counted->told = true;
    counted->packets = packets;
}

int enf_element_count(int fd, uint8_t family, const char *table, const char *set, const uint8_t *key,
                      uint32_t key_length, uint64_t *ret_packets) {
    uint8_t buffer[1024];
    struct nlmsghdr *message = element_request(buffer, 0, family, table, set);
    struct nlattr *list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
    put_element(message, key, NULL, key_length, NULL, 0, 0, NULL, 0);
    mnl_attr_nest_end(message, list);
    struct counted counted = {.key = key, .key_length = key_length};
    struct dump dump = {&counted, read_counter};
    int error = enf_answers(fd, message, &dump, read_elements);
    if (error == 0) *ret_packets = counted.packets;
    return error;
}

int enf_element_take(int fd, uint8_t family, const char *table, const char *set, const uint8_t *key,
                     uint32_t key_length, uint64_t *ret_packets) {
    uint8_t buffer[2048];
    struct enf_batch batch = {.bytes = buffer, .capacity = sizeof buffer};
    uint32_t seq = next_seq;
    next_seq += 3;
    put_control(&batch, NFNL_MSG_BATCH_BEGIN, seq);
    struct nlmsghdr *message = enf_header(buffer + batch.length, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_DELSETELEM,
                                          NLM_F_ACK | NLM_F_ECHO, seq + 1, family, 0);
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table);
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set);
    struct nlattr *list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
    put_element(message, key, NULL, key_length, NULL, 0, 0, NULL, 0);
    mnl_attr_nest_end(message, list);
    batch.length += MNL_ALIGN(message->nlmsg_len);
    put_control(&batch, NFNL_MSG_BATCH_END, seq + 2);
    int error = enf_send(fd, buffer, batch.length);
    if (error < 0) return error;

    // The echo tells of the element after the commit, and comes before or after the acknowledgement.
    struct counted counted = {.key = key, .key_length = key_length};
    struct dump dump = {&counted, read_counter};
    bool acknowledged = false;
    int failures = 0;
    uint8_t answers[8192];
    while (!counted.told || !acknowledged) {
        // After a failure what was to come may be lost: it is not waited for.
        long count = enf_receive(fd, answers, sizeof answers, failures == 0);
        if (count == -EAGAIN) return -ENOBUFS;
        if (count < 0) {
            if (++failures < ENF_LAST_ATTEMPTS) continue;
            enf_discard(fd);
            return (int)count;
        }
        int left = (int)count;
        const struct nlmsghdr *answer = (const struct nlmsghdr *)answers;
        for (; mnl_nlmsg_ok(answer, left); answer = mnl_nlmsg_next(answer, &left)) {
            if (answer->nlmsg_type == NLMSG_ERROR) {
                const struct nlmsgerr *body = mnl_nlmsg_get_payload(answer);
                if (answer->nlmsg_seq < seq || answer->nlmsg_seq > seq + 2) continue;
                if (body->error != 0) return body->error;
                acknowledged = true;
            } else if (answer->nlmsg_type == ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_DELSETELEM)) {
                // Its number may be 0 (Linux 6.18): what tells it from one that was left unread is its key.
                read_elements(&dump, answer);
            }
        }
    }
    *ret_packets = counted.packets;
    return 0;
}

static int read_table(void *context, const struct nlmsghdr *message) {
    const struct nlattr *attr;
    mnl_attr_for_each(attr, message, sizeof(struct nfgenmsg)) {
        if (mnl_attr_get_type(attr) == NFTA_TABLE_FLAGS) *(uint32_t *)context = ntohl(mnl_attr_get_u32(attr));
    }
    return 0;
}

int enf_table_get(int fd, uint8_t family, const char *table, uint32_t *ret_flags) {
    uint8_t buffer[512];
    struct nlmsghdr *message =
        enf_header(buffer, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE, 0, next_seq++, family, 0);
    mnl_attr_put_strz(message, NFTA_TABLE_NAME, table);
    uint32_t flags = 0;
    int error = enf_answers(fd, message, &flags, read_table);
    if (error == 0) *ret_flags = flags;
    return error;
}
