// Sockets, waiting, and the rest.

#include "failcall.h"

#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

// ---- Sockets

PLAIN(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol), "", EMFILE, ENFILE, ENOBUFS,
      EPERM)
PLAIN(int, socketpair, -1, (int domain, int type, int protocol, int ends[2]), (domain, type, protocol, ends), "",
      EMFILE)
PLAIN(int, bind, -1, (int fd, const struct sockaddr *name, socklen_t length), (fd, name, length), failcall_fd(fd),
      ENOMEM, EPERM, EADDRINUSE)
PLAIN(int, listen, -1, (int fd, int backlog), (fd, backlog), failcall_fd(fd), EADDRINUSE)
PLAIN(int, connect, -1, (int fd, const struct sockaddr *name, socklen_t length), (fd, name, length), failcall_fd(fd),
      ENOBUFS, EPERM, ENETUNREACH)
PLAIN(int, accept4, -1, (int fd, struct sockaddr *name, socklen_t *length, int flags), (fd, name, length, flags),
      failcall_fd(fd), EMFILE, ENOMEM, ECONNABORTED, EINTR)
PLAIN(int, shutdown, -1, (int fd, int how), (fd, how), failcall_fd(fd), ENOTCONN, ENOBUFS)
PLAIN(int, getsockopt, -1, (int fd, int level, int option, void *value, socklen_t *length),
      (fd, level, option, value, length), failcall_fd(fd), ENOMEM, EACCES)
PLAIN(int, setsockopt, -1, (int fd, int level, int option, const void *value, socklen_t length),
      (fd, level, option, value, length), failcall_fd(fd), ENOMEM, EPERM)
PLAIN(int, getsockname, -1, (int fd, struct sockaddr *name, socklen_t *length), (fd, name, length), failcall_fd(fd),
      ENOBUFS)
PLAIN(int, getpeername, -1, (int fd, struct sockaddr *name, socklen_t *length), (fd, name, length), failcall_fd(fd),
      ENOBUFS, ENOTCONN)
PLAIN(ssize_t, sendto, -1,
      (int fd, const void *buffer, size_t count, int flags, const struct sockaddr *name, socklen_t length),
      (fd, buffer, count, flags, name, length), failcall_socket(fd), ENOBUFS, ENOMEM, EINTR, EPERM)
PLAIN(ssize_t, sendmsg, -1, (int fd, const struct msghdr *message, int flags), (fd, message, flags), failcall_fd(fd),
      ENOBUFS, ENOMEM, EPERM, EAGAIN)
PLAIN(int, sendmmsg, -1, (int fd, struct mmsghdr *messages, unsigned count, int flags), (fd, messages, count, flags),
      failcall_fd(fd), ENOBUFS, ENOMEM, EPERM)

// Looks that find nothing are as many as there was time for: they are not counted, or no number would mean a call.
static bool has_something(int fd) {
    REAL(poll);
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return real(&one, 1, 0) != 0;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
    REAL(recvmmsg);
    if (!has_something(fd)) return real(fd, messages, count, flags, timeout);
    WAY(recvmmsg, failcall_fd(fd), ENOBUFS, ENOMEM, EINTR);
    FAIL(-1);
    return real(fd, messages, count, flags, timeout);
}

ssize_t recv(int fd, void *buffer, size_t count, int flags) {
    INTERPOSED(recv, failcall_socket(fd), ENOBUFS, LOST, ENOMEM, EINTR);
    FAIL(-1);
    ssize_t result = real(fd, buffer, count, flags);
    if (way != LOST) return result;
    errno = ENOBUFS;
    return -1;
}

// ---- Waiting

PLAIN(int, epoll_create1, -1, (int flags), (flags), "", EMFILE, ENOMEM)
PLAIN(int, epoll_ctl, -1, (int epoll, int operation, int fd, struct epoll_event *event), (epoll, operation, fd, event),
      failcall_fd(fd), ENOMEM, ENOSPC)

int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout) {
    REAL(epoll_wait);
    if (timeout == 0) return real(epoll, events, count, timeout);
    WAY(epoll_wait, "", EINTR, ENOMEM);
    FAIL(-1);
    return real(epoll, events, count, timeout);
}

PLAIN(int, poll, -1, (struct pollfd *descriptors, nfds_t count, int timeout), (descriptors, count, timeout), "", EINTR,
      ENOMEM)
PLAIN(int, eventfd, -1, (unsigned value, int flags), (value, flags), "", EMFILE, ENOMEM)
PLAIN(int, timerfd_create, -1, (clockid_t clock, int flags), (clock, flags), "", EMFILE, ENOMEM)
PLAIN(int, timerfd_settime, -1, (int fd, int flags, const struct itimerspec *time, struct itimerspec *before),
      (fd, flags, time, before), failcall_fd(fd), ECANCELED)
PLAIN(int, signalfd, -1, (int fd, const sigset_t *signals, int flags), (fd, signals, flags), "", EMFILE, ENOMEM)

// ---- The rest

PLAIN(int, getrlimit, -1, (__rlimit_resource_t resource, struct rlimit *limit), (resource, limit), "", EINVAL)
PLAIN(int, setrlimit, -1, (__rlimit_resource_t resource, const struct rlimit *limit), (resource, limit), "", EPERM)

// These return the errno.
#define TELLING(name, parameters, arguments, ...) \
    int name parameters {                         \
        INTERPOSED(name, "", __VA_ARGS__);        \
        return way > 0 ? way : real arguments;    \
    }

TELLING(pthread_create,
        (pthread_t * thread, const pthread_attr_t *attributes, void *(*body)(void *), void *context),
        (thread, attributes, body, context), EAGAIN)
TELLING(getgrnam_r, (const char *name, struct group *group, char *buffer, size_t size, struct group **result),
        (name, group, buffer, size, result), EMFILE, EIO)
TELLING(getpwnam_r, (const char *name, struct passwd *user, char *buffer, size_t size, struct passwd **result),
        (name, user, buffer, size, result), EMFILE, EIO)
TELLING(getpwuid_r, (uid_t uid, struct passwd *user, char *buffer, size_t size, struct passwd **result),
        (uid, user, buffer, size, result), EMFILE, EIO)

long syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long), d = va_arg(list, long);
    long e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    // futex and its like belong to Swift's runtime.
    REAL(syscall);
    if (number != SYS_pidfd_open && number != SYS_kcmp && number != SYS_getdents64)
        return real(number, a, b, c, d, e, f);
    char detail[32];
    snprintf(detail, sizeof detail, "number %ld", number);
    WAY(syscall, detail, EMFILE, ENOMEM, EPERM);
    FAIL(-1);
    return real(number, a, b, c, d, e, f);
}
