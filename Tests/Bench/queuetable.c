/* Puts a table in place that queues the first packet of every connection, for queueall: `established accept`, then the
 * queue. Kernels without nft's queue expression take the target of iptables instead, as the daemon does.
 *
 *   queuetable QUEUE
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char name[] = "bench";
static uint32_t sequence = 1;

static struct nlmsghdr *begin(struct mnl_nlmsg_batch *batch, uint16_t type, uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(batch), type, NFPROTO_INET, flags, sequence++);
}

static void add_rule(struct mnl_nlmsg_batch *batch, struct nftnl_expr **expressions, size_t count)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct nlmsghdr *header;

	nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, name);
	nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, name);
	nftnl_rule_set_u32(rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	for (size_t i = 0; i < count; i++)
		nftnl_rule_add_expr(rule, expressions[i]);
	header = begin(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK);
	nftnl_rule_nlmsg_build_payload(header, rule);
	nftnl_rule_free(rule);
	mnl_nlmsg_batch_next(batch);
}

static int apply(uint16_t queue, int expression)
{
	static char buffer[65536], answer[65536];
	struct mnl_nlmsg_batch *batch = mnl_nlmsg_batch_start(buffer, sizeof buffer / 2);
	struct mnl_socket *socket = mnl_socket_open(NETLINK_NETFILTER);
	struct nftnl_table *table = nftnl_table_alloc();
	struct nftnl_chain *chain = nftnl_chain_alloc();
	struct nftnl_expr *established[4], *queued;
	uint32_t mask = NF_CT_STATE_BIT(IP_CT_ESTABLISHED), zero = 0;
	struct nlmsghdr *header;
	ssize_t length;
	int result = 0;

	nftnl_batch_begin(mnl_nlmsg_batch_current(batch), sequence++);
	mnl_nlmsg_batch_next(batch);

	nftnl_table_set_str(table, NFTNL_TABLE_NAME, name);
	header = begin(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK);
	nftnl_table_nlmsg_build_payload(header, table);
	mnl_nlmsg_batch_next(batch);

	nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, name);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "filter");
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, NF_INET_LOCAL_OUT);
	nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, 0);
	header = begin(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK);
	nftnl_chain_nlmsg_build_payload(header, chain);
	mnl_nlmsg_batch_next(batch);

	established[0] = nftnl_expr_alloc("ct");
	nftnl_expr_set_u32(established[0], NFTNL_EXPR_CT_KEY, NFT_CT_STATE);
	nftnl_expr_set_u32(established[0], NFTNL_EXPR_CT_DREG, NFT_REG_1);
	established[1] = nftnl_expr_alloc("bitwise");
	nftnl_expr_set_u32(established[1], NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(established[1], NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(established[1], NFTNL_EXPR_BITWISE_LEN, 4);
	nftnl_expr_set(established[1], NFTNL_EXPR_BITWISE_MASK, &mask, sizeof mask);
	nftnl_expr_set(established[1], NFTNL_EXPR_BITWISE_XOR, &zero, sizeof zero);
	established[2] = nftnl_expr_alloc("cmp");
	nftnl_expr_set_u32(established[2], NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(established[2], NFTNL_EXPR_CMP_OP, NFT_CMP_NEQ);
	nftnl_expr_set(established[2], NFTNL_EXPR_CMP_DATA, &zero, sizeof zero);
	established[3] = nftnl_expr_alloc("immediate");
	nftnl_expr_set_u32(established[3], NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(established[3], NFTNL_EXPR_IMM_VERDICT, NF_ACCEPT);
	add_rule(batch, established, 4);

	if (expression) {
		queued = nftnl_expr_alloc("queue");
		nftnl_expr_set_u16(queued, NFTNL_EXPR_QUEUE_NUM, queue);
		nftnl_expr_set_u16(queued, NFTNL_EXPR_QUEUE_TOTAL, 1);
	} else {
		/* libnftnl frees the data with the expression; the kernel wants it aligned to eight bytes. */
		struct xt_NFQ_info_v3 *info = calloc(1, (sizeof *info + 7) & ~(size_t)7);

		info->queuenum = queue;
		info->queues_total = 1;
		queued = nftnl_expr_alloc("target");
		nftnl_expr_set_str(queued, NFTNL_EXPR_TG_NAME, "NFQUEUE");
		nftnl_expr_set_u32(queued, NFTNL_EXPR_TG_REV, 3);
		nftnl_expr_set(queued, NFTNL_EXPR_TG_INFO, info, (sizeof *info + 7) & ~(size_t)7);
	}
	add_rule(batch, &queued, 1);

	nftnl_batch_end(mnl_nlmsg_batch_current(batch), sequence++);
	mnl_nlmsg_batch_next(batch);
	nftnl_table_free(table);
	nftnl_chain_free(chain);

	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(socket, mnl_nlmsg_batch_head(batch), mnl_nlmsg_batch_size(batch)) < 0)
		return -errno;
	for (int acks = 0; acks < 4 && result == 0;) {
		length = mnl_socket_recvfrom(socket, answer, sizeof answer);
		if (length < 0)
			return -errno;
		for (header = (struct nlmsghdr *)answer; mnl_nlmsg_ok(header, (int)length);
		     header = mnl_nlmsg_next(header, (int *)&length)) {
			struct nlmsgerr *error = mnl_nlmsg_get_payload(header);

			if (header->nlmsg_type == NLMSG_ERROR && error->error != 0)
				result = error->error;
			acks++;
		}
	}
	mnl_nlmsg_batch_stop(batch);
	mnl_socket_close(socket);
	return result;
}

int main(int argc, char **argv)
{
	uint16_t queue = argc == 2 ? (uint16_t)atoi(argv[1]) : 0;
	int result = apply(queue, 1);

	if (result < 0)
		result = apply(queue, 0);
	if (result < 0) {
		fprintf(stderr, "queuetable: %s\n", strerror(-result));
		return 1;
	}
	return 0;
}
