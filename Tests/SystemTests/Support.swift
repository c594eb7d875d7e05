import Glibc
import System
import TestSupport
import Testing

/// How many descriptors this process has open.
func openDescriptors() throws -> Int { ProcessInspector.numbers(in: "/proc/self/fd", limit: 65536).numbers.count }

/// Whether everything that the body opens is closed again.
func leaksNothing(_ body: () throws -> Void) throws -> Bool {
    // Once before, for what the runtime opens by itself.
    try body()
    let before = try openDescriptors()
    for _ in 0..<300 { try body() }
    // Other suites run beside this one and open descriptors of their own for a while; a leak here would be at least 300.
    return try eventually { try openDescriptors() < before + 200 }
}

/// The inode of an open descriptor.
func inode(of descriptor: Int32) throws -> UInt64 {
    var status = stat()
    let result = unsafe fstat(descriptor, &status)
    try #require(result == 0)
    return UInt64(status.st_ino)
}

/// A UDP socket.
func openSocket() throws -> FileDescriptor {
    try FileDescriptor(checking: socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
}

/// A process started for a test; killed with the value.
final class Child {
    let pid: Int32
    private var hasEnded = false

    /// Starts a program that inherits a socket as descriptor 700, and a standard input that never has anything to read.
    init(
        _ arguments: [String],
        socket: Int32,
        also second: (descriptor: Int32, as: Int32)? = nil,
        input: Int32? = nil,
        environment: [String] = [],
    ) throws {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, socket, 700)
        if let second { unsafe posix_spawn_file_actions_adddup2(&actions, second.descriptor, second.as) }
        if let input { unsafe posix_spawn_file_actions_adddup2(&actions, input, 0) }
        let words = unsafe arguments.map { unsafe strdup($0) } + [nil]
        let variables = unsafe environment.map { unsafe strdup($0) } + [nil]
        defer { unsafe (words + variables).forEach { unsafe free($0) } }
        var pid: Int32 = 0
        let result = unsafe posix_spawn(&pid, arguments[0], &actions, nil, words, variables)
        try #require(result == 0)
        self.pid = pid
        // posix_spawn returns while the kernel still sets the program up; until then it has no command line.
        try #require(eventually { Files.read("/proc/\(pid)/cmdline")?.isEmpty == false })
    }

    /// Ends the process and waits until it is gone.
    func end() {
        guard !hasEnded else { return }
        hasEnded = true
        kill(pid, SIGKILL)
        _ = waitpid(pid, nil, 0)
    }

    deinit { end() }
}

/// A cgroup of its own for a test; removed with the value.
///
/// Needs root, as the tests of the kernel do.
final class TestCgroup {
    let tree: CgroupTree
    let path: String

    init(_ name: String, _ way: CgroupTree.Way? = nil) throws {
        tree = try CgroupTree(way)
        path = "/egressd-test-\(UInt64.random(in: 0 ... .max))-\(name)"
        try #require(makeFolder(tree.mountPoint + path), "creating a cgroup needs root")
    }

    func move(_ pid: Int32) throws {
        let file = try FileDescriptor.open("\(tree.mountPoint)\(path)/cgroup.procs", .readWrite)
        let text = Array("\(pid)".utf8)
        #expect(unsafe write(file.rawValue, text, text.count) == text.count)
    }

    func remove() {
        // Optimised code may let go of the cgroup before its processes; one that has ended meanwhile cannot be moved.
        if let root = try? FileDescriptor.open("\(tree.mountPoint)/cgroup.procs", .readWrite) {
            for pid in tree.processes(of: path) {
                let text = Array("\(pid)".utf8)
                _ = unsafe write(root.rawValue, text, text.count)
            }
        }
        // A process that was killed leaves its cgroup a moment later.
        for _ in 0..<200 where !removeFolder(tree.mountPoint + path) && errno == EBUSY { usleep(5000) }
    }

    deinit { remove() }
}

/// Waits for something that another process is about to do.
func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<3000 {
        if try condition() { return true }
        usleep(5000)
    }
    return false
}

func makeFolder(_ path: String) -> Bool { unsafe mkdir(path, 0o755) == 0 }

func removeFolder(_ path: String) -> Bool { unsafe rmdir(path) == 0 }

func removeFile(_ path: String) { _ = unsafe unlink(path) }
