import CLinux
import Model

/// A process that was looked at, with what is kept open to see cheaply whether it is still the same program.
///
/// The descriptors belong to the process and not to its number: once it has died every look at them fails, whoever was
/// given the number since.
final class KnownProcess {
    let pid: Int32
    /// The place of /proc/PID.
    private let directory: FileDescriptor
    /// Its /proc/PID/environ or maps, opened for the memory of the program that runs: exec(2) gives the process another, and what
    /// was opened for the old one has nothing to read any more.
    private var memory: FileDescriptor?
    private var identity: clx_process
    /// The bytes of the executable's path, compared with the kernel's at every look.
    private var executable: [CChar]
    /// What is the same for every request of the program: no uid, no cgroup.
    private(set) var record: ProcessRecord
    private(set) var context: [String: String]
    /// When it was last asked for, by the inspector's count of questions.
    var lastUse: UInt64 = 0

    private let variables: [String]
    private let access: ProcessAccess

    /// Looks at a process; nil when it is gone, or keeps changing while it is looked at.
    init?(pid: Int32, variables: [String], access: ProcessAccess) {
        guard let directory = try? FileDescriptor.open("/proc/\(pid)", [.place, .directory]) else { return nil }
        self.pid = pid
        self.directory = directory
        self.variables = variables
        self.access = access
        identity = clx_process()
        executable = []
        record = ProcessRecord()
        context = [:]
        guard look() else { return nil }
    }

    /// Whether it still runs, with what it runs now read anew if it has called exec(2) since.
    func refresh() -> Bool {
        // The executable too: a process may share its memory with its parent until it calls exec(2).
        let result = unsafe clx_link_is(directory.rawValue, "exe", executable, executable.count)
        if result == 1, hasMemory { return true }
        var now = clx_process()
        guard stat(&now) else { return false }
        // ENOENT: a thread of the kernel, or a process that has no memory any more.
        if unsafe clx_same_program(&now, &identity), result == 1 || (result == -ENOENT && executable.isEmpty) {
            return true
        }
        return look()
    }

    private var hasMemory: Bool {
        switch memory {
        case .some(let memory): clx_is_readable(memory.rawValue)
        case .none: false
        }
    }

    /// Reads /proc/PID/task/PID/stat: unlike that of /proc/PID/stat its cost does not grow with the number of threads.
    private func stat(_ process: inout clx_process) -> Bool {
        guard let file = try? FileDescriptor.open("task/\(pid)/stat", .read, in: directory.rawValue) else {
            return false
        }
        return unsafe clx_process_stat(file.rawValue, &process) >= 0
    }

    /// The inode of the socket behind a descriptor; 0 when it is none, nil when there is none or the process is gone.
    func socket(at descriptor: Int32) -> UInt64? {
        guard descriptor >= 0 else { return nil }
        let inode = unsafe clx_socket_inode_at(directory.rawValue, access.descriptors, descriptor, access.sockets)
        return UInt64(exactly: inode)
    }

    /// Whether the file that runs is the one that this host has at the executable's path.
    ///
    /// A program in a mount namespace of its own can put any file at any path.
    func runsFileOfHost() -> Bool {
        guard let path = record.executable else { return false }
        var running = clx_file()
        var named = clx_file()
        return unsafe clx_stat(directory.rawValue, "exe", 0, &running) >= 0
            && clx_stat(AT_FDCWD, path, 0, &named) >= 0
            && running.device == named.device && running.inode == named.inode
    }

    /// The effective user; nil when the process is gone.
    func uid() -> UInt32? { Self.uid("status", in: directory.rawValue) }

    /// The effective user that a status file names: the second number of the line `Uid:` (proc_pid_status(5)).
    static func uid(_ path: String, in directory: Int32? = nil) -> UInt32? {
        guard let text = try? SmallFile.read(path, in: directory, limit: 4096),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Uid:") })
        else { return nil }
        let fields = line.split { $0 == "\t" || $0 == " " }
        return fields.count > 2 ? UInt32(fields[2]) : nil
    }

    /// Reads everything, and again when exec(2) came in between: half of one program and half of the next is no record.
    private func look() -> Bool {
        for _ in 0..<3 {
            var before = clx_process()
            guard stat(&before) else { return false }
            memory = try? FileDescriptor.open(access.memory, .read, in: directory.rawValue)
            executable = link("exe")
            var record = ProcessRecord(pid: pid)
            record.executable = executable.isEmpty ? nil : text(executable)
            record.command = ProcessText.command(
                (try? SmallFile.bytes("cmdline", in: directory.rawValue, limit: ProcessText.commandLimit)) ?? [],
            )
            if record.command.isEmpty {
                record.command = unsafe ["[\(String(cString: clx_process_name(&before)))]"]
            }
            record.ancestors = Self.ancestors(from: before.parent)
            let context =
                variables.isEmpty
                ? [:]
                : ProcessText.variables(
                    variables,
                    in: access.environment(of: pid, before, in: directory.rawValue, limit: 1 << 16),
                )
            var after = clx_process()
            guard stat(&after) else { return false }
            guard unsafe clx_same_program(&before, &after) else { continue }
            identity = before
            self.record = record
            self.context = context
            return true
        }
        return false
    }

    private func link(_ name: String) -> [CChar] {
        unsafe [CChar](unsafeUninitializedCapacity: 4096) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            count = unsafe max(0, Int(clx_readlink(directory.rawValue, name, start, 4096)))
        }
    }

    private func text(_ bytes: [CChar]) -> String {
        String(decoding: bytes.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// The names of the parents, nearest first, without the first process of the system, which is everybody's.
    private static func ancestors(from parent: Int32) -> [String] {
        var names: [String] = []
        var pid = parent
        while pid > 1, names.count < 8 {
            var process = clx_process()
            guard let stat = try? FileDescriptor.open("/proc/\(pid)/stat", .read),
                unsafe clx_process_stat(stat.rawValue, &process) >= 0
            else { break }
            unsafe names.append(String(cString: clx_process_name(&process)))
            pid = process.parent
        }
        return names
    }
}
