#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
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

int enf_queue_unbind(int fd, uint16_t number) {
    uint8_t buffer[512];
    struct nlmsghdr *message = queue_config(buffer, number);
    struct nfqnl_msg_config_cmd command = {.command = NFQNL_CFG_CMD_UNBIND};
    mnl_attr_put(message, NFQA_CFG_CMD, sizeof command, &command);
    return configure(fd, message);
}

static struct nlmsghdr *verdict_message(uint8_t *buffer, uint16_t type, uint16_t flags,
                                        const struct enf_verdict *verdict) {
    struct nlmsghdr *message = enf_header(buffer, (NFNL_SUBSYS_QUEUE << 8) | type, flags,
                                          flags & NLM_F_ACK ? next_seq++ : 0, AF_UNSPEC, verdict->queue);
    struct nfqnl_msg_verdict_hdr header = {.verdict = htonl(verdict->verdict), .id = htonl(verdict->id)};
    mnl_attr_put(message, NFQA_VERDICT_HDR, sizeof header, &header);
    return message;
}

int enf_queue_verdict_up_to(int fd, const struct enf_verdict *verdict) {
    uint8_t buffer[64];
    struct nlmsghdr *message = verdict_message(buffer, NFQNL_MSG_VERDICT_BATCH, 0, verdict);
    return enf_send(fd, message, message->nlmsg_len);
}

int enf_queue_verdict_checked(int fd, const struct enf_verdict *verdict, bool *ret_lost) {
    // The answer needs room.
    if (enf_discard(fd)) *ret_lost = true;
    uint8_t buffer[64];
    struct nlmsghdr *message = verdict_message(buffer, NFQNL_MSG_VERDICT, NLM_F_ACK, verdict);
    uint32_t seq = message->nlmsg_seq;
    int error = enf_send(fd, message, message->nlmsg_len);
    if (error < 0) return error;
    // The kernel has answered when the call that asked returns; a full buffer has kept the answer out.
    int failures = 0;
    for (;;) {
        uint8_t answer[512];
        ssize_t count = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == ENOBUFS) {
            *ret_lost = true;
            if (++failures < ENF_ATTEMPTS) continue;
        }
        if (count < 0) return errno == EAGAIN ? -ENOBUFS : -errno;
        const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
        if (!mnl_nlmsg_ok(header, (int)count)) continue;
        if (header->nlmsg_type != NLMSG_ERROR || header->nlmsg_seq != seq) continue;
        return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(header))->error;
    }
}

int enf_bindings(bool of_logs, struct enf_binding *ret_bindings, uint32_t count) {
    // Not /proc/net: a service may see nothing of /proc but processes.
    const char *subsystem = of_logs ? "log" : "queue";
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/net/netfilter/nfnetlink_%s", subsystem);
    FILE *file = fopen(path, "re");
    if (file == NULL) return -errno;
    struct enf_binding *bindings = calloc(count > 0 ? count : 1, sizeof *bindings);
    if (bindings == NULL) {
        fclose(file);
        return -ENOMEM;
    }
    uint32_t found = 0;
    char line[256];
    while (found < count && fgets(line, sizeof line, file) != NULL) {
        // net/netfilter/nfnetlink_queue.c seq_show: number, port, waiting, mode, range, dropped, dropped, last id.
        unsigned number, port, last = 0;
        int fields = sscanf(line, "%u %u %*u %*u %*u %*u %*u %u", &number, &port, &last);
        if (fields < (of_logs ? 2 : 3) || number > UINT16_MAX) continue;
        bindings[found++] = (struct enf_binding){.number = (uint16_t)number, .port = port, .last = last};
    }
    int error = ferror(file) ? -EIO : 0;
    fclose(file);
    if (error == 0) memcpy(ret_bindings, bindings, found * sizeof *bindings);
    free(bindings);
    return error < 0 ? error : (int)found;
}

int enf_queue_verdicts(int fd, const struct enf_verdict *verdicts, uint32_t count, uint32_t *ret_sent) {
    uint8_t buffer[64 * 48];
    *ret_sent = 0;
    while (count > 0) {
        size_t length = 0;
        uint32_t part = count < 64 ? count : 64;
        for (uint32_t index = 0; index < part; index++) {
            struct nlmsghdr *message = verdict_message(buffer + length, NFQNL_MSG_VERDICT, 0, &verdicts[index]);
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

int enf_log_unbind(int fd, uint16_t group) {
    uint8_t buffer[512];
    struct nlmsghdr *message = log_config(buffer, group);
    struct nfulnl_msg_config_cmd command = {.command = NFULNL_CFG_CMD_UNBIND};
    mnl_attr_put(message, NFULA_CFG_CMD, sizeof command, &command);
    return configure(fd, message);
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
