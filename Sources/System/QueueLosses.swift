/// What the kernel's packet queues lost, as /proc/net/netfilter/nfnetlink_queue counts it.
///
/// The kernel tells the reader of a queue when its socket was full, and not when the queue itself was.
package enum QueueLosses {
    /// How many packets these queues dropped since they were bound; it may wrap.
    package static func read(of queues: ClosedRange<UInt16>) throws(Errno) -> UInt64 {
        total(in: try SmallFile.read("/proc/thread-self/net/netfilter/nfnetlink_queue", limit: 1 << 16), of: queues)
    }

    /// The same of the file's text: queue, port, waiting, copy mode, copy range, dropped by the queue, dropped by the
    /// socket, last id, and a 1.
    static func total(in text: String, of queues: ClosedRange<UInt16>) -> UInt64 {
        text.split(separator: "\n").reduce(0) { total, line in
            let fields = line.split(separator: " ").map { UInt64($0) }
            guard fields.count >= 7, let number = fields[0], let queue = UInt16(exactly: number),
                queues.contains(queue),
                let full = fields[5], let unread = fields[6]
            else { return total }
            return total &+ full &+ unread
        }
    }
}
