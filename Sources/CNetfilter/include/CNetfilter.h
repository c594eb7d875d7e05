// The C shim over libmnl and libnftnl.
//
// Include order is law: <netinet/in.h> and <net/if.h> come before any <linux/...>, libmnl or libnftnl header, or Swift
// refuses the module. Every function returns 0 (or a count) or -errno; errno is saved before clean-up; out-parameters are
// called ret_... and written only on success. Addresses are in network byte order, ports and numbers in host byte order.
#pragma once

#include <netinet/in.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// ---- sockets ---------------------------------------------------------------------------------------------------------

// Opens a netlink socket (CLOEXEC), strict about nothing it cannot be, with extended acknowledgements. `receive_buffer`
// bytes are forced (SO_RCVBUFFORCE), or asked for when forcing is not permitted.
int enf_open(int protocol, uint32_t receive_buffer);

// Makes an open descriptor that came from elsewhere as enf_open would have: a bound netlink socket of the protocol, in the
// network namespace of this process. *ret_port is its netlink port. The descriptor stays open when it is refused:
// -EPROTOTYPE another kind, -EXDEV another namespace.
int enf_adopt(int fd, int protocol, uint32_t receive_buffer, uint32_t *ret_port);

void enf_close(int fd);

// Reads and forgets what waits, and that something was dropped: what is left of an exchange that failed, or that somebody else
// began, must not be taken for an answer. A dump is read to its end: the kernel refuses another one before (EBUSY). True when
// something was dropped: the kernel tells it once.
bool enf_discard(int fd);

// Receives one datagram of netlink messages. -EAGAIN when `wait` is false and nothing is there; -ENOBUFS: state unknown.
long enf_receive(int fd, uint8_t *buffer, size_t size, bool wait);

// Reads what waits, at most `count` (16) datagrams, each into its own `size` bytes; how many, or -errno. ENOBUFS: some were
// dropped. A datagram that does not fit has the length 0.
int enf_receive_some(int fd, uint8_t *buffers, size_t size, uint32_t *ret_lengths, uint32_t count);

// ---- transactions ----------------------------------------------------------------------------------------------------

struct enf_batch;

struct enf_batch *_Nullable enf_batch_new(void);
void enf_batch_free(struct enf_batch *batch);
void enf_batch_reset(struct enf_batch *batch);
// How many messages the transaction holds; the index of a message is its number in order of adding, from 0.
uint32_t enf_batch_count(const struct enf_batch *batch);

// Sends the transaction and reads what the kernel says of it. On failure nothing is in force and
// *ret_index is the first message refused (UINT32_MAX: the transaction as a whole). `ret_errors` is NULL, or has a place for
// every message, all of them 0: those that were refused get their -errno.
int enf_batch_commit(struct enf_batch *batch, int fd, uint32_t *ret_index, int32_t *_Nullable ret_errors);

int enf_table_add(struct enf_batch *batch, uint8_t family, const char *table, uint32_t flags);
int enf_table_delete(struct enf_batch *batch, uint8_t family, const char *table);
// A base chain of `type` ("filter", "nat") when `hook` is not negative.
int enf_chain_add(struct enf_batch *batch, uint8_t family, const char *table, const char *chain, const char *type,
                  int hook, int priority, bool drop);
// A base chain of the netdev family at the egress hook of a device (Linux 5.16), policy accept.
int enf_egress_chain_add(struct enf_batch *batch, const char *table, const char *chain, const char *device);
// All rules of one chain.
int enf_chain_delete(struct enf_batch *batch, uint8_t family, const char *table, const char *chain);
int enf_chain_flush(struct enf_batch *batch, uint8_t family, const char *table, const char *chain);

struct enf_set {
    const char *_Nullable name;
    uint32_t flags;          // NFT_SET_*
    uint32_t key_type;       // nft's type numbers, 6 bits a field, the first field highest
    uint32_t key_length;     // bytes, every field padded to 4
    uint8_t field_count;     // 1: no concatenation
    uint8_t field_lengths[8];
    uint32_t data_type;      // 0: no data; 0xffffff00: verdict
    uint32_t data_length;
    uint32_t size;           // 0: no limit
    bool counter;            // every element counts
};
int enf_set_add(struct enf_batch *batch, uint8_t family, const char *table, const struct enf_set *set, uint32_t id);

