internal import CNetfilter
package import Wire

/// Packets that the kernel settled alone and tells of: what the maps let through, and what a fixed rule refused.
package final class PacketLog {
    /// For the event loop: readable when a packet was logged.
    package let descriptor: Int32
    private var buffer = [UInt8](repeating: 0, count: 65536)

    /// The headers are all that is read of a logged packet.
    private static let copied: UInt32 = 128

    /// Whether the socket is that of an earlier process: what was logged meanwhile waits.
    package let isKept: Bool
    /// Why a socket that was kept is not used.
    package let refusal: String?

    private static let receiveBuffer: UInt32 = 16 << 20

    /// Binds the groups, or takes them over with one of the sockets that an earlier process had; the others are closed.
    package init(_ groups: [UInt16], kept: [Int32] = []) throws(NetfilterError) {
        let (found, refusal) = KeptSocket.choose(kept, buffer: Self.receiveBuffer, bound: (.logs, Set(groups)))
        self.refusal = refusal
        self.isKept = found != nil
        if let found {
            self.descriptor = found.descriptor
            return
        }
        self.descriptor = try check(
            enf_open(KeptSocket.netfilter, Self.receiveBuffer),
            "opening a netfilter log socket"
        )
        for group in groups {
            let result = enf_log_bind(descriptor, group, Self.copied)
            // Closed by `deinit`.
            guard result >= 0 else {
                throw NetfilterError(code: -result, operation: "binding log group \(group)", isTaken: true)
            }
        }
    }

    deinit { enf_close(descriptor) }

    /// Reads what waits, at most `limit` datagrams.
    ///
    /// Throws `noBuffers` when the kernel had to drop messages.
    package func read(limit: Int, _ body: (_ message: LogMessage, _ bytes: RawSpan) -> Void) throws(NetfilterError) {
        for _ in 0..<limit {
            let capacity = buffer.count
            let count = unsafe buffer.withUnsafeMutableBufferPointer { bytes in
                guard let start = bytes.baseAddress else { return 0 }
                return unsafe enf_receive(descriptor, start, capacity, false)
            }
            if count == -Int(NetfilterError.again) { return }
            guard count >= 0 else {
                throw NetfilterError(code: Int32(-count), operation: "reading from the netfilter log")
            }
            let span = unsafe buffer.span.bytes.extracting(0..<count)
            var messages = NetlinkMessages()
            while let message = try? messages.next(in: span) {
                // NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET.
                guard message.type == 4 << 8 else { continue }
                let payload = span.extracting(message.payload)
                guard let read = try? LogMessage(payload) else { continue }
                body(read, payload)
            }
        }
    }
}
