import CLinux

/// Tells when a file may have changed that is replaced rather than written, may be a link, and may not exist yet.
///
/// Every directory on the way to the file is watched for the next name of that way, links and what they lead to
/// included, and the file itself. Writing in place counts when the writer closes the file: wait a moment before
/// reading, for a program that empties a file first and fills it with a second call.
package final class FileWatch {
    /// The absolute path of the file.
    package let path: String
    private let socket: FileDescriptor
    private var names: [Int32: Set<String>] = [:]
    private var version: FileVersion?
    private var isComplete = false
    private var buffer: [UInt8] = []

    /// How often the way to a file may change while its watches are set, before the rest is left to the next time.
    private static let attempts = 8
    private static let bufferSize = 16384

    /// Watches a path, which need not lead to anything; EINVAL when it is not absolute.
    package init(_ path: String) throws(Errno) {
        guard path.utf8.first == UInt8(ascii: "/"), !path.utf8.contains(0) else { throw Errno.invalidArgument }
        self.path = path
        socket = try FileDescriptor(checking: clx_watch_create())
        renew()
        version = FileVersion(path)
    }

    /// For the event loop: readable when something happened near the file.
    package var descriptor: Int32 { socket.rawValue }

    /// Takes what happened back; true when the file came, went, was replaced or written.
    ///
    /// May be called at any time: it looks at the file too, and sets the watches that could not be set before.
    package func drain() -> Bool {
        let hasHappened = readEvents()
        if hasHappened || !isComplete { renew() }
        let now = FileVersion(path)
        defer { version = now }
        if now != version, !hasHappened { renew() }
        return hasHappened || now != version
    }

    // ---- Watches

    /// Watches the way to the file as it is now.
    private func renew() {
        for _ in 0..<Self.attempts {
            let way = FileWay(to: path)
            let watched = watch(way)
            // What changed before its watch was set would not be told.
            isComplete = watched && FileWay(to: path) == way
            if isComplete { return }
        }
    }

    /// False when a watch could not be set.
    private func watch(_ way: FileWay) -> Bool {
        var names: [Int32: Set<String>] = [:]
        var isWhole = true
        for step in way.steps {
            let watch = unsafe clx_watch_directory(descriptor, step.directory)
            if watch >= 0 { names[watch, default: []].insert(step.name) } else { isWhole = false }
        }
        if let file = way.file {
            let watch = unsafe clx_watch_file(descriptor, file)
            if watch >= 0 { names[watch, default: []] = [] } else { isWhole = false }
        }
        for watch in self.names.keys where names[watch] == nil { _ = clx_watch_remove(descriptor, watch) }
        self.names = names
        return isWhole
    }

    // ---- Events

    /// Whether one of the events that wait is about the file or the way to it.
    private func readEvents() -> Bool {
        var hasHappened = false
        buffer.removeAll(keepingCapacity: true)
        while let count = try? UnixSocket.receive(on: descriptor, into: &buffer, limit: Self.bufferSize), count > 0 {
            var events = WatchEvents()
            while let event = unsafe events.next(in: buffer.span.bytes) {
                if concernsFile(event) { hasHappened = true }
            }
            buffer.removeAll(keepingCapacity: true)
        }
        return hasHappened
    }

    private func concernsFile(_ event: WatchEvents.Event) -> Bool {
        if event.isOverflow { return true }
        guard !event.isIgnored, let names = names[event.watch] else { return false }
        guard let name = event.name else { return true }
        return names.contains(name)
    }
}

/// What tells one content of a file from the next.
private struct FileVersion: Equatable {
    let numbers: [UInt64]
    let size: Int64
    let changed: Int64

    /// Nil when there is no file.
    init?(_ path: String) {
        var version = clx_version()
        guard unsafe clx_file_version(path, &version) >= 0 else { return nil }
        numbers = [version.device, version.inode]
        size = version.size
        changed = version.changed
    }
}
