internal import CNetfilter
package import Wire

/// The queues that the kernel's questions come through, on one netlink socket.
package final class PacketQueues {
    /// What becomes of a packet.
    package enum Answer: UInt16, Sendable {
        // NF_DROP, NF_ACCEPT and NF_REPEAT of include/uapi/linux/netfilter.h.
        case drop = 0
        case pass = 1
        case again = 4
    }

    /// For the event loop: readable when a packet waits.
    package let descriptor: Int32
    private var buffers: [UInt8]
    private var lengths = [UInt32](repeating: 0, count: PacketQueues.round)
    private var verdicts: [enf_verdict] = []

    /// A packet of 64 KiB with its attributes.
    private static let size = 65536 + 4096
    /// How many are read with one call.
    private static let round = 8

    /// How many packets a queue holds before the kernel drops.
    package static let length: UInt32 = 4096

    /// Binds the queues.
    ///
    /// Fails when another program has one of them.
    package init(_ numbers: ClosedRange<UInt16>) throws(NetfilterError) {
        self.descriptor = try check(enf_open(12, 16 << 20), "opening a netfilter queue socket")
        self.buffers = [UInt8](repeating: 0, count: Self.size * Self.round)
        for number in numbers {
            let result = enf_queue_bind(descriptor, number, Self.length, 0xffff)
            if result < 0 {
                enf_close(descriptor)
                throw NetfilterError(code: -result, operation: "binding queue \(number)", isTaken: true)
            }
        }
    }

    deinit { enf_close(descriptor) }

    /// Reads some of what waits and hands each packet to the caller; how many messages there were.
    ///
    /// Throws `noBuffers` when the kernel had to drop messages.
    package func read(_ body: (_ message: QueueMessage, _ bytes: RawSpan) -> Void) throws(NetfilterError) -> Int {
        let count = try check(
            unsafe enf_receive_some(descriptor, &buffers, Self.size, &lengths, UInt32(Self.round)),
            "reading from the netfilter queues",
        )
        for index in 0..<Int(count) {
            let start = index * Self.size
            let span = unsafe buffers.span.bytes.extracting(start..<start + Int(lengths[index]))
            var messages = NetlinkMessages()
            while let message = try? messages.next(in: span) {
                // NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET.
                guard message.type == 3 << 8 else { continue }
                let payload = span.extracting(message.payload)
                guard let read = try? QueueMessage(payload) else { continue }
                body(read, payload)
            }
        }
        return Int(count)
    }

    /// Notes an answer; `flush` sends it.
    package func answer(_ queue: UInt16, _ packet: UInt32, _ answer: Answer) {
        verdicts.append(enf_verdict(id: packet, queue: queue, verdict: answer.rawValue))
    }

    /// Sends the answers noted so far.
    ///
    /// Those that could not be sent are kept for the next time: a packet that waits is not sent anew by its program.
    package func flush() throws(NetfilterError) {
        guard !verdicts.isEmpty else { return }
        var sent: UInt32 = 0
        let result = unsafe enf_queue_verdicts(descriptor, verdicts, UInt32(verdicts.count), &sent)
        verdicts.removeFirst(Int(sent))
        try check(result, "answering queued packets")
    }
}
