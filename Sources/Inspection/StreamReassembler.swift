import Wire

/// The bytes that one side of a TCP connection sends first, put together from segments that are held until they are judged.
///
/// Segments come in any order, again, and with parts of others; whoever sends other bytes for the same place is told, because
/// the peer could then read something else than what was judged. The first `byteLimit` bytes are kept; what lies behind them is
/// no part of a first flight, and is held without being kept. One that holds nothing is a few words and owns no memory. Never
/// traps, whatever comes.
package struct StreamReassembler: Sendable {
    /// What a segment turned out to be.
    package enum Outcome: Hashable, Sendable {
        /// It has bytes that were not known: its packet is to be held.
        case new
        /// Every byte is known, or lies before the stream: its packet is of no use to the peer and may be dropped.
        case known
        /// It has other bytes for a place that is known; the stream is as it was.
        case conflict
        /// It breaks a bound, or no peer would take it as it is read here; the stream is as it was.
        case refused(SegmentRefusal)
    }

    /// How many bytes are kept, from the first on.
    package static let byteLimit = 16_384
    /// How many packets may be held.
    package static let segmentLimit = 32

    /// The sequence number of the SYN.
    package let initial: UInt32
    /// What is known, with zeros in its gaps.
    private var bytes: [UInt8] = []
    /// How many bytes are there without a gap, from the first on.
    private var end = 0
    /// What is known behind the first gap: apart from each other, each with a gap before it, in no order.
    private var islands: [Range<Int>] = []
    /// How many packets were `new`.
    package private(set) var segmentCount = 0

    /// The stream behind a SYN with this sequence number: its first byte has the next one.
    package init(initial: UInt32) { self.initial = initial }

    /// The bytes from the first on, up to the first gap; at most `byteLimit`.
    package var contiguous: RawSpan {
        @_lifetime(borrow self)
        borrowing get { bytes.rawBytes.extracting(first: end) }
    }

    /// How many bytes of memory the stream occupies: those known, and the gaps between them.
    package var heldBytes: Int { bytes.count }

    /// Whether every byte that is kept is there: nothing will be added to them.
    package var isFull: Bool { end == Self.byteLimit }

    /// Takes the payload of a segment.
    ///
    /// Sequence numbers are modulo 2^32 (RFC 9293 §3.4). What lies before the first byte is left out: a keep-alive probe has one
    /// such byte (RFC 9293 §3.8.4).
    package mutating func take(sequence: UInt32, payload: RawSpan) -> Outcome {
        let start = Int(Int32(bitPattern: sequence &- initial &- 1))
        let segment = max(start, 0)..<max(start + payload.byteCount, 0)
        guard !segment.isEmpty else { return .known }
        let kept = segment.clamped(to: 0..<Self.byteLimit)
        guard !kept.isEmpty || isFull else { return .refused(.tooFarAhead) }
        guard let known = known(of: kept, payload, start) else { return .conflict }
        guard known < segment.count else { return .known }
        guard segmentCount < Self.segmentLimit else { return .refused(.tooManySegments) }
        store(kept, payload, start)
        segmentCount += 1
        return .new
    }

    /// How many bytes of the range are known; nil when the segment that starts at `start` has others.
    private func known(of range: Range<Int>, _ payload: RawSpan, _ start: Int) -> Int? {
        guard var count = agreement(range.clamped(to: 0..<end), payload, start) else { return nil }
        for island in islands where island.overlaps(range) {
            guard let more = agreement(range.clamped(to: island), payload, start) else { return nil }
            count += more
        }
        return count
    }

    /// The length of the range when the segment has the same bytes there; nil when it has others.
    private func agreement(_ range: Range<Int>, _ payload: RawSpan, _ start: Int) -> Int? {
        guard !range.isEmpty else { return 0 }
        let (place, count) = (range.lowerBound, range.count)
        return bytes.rawBytes.agrees(at: place, with: payload, at: place - start, count) ? count : nil
    }

    private mutating func store(_ range: Range<Int>, _ payload: RawSpan, _ start: Int) {
        guard !range.isEmpty else { return }
        // Exactly as much as is needed: the array itself would grow to twice its size.
        bytes.reserveCapacity(range.upperBound)
        if bytes.count < range.upperBound {
            bytes.append(contentsOf: repeatElement(0, count: range.upperBound - bytes.count))
        }
        bytes.write(payload, from: range.lowerBound - start, to: range)
        join(range)
    }

    /// Makes one of the range and all that it touches.
    private mutating func join(_ range: Range<Int>) {
        var joined = range
        if !islands.isEmpty {
            islands.removeAll { island in
                guard island.lowerBound <= range.upperBound, range.lowerBound <= island.upperBound else { return false }
                joined = min(joined.lowerBound, island.lowerBound)..<max(joined.upperBound, island.upperBound)
                return true
            }
        }
        if joined.lowerBound <= end { end = max(end, joined.upperBound) } else { islands.append(joined) }
    }
}