// Rules: begin, expressions in order, end.
int enf_rule_begin(struct enf_batch *batch, uint8_t family, const char *table, const char *chain);
int enf_rule_end(struct enf_batch *batch);
int enf_expr_meta_load(struct enf_batch *batch, uint32_t key, uint32_t reg);
int enf_expr_meta_set(struct enf_batch *batch, uint32_t key, uint32_t reg);
int enf_expr_ct_load(struct enf_batch *batch, uint32_t key, uint32_t reg);
int enf_expr_ct_set(struct enf_batch *batch, uint32_t key, uint32_t reg);
int enf_expr_socket_cgroup(struct enf_batch *batch, uint32_t level, uint32_t reg);
int enf_expr_payload(struct enf_batch *batch, uint32_t base, uint32_t offset, uint32_t length, uint32_t reg);
int enf_expr_bitwise(struct enf_batch *batch, uint32_t reg, const uint8_t *mask, const uint8_t *xor, uint32_t length);
int enf_expr_byteorder(struct enf_batch *batch, uint32_t reg, uint32_t size, uint32_t length);
int enf_expr_cmp(struct enf_batch *batch, uint32_t op, uint32_t reg, const uint8_t *value, uint32_t length);
// dreg: 0xffffffff none (set lookup), 0 verdict, else a data register.
int enf_expr_lookup(struct enf_batch *batch, const char *set, uint32_t sreg, uint32_t dreg);
int enf_expr_immediate(struct enf_batch *batch, uint32_t reg, const uint8_t *value, uint32_t length);
int enf_expr_verdict(struct enf_batch *batch, int verdict, const char *_Nullable chain);
int enf_expr_reject(struct enf_batch *batch, uint32_t type, uint8_t code);
// The port, in network byte order, is in the register.
int enf_expr_redirect(struct enf_batch *batch, uint32_t reg);
int enf_expr_log(struct enf_batch *batch, uint16_t group, const char *_Nullable prefix);
int enf_expr_queue(struct enf_batch *batch, uint16_t number);
// The xt target NFQUEUE revision 3 through nft_compat, flags 0: no bypass.
int enf_expr_queue_target(struct enf_batch *batch, uint16_t number);

// Elements of one set: begin, elements, end. A long list becomes several messages.
int enf_elements_begin(struct enf_batch *batch, uint8_t family, const char *table, const char *set, bool remove);
// key_end: inclusive upper bounds for an interval set. data: data_length bytes; goto_chain: a verdict `goto`. timeout in ms, 0: none.
int enf_element(struct enf_batch *batch, const uint8_t *key, const uint8_t *_Nullable key_end, uint32_t key_length,
                const uint8_t *_Nullable data, uint32_t data_length, int verdict, const char *_Nullable chain,
                uint64_t timeout);
int enf_elements_end(struct enf_batch *batch);
// Deletes every element.
int enf_elements_flush(struct enf_batch *batch, uint8_t family, const char *table, const char *set);

// Calls back for every element: its key, its data when that is a mark (else 0), and its counter. Not part of a transaction.
typedef void (*enf_element_callback)(void *_Nullable context, const uint8_t *key, uint32_t key_length, uint32_t mark,
                                     uint64_t packets);
int enf_elements_dump(int fd, uint8_t family, const char *table, const char *set, void *_Nullable context,
                      enf_element_callback callback);
// Tells the counter of one element. -ENOENT: not there.
int enf_element_count(int fd, uint8_t family, const char *table, const char *set, const uint8_t *key,
                      uint32_t key_length, uint64_t *ret_packets);
// Removes one element and tells its counter as it was when no packet could find it any more. -ENOENT: not there.
int enf_element_take(int fd, uint8_t family, const char *table, const char *set, const uint8_t *key,
                     uint32_t key_length, uint64_t *ret_packets);
// Whether the table is there; 0, -ENOENT, or another error. *ret_flags are NFT_TABLE_F_*.
int enf_table_get(int fd, uint8_t family, const char *table, uint32_t *ret_flags);

// ---- watching the ruleset --------------------------------------------------------------------------------------------

// The port id of a netlink socket: what its requests are known by in the notifications of others.
int enf_port(int fd, uint32_t *ret_port);
// Joins or leaves the group that hears of every change of the ruleset (NFNLGRP_NFTABLES).
int enf_ruleset_watch(int fd, bool joins);
// Has the kernel leave out what the socket of this port causes.
int enf_ignore_port(int fd, uint32_t port);
// Asks for one object or all of a kind (type: NFT_MSG_GET*), of one table and chain where they are given, and calls back for
// each answer: its netlink type and its payload. -EINTR: the ruleset changed meanwhile.
typedef void (*enf_ruleset_callback)(void *_Nullable context, uint16_t type, const uint8_t *payload, size_t length);
int enf_ruleset_ask(int fd, uint32_t sequence, uint16_t type, bool dump, uint8_t family, const char *_Nullable table,
                    const char *_Nullable chain, void *_Nullable context, enf_ruleset_callback callback);

// ---- queues and logs -------------------------------------------------------------------------------------------------

