/// How many packets the kernel has dropped because nobody read a netfilter queue in time.
package struct QueueDrops: Hashable, Sendable {
    /// By the number of the queue, since it was bound.
    package let byQueue: [UInt16: UInt64]

    /// What the kernel tells of this network namespace's queues (Linux: net/netfilter/nfnetlink_queue.c, seq_show).
    ///
    /// Throws where it does not tell: the file is hidden, or the module is not there.
    package static func current() throws(Errno) -> QueueDrops {
        try QueueDrops(SmallFile.read("/proc/self/net/netfilter/nfnetlink_queue", limit: 65536))
    }

    /// Lines of: number, port, waiting, mode, range, dropped for a full queue, dropped for a full socket, last packet, 1.
    init(_ text: String) {
        var found: [UInt16: UInt64] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count >= 8, let number = UInt16(fields[0]), let full = UInt64(fields[5]),
                let unread = UInt64(fields[6])
            else { continue }
            found[number] = full + unread
        }
        byQueue = found
    }

    /// How many more these are than before; the counters of a queue begin anew with whoever binds it.
    package func more(than before: QueueDrops, in queues: ClosedRange<UInt16>) -> UInt64 {
        byQueue.reduce(0) { sum, entry in
            guard queues.contains(entry.key) else { return sum }
            let earlier = before.byQueue[entry.key] ?? 0
            return sum + (entry.value >= earlier ? entry.value - earlier : entry.value)
        }
    }
}
