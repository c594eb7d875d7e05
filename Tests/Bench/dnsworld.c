/* A name server that is not what is measured: every name has one address, and says itself how long that is true.
 *
 *   dnsworld ADDRESS PORT     answers over UDP until killed; prints "ready" when it listens
 *
 * n<NUMBER>.t<TTL>.anything has the A record 80.0.0.0 + NUMBER (global addresses, as RFC 6890 sees them). Any other type
 * has no records. The question comes back as it was spelled, and EDNS (RFC 6891) is answered when it was asked with.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 12, ROOM = 512 };

/* The number in the label at `at` after the letter; 0 when it is no such label. */
static uint32_t number_of(const uint8_t *message, size_t at, size_t end, char letter)
{
	uint32_t number = 0;

	if (at >= end || at + message[at] >= end || message[at] < 2 || (message[at + 1] | 0x20) != letter)
		return 0;
	for (size_t digit = at + 2; digit <= at + message[at]; digit++)
		number = number * 10 + (uint32_t)(message[digit] - '0');
	return number;
}

static uint8_t *put32(uint8_t *to, uint32_t value)
{
	uint32_t order = htonl(value);

	memcpy(to, &order, 4);
	return to + 4;
}

/* Turns a query of `length` bytes into its answer in place, and gives the answer's length; 0 when it is not worth one. */
static size_t answer(uint8_t *message, size_t length)
{
	size_t at = HEADER;

	if (length < HEADER + 5 || (message[2] & 0x80) || message[4] != 0 || message[5] != 1)
		return 0;
	int extended = (message[10] | message[11]) != 0;
	while (at < length && message[at] != 0)
		at += 1 + (size_t)message[at];
	if (at + 5 > length || at + 5 > ROOM / 2)
		return 0;
	int is_address = message[at + 1] == 0 && message[at + 2] == 1;
	uint8_t *to = message + at + 5;
	uint32_t number = number_of(message, HEADER, at, 'n');
	uint32_t ttl = number_of(message, HEADER + 1 + (size_t)message[HEADER], at, 't');

	message[2] = 0x81; /* an answer; recursion was wanted */
	message[3] = 0x80; /* and is to be had; NOERROR */
	memset(message + 6, 0, 6);
	if (is_address) {
		message[7] = 1;
		memcpy(to, "\xc0\x0c\0\1\0\1", 6); /* the question's name, A, IN */
		to = put32(to + 6, ttl);
		memcpy(to, "\0\4", 2);
		to = put32(to + 2, (80u << 24) + (number & 0xffffff));
	}
	if (extended) {
		message[11] = 1;
		memcpy(to, "\0\0\x29\x04\xd0\0\0\0\0\0\0", 11); /* OPT: the root, 1232 bytes, version 0, no options */
		to += 11;
	}
	return (size_t)(to - message);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET }, peer;
	uint8_t message[ROOM + 64];
	int room = 4 << 20;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &at.sin_addr) != 1) {
		fprintf(stderr, "usage: dnsworld ADDRESS PORT\n");
		return 2;
	}
	at.sin_port = htons((uint16_t)atoi(argv[2]));
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0) {
		perror("dnsworld");
		return 1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	puts("ready");
	fflush(stdout);
	for (;;) {
		socklen_t size = sizeof peer;
		ssize_t length = recvfrom(fd, message, ROOM, 0, (struct sockaddr *)&peer, &size);
		size_t done = length > 0 ? answer(message, (size_t)length) : 0;

		if (done > 0)
			sendto(fd, message, done, 0, (struct sockaddr *)&peer, size);
	}
}