// Binds a queue: copy mode packet, its length, flags (UID_GID, GSO; never fail-open). Every message is acknowledged.
int enf_queue_bind(int fd, uint16_t number, uint32_t length, uint32_t copy_range);
struct enf_verdict {
    uint32_t id;
    uint16_t queue;
    uint16_t verdict;  // NF_DROP 0, NF_REPEAT 4
};
// Answers packets; `ret_sent` says how many were answered, of a failure too.
int enf_queue_verdicts(int fd, const struct enf_verdict *verdicts, uint32_t count, uint32_t *ret_sent);
// Answers every waiting packet of the queue up to this one.
int enf_queue_verdict_up_to(int fd, const struct enf_verdict *verdict);
// Answers one packet; -ENOENT: it does not wait. Messages that wait in the socket are read and forgotten; *ret_lost becomes
// true when the kernel tells that it dropped some.
int enf_queue_verdict_checked(int fd, const struct enf_verdict *verdict, bool *ret_lost);
int enf_queue_unbind(int fd, uint16_t number);
struct enf_binding {
    uint16_t number;
    uint32_t port;  // the netlink port of the socket that has it
    uint32_t last;  // of a queue: the last packet that came
};
// The queues or log groups of this network namespace that a socket has, at most `count`; how many.
int enf_bindings(bool of_logs, struct enf_binding *ret_bindings, uint32_t count);
// Binds a log group: copies the first bytes of every packet.
int enf_log_bind(int fd, uint16_t group, uint32_t copy_range);
int enf_log_unbind(int fd, uint16_t group);

// ---- sockets of other processes --------------------------------------------------------------------------------------

struct enf_endpoint {
    uint8_t family;     // AF_INET, AF_INET6
    uint8_t protocol;   // IPPROTO_TCP, IPPROTO_UDP
    uint16_t local_port;
    uint16_t remote_port;
    uint8_t local[16];
    uint8_t remote[16];
};
struct enf_sock {
    struct enf_endpoint endpoint;
    uint8_t state;
    uint32_t uid;
    uint32_t inode;
    uint32_t interface;
    uint32_t cookie[2];
    uint64_t cgroup;    // 0: unknown
};
// Finds a socket as a packet that arrives by the device `interface` would: one that is bound to it, or to none. With 0 only one
// that is bound to none.
int enf_sock_find(int fd, const struct enf_endpoint *endpoint, uint32_t interface, struct enf_sock *ret_sock);
typedef void (*enf_sock_callback)(void *_Nullable context, const struct enf_sock *sock);
// All sockets, or those of one local port (0: any).
int enf_sock_dump(int fd, uint8_t family, uint8_t protocol, uint32_t states, uint16_t local_port,
                  void *_Nullable context, enf_sock_callback callback);
// SOCK_DESTROY (CONFIG_INET_DIAG_DESTROY, 4.5 and later). -EOPNOTSUPP where the kernel lacks it.
int enf_sock_destroy(int fd, const struct enf_sock *sock);

// ---- conntrack -------------------------------------------------------------------------------------------------------

struct enf_flow {
    uint8_t family;
    uint8_t protocol;
    uint16_t source_port;
    uint16_t destination_port;
    uint8_t source[16];
    uint8_t destination[16];   // of the original direction
    uint16_t target_port;
    uint8_t target[16];        // where replies come from: not the destination when others have translated it
    uint32_t mark;
};
typedef void (*enf_flow_callback)(void *_Nullable context, const struct enf_flow *flow);
int enf_flow_dump(int fd, uint8_t family, uint32_t mark, uint32_t mask, void *_Nullable context,
                  enf_flow_callback callback);
// The connection whose replies go from `reply`'s source to its destination. -ENOENT: there is none.
int enf_flow_find(int fd, const struct enf_flow *reply, struct enf_flow *ret_flow);
int enf_flow_set_mark(int fd, const struct enf_flow *flow, bool is_reply, uint32_t mark);

struct enf_flow_limits {
    uint32_t entries;
    uint32_t limit;    // 0: the kernel does not tell (before Linux 4.18)
    uint64_t dropped;  // packets that found no room, of all processors; each wraps at 32 bits
};
int enf_flow_limits(int fd, struct enf_flow_limits *ret_limits);

// ---- what else there is ----------------------------------------------------------------------------------------------

// A network device of the calling thread's namespace; the texts live as long as the call back. `fd` speaks NETLINK_ROUTE.
struct enf_link {
    const char *_Nullable name;
    const char *_Nullable kind;   // of rtnetlink ("veth", "bridge"); null for a device of hardware, and for lo
    uint32_t flags;               // IFF_*
};
typedef void (*enf_link_callback)(void *_Nullable context, const struct enf_link *link);
int enf_links_dump(int fd, void *_Nullable context, enf_link_callback callback);

// An address of a device of the calling thread's namespace. `fd` speaks NETLINK_ROUTE.
struct enf_address {
    uint8_t family;     // AF_INET, AF_INET6
    uint8_t bytes[16];  // in network order; the first four of AF_INET
};
typedef void (*enf_address_callback)(void *_Nullable context, const struct enf_address *address);
int enf_addresses_dump(int fd, void *_Nullable context, enf_address_callback callback);

// A base chain of any table; one of several devices is called back with for each.
struct enf_chain {
    const char *_Nullable table;
    const char *_Nullable name;
    const char *_Nullable device;
    uint8_t family;               // NFPROTO_*
    uint32_t hook;
    bool drops;                   // its policy
};
typedef void (*enf_chain_callback)(void *_Nullable context, const struct enf_chain *chain);
int enf_chains_dump(int fd, void *_Nullable context, enf_chain_callback callback);

#pragma clang assume_nonnull end
