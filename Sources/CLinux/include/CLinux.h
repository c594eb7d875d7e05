// The Linux calls that Swift cannot import, or imports in a form that invites mistakes.
//
// Every function returns a value that is at least 0, or -errno; errno itself is never left for the caller to read.
// EINTR is retried wherever that is right, and said where it is not. Out-parameters start with ret_ and are written
// only on success. Every descriptor made here is close-on-exec.
//
// No header of <linux/...> is included: those that would need <netinet/in.h> or <net/if.h> before them make Swift
// refuse the whole module, and the few constants needed are written out in the .c file with the kernel version that
// brought them.
#ifndef CLINUX_H
#define CLINUX_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#pragma clang assume_nonnull begin

// ---- Descriptors

// open(2) and openat(2) are variadic, and Swift imports no variadics.
int clx_open(int directory, const char *path, int flags, unsigned mode);

// EINTR from close(2) leaves the descriptor closed on Linux: it must not be retried.
static inline int clx_close(int fd) { return close(fd) < 0 && errno != EINTR ? -errno : 0; }

// Descriptors that were handed over at start are open in every program that the process starts. fcntl(2) is variadic.
static inline int clx_close_on_exec(int fd) { return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0; }

ssize_t clx_read(int fd, void *buffer, size_t capacity);
ssize_t clx_pread(int fd, void *buffer, size_t capacity, int64_t offset);
ssize_t clx_write(int fd, const void *bytes, size_t count);
// The bytes are not terminated. A result equal to `capacity` may have been cut.
ssize_t clx_readlink(int directory, const char *path, char *buffer, size_t capacity);

// The whole of a small file, up to `capacity` bytes, by its path under `directory`.
ssize_t clx_read_file(int directory, const char *path, void *buffer, size_t capacity);

// Device, inode and mode: struct stat's macro'd time fields make the original awkward. flags: 0 or AT_SYMLINK_NOFOLLOW.
struct clx_file {
    uint64_t device;
    uint64_t inode;
    uint32_t mode;
    uint32_t links;
};
int clx_stat(int directory, const char *path, int flags, struct clx_file *ret_file);

static inline int clx_unlink(const char *path) { return unlink(path) < 0 ? -errno : 0; }
static inline int clx_make_directory(const char *path, unsigned mode) { return mkdir(path, mode) < 0 ? -errno : 0; }
static inline int clx_change_mode(const char *path, unsigned mode) { return chmod(path, mode) < 0 ? -errno : 0; }

// Who may do what with a file, links followed: struct stat's macro'd time fields make the original awkward.
struct clx_permissions {
    uint32_t owner;
    uint32_t group;
    uint32_t mode;
    uint64_t inode;
};
int clx_permissions(const char *path, struct clx_permissions *ret_permissions);

// The names in a directory, each ended by a zero byte, in the kernel's order: the bytes written. -ERANGE when they do not
// fit. struct dirent's name is a tuple of 256 members to Swift.
ssize_t clx_directory_names(const char *path, char *buffer, size_t capacity);

// Takes the exclusive lock of an open file (flock); -EWOULDBLOCK when somebody else has it.
int clx_lock(int fd);

// Sets the soft limit of open descriptors to the hard one; returns it (at most INT_MAX).
int clx_raise_descriptor_limit(void);

// ---- Events

// struct epoll_event is packed on x86-64 and holds a union: Swift would misread both.
struct clx_ready {
    uint64_t data;
    uint32_t events;
};

static inline int clx_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fd;
}
int clx_epoll_add(int epoll, int fd, uint32_t events, uint64_t data);
int clx_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data);
int clx_epoll_remove(int epoll, int fd);
// How many of `ret_ready` were filled (at most 64). timeout in milliseconds, -1 for none. EINTR gives 0.
int clx_epoll_wait(int epoll, struct clx_ready *ret_ready, int capacity, int timeout);

// A timer on CLOCK_BOOTTIME, so that deadlines keep their meaning over a suspend.
int clx_timer_create(void);
// Fires once at this absolute time; 0 disarms.
int clx_timer_set(int fd, int64_t nanoseconds);
// Reads the expirations away; 0 when there are none.
int clx_counter_drain(int fd);

