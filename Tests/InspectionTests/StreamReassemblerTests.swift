import Testing
import Wire

@testable import Inspection

/// What becomes of each kind of segment, and where the bounds are.
@Suite("Stream reassembler")
struct StreamReassemblerTests {
    private var stream = StreamReassembler(initial: 999)

    /// Takes text at an offset of the stream.
    private mutating func take(_ text: String, at offset: Int) -> StreamReassembler.Outcome {
        take(Array(text.utf8), at: offset)
    }

    private mutating func take(_ bytes: [UInt8], at offset: Int) -> StreamReassembler.Outcome {
        let sequence = stream.initial &+ 1 &+ UInt32(truncatingIfNeeded: offset)
        return stream.take(sequence: sequence, payload: bytes.rawBytes)
    }

    private var text: String {
        String(decoding: (0..<stream.contiguous.byteCount).compactMap { stream.contiguous.byte(at: $0) }, as: UTF8.self)
    }

    @Test("in order")
    mutating func joins() {
        #expect(text == "")
        #expect(take("Client", at: 0) == .new)
        #expect(take("Hello", at: 6) == .new)
        #expect(text == "ClientHello")
        #expect(stream.heldBytes == 11)
        #expect(stream.segmentCount == 2)
    }

    @Test("out of order: nothing is read behind a gap, and the gap counts as held")
    mutating func waitsForGaps() {
        #expect(take("lo", at: 9) == .new)
        #expect(take("nt", at: 4) == .new)
        #expect(text == "")
        #expect(stream.heldBytes == 11)
        #expect(take("Clie", at: 0) == .new)
        #expect(text == "Client")
        #expect(take("tHel", at: 5) == .new)
        #expect(text == "ClientHello")
        #expect(stream.segmentCount == 4)
    }

    @Test("the same bytes again are known, in whole, in part, and over two segments")
    mutating func knowsRetransmits() {
        #expect(take("Client", at: 0) == .new)
        #expect(take("Hello", at: 6) == .new)
        #expect(take("Client", at: 0) == .known)
        #expect(take("ClientHello", at: 0) == .known)
        #expect(take("ntHe", at: 4) == .known)
        #expect(take("world", at: 20) == .new)
        #expect(take("world", at: 20) == .known)
        #expect(stream.segmentCount == 3)
    }

    @Test("a retransmit with more behind it is new")
    mutating func takesLongerRetransmits() {
        #expect(take("Client", at: 0) == .new)
        #expect(take("ClientHello", at: 0) == .new)
        #expect(text == "ClientHello")
        #expect(stream.segmentCount == 2)
    }

    @Test("other bytes for a place are a conflict, wherever that place is, and change nothing")
    mutating func tellsConflicts() {
        #expect(take("Client", at: 0) == .new)
        #expect(take("world", at: 20) == .new)
        let before = stream.heldBytes
        #expect(take("clientHello", at: 0) == .conflict)
        #expect(take("TH", at: 5) == .conflict)
        #expect(take("x", at: 0) == .conflict)
        #expect(take("Hello, good World", at: 6) == .conflict)
        #expect(take("d!", at: 24) == .new)
        #expect(take("D!", at: 24) == .conflict)
        #expect(text == "Client")
        #expect(stream.heldBytes == before + 1)
        #expect(stream.segmentCount == 3)
    }

    @Test("what lies before the stream is left out: a keep-alive probe is harmless")
    mutating func leavesOutWhatIsBefore() {
        #expect(take("\0", at: -1) == .known)
        #expect(take("\0Client", at: -1) == .new)
        #expect(text == "Client")
        #expect(take("?Client", at: -1) == .known)
        #expect(take("?lient", at: 0) == .conflict)
        #expect(take("abc", at: -3) == .known)
        #expect(take("abc", at: -1 << 31) == .known)
        #expect(stream.heldBytes == 6)
    }

    @Test("an empty segment is known")
    mutating func passesOverNothing() {
        #expect(take("", at: 0) == .known)
        #expect(take("", at: 70_000) == .known)
        #expect(stream.segmentCount == 0)
    }

    @Test("sequence numbers go round", arguments: [0xffff_ffff, 0xffff_fffc, 0xffff_fff7, 0x7fff_ffff, 0] as [UInt32])
    mutating func wraps(_ initial: UInt32) {
        stream = StreamReassembler(initial: initial)
        #expect(take("Hello", at: 6) == .new)
        #expect(take("?", at: -1) == .known)
        #expect(take("Clien", at: 0) == .new)
        #expect(take("entH", at: 3) == .new)
        #expect(text == "ClientHello")
        #expect(take("entX", at: 3) == .conflict)
    }

    @Test("32 segments are held, and no 33rd; what is known still is")
    mutating func boundsSegments() {
        for index in 0..<32 { #expect(take("ab", at: index * 2) == .new) }
        #expect(take("ab", at: 64) == .refused(.tooManySegments))
        #expect(take("ab", at: 80) == .refused(.tooManySegments))
        #expect(take("abab", at: 60) == .known)
        #expect(take("aXab", at: 60) == .conflict)
        #expect(stream.segmentCount == 32)
        #expect(stream.contiguous.byteCount == 64)
    }

    @Test("the first 16 KiB of a large segment are kept")
    mutating func boundsBytes() {
        let large = [UInt8](repeating: 7, count: 65_000)
        #expect(take(large, at: 0) == .new)
        #expect(stream.contiguous.byteCount == 16_384)
        #expect(stream.heldBytes == 16_384)
        #expect(stream.isFull)
        // Nothing is known of what is not kept: it is held, within the bound of segments.
        #expect(take(large, at: 0) == .new)
        #expect(take([9], at: 16_384) == .new)
        #expect(take([9], at: 16_383) == .conflict)
        #expect(take(Array(large.prefix(100)), at: 16_284) == .known)
        #expect(take(large, at: 20_000) == .new)
        #expect(stream.heldBytes == 16_384)
        #expect(stream.segmentCount == 4)
    }

    @Test("a segment behind the bound is refused while something before it is missing")
    mutating func refusesFarSegments() {
        #expect(take("a", at: 16_384) == .refused(.tooFarAhead))
        #expect(take("a", at: Int(Int32.max)) == .refused(.tooFarAhead))
        #expect(stream.heldBytes == 0)
        #expect(take("ab", at: 16_383) == .new)
        #expect(stream.heldBytes == 16_384)
        #expect(!stream.isFull)
        #expect(take("a", at: 16_384) == .refused(.tooFarAhead))
        #expect(take([UInt8](repeating: 7, count: 16_383), at: 0) == .new)
        #expect(stream.isFull)
        #expect(take("a", at: 16_384) == .new)
    }

    @Test("one that holds nothing is a few words")
    func isSmall() {
        #expect(MemoryLayout<StreamReassembler>.size <= 48)
        #expect(StreamReassembler(initial: 0).heldBytes == 0)
    }
}
