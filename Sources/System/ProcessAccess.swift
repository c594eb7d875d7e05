import CLinux

/// How descriptors and environments of other users' processes are looked at.
///
/// Everything but these two is open to CAP_SYS_PTRACE alone.
package struct ProcessAccess: Hashable, Sendable {
    /// The folder of /proc/PID with the descriptors.
    let descriptors: String
    /// The mount on which all sockets lie; -1 when the folder holds links, which name a socket themselves.
    let sockets: Int32
    /// The file of /proc/PID that has something to read as long as the memory it was opened for lives.
    let memory: String

    /// The links of /proc/PID/fd and /proc/PID/environ, which only their owner may read and CAP_DAC_READ_SEARCH.
    package static let links = ProcessAccess(descriptors: "fd", sockets: -1, memory: "environ")

    /// The records of /proc/PID/fdinfo and the memory itself; nil when the records tell no inodes (before Linux 5.14).
    package static func records() -> ProcessAccess? {
        guard let socket = try? FileDescriptor(checking: clx_datagram_socket()) else { return nil }
        let mount = clx_socket_mount(socket.rawValue)
        return mount < 0 ? nil : ProcessAccess(descriptors: "fdinfo", sockets: mount, memory: "maps")
    }

    /// What this process may use: links when it has CAP_DAC_READ_SEARCH, which are read twice as fast.
    package static func ofProcess() -> ProcessAccess {
        mayReadEverything ? .links : records() ?? .links
    }

    /// Whether it shows the processes of other users at all.
    package var showsOthers: Bool { sockets >= 0 || Self.mayReadEverything }

    /// Whether the file's bits are no bar.
    private static var mayReadEverything: Bool { Capability.readSearch.isEffective ?? false }

    /// The bytes of a process's environment, at most `limit`; empty when they cannot be read.
    func environment(of pid: Int32, _ process: clx_process, in directory: Int32, limit: Int) -> [UInt8] {
        guard sockets >= 0 else { return (try? SmallFile.bytes("environ", in: directory, limit: limit)) ?? [] }
        // proc_pid_stat(5): env_start and env_end.
        let (start, end) = (process.layout.8, process.layout.9)
        guard start > 0, end > start else { return [] }
        let length = Int(Swift.min(end - start, UInt64(limit)))
        return unsafe [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            guard let address = buffer.baseAddress else { return }
            count = unsafe Swift.max(0, clx_process_memory(pid, start, address, length))
        }
    }
}
