import CLinux
import Glibc
package import Model

/// What the service manager is told, and what it keeps for the next start of the service.
///
/// The protocols of sd_notify(3) and sd_listen_fds(3), which systemd promises to keep. Without a service manager every
/// call does nothing.
package struct ServiceManager: Sendable {
    /// One thing to tell.
    package enum Notice: Hashable, Sendable {
        /// The service serves; also after a reload.
        case ready
        /// It reads its configuration again; `ready` follows (systemd 253 waits for it).
        case reloading
        case stopping
        /// It is not stuck.
        case alive
        /// What `systemctl status` shows; control characters become spaces.
        case status(String)
    }

    private let path: String?
    /// Whether there is one.
    package var isThere: Bool { path != nil }
    /// How often `alive` must be told, at least; nil when nobody watches.
    package let watchdog: Instant.Span?
    /// The descriptors that were kept, by name; those of one name in the order in which they were given.
    package let kept: [(name: String, descriptor: Int32)]

    // SD_LISTEN_FDS_START of systemd/sd-daemon.h.
    private static let firstKept: Int32 = 3

    /// Reads what the service manager left in the environment of this process.
    ///
    /// What is kept is the caller's now, and closed in programs that it starts: ask once.
    package init(environment: (String) -> String?, pid: Int32) {
        path = environment("NOTIFY_SOCKET")
        watchdog = Self.watchdog(environment, pid: pid)
        kept = Self.kept(environment, pid: pid)
        for (_, descriptor) in kept { _ = clx_close_on_exec(descriptor) }
    }

    /// The environment of this process.
    package static func ofProcess() -> ServiceManager {
        ServiceManager(
            environment: { name in unsafe getenv(name).map { unsafe String(cString: $0) } },
            pid: getpid(),
        )
    }

    private static func watchdog(_ environment: (String) -> String?, pid: Int32) -> Instant.Span? {
        if let watched = environment("WATCHDOG_PID"), watched != "\(pid)" { return nil }
        guard let text = environment("WATCHDOG_USEC"), let microseconds = Int64(text), microseconds > 0,
            microseconds < Int64.max / 1000
        else { return nil }
        return .microseconds(microseconds)
    }

    private static func kept(_ environment: (String) -> String?, pid: Int32) -> [(name: String, descriptor: Int32)] {
        guard environment("LISTEN_PID") == "\(pid)", let text = environment("LISTEN_FDS"), let count = Int32(text),
            (1...1024).contains(count)
        else { return [] }
        let names = (environment("LISTEN_FDNAMES") ?? "").split(separator: ":", omittingEmptySubsequences: false)
        return (0..<count).map { index in
            let name = names.indices.contains(Int(index)) ? String(names[Int(index)]) : ""
            return (name, firstKept + index)
        }
    }

    /// Tells it; false when there is nobody to tell, or it did not take the message.
    @discardableResult
    package func tell(_ notices: Notice...) -> Bool {
        send(notices.map(\.line).joined(separator: "\n"))
    }

    /// Has it keep a copy of descriptors until the service is stopped for good, over restarts and crashes.
    ///
    /// The unit needs FileDescriptorStoreMax. A name has neither colons nor control characters, and at most 255 bytes.
    @discardableResult
    package func keep(_ descriptors: [Int32], name: String) -> Bool {
        // Without the poll it would drop what has an error pending: a netlink socket whose buffer was full for a moment.
        send("FDSTORE=1\nFDPOLL=0\nFDNAME=\(Self.oneLine(name))", passing: descriptors)
    }

    /// Has it close the copies of this name.
    @discardableResult
    package func forget(name: String) -> Bool { send("FDSTOREREMOVE=1\nFDNAME=\(Self.oneLine(name))") }

    private func send(_ text: String, passing descriptors: [Int32] = []) -> Bool {
        guard let path else { return false }
        do throws(Errno) {
            try ServiceSocket().send(Array(text.utf8), to: path, passing: descriptors)
            return true
        } catch {
            return false
        }
    }

    fileprivate static func oneLine(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? " " : $0 }))
    }
}

extension ServiceManager.Notice {
    /// The assignments that say it.
    fileprivate var line: String {
        switch self {
        case .ready: "READY=1"
        // CLOCK_MONOTONIC, and not the clock of an Instant, which counts suspends too.
        case .reloading: "RELOADING=1\nMONOTONIC_USEC=\(clx_monotonic_microseconds())"
        case .stopping: "STOPPING=1"
        case .alive: "WATCHDOG=1"
        case .status(let text): "STATUS=\(ServiceManager.oneLine(text))"
        }
    }
}
