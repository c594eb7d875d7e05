internal import Daemon
internal import Glibc
internal import Model
internal import System

/// The command line: `egressd COMMAND …`.
enum Command {
    /// Exit statuses, as the documentation promises them.
    enum Status {
        static let done: Int32 = 0
        /// The answer is no: a bad policy, a failed test, a denied destination.
        static let no: Int32 = 1
        static let usage: Int32 = 2
        static let unreachable: Int32 = 3
        static let notPermitted: Int32 = 4
    }

    static func run(_ words: [String]) -> Int32 {
        var arguments = Arguments(words)
        do {
            switch words.first {
            case nil:
                complain(Help.top)
                return Status.usage
            case "--help", "-h", "help":
                return try help(words.dropFirst())
            case "version", "--version":
                return try version(words.dropFirst())
            case "run":
                _ = arguments.next()
                return try run(&arguments)
            case "sockets":
                _ = arguments.next()
                return try sockets(&arguments)
            case "boot":
                _ = arguments.next()
                return try boot(&arguments)
            case "policy":
                _ = arguments.next()
                return try PolicyCommand.run(&arguments)
            case "coverage":
                _ = arguments.next()
                return try CoverageCommand.run(&arguments)
            case "ctl":
                _ = arguments.next()
                return try ControlCommand.run(&arguments)
            case let word?:
                throw UsageError("unknown command '\(word)'")
            }
        } catch let error as UsageError {
            complain("egressd: \(error.message)\nTry 'egressd --help'.")
            return Status.usage
        } catch {
            complain("egressd: \(error)")
            return Status.no
        }
    }

    /// `help`, and `help COMMAND`.
    private static func help(_ words: ArraySlice<String>) throws -> Int32 {
        guard let word = words.first, words.count > 1 || !["help", "--help", "-h"].contains(word) else {
            print(Help.top)
            return Status.done
        }
        guard let text = Help.commands[word] else { throw UsageError("unknown command '\(word)'") }
        guard words.count == 1 else { throw UsageError("unknown argument '\(words[words.startIndex + 1])'") }
        print(text)
        return Status.done
    }

    private static func version(_ words: ArraySlice<String>) throws -> Int32 {
        var arguments = Arguments(Array(words))
        if arguments.flag("--help") || arguments.flag("-h") {
            print(Help.version)
            return Status.done
        }
        let json = arguments.flag("--json")
        try arguments.finish()
        let answer: JSON = ["version": .string(Daemon.version)]
        print(json ? answer.description : "egressd \(Daemon.version)")
        return Status.done
    }

    private static func run(_ arguments: inout Arguments) throws -> Int32 {
        if arguments.flag("--help") || arguments.flag("-h") {
            print(Help.run)
            return Status.done
        }
        let path = try arguments.option("--config") ?? "/etc/egressd/egressd.yaml"
        let helper = try arguments.option("--sockets")
        try arguments.finish()
        // Before anything else fails for the same reason and says it less plainly.
        guard Capability.netAdmin.isEffective ?? true else {
            Log.error("CAP_NET_ADMIN is missing: run as root, or with CAP_NET_ADMIN and CAP_SYS_PTRACE")
            Log.error("not started")
            return Status.no
        }
        let daemon: Daemon
        do {
            do { try FileDescriptor.raiseLimit() } catch {
                Log.warning("the limit of open descriptors stays as it is: \(error)")
            }
            daemon = try Daemon(configurationPath: path, helper: helper, loop: EventLoop())
        } catch {
            for line in "\(error)".split(separator: "\n") { Log.error(String(line)) }
            Log.error("not started")
            return Status.no
        }
        do {
            try daemon.run()
            return Status.done
        } catch {
            // It said why.
            return Status.no
        }
    }

    private static func sockets(_ arguments: inout Arguments) throws -> Int32 {
        if arguments.flag("--help") || arguments.flag("-h") {
            print(Help.sockets)
            return Status.done
        }
        let path = try arguments.option("--listen")
        try arguments.finish()
        let given = ServiceManager.ofProcess().kept.first.map(\.descriptor)
        guard given != nil || path != nil else {
            throw UsageError("no socket was handed over by the service manager; give one with --listen PATH")
        }
        let loop = try EventLoop()
        let listener = if let path { try SocketHelper.listen(at: path) } else { FileDescriptor(given ?? -1) }
        let helper = try SocketHelper(loop, listener: listener)
        try loop.onSignals([SIGTERM, SIGINT]) { _ in loop.stop() }
        try withExtendedLifetime(helper) { try loop.run() }
        return Status.done
    }

    private static func boot(_ arguments: inout Arguments) throws -> Int32 {
        if arguments.flag("--help") || arguments.flag("-h") {
            print(Help.boot)
            return Status.done
        }
        let undo = arguments.flag("--undo")
        let path = try arguments.option("--config") ?? "/etc/egressd/egressd.yaml"
        try arguments.finish()
        guard !undo else {
            try Boot.open(configurationPath: path)
            return Status.done
        }
        try Boot.close(configurationPath: path)
        return Status.done
    }

    /// What became of what was printed.
    enum Output {
        case written
        /// The reader is gone: it has what it wanted.
        case unread
        case failed
    }

    /// Writes out what was printed, and says so when that fails.
    static func flush() -> Output {
        do throws(Errno) {
            try StandardOutput.flush()
            return .written
        } catch {
            guard error != .brokenPipe else { return .unread }
            complain("egressd: cannot write: \(error.text)")
            return .failed
        }
    }

    /// Writes to standard error.
    static func complain(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = unsafe bytes.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
