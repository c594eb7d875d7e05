import Inspection
import Wire

/// Segments that any bytes stand for, played to the reassembler and to a model that knows every byte by its place.
///
/// Four bytes are the sequence number of the SYN, and each four after them a segment:
///
/// ```
/// +---------------+-------------------------------+---------------+
/// |a a|b b|c|  -  |             offset            |    length     |
/// +---------------+-------------------------------+---------------+
/// ```
///
/// a: the offset counts from the first byte, from the end of what is contiguous (signed), in steps of 4, or backwards; b: the
/// length counts 1, 16, 64 or 257 bytes; c: the byte in the middle is another one than at this place elsewhere.
struct StreamScript {
    /// What must come of a segment, from the plain meaning of the words.
    private struct Model {
        var bytes = [UInt8?](repeating: nil, count: 16_384)
        var segmentCount = 0
        /// How many bytes are known from the first on.
        var contiguous = 0
        /// Behind the last that is known.
        var end = 0

        mutating func take(_ start: Int, _ payload: [UInt8]) -> StreamReassembler.Outcome {
            let last = start + payload.count
            if last <= 0 || payload.isEmpty { return .known }
            if start >= 16_384, contiguous < 16_384 { return .refused(.tooFarAhead) }
            var news = last > 16_384
            for place in stride(from: max(start, 0), to: min(last, 16_384), by: 1) {
                guard let byte = bytes[place] else {
                    news = true
                    continue
                }
                if byte != payload[place - start] { return .conflict }
            }
            if !news { return .known }
            if segmentCount == 32 { return .refused(.tooManySegments) }
            for place in max(start, 0)..<max(start, 0, min(last, 16_384)) { bytes[place] = payload[place - start] }
            while contiguous < 16_384, bytes[contiguous] != nil { contiguous += 1 }
            end = max(end, min(last, 16_384))
            segmentCount += 1
            return .new
        }
    }

    /// The byte of each place: the same after 256.
    private static let pattern = (0..<(65_535 + 256)).map { UInt8(truncatingIfNeeded: $0 &* 31) }

    private var model = Model()
    private var stream: StreamReassembler
    private let initial: UInt32
    /// How often each outcome was seen: new, known, conflict, refused.
    private var counts = [0, 0, 0, 0]

    /// Plays the segments: a sentence about the first that is not what it must be, or nil, and how often each outcome was seen.
    static func play(_ script: [UInt8]) -> (flaw: String?, counts: [Int]) {
        var play = StreamScript(script)
        return (play.flaw(script), play.counts)
    }

    private init(_ script: [UInt8]) {
        initial = script.rawBytes.network32(at: 0) ?? 0
        stream = StreamReassembler(initial: initial)
    }

    private mutating func flaw(_ script: [UInt8]) -> String? {
        for place in stride(from: 4, to: script.count - 3, by: 4) {
            let (start, payload) = segment(Array(script[place..<(place + 4)]))
            let expected = model.take(start, payload)
            let sequence = initial &+ 1 &+ UInt32(truncatingIfNeeded: start)
            let outcome = stream.take(sequence: sequence, payload: payload.rawBytes)
            guard outcome == expected else {
                return "segment \(place / 4), \(payload.count) bytes at \(start): \(outcome), not \(expected)"
            }
            count(outcome)
            if let difference { return "segment \(place / 4), \(payload.count) bytes at \(start): \(difference)" }
        }
        let bytes = stream.contiguous
        for place in 0..<model.contiguous where bytes.byte(at: place) != model.bytes[place] { return "byte \(place)" }
        return nil
    }

    private func segment(_ words: [UInt8]) -> (start: Int, payload: [UInt8]) {
        let offset = Int(words[1]) << 8 | Int(words[2])
        let start =
            switch words[0] & 3 {
            case 0: offset
            case 1: stream.contiguous.byteCount + Int(Int16(truncatingIfNeeded: offset))
            case 2: offset * 4
            default: -offset
            }
        let count = Int(words[3]) * [1, 16, 64, 257][Int(words[0] >> 2 & 3)]
        let phase = start & 255
        var payload = Array(Self.pattern[phase..<(phase + count)])
        if words[0] & 16 != 0, count > 0 { payload[count / 2] ^= 0x80 }
        return (start, payload)
    }

    private mutating func count(_ outcome: StreamReassembler.Outcome) {
        switch outcome {
        case .new: counts[0] += 1
        case .known: counts[1] += 1
        case .conflict: counts[2] += 1
        case .refused: counts[3] += 1
        }
    }

    /// What the stream holds and should not, or the other way round.
    private var difference: String? {
        guard stream.contiguous.byteCount == model.contiguous else {
            return "\(stream.contiguous.byteCount) bytes, not \(model.contiguous)"
        }
        guard stream.segmentCount == model.segmentCount else { return "\(stream.segmentCount) segments" }
        guard stream.heldBytes == model.end else { return "\(stream.heldBytes) bytes held, not \(model.end)" }
        return stream.isFull == (model.contiguous == 16_384) ? nil : "full"
    }
}
