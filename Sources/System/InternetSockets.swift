import CLinux
import Model

/// Where the daemon's TCP and UDP sockets come from: made here, or by a helper (`SocketHelper`) when the daemon itself may
/// make none (RestrictAddressFamilies, IPAddressDeny).
///
/// A socket carries the cgroup of whoever made it: with a helper it is the helper's cgroup that the table lets reach the
/// name servers. Sockets are asked for ahead, so that a question to a name server waits for no other process. Not
/// thread-safe: it belongs to the loop's thread.
package final class InternetSockets {
    /// What a socket is for.
    package struct Kind: Hashable, Sendable {
        package let isV6: Bool
        package let isStream: Bool

        package init(isV6: Bool, isStream: Bool) {
            self.isV6 = isV6
            self.isStream = isStream
        }

        package static let all = [false, true].flatMap { isV6 in
            [false, true].map { Kind(isV6: isV6, isStream: $0) }
        }

        /// How many are asked for at once: as many questions may begin before the helper has run again.
        var batch: Int { isStream ? 8 : Int(CLX_PASSED_MAX) }
    }

    /// How long the helper may take to answer when nothing is ready any more: every packet waits meanwhile.
    private static let patience = Instant.Span.milliseconds(50)
    /// How long at the start, when it may have to be started.
    private static let firstPatience = Instant.Span.seconds(10)

    /// Where the helper listens; nil without one.
    package let path: String?
    private var connection: Int32 = -1
    private var ready: [Kind: [Int32]] = [:]
    private var awaited: Set<Kind> = []
    /// The helper was waited for in vain, and has not answered since.
    private var isSilent = false

    /// The helper's process, as the kernel tells it; nil without a helper.
    package private(set) var helper: Int32?
    /// For the event loop: readable when the helper answered, hung up when it is gone; nil without a helper.
    package var descriptor: Int32? { connection >= 0 ? connection : nil }

    /// Makes every socket itself.
    package init() { path = nil }

    /// Has a helper make them; throws when none answers at this path.
    package init(helper path: String) throws(Errno) {
        self.path = path
        try connect()
        let deadline = Clock.now() + Self.firstPatience
        while !isStocked {
            guard try receive(until: deadline) else { throw .timedOut }
        }
    }

    deinit { drop() }

    /// A socket that is nowhere yet.
    ///
    /// EPIPE while the helper is gone, EAGAIN when it does not answer in time or has none.
    package func take(_ kind: Kind) throws(Errno) -> FileDescriptor {
        guard path != nil else {
            return try FileDescriptor(checking: clx_internet_socket(kind.isV6, kind.isStream))
        }
        guard connection >= 0 else { throw .brokenPipe }
        if ready[kind, default: []].count <= kind.batch / 2 {
            while try receive(waits: false) {}
            try ask(for: kind)
        }
        if ready[kind, default: []].isEmpty { try wait(for: kind) }
        guard let socket = ready[kind]?.popLast() else { throw .wouldBlock }
        return FileDescriptor(socket)
    }

    /// Connects to the helper anew, which may take its time to answer; what the last one made is closed.
    package func connect() throws(Errno) {
        guard let path else { return }
        drop()
        connection = try Errno.check(unsafe clx_messages_connect(path))
        for kind in Kind.all { try ask(for: kind) }
    }

    /// Takes what the helper answered; false when it is gone.
    package func collect() -> Bool {
        do throws(Errno) {
            while try receive(waits: false) {}
            return true
        } catch {
            return false
        }
    }

    /// Whether one of each kind is there.
    package var isStocked: Bool { missing.isEmpty }

    /// Asks for the kinds of which none is there, again where the helper had none.
    package func restock() throws(Errno) {
        for kind in missing { try ask(for: kind) }
    }

    private var missing: [Kind] { path == nil ? [] : Kind.all.filter { ready[$0, default: []].isEmpty } }

    /// Waits for an answer that brings sockets of a kind.
    private func wait(for kind: Kind) throws(Errno) {
        // One that hangs is waited for once: a loop that did so again and again would stand still itself.
        guard !isSilent else { throw .wouldBlock }
        let deadline = Clock.now() + Self.patience
        while awaited.contains(kind) {
            guard try receive(until: deadline) else {
                isSilent = true
                throw .wouldBlock
            }
        }
    }

    private func ask(for kind: Kind) throws(Errno) {
        guard awaited.insert(kind).inserted else { return }
        let request = SocketRequest(kind: kind, count: kind.batch)
        let bytes = request.bytes
        let result = unsafe clx_message_send(connection, bytes, bytes.count, [], 0)
        if result < 0 { awaited.remove(kind) }
        // A helper that does not keep up is asked again by the next.
        if result != -EAGAIN { try Errno.check(result) }
    }

    /// Takes one answer in, if one comes before the deadline; whether one did.
    private func receive(until deadline: Instant) throws(Errno) -> Bool {
        let rest = (deadline - Clock.now()).nanoseconds / 1_000_000
        // No time at all would be no limit to the kernel.
        guard rest > 0 else { return try receive(waits: false) }
        try Errno.check(clx_set_receive_timeout(connection, rest))
        return try receive(waits: true)
    }

    /// Takes one answer in; false when none is there.
    @discardableResult
    private func receive(waits: Bool) throws(Errno) -> Bool {
        var bytes = [UInt8](repeating: 0, count: SocketRequest.size + 1)
        var passed = [Int32](repeating: -1, count: Int(CLX_PASSED_MAX))
        var count: Int32 = 0
        var pid: Int32 = 0
        let length = unsafe clx_message_receive(connection, &bytes, bytes.count, waits, &passed, &count, &pid)
        if length == -Int(EAGAIN) { return false }
        try Errno.check(length)
        let sockets = passed.prefix(Int(count))
        // The end is as empty as a message without bytes, which may carry descriptors.
        if length == 0, sockets.isEmpty { throw .brokenPipe }
        guard let answer = SocketRequest(bytes.prefix(length)), awaited.remove(answer.kind) != nil,
            sockets.count == answer.count,
            sockets.allSatisfy({ clx_is_internet_socket($0, answer.kind.isV6, answer.kind.isStream) })
        else {
            for socket in sockets { _ = clx_close(socket) }
            // What answers something else is no helper: it hangs up, and the next one is asked.
            _ = clx_shutdown_write(connection)
            throw .invalidArgument
        }
        isSilent = false
        if pid > 0 { helper = pid }
        ready[answer.kind, default: []] += sockets
        return true
    }

    private func drop() {
        for socket in ready.values.joined() { _ = clx_close(socket) }
        ready = [:]
        awaited = []
        isSilent = false
        helper = nil
        if connection >= 0 { _ = clx_close(connection) }
        connection = -1
    }
}
