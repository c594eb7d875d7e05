// What the files of the shim share.
#pragma once

#include "CNetfilter.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/netlink.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nf_tables.h>
#include <libmnl/libmnl.h>

// A message header of a netfilter subsystem at the start of `buffer`.
struct nlmsghdr *enf_header(void *buffer, uint16_t type, uint16_t flags, uint32_t seq, uint8_t family, uint16_t res_id);
// How often something is tried whose failure says nothing about the next try.
enum { ENF_ATTEMPTS = 3 };
// The same of what cannot be asked for again.
enum { ENF_LAST_ATTEMPTS = 16 };

// Sends one message (or several, `length` bytes) and returns the kernel's answer to the message with NLM_F_ACK.
int enf_ask(int fd, const struct nlmsghdr *message, size_t length);
// The same of what may be done twice: asks again when the answer is lost.
int enf_ask_again(int fd, const struct nlmsghdr *message, size_t length);
// Sends a dump or get request and calls back for each answer until done. The callback returns 0 or -errno. When an answer
// is lost it asks anew, and what was told before is told again.
typedef int (*enf_message_callback)(void *context, const struct nlmsghdr *message);
int enf_answers(int fd, const struct nlmsghdr *message, void *context, enf_message_callback callback);
int enf_send(int fd, const void *bytes, size_t length);
