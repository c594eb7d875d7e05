import Inspection
import Model
import TestSupport
import Wire

/// Cuts a stream into segments in any way that a TCP client, or somebody who wants to hide something, may send it.
struct Splitter {
    /// Bytes and where they are in the stream.
    struct Segment {
        var start: Int
        var bytes: [UInt8]
    }

    let stream: [UInt8]

    /// Segments that together have every byte, at most as many as are held: single bytes, halves, parts again, in any order.
    func segments(using random: inout SplitMix) -> [Segment] {
        var segments = pieces(random.chance(10) ? 0 : Int.random(in: 0..<24, using: &random), &random)
        while segments.count < StreamReassembler.segmentLimit, random.chance(60) {
            segments.append(part(around: Int.random(in: 0..<stream.count, using: &random), &random))
        }
        if random.chance(60) { segments.shuffle(using: &random) } else if random.chance(30) { segments.reverse() }
        return segments
    }

    /// The stream in order, cut at so many places: near its start more often than elsewhere.
    private func pieces(_ cuts: Int, _ random: inout SplitMix) -> [Segment] {
        var places: Set<Int> = []
        for index in 0..<cuts {
            places.insert(random.chance(50) ? index + 1 : Int.random(in: 0...stream.count, using: &random))
        }
        let ends = places.filter { (1..<stream.count).contains($0) }.sorted() + [stream.count]
        return zip([0] + ends.dropLast(), ends).map { Segment(start: $0, bytes: Array(stream[$0..<$1])) }
    }

    /// A part of the stream with this place in it, which may begin before the stream.
    private func part(around place: Int, _ random: inout SplitMix) -> Segment {
        let start = max(place - Int.random(in: 0...min(place + 1, 600), using: &random), -1)
        let end = min(place + 1 + Int.random(in: 0...600, using: &random), stream.count)
        let before = [UInt8](repeating: 0, count: max(-start, 0))
        return Segment(start: start, bytes: before + stream[max(start, 0)..<end])
    }

    /// A part of the stream with another byte at this place.
    func forgery(at place: Int, using random: inout SplitMix) -> Segment {
        var forged = part(around: place, &random)
        forged.bytes[place - forged.start] ^= UInt8.random(in: 1...255, using: &random)
        return forged
    }

    /// The same TLS handshake in other records: cut anywhere, each with a version of its own.
    static func otherRecords(of message: [UInt8], using random: inout SplitMix) -> [UInt8] {
        let count = Int.random(in: 0..<8, using: &random)
        let cuts = (0..<count).map { _ in Int.random(in: 0..<message.count, using: &random) }
        let ends = Set(cuts).subtracting([0]).sorted() + [message.count]
        return zip([0] + ends.dropLast(), ends).flatMap { start, end in
            Hello.record(message[start..<end], minor: UInt8.random(in: 0...4, using: &random))
        }
    }
}

/// A stream that is put together and read while its segments come.
struct Held {
    private var stream: StreamReassembler
    private var reader = FlightReader.real
    /// What was said before all was known.
    private(set) var candidates: Set<Application> = []
    /// Which places came.
    private(set) var known: Set<Int> = []

    private let initial: UInt32

    init(initial: UInt32) {
        self.initial = initial
        stream = StreamReassembler(initial: initial)
    }

    /// Puts a segment to the others.
    mutating func take(_ segment: Splitter.Segment) -> StreamReassembler.Outcome {
        let sequence = initial &+ 1 &+ UInt32(truncatingIfNeeded: segment.start)
        let outcome = stream.take(sequence: sequence, payload: segment.bytes.rawBytes)
        guard outcome == .new else { return outcome }
        known.formUnion(max(segment.start, 0)..<(segment.start + segment.bytes.count))
        return outcome
    }

    /// Reads what is there; the flight once it is known.
    mutating func read() -> Flight? {
        switch stream.read(by: &reader) {
        case .done(let flight): return flight
        case .more(let candidate):
            candidates.insert(candidate)
            return nil
        }
    }

    /// Takes and reads segment by segment; nil when one is refused, or all are not enough.
    mutating func play(_ segments: [Splitter.Segment]) -> Flight? {
        for segment in segments {
            switch take(segment) {
            case .known: continue
            case .new: if let flight = read() { return flight }
            case .conflict, .refused: return nil
            }
        }
        return nil
    }

    /// What is said when nothing more comes.
    func giveUp() -> Flight { reader.giveUp(stream.contiguous) }
}

extension StreamReassembler {
    /// Has the reader read what is there without a gap.
    ///
    /// A span of one stored property cannot be given to another of the same struct while that is changed; the two go here.
    fileprivate func read(by reader: inout FlightReader) -> FlightReader.Progress { reader.read(contiguous) }
}
