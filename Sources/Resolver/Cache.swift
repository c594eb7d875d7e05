internal import Model
internal import Wire

/// Answers that are still true, bounded in number and in bytes.
///
/// Finding, adding and giving up one are each O(1): a hand goes around (the clock algorithm) and takes the first answer that
/// was not used since it last came by.
struct Cache: Sendable {
    private struct Entry {
        let question: DNSQuestion
        let content: AnswerContent
        let stored: Instant
        let expires: Instant
        var isUsed = false
    }

    private let limit: Int
    private let byteLimit: Int
    private var index: [DNSQuestion: Int] = [:]
    /// Without gaps: the last one fills the place of one that goes.
    private var entries: [Entry] = []
    private var hand = 0
    private(set) var bytes = 0

    /// The hand passes at most this many answers that were used.
    private static let patience = 16

    init(limit: Int, byteLimit: Int) {
        self.limit = limit
        self.byteLimit = byteLimit
        // Growing would copy everything at once. Pages that are not written to take no memory.
        index.reserveCapacity(limit)
        entries.reserveCapacity(limit)
    }

    var count: Int { entries.count }

    mutating func find(_ question: DNSQuestion, at now: Instant) -> Answer? {
        guard let place = index[question] else { return nil }
        guard now < entries[place].expires else {
            remove(at: place)
            return nil
        }
        if !entries[place].isUsed { entries[place].isUsed = true }
        let age = max(0, (now - entries[place].stored).nanoseconds / 1_000_000_000)
        return Answer(entries[place].content, age: UInt32(clamping: age), isFromCache: true)
    }

    mutating func insert(_ content: AnswerContent, for question: DNSQuestion, at now: Instant) {
        guard content.lifetime > 0, content.cost <= byteLimit, limit > 0 else { return }
        if let place = index[question] { remove(at: place) }
        while entries.count >= limit || bytes + content.cost > byteLimit { evict(at: now) }
        index[question] = entries.count
        bytes += content.cost
        entries.append(
            Entry(
                question: question,
                content: content,
                stored: now,
                expires: now + .seconds(Int64(content.lifetime)),
            )
        )
    }

    mutating func removeAll() {
        index.removeAll(keepingCapacity: true)
        entries.removeAll(keepingCapacity: true)
        hand = 0
        bytes = 0
    }

    private mutating func evict(at now: Instant) {
        for _ in 0..<Self.patience {
            if hand >= entries.count { hand = 0 }
            guard entries[hand].isUsed, now < entries[hand].expires else { break }
            entries[hand].isUsed = false
            hand += 1
        }
        if hand >= entries.count { hand = 0 }
        remove(at: hand)
        // Past the one that fills the place, which is the newest.
        hand += 1
    }

    private mutating func remove(at place: Int) {
        let gone = entries[place]
        bytes -= gone.content.cost
        index[gone.question] = nil
        guard let last = entries.popLast(), place < entries.count else { return }
        entries[place] = last
        index[last.question] = place
    }
}
