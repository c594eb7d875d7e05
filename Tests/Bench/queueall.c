/* The least that a program behind a queue can do: accepts every packet. What the broker is measured against.
 *
 *   queueall QUEUE      prints "ready" when bound, runs until killed
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct nlmsghdr *message(char *buffer, uint8_t type, uint16_t queue)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *family;

	header->nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) | type;
	header->nlmsg_flags = NLM_F_REQUEST;
	family = mnl_nlmsg_put_extra_header(header, sizeof *family);
	family->nfgen_family = AF_UNSPEC;
	family->version = NFNETLINK_V0;
	family->res_id = htons(queue);
	return header;
}

int main(int argc, char **argv)
{
	static char in[0x10000 + 4096], out[256];
	uint16_t queue = argc == 2 ? (uint16_t)atoi(argv[1]) : 0;
	struct mnl_socket *socket = mnl_socket_open(NETLINK_NETFILTER);
	struct nfqnl_msg_config_cmd bind = { .command = NFQNL_CFG_CMD_BIND };
	struct nfqnl_msg_config_params copy = { .copy_range = htonl(128), .copy_mode = NFQNL_COPY_PACKET };
	struct nlmsghdr *header;
	ssize_t length;

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		perror("queueall");
		return 1;
	}
	header = message(out, NFQNL_MSG_CONFIG, queue);
	mnl_attr_put(header, NFQA_CFG_CMD, sizeof bind, &bind);
	mnl_attr_put(header, NFQA_CFG_PARAMS, sizeof copy, &copy);
	header->nlmsg_flags |= NLM_F_ACK;
	mnl_socket_sendto(socket, header, header->nlmsg_len);
	length = mnl_socket_recvfrom(socket, in, sizeof in);
	if (length < 0 || mnl_cb_run(in, (size_t)length, 0, 0, NULL, NULL) < 0) {
		perror("queueall: bind");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while ((length = mnl_socket_recvfrom(socket, in, sizeof in)) > 0) {
		const struct nlmsghdr *each = (const struct nlmsghdr *)in;
		int left = (int)length;

		for (; mnl_nlmsg_ok(each, left); each = mnl_nlmsg_next(each, &left)) {
			const struct nlattr *attribute;

			mnl_attr_for_each(attribute, each, sizeof(struct nfgenmsg)) {
				const struct nfqnl_msg_packet_hdr *packet;
				struct nfqnl_msg_verdict_hdr verdict = { .verdict = htonl(NF_ACCEPT) };

				if (mnl_attr_get_type(attribute) != NFQA_PACKET_HDR)
					continue;
				packet = mnl_attr_get_payload(attribute);
				verdict.id = packet->packet_id;
				header = message(out, NFQNL_MSG_VERDICT, queue);
				mnl_attr_put(header, NFQA_VERDICT_HDR, sizeof verdict, &verdict);
				mnl_socket_sendto(socket, header, header->nlmsg_len);
				break;
			}
		}
	}
	perror("queueall");
	return 1;
}
