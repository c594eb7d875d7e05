import CLinux

/// A TCP connection that never blocks and keeps what it could not write yet.
package final class StreamConnection {
    /// The most bytes that wait to be written.
    package static let writeLimit = 256 << 10

    /// For the event loop, with `interest`; -1 once closed.
    package private(set) var descriptor: Int32
    package let peer: SocketAddress
    /// The mark of the socket.
    ///
    /// That of the packet which opened the connection when `net.ipv4.tcp_fwmark_accept` is 1, which counts for IPv6 too;
    /// 0 otherwise.
    package let mark: UInt32

    private var pending: [UInt8] = []
    private var sent = 0

    init(_ socket: consuming FileDescriptor, peer: SocketAddress) {
        mark = UInt32(clamping: clx_socket_mark(socket.rawValue))
        descriptor = socket.release()
        self.peer = peer
    }

    deinit { close() }

    /// How many bytes wait to be written.
    package var pendingBytes: Int { pending.count - sent }

    /// What to wait for: reading, and writing as long as bytes wait.
    package var interest: Interest { pendingBytes > 0 ? [.read, .write] : .read }

    /// Appends what has come, at most `limit` bytes: their count, 0 at the end, nil when nothing is there yet.
    package func read(into buffer: inout [UInt8], limit: Int = 16384) throws(Errno) -> Int? {
        try UnixSocket.receive(on: descriptor, into: &buffer, limit: max(1, limit))
    }

    /// Sends as much as the kernel takes and keeps the rest for `flush`.
    ///
    /// False, and nothing is taken, when more than `writeLimit` bytes would wait.
    package func write(_ bytes: [UInt8]) throws(Errno) -> Bool {
        guard bytes.count <= Self.writeLimit - pendingBytes else { return false }
        var taken = 0
        if pendingBytes == 0 { taken = try UnixSocket.send(on: descriptor, bytes) ?? 0 }
        guard taken < bytes.count else { return true }
        dropSent()
        pending += bytes[taken...]
        return true
    }

    /// Sends what waits; true when nothing waits any more.
    package func flush() throws(Errno) -> Bool {
        while pendingBytes > 0 {
            guard let count = try UnixSocket.send(on: descriptor, pending, from: sent), count > 0 else { return false }
            sent += count
        }
        dropSent()
        return true
    }

    /// Closes the connection and forgets what waits; nothing when it is closed.
    package func close() {
        guard descriptor >= 0 else { return }
        _ = clx_close(descriptor)
        descriptor = -1
        pending = []
        sent = 0
    }

    private func dropSent() {
        if sent == pending.count {
            pending.removeAll(keepingCapacity: true)
        } else {
            pending.removeFirst(sent)
        }
        sent = 0
    }
}