int clx_event_create(void);
// Never blocks: a counter that is full is as good as signalled.
int clx_event_signal(int fd);

// Blocks the signals in the calling thread (threads started later inherit that) and gives a descriptor to read them
// from.
int clx_signals_create(const int *signals, size_t count);
// The next signal's number; -EAGAIN when there is none.
int clx_signals_next(int fd);
int clx_signals_unblock(const int *signals, size_t count);
// SIG_IGN is a macro with a cast that Swift does not import.
int clx_signal_ignore(int signal);

// ---- Clocks

int64_t clx_boottime_nanoseconds(void);
// CLOCK_THREAD_CPUTIME_ID: how long the calling thread has run on a processor.
int64_t clx_thread_nanoseconds(void);
int64_t clx_wall_microseconds(void);
// CLOCK_MONOTONIC, by which the service manager counts.
int64_t clx_monotonic_microseconds(void);

// ---- Threads

// prctl(2) is variadic. The name is cut after 15 bytes.
static inline int clx_thread_name(const char *name) {
    return prctl(PR_SET_NAME, (unsigned long)name, 0, 0, 0) < 0 ? -errno : 0;
}

// ---- Unix sockets

// struct sockaddr_un is passed by casts and its path is a fixed array, a tuple of 108 members to Swift.
// Binds a stream socket without listening: the caller sets the file's mode in between, while nobody can connect yet.
int clx_unix_bind(const char *path);
int clx_unix_listen(int fd, int backlog);
// flags: 0 or SOCK_NONBLOCK.
int clx_unix_connect(const char *path, bool nonblocking);
// A non-blocking connection; -EAGAIN when nobody waits.
int clx_accept(int fd);
// Without SIGPIPE: MSG_NOSIGNAL.
ssize_t clx_send(int fd, const void *bytes, size_t count);
// Waits for ever: 1 when there is something to read from fd, or its end; 0 when the reading end of `output` was closed.
int clx_await_input(int fd, int output);
int clx_set_receive_timeout(int fd, int64_t milliseconds);
int clx_shutdown_write(int fd);
int clx_pair(int *ret_first, int *ret_second);

// Who connected, as it was at the time of connect(2).
struct clx_peer {
    int32_t pid;
    uint32_t uid;
    uint32_t gid;
};
int clx_peer(int fd, struct clx_peer *ret_peer);
// SO_PEERPIDFD (Linux 6.5): a descriptor of the very process, whatever became of its number; -ENOPROTOOPT before.
int clx_peer_pidfd(int fd);
// SO_PEERGROUPS (Linux 4.13): how many supplementary groups were written; -ERANGE when there are more.
int clx_peer_groups(int fd, uint32_t *ret_groups, size_t capacity);

// ---- Messages to the services of the host

// How many descriptors one message carries at most.
#define CLX_PASSED_MAX 32
// Sockets whose messages keep their bounds and carry descriptors (SOCK_SEQPACKET). The one that connects is told who sent
// each message; only the user of the one that listens may connect.
int clx_messages_connect(const char *path);
int clx_messages_listen(const char *path);
// Never waits: -EAGAIN when the receiver does not keep up.
int clx_message_send(int fd, const void *bytes, size_t count, const int *passed, size_t passed_count);
// The next message: its length, 0 at the end. The descriptors, at most CLX_PASSED_MAX, and the sender's pid (0 when it is
// not told) are the caller's, those of an empty message too. -EBADMSG when it is cut: its descriptors are closed. Waits as
// long as the socket's timeout says, or not at all: -EAGAIN.
ssize_t clx_message_receive(
    int fd, void *buffer, size_t capacity, bool waits, int *ret_passed, int *ret_count, int32_t *ret_pid);
// A datagram socket that only sends, and never waits.
int clx_datagram_socket(void);
// Sends one message, with descriptors when there are any; a path that starts with '@' is no file (unix(7), abstract).
// -EAGAIN when the receiver does not keep up, -ECONNREFUSED or -ENOENT when there is none, -EMSGSIZE.
int clx_datagram_send(
    int fd, const char *path, const void *bytes, size_t count, const int *_Nullable passed, size_t passed_count);

