// Makes cgroups, each with a process that tries a port of its own, and removes them again, as fast as that goes.
//
//   churn FOLDER ADDRESS FIRST COUNT UID
//
// Prints how many got which errno, and how long it all took. The processes begin in their cgroups (CLONE_INTO_CGROUP, Linux
// 5.7): to move one costs the kernel milliseconds.
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int attempt(const char *address, uint16_t port) {
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    int is_six = inet_pton(AF_INET6, address, &six.sin6_addr) == 1;
    if (!is_six && inet_pton(AF_INET, address, &four.sin_addr) != 1) return EINVAL;
    int made = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0) return errno;
    struct timeval limit = {.tv_sec = 10};
    setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    int result = is_six ? connect(made, (struct sockaddr *)&six, sizeof six)
                        : connect(made, (struct sockaddr *)&four, sizeof four);
    return result < 0 ? errno : 0;
}

int main(int count, char **words) {
    if (count != 6) return 2;
    int first = atoi(words[3]), rounds = atoi(words[4]), outcomes[256] = {0};
    uid_t uid = (uid_t)atoi(words[5]);
    double begin = now();
    for (int port = first; port < first + rounds; port++) {
        char path[512];
        snprintf(path, sizeof path, "%s/c%d", words[1], port);
        if (mkdir(path, 0755) < 0) fail(path);
        int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0) fail(path);
        struct clone_args how = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)folder};
        long child = syscall(SYS_clone3, &how, sizeof how);
        if (child < 0) fail("clone3");
        if (child == 0) {
            // The system call alone: glibc would tell its threads.
            if (syscall(SYS_setuid, uid) < 0) _exit(255);
            _exit(attempt(words[2], (uint16_t)port) & 255);
        }
        close(folder);
        int status;
        if (waitpid((pid_t)child, &status, 0) < 0 || !WIFEXITED(status)) fail("waitpid");
        outcomes[WEXITSTATUS(status)]++;
        if (rmdir(path) < 0) fail(path);
    }
    printf("{\"seconds\": %f, \"outcomes\": {", now() - begin);
    const char *comma = "";
    for (int error = 0; error < 256; error++) {
        if (outcomes[error] == 0) continue;
        printf("%s\"%s\": %d", comma, strerror(error), outcomes[error]);
        comma = ", ";
    }
    puts("}}");
    return 0;
}
