/* Opens TCP connections one after the other and tells how many a second and how long each took.
 *
 *   connload serve PORT                      accepts and closes, until killed
 *   connload connect ADDRESS PORT SECONDS    prints {"connections":…,"perSecond":…,"median":…,"p99":…,"failed":…}, µs
 *
 * The caller closes with a reset: no TIME_WAIT, so the ports do not run out.
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

#include "load.h"

static int serve(uint16_t port)
{
	int fd = listen_on(port);

	if (fd < 0)
		return 1;
	/* Closed late: a reset that overtakes the caller's return from connect() would look like a refusal. */
	int open[512];
	size_t next = 0;

	memset(open, -1, sizeof open);
	for (;;) {
		int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (connection < 0)
			continue;
		if (open[next] >= 0)
			close_with_reset(open[next]);
		open[next] = connection;
		next = (next + 1) % (sizeof open / sizeof *open);
	}
}

static int load(const char *address, uint16_t port, double seconds)
{
	const size_t room = 4000000;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	uint32_t *took = malloc(room * sizeof *took);
	size_t count = 0, failed = 0;
	uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9), after = start;

	if (!took || inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return 2;
	while (after < end && count < room) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		uint64_t before = now();
		int result = connect(fd, (struct sockaddr *)&to, sizeof to);

		after = now();
		if (result == 0)
			took[count++] = (uint32_t)(after - before);
		else
			failed++;
		close_with_reset(fd);
	}
	qsort(took, count, sizeof *took, by_value);
	printf("{\"connections\":%zu,\"failed\":%zu,\"perSecond\":%.1f,\"median\":%.2f,\"p99\":%.2f}\n", count, failed,
	       (double)count / ((double)(after - start) / 1e9), count ? took[count / 2] / 1000.0 : 0.0,
	       count ? took[count * 99 / 100] / 1000.0 : 0.0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve((uint16_t)atoi(argv[2]));
	if (argc == 5 && strcmp(argv[1], "connect") == 0)
		return load(argv[2], (uint16_t)atoi(argv[3]), atof(argv[4]));
	fprintf(stderr, "usage: connload serve PORT | connload connect ADDRESS PORT SECONDS\n");
	return 2;
}
