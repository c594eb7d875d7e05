/* Asks a name server over one UDP socket for the A records of n<NUMBER>.SUFFIX and tells how long each took.
 *
 *   dnsload ADDRESS PORT SUFFIX FIRST SPAN COUNT WINDOW
 *
 * COUNT queries, whose numbers go round FIRST … FIRST + SPAN - 1, at most WINDOW of them unanswered at a time; prints
 * {"answers":…,"refused":…,"lost":…,"perSecond":…,"median":…,"p99":…}, times in µs. An answer counts when its id and its
 * question are those that were asked, its code is NOERROR and it holds a record; any other code is refused, and what has
 * no answer when nothing came for a second is lost.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "load.h"

enum { HEADER = 12, IDS = 65536, PATIENCE = 5 };

/* A query that is out, by its id. */
struct query {
	uint64_t sent; /* 0: none is out */
	uint32_t number;
};

static struct query queries[IDS];
static uint8_t suffix[256];
static size_t suffix_length;

/* The labels of a name with their lengths before them, and the root's; 0 when they do not fit. */
static size_t encode_name(const char *name, uint8_t *to, size_t room)
{
	size_t length = 0;

	while (*name) {
		size_t label = strcspn(name, ".");

		if (label == 0 || label > 63 || length + label + 2 > room)
			return 0;
		to[length++] = (uint8_t)label;
		memcpy(to + length, name, label);
		length += label;
		name += label + (name[label] == '.');
	}
	to[length++] = 0;
	return length;
}

/* RFC 1035, section 4.1: recursion wanted, one question, type A, class IN. */
static size_t write_query(uint8_t *to, uint16_t id, uint32_t number)
{
	uint8_t *at = to + HEADER;

	memset(to, 0, HEADER);
	to[0] = (uint8_t)(id >> 8);
	to[1] = (uint8_t)id;
	to[2] = 1;
	to[5] = 1;
	int label = sprintf((char *)at + 1, "n%u", number);
	*at = (uint8_t)label;
	at += 1 + label;
	memcpy(at, suffix, suffix_length);
	at += suffix_length;
	memcpy(at, "\0\1\0\1", 4);
	return (size_t)(at + 4 - to);
}

/* Whether these bytes answer a query that is out; `refused` when with another code than NOERROR, or with nothing. */
static int answers(const uint8_t *from, size_t length, int *refused)
{
	uint8_t asked[HEADER + 16 + sizeof suffix + 4];

	if (length < HEADER || !(from[2] & 0x80))
		return 0;
	uint16_t id = (uint16_t)(from[0] << 8 | from[1]);
	if (!queries[id].sent)
		return 0;
	size_t question = write_query(asked, id, queries[id].number);
	if (length < question || memcmp(from + HEADER, asked + HEADER, question - HEADER) != 0)
		return 0;
	*refused = (from[3] & 15) != 0 || (from[6] | from[7]) == 0;
	return 1;
}

static int load(int fd, uint32_t first, uint32_t span, size_t count, size_t window)
{
	uint32_t *took = calloc(count, sizeof *took);
	size_t sent = 0, out = 0, good = 0, refused = 0, lost = 0, silences = 0;
	uint64_t start = now(), last = start;
	uint8_t bytes[4096];

	if (!took)
		return 2;
	while ((sent < count || out > 0) && silences < PATIENCE) {
		while (sent < count && out < window) {
			struct query *query = &queries[sent % IDS];

			if (query->sent) { /* lost while others were answered */
				lost++;
				out--;
			}
			query->number = first + (uint32_t)(sent % span);
			size_t length = write_query(bytes, (uint16_t)(sent % IDS), query->number);
			query->sent = now();
			if (send(fd, bytes, length, 0) < 0) {
				/* An ICMP error of an earlier one; nothing went out. */
				query->sent = 0;
				lost++;
				silences++;
			} else {
				out++;
			}
			sent++;
			if (silences >= PATIENCE)
				break;
		}
		ssize_t length = recv(fd, bytes, sizeof bytes, 0);
		if (length < 0) {
			for (size_t id = 0; id < IDS; id++)
				queries[id].sent = 0;
			lost += out;
			out = 0;
			silences++;
			continue;
		}
		int code = 0;
		if (!answers(bytes, (size_t)length, &code))
			continue;
		struct query *query = &queries[bytes[0] << 8 | bytes[1]];
		last = now();
		if (code)
			refused++;
		else
			took[good++] = (uint32_t)(last - query->sent);
		query->sent = 0;
		out--;
		silences = 0;
	}
	qsort(took, good, sizeof *took, by_value);
	printf("{\"answers\":%zu,\"refused\":%zu,\"lost\":%zu,\"perSecond\":%.1f,\"median\":%.2f,\"p99\":%.2f}\n", good,
	       refused, lost + count - sent, last > start ? (double)good / ((double)(last - start) / 1e9) : 0.0,
	       good ? took[good / 2] / 1000.0 : 0.0, good ? took[good * 99 / 100] / 1000.0 : 0.0);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct timeval second = { .tv_sec = 1 };

	suffix_length = argc == 8 ? encode_name(argv[3], suffix, 200) : 0;
	if (suffix_length == 0 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || atol(argv[5]) < 1 || atol(argv[6]) < 1 ||
	    atol(argv[7]) < 1 || atol(argv[7]) > IDS / 2) {
		fprintf(stderr, "usage: dnsload ADDRESS PORT SUFFIX FIRST SPAN COUNT WINDOW\n");
		return 2;
	}
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second) < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
		perror("dnsload");
		return 1;
	}
	return load(fd, (uint32_t)strtoul(argv[4], NULL, 10), (uint32_t)strtoul(argv[5], NULL, 10),
		    strtoul(argv[6], NULL, 10), strtoul(argv[7], NULL, 10));
}
