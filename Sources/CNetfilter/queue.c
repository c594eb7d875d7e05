#include "internal.h"

#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netfilter/nfnetlink_queue.h>

static uint32_t next_seq = 1;

static int configure(int fd, struct nlmsghdr *message) {
    return enf_ask(fd, message, message->nlmsg_len);
}

static struct nlmsghdr *queue_config(uint8_t *buffer, uint16_t number) {
    return enf_header(buffer, (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_CONFIG, NLM_F_ACK, next_seq++, AF_UNSPEC, number);
}

int enf_queue_bind(int fd, uint16_t number, uint32_t length, uint32_t copy_range) {
    uint8_t buffer[512];
    struct nlmsghdr *message = queue_config(buffer, number);
    struct nfqnl_msg_config_cmd command = {.command = NFQNL_CFG_CMD_BIND};
    mnl_attr_put(message, NFQA_CFG_CMD, sizeof command, &command);
    int error = configure(fd, message);
    if (error < 0) return error;

    message = queue_config(buffer, number);
    struct nfqnl_msg_config_params params = {.copy_range = htonl(copy_range), .copy_mode = NFQNL_COPY_PACKET};
    mnl_attr_put(message, NFQA_CFG_PARAMS, sizeof params, &params);
    mnl_attr_put_u32(message, NFQA_CFG_QUEUE_MAXLEN, htonl(length));
    error = configure(fd, message);
    if (error < 0) return error;

    // A kernel that knows one of the flags not refuses the message as a whole, so they have one of their own.
    message = queue_config(buffer, number);
    uint32_t flags = NFQA_CFG_F_UID_GID | NFQA_CFG_F_GSO;
    mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(flags));
    mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(flags));
    return configure(fd, message);
}

int enf_queue_verdicts(int fd, const struct enf_verdict *verdicts, uint32_t count, uint32_t *ret_sent) {
    uint8_t buffer[64 * 48];
    *ret_sent = 0;
    while (count > 0) {
        size_t length = 0;
        uint32_t part = count < 64 ? count : 64;
        for (uint32_t index = 0; index < part; index++) {
            struct nlmsghdr *message = enf_header(buffer + length, (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_VERDICT, 0,
                                                  0, AF_UNSPEC, verdicts[index].queue);
            struct nfqnl_msg_verdict_hdr header = {
                .verdict = htonl(verdicts[index].verdict),
                .id = htonl(verdicts[index].id),
            };
            mnl_attr_put(message, NFQA_VERDICT_HDR, sizeof header, &header);
            length += MNL_ALIGN(message->nlmsg_len);
        }
        int error = enf_send(fd, buffer, length);
        if (error < 0) return error;
        verdicts += part;
        count -= part;
        *ret_sent += part;
    }
    return 0;
}

static struct nlmsghdr *log_config(uint8_t *buffer, uint16_t group) {
    return enf_header(buffer, (NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_CONFIG, NLM_F_ACK, next_seq++, AF_UNSPEC, group);
}

int enf_log_bind(int fd, uint16_t group, uint32_t copy_range) {
    uint8_t buffer[512];
    struct nlmsghdr *message = log_config(buffer, group);
    struct nfulnl_msg_config_cmd command = {.command = NFULNL_CFG_CMD_BIND};
    mnl_attr_put(message, NFULA_CFG_CMD, sizeof command, &command);
    int error = configure(fd, message);
    if (error < 0) return error;

    message = log_config(buffer, group);
    struct nfulnl_msg_config_mode mode = {.copy_range = htonl(copy_range), .copy_mode = NFULNL_COPY_PACKET};
    mnl_attr_put(message, NFULA_CFG_MODE, sizeof mode, &mode);
    // One message a packet, at once: the process that made the connection is looked for while it still lives.
    mnl_attr_put_u32(message, NFULA_CFG_QTHRESH, htonl(1));
    return configure(fd, message);
}
