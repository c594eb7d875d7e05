// What the interposed calls share.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

// How a call fails besides with an errno.
enum {
    SHORT = -1,  // done, but for fewer bytes than were asked for
    LOST = -2,   // ENOBUFS, and what would have been received is gone, as when netlink runs over
};

// The real function of a name.
void *failcall_next(const char *name);
// Whether an address is within SQLite.
bool failcall_is_sqlite(const void *caller);
// Counts a call; the way in which it is to fail, or 0. `detail` says what it was about.
int failcall_count(const char *name, const void *caller, const int *ways, unsigned ways_count, const char *detail);
// `fd 7`; good until the thread's next call.
const char *failcall_fd(int fd);
// The same, or `netlink fd 7`: the names of those calls begin with `netlink:`.
const char *failcall_socket(int fd);

// Within an interposed function: looks the real one up.
#define REAL(name)                 \
    static __typeof__(name) *real; \
    if (real == NULL) real = failcall_next(#name)

// Counts the call, and defines the way in which it is to fail.
#define WAY(name, detail, ...)               \
    static const int ways[] = {__VA_ARGS__}; \
    int way = failcall_count(#name, __builtin_return_address(0), ways, sizeof ways / sizeof *ways, detail)

#define INTERPOSED(name, detail, ...) \
    REAL(name);                       \
    WAY(name, detail, __VA_ARGS__)

#define FAIL(result)       \
    do {                   \
        if (way > 0) {     \
            errno = way;   \
            return result; \
        }                  \
    } while (0)

#define PLAIN(type, name, failure, parameters, arguments, detail, ...) \
    type name parameters {                                             \
        INTERPOSED(name, detail, __VA_ARGS__);                         \
        FAIL(failure);                                                 \
        return real arguments;                                         \
    }
