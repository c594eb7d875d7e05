#include "CLinux.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

enum { READY_LIMIT = 64 };

static int control(int epoll, int operation, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    return epoll_ctl(epoll, operation, fd, &event) < 0 ? -errno : 0;
}

int clx_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
    return control(epoll, EPOLL_CTL_ADD, fd, events, data);
}

int clx_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data) {
    return control(epoll, EPOLL_CTL_MOD, fd, events, data);
}

int clx_epoll_remove(int epoll, int fd) { return control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

int clx_epoll_wait(int epoll, struct clx_ready *ret_ready, int capacity, int timeout) {
    struct epoll_event events[READY_LIMIT];
    int count = epoll_wait(epoll, events, capacity < READY_LIMIT ? capacity : READY_LIMIT, timeout);
    // Not retried: the caller's timeout would start anew.
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++)
        ret_ready[i] = (struct clx_ready){.data = events[i].data.u64, .events = events[i].events};
    return count;
}

int clx_timer_create(void) {
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int clx_timer_set(int fd, int64_t nanoseconds) {
    struct itimerspec time = {
        .it_value = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000},
    };
    return timerfd_settime(fd, TFD_TIMER_ABSTIME, &time, NULL) < 0 ? -errno : 0;
}

int clx_counter_drain(int fd) {
    uint64_t count;
    ssize_t result = clx_read(fd, &count, sizeof count);
    if (result == -EAGAIN)
        return 0;
    return result < 0 ? (int)result : 1;
}

int clx_event_create(void) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int clx_event_signal(int fd) {
    uint64_t one = 1;
    ssize_t result = clx_write(fd, &one, sizeof one);
    return result < 0 && result != -EAGAIN ? (int)result : 0;
}

static void fill(sigset_t *set, const int *signals, size_t count) {
    sigemptyset(set);
    for (size_t i = 0; i < count; i++)
        sigaddset(set, signals[i]);
}

int clx_signals_create(const int *signals, size_t count) {
    sigset_t set;
    fill(&set, signals, count);
    int result = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (result != 0)
        return -result;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int clx_signals_next(int fd) {
    struct signalfd_siginfo info;
    ssize_t result = clx_read(fd, &info, sizeof info);
    return result < 0 ? (int)result : (int)info.ssi_signo;
}

int clx_signals_unblock(const int *signals, size_t count) {
    sigset_t set;
    fill(&set, signals, count);
    return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int clx_signal_ignore(int signal_number) { return signal(signal_number, SIG_IGN) == SIG_ERR ? -errno : 0; }

int64_t clx_boottime_nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t clx_thread_nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t clx_monotonic_microseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

int64_t clx_wall_microseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}
