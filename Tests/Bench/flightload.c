/* A client that says a first flight and waits for the server's first byte; and such a server, one connection at a time.
 *
 *   flightload serve PORT                              answers the first bytes with one, and the end with another
 *   flightload connect ADDRESS PORT SECONDS FLIGHT     prints {"connections":…,"failed":…,"median":…,"p99":…}, µs from
 *                                                      connect() to the first byte
 *   flightload upload ADDRESS PORT MEGABYTES FLIGHT    prints {"perSecond":…}, bytes after the first flight
 *
 * FLIGHT is a file.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

static char flight[65536], room[1 << 20];
static size_t flight_size;

static int send_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

		if (sent < 0)
			return -1;
		data += sent;
		size -= (size_t)sent;
	}
	return 0;
}

static int serve(uint16_t port)
{
	int one = 1, fd = listen_on(port);

	if (fd < 0)
		return 1;
	for (;;) {
		int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		ssize_t got;

		if (connection < 0)
			continue;
		setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (recv(connection, room, sizeof room, 0) > 0 && send_all(connection, ".", 1) == 0) {
			while ((got = recv(connection, room, sizeof room, 0)) > 0)
				;
			if (got == 0)
				send_all(connection, "!", 1);
		}
		close(connection);
	}
}

/* Connects, says the flight, and waits for the first byte; the socket, or -1. */
static int begin(const struct sockaddr_in *to)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(fd, (const struct sockaddr *)to, sizeof *to) == 0 && send_all(fd, flight, flight_size) == 0 &&
	    recv(fd, &byte, 1, 0) == 1)
		return fd;
	close_with_reset(fd);
	return -1;
}

static int load(const struct sockaddr_in *to, double seconds)
{
	const size_t most = 1000000;
	uint32_t *took = malloc(most * sizeof *took);
	size_t count = 0, failed = 0;
	uint64_t end = now() + (uint64_t)(seconds * 1e9), after = 0;

	if (!took)
		return 2;
	while (after < end && count < most) {
		uint64_t before = now();
		int fd = begin(to);

		after = now();
		if (fd < 0) {
			failed++;
			continue;
		}
		took[count++] = (uint32_t)(after - before);
		close_with_reset(fd);
	}
	qsort(took, count, sizeof *took, by_value);
	printf("{\"connections\":%zu,\"failed\":%zu,\"median\":%.2f,\"p99\":%.2f}\n", count, failed,
	       count ? took[count / 2] / 1000.0 : 0.0, count ? took[count * 99 / 100] / 1000.0 : 0.0);
	return 0;
}

static int upload(const struct sockaddr_in *to, size_t megabytes)
{
	int fd = begin(to);
	uint64_t before = now();
	char byte = 0;

	if (fd < 0)
		return 1;
	for (size_t number = 0; number < megabytes; number++)
		if (send_all(fd, room, sizeof room) < 0)
			return 1;
	shutdown(fd, SHUT_WR);
	if (recv(fd, &byte, 1, 0) != 1 || byte != '!')
		return 1;
	printf("{\"perSecond\":%.0f}\n", (double)(megabytes << 20) / ((double)(now() - before) / 1e9));
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	FILE *file;

	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve((uint16_t)atoi(argv[2]));
	if (argc != 6 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1 || !(file = fopen(argv[5], "rb"))) {
		fprintf(stderr, "usage: flightload serve PORT | flightload connect|upload ADDRESS PORT AMOUNT FLIGHT\n");
		return 2;
	}
	flight_size = fread(flight, 1, sizeof flight, file);
	fclose(file);
	to.sin_port = htons((uint16_t)atoi(argv[3]));
	return strcmp(argv[1], "upload") == 0 ? upload(&to, (size_t)atoi(argv[4])) : load(&to, atof(argv[4]));
}
