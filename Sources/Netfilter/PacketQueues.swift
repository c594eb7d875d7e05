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
    /// The netlink port of a socket that an earlier process has left; nil for a new one.
    private let keptPort: UInt32?
    /// Of a queue that is kept: the last packet that was sent through the rules again; what was said of it counts no more.
    private var stale: [UInt16: UInt32] = [:]
    /// Whether the kernel told, while something else was asked, that it had to drop packets because nobody read them.
    private var hasLost = false

    /// Whether the queues are those of an earlier process: what came meanwhile waits.
    package var isKept: Bool { keptPort != nil }
    /// Why a socket that was kept is not used.
    package let refusal: String?

    /// A packet of 64 KiB with its attributes.
    private static let size = 65536 + 4096
    /// How many are read with one call.
    private static let round = 8

    /// How many packets a queue holds before the kernel drops.
    package static let length: UInt32 = 4096

    /// The receive buffer: every packet that may wait in the queues, as the kernel counts them.
    private static let receiveBuffer: UInt32 = 16 << 20

    /// Binds the queues, or takes them over with one of the sockets that an earlier process had; the others are closed.
    ///
    /// Fails when another program has one of them.
    package init(_ numbers: ClosedRange<UInt16>, kept: [Int32] = []) throws(NetfilterError) {
        self.buffers = [UInt8](repeating: 0, count: Self.size * Self.round)
        let (found, refusal) = KeptSocket.choose(
            kept,
            buffer: Self.receiveBuffer,
            bound: (.queues, Set(numbers)),
        )
        self.refusal = refusal
        self.keptPort = found?.port
        if let found {
            self.descriptor = found.descriptor
            return
        }
        self.descriptor = try check(
            enf_open(KeptSocket.netfilter, Self.receiveBuffer),
            "opening a netfilter queue socket"
        )
        for number in numbers {
            let result = enf_queue_bind(descriptor, number, Self.length, 0xffff)
            // Closed by `deinit`.
            guard result >= 0 else {
                throw NetfilterError(code: -result, operation: "binding queue \(number)", isTaken: true)
            }
        }
    }

    deinit { enf_close(descriptor) }

    /// Reads some of what waits and hands each packet to the caller; how many messages there were.
    ///
    /// Throws `noBuffers` when the kernel had to drop messages.
    package func read(_ body: (_ message: QueueMessage, _ bytes: RawSpan) -> Void) throws(NetfilterError) -> Int {
        try readAll { message, bytes in
            if !isStale(message) { body(message, bytes) }
        }
    }

    private func readAll(_ body: (_ message: QueueMessage, _ bytes: RawSpan) -> Void) throws(NetfilterError) -> Int {
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

    private func isStale(_ message: QueueMessage) -> Bool {
        guard let last = stale[message.queue] else { return false }
        if Self.isAfter(message.packetID, last) {
            // Those of one queue come in order.
            stale[message.queue] = nil
            return false
        }
        return true
    }

    /// As the kernel compares the numbers of packets, which wrap around.
    private static func isAfter(_ packet: UInt32, _ other: UInt32) -> Bool { Int32(bitPattern: packet &- other) > 0 }

    /// Sends one packet that an earlier process had read through the rules again; false when it had been answered.
    package func repeatUnanswered(_ queue: UInt16, _ packet: UInt32) -> Bool {
        guard isKept else { return false }
        var verdict = enf_verdict(id: packet, queue: queue, verdict: Answer.again.rawValue)
        // What is read away here is sent through the rules again as well.
        return unsafe enf_queue_verdict_checked(descriptor, &verdict, &hasLost) == 0
    }

    /// Sends everything that an earlier process has left through the rules again: what it had read and not answered, which
    /// nobody would ask for ever, and what it had not read.
    ///
    /// To be called before anything is read, once the rules are in force. The answer is false when the kernel had to drop
    /// packets because nobody read them.
    package func repeatLeft() throws(NetfilterError) -> Bool {
        guard let keptPort else { return true }
        // In this order: whatever comes later than the number that is read here is read as usual, and none is read twice. The
        // buffer is emptied, because what comes back needs room in it.
        let bindings = try KeptSocket.bindings(.queues).filter { $0.value.port == keptPort }
        for (queue, binding) in bindings { stale[queue] = binding.last }
        let isWhole = try emptyBuffer() && !hasLost
        for (queue, last) in stale {
            var verdict = enf_verdict(id: last, queue: queue, verdict: Answer.again.rawValue)
            try check(
                unsafe enf_queue_verdict_up_to(descriptor, &verdict),
                "sending the packets of queue \(queue) through the rules again",
            )
        }
        return isWhole
    }

    /// Forgets what waits in the socket, and has it count as left; false when the kernel had to drop some.
    private func emptyBuffer() throws(NetfilterError) -> Bool {
        var newest = stale
        var isWhole = true
        // More come meanwhile; more than the queues hold at a time are not left but new.
        for _ in 0..<Int(Self.length) * newest.count / Self.round {
            do throws(NetfilterError) {
                let count = try readAll { message, _ in
                    let last = newest[message.queue] ?? message.packetID
                    newest[message.queue] = Self.isAfter(message.packetID, last) ? message.packetID : last
                }
                if count == 0 { break }
            } catch {
                guard error.code == NetfilterError.noBuffers else { throw error }
                isWhole = false
            }
        }
        stale = newest
        return isWhole
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