// ---- Internet sockets

// struct sockaddr_in and sockaddr_in6 are passed by casts, and the address in the latter hides in a union.
// An address and a port, both in host byte order; an IPv4 address is the low 32 bits of `low`.
struct clx_endpoint {
    uint64_t high;
    uint64_t low;
    uint16_t port;
    bool is_v6;
};

// One datagram among many: its bytes are `length` of them from `offset` on in a buffer that the caller keeps.
struct clx_datagram {
    struct clx_endpoint peer;
    uint32_t offset;
    uint32_t length;
    uint32_t mark;
    bool has_mark;
    // The datagram was longer than its place in the buffer.
    bool is_cut;
};

// A new TCP or UDP socket, non-blocking, that is nowhere yet.
int clx_internet_socket(bool is_v6, bool is_stream);
// Whether a descriptor is such a socket.
bool clx_is_internet_socket(int fd, bool is_v6, bool is_stream);
// Puts another socket in the place of this one, which is closed.
int clx_take_place(int fd, int other);
// These leave the socket to the caller whatever they return. IPv6 takes no IPv4.
int clx_datagram_bind(int fd, const struct clx_endpoint *endpoint);
int clx_datagram_connect(int fd, const struct clx_endpoint *endpoint);
// Grows both buffers to this many bytes; without CAP_NET_ADMIN as far as the system's limits allow.
void clx_grow_buffers(int fd, int bytes);
// SO_RCVMARK (Linux 5.19): every datagram tells the packet's mark. -ENOPROTOOPT before, -EPERM where a
// kernel wants a capability for it.
int clx_tell_mark(int fd);
// How many of `ret_datagrams` were filled (at most 32), each with up to `size` bytes of the buffer; -EAGAIN when none
// waits. What ICMP said of datagrams sent before is passed over.
int clx_receive_datagrams(int fd, void *buffer, size_t size, struct clx_datagram *ret_datagrams, int capacity);
// How many of the datagrams went out (at most 64); an error is that of the first one.
int clx_send_datagrams(int fd, const void *buffer, const struct clx_datagram *datagrams, int count);
// The length of the datagram, which may be more than `capacity`: then it was cut.
ssize_t clx_receive_datagram(int fd, void *buffer, size_t capacity);

int clx_stream_listen(int fd, const struct clx_endpoint *endpoint, int backlog);
// The connection is under way.
int clx_stream_connect(int fd, const struct clx_endpoint *endpoint);
// Whether a socket is connected: 1, 0 for not yet, or why it will not be.
int clx_stream_is_connected(int fd);
// A non-blocking connection; -EAGAIN when nobody waits.
int clx_accept_from(int fd, struct clx_endpoint *ret_peer);
int clx_local_endpoint(int fd, struct clx_endpoint *ret_endpoint);
int64_t clx_socket_mark(int fd);

// ---- Watches

int clx_watch_create(void);
// Watches what comes, goes or is written and closed in a directory. Gives the number of the watch, which is the same
// for the same directory.
int clx_watch_directory(int fd, const char *path);
// Watches which directories and files come and go in a directory.
int clx_watch_entries(int fd, const char *path);
// Watches a file, not what a link names.
int clx_watch_file(int fd, const char *path);
int clx_watch_remove(int fd, int watch);

// Tells one content of a file from the next: `changed` is its ctime in nanoseconds.
struct clx_version {
    uint64_t device;
    uint64_t inode;
    int64_t size;
    int64_t changed;
};
int clx_file_version(const char *path, struct clx_version *ret_version);

// ---- Processes

// Whether the process of a pidfd still runs: 1 or 0. A zombie does not.
int clx_pidfd_alive(int fd);
int clx_pidfd_open(int32_t pid);

// Two tasks share one descriptor table (kcmp(2), KCMP_FILES): 1 or 0.
int clx_share_descriptors(int32_t first, int32_t second);

// Whether a first byte can be read.
bool clx_is_readable(int fd);

