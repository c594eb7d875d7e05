/* Opens TCP connections to ever other addresses at a steady rate, without waiting for one before the next.
 *
 *   floodload ADDRESS PORT RATE SECONDS    prints {"attempts":…,"perSecond":…,"refused":…,"open":…,"other":…}
 *
 * The n-th connection goes to ADDRESS with n added to its last 24 bits (round 65,000), always to PORT. A socket is closed
 * when its connection came to something, so that whoever judges it can tell whose it is. Ends early, with what there was,
 * when told to (SIGTERM).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;
static size_t attempts, refused, opened, other, waiting;
static int epoll;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void end(int fd, int error)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (error == 0)
		opened++;
	else if (error == ECONNREFUSED)
		refused++;
	else
		other++;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	close(fd);
}

static void collect(int milliseconds)
{
	struct epoll_event ready[256];
	int count = epoll_wait(epoll, ready, 256, milliseconds);

	for (int index = 0; index < count; index++) {
		int error = 0;
		socklen_t size = sizeof error;

		getsockopt(ready[index].data.fd, SOL_SOCKET, SO_ERROR, &error, &size);
		end(ready[index].data.fd, error);
		waiting--;
	}
}

/* The address with the number added to its last bits; port and family as they are. */
static struct sockaddr_storage target(const struct sockaddr_storage *base, socklen_t *size, uint32_t number)
{
	struct sockaddr_storage to = *base;
	uint8_t *low = to.ss_family == AF_INET ? (uint8_t *)&((struct sockaddr_in *)&to)->sin_addr + 1
					       : ((struct sockaddr_in6 *)&to)->sin6_addr.s6_addr + 13;
	uint32_t value = ((uint32_t)low[0] << 16 | (uint32_t)low[1] << 8 | low[2]) + number;

	low[0] = (uint8_t)(value >> 16);
	low[1] = (uint8_t)(value >> 8);
	low[2] = (uint8_t)value;
	*size = to.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	return to;
}

static void attempt(const struct sockaddr_storage *base)
{
	socklen_t size;
	struct sockaddr_storage to = target(base, &size, (uint32_t)(attempts % 65000));
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	attempts++;
	if (connect(fd, (struct sockaddr *)&to, size) == 0) {
		end(fd, 0);
	} else if (errno != EINPROGRESS) {
		end(fd, errno);
	} else {
		struct epoll_event event = { .events = EPOLLOUT, .data.fd = fd };
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
		waiting++;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_storage base = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&base;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&base;

	if (argc != 5) {
		fprintf(stderr, "usage: floodload ADDRESS PORT RATE SECONDS\n");
		return 2;
	}
	if (inet_pton(AF_INET, argv[1], &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)atoi(argv[2]));
	} else if (inet_pton(AF_INET6, argv[1], &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)atoi(argv[2]));
	} else {
		return 2;
	}
	double rate = atof(argv[3]), seconds = atof(argv[4]);
	struct rlimit limit = { 65536, 65536 };
	setrlimit(RLIMIT_NOFILE, &limit);
	signal(SIGTERM, stop);
	epoll = epoll_create1(EPOLL_CLOEXEC);

	uint64_t start = now(), finish = start + (uint64_t)(seconds * 1e9), at = start;
	while (!stopped && at < finish) {
		size_t due = (size_t)((double)(at - start) * rate / 1e9) + 1;

		/* At most 4,096 wait: what nobody answers must not use up the descriptors. */
		while (attempts < due && waiting < 4096)
			attempt(&base);
		collect(1);
		at = now();
	}
	double took = (double)(at - start) / 1e9;
	for (int round = 0; waiting > 0 && round < 5000; round++)
		collect(1);
	printf("{\"attempts\":%zu,\"perSecond\":%.1f,\"refused\":%zu,\"open\":%zu,\"other\":%zu}\n", attempts,
	       (double)attempts / took, refused, opened, other + waiting);
	return 0;
}
