internal import CNetfilter
package import Wire

/// The queues that the kernel's questions come through, on one netlink socket.
package final class PacketQueues {
    /// What becomes of a packet.
    package enum Answer: UInt16, Sendable {
        // NF_DROP and NF_REPEAT of include/uapi/linux/netfilter.h.
        case drop = 0
        case again = 4
    }

    /// For the event loop: readable when a packet waits.
    package let descriptor: Int32
    private var buffer: [UInt8]
    private var verdicts: [enf_verdict] = []

    /// How many packets a queue holds before the kernel drops.
    package static let length: UInt32 = 4096

    /// Binds the queues.
    ///
    /// Fails when another program has one of them.
    package init(_ numbers: ClosedRange<UInt16>) throws(NetfilterError) {
        self.descriptor = try check(enf_open(12, 16 << 20), "opening a netfilter queue socket")
        // A packet of 64 KiB with its attributes.
        self.buffer = [UInt8](repeating: 0, count: 65536 + 4096)
        for number in numbers {
            let result = enf_queue_bind(descriptor, number, Self.length, 0xffff)
            if result < 0 {
                enf_close(descriptor)
                throw NetfilterError(code: -result, operation: "binding queue \(number)", isTaken: true)
            }
        }
    }

    deinit { enf_close(descriptor) }

    /// Reads what waits, at most `limit` packets, and hands each to the caller.
    ///
    /// True when more may wait. Throws `noBuffers` when the kernel had to drop messages.
    package func read(
        limit: Int,
        _ body: (_ message: QueueMessage, _ bytes: RawSpan) -> Void,
    ) throws(NetfilterError) -> Bool {
        for _ in 0..<limit {
            let capacity = buffer.count
            let count = unsafe buffer.withUnsafeMutableBufferPointer { bytes in
                guard let start = bytes.baseAddress else { return 0 }
                return unsafe enf_receive(descriptor, start, capacity, false)
            }
            if count == -Int(NetfilterError.again) { return false }
            guard count >= 0 else {
                throw NetfilterError(code: Int32(-count), operation: "reading from the netfilter queues")
            }
            let span = unsafe buffer.span.bytes.extracting(0..<count)
            var messages = NetlinkMessages()
            while let message = try? messages.next(in: span) {
                // NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET.
                guard message.type == 3 << 8 else { continue }
                let payload = span.extracting(message.payload)
                guard let read = try? QueueMessage(payload) else { continue }
                body(read, payload)
            }
        }
        return true
    }

    /// Notes an answer; `flush` sends it.
    package func answer(_ queue: UInt16, _ packet: UInt32, _ answer: Answer) {
        verdicts.append(enf_verdict(id: packet, queue: queue, verdict: answer.rawValue))
    }

    /// Sends the answers noted so far.
    package func flush() throws(NetfilterError) {
        guard !verdicts.isEmpty else { return }
        defer { verdicts.removeAll(keepingCapacity: true) }
        try check(unsafe enf_queue_verdicts(descriptor, verdicts, UInt32(verdicts.count)), "answering queued packets")
    }
}