// What /proc/PID/stat says that tells one program of one process from the next: exec(2) changes the layout of the
// memory, a new process has a new start. Without CAP_SYS_PTRACE the layout reads as zeros.
struct clx_process {
    int32_t parent;
    uint64_t start;
    uint64_t layout[10];
    char name[16];
};
// Reads and parses an open stat file, from its start; -ESRCH when the process is gone.
int clx_process_stat(int fd, struct clx_process *ret_process);
// Whether both are the same program of the same process. Arrays in structs are tuples to Swift, which compares only
// short ones.
bool clx_same_program(const struct clx_process *first, const struct clx_process *second);
// The name as a terminated string that lives as long as the struct.
static inline const char *clx_process_name(const struct clx_process *process) { return process->name; }

// The inode of "socket:[N]" that a link names; 0 when it names something else. -ENOENT, -ESRCH when it is gone.
int64_t clx_socket_inode(int directory, const char *path);
// The same for "PREFIX/N": in /proc/PID/fd with `sockets` -1, in /proc/PID/fdinfo with the mount of all sockets. Those
// records may be read with CAP_SYS_PTRACE alone, the links want CAP_DAC_READ_SEARCH too.
int64_t clx_socket_inode_at(int directory, const char *prefix, int number, int sockets);
// The mount on which all sockets lie, by one of this process; -EOPNOTSUPP when the records tell no inodes (before Linux
// 5.14).
int clx_socket_mount(int socket);
// Reads the memory of another process: the bytes read, fewer at the end of what is mapped. -EPERM without
// CAP_SYS_PTRACE.
ssize_t clx_process_memory(int32_t pid, uint64_t address, void *buffer, size_t length);

// Looks for one of the sockets in an open /proc/PID/fd or fdinfo, as above. 1 and its number when found; 0 when none is
// there; -EAGAIN when given up, after `limit` descriptors or at `deadline` (CLOCK_THREAD_CPUTIME_ID).
int clx_find_socket(
    int directory,
    const uint64_t *inodes,
    int count,
    int sockets,
    int limit,
    int64_t deadline,
    int *ret_number);
// Whether a link names exactly these bytes: 1 or 0.
int clx_link_is(int directory, const char *path, const char *target, size_t length);

// The names of a directory that are numbers, from its start; those beyond `capacity` are left out and make the result
// capacity + 1. The position of the descriptor is moved.
int clx_numeric_entries(int directory, int32_t *ret_numbers, int capacity);
// The numbers of an open text file, one per line, with the same rule for too many.
int clx_numbers(int fd, int32_t *ret_numbers, int capacity);
// The names of a directory's directories, each with a zero behind it: how many bytes. -ERANGE when they do not fit. The
// position of the descriptor is moved.
ssize_t clx_subdirectories(int directory, char *ret_names, size_t capacity);

// ---- cgroups

// struct file_handle ends in a flexible array, which Swift drops.
// Opens the directory of a cgroup by its 64-bit id: handle type 0xfe (FILEID_KERNFS, Linux 5.5). -ESTALE when it
// is gone.
int clx_cgroup_open(int mount, uint64_t id);
// The id of a cgroup by its path under `mount`.
int clx_cgroup_id(int mount, const char *path, uint64_t *ret_id);
// Whether the descriptor lies on a cgroup2 file system: 1 or 0.
int clx_is_cgroup2(int fd);

// ---- Users

// The lookups of glibc want a caller's buffer and answer in two ways. These may ask the network (NSS): not for a hot
// path. 0..UINT32_MAX, or -ENOENT.
int64_t clx_user_id(const char *name);
int64_t clx_group_id(const char *name);
// The length of the name, without a terminator.
int clx_user_name(uint32_t uid, char *buffer, size_t capacity);
// How many groups a user is in, its own first; -ERANGE when there are more than `capacity`.
int clx_user_groups(uint32_t uid, uint32_t *ret_groups, size_t capacity);

// strerror(3) is not safe to call from threads.
int clx_error_text(int code, char *buffer, size_t capacity);
// The name of an errno ("EPERM"); null when it has none.
const char *_Nullable clx_error_name(int code);

#pragma clang assume_nonnull end

#endif
