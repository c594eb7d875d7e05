import TestSupport
import Testing

@testable import Wire

/// What the reader says of the frames in an Initial.
@Suite("QUIC frames")
struct QUICFrameTests {
    private let hello = QUICBytes.message([UInt8](repeating: 7, count: 60))

    /// The frames of one Initial each, all in one flight.
    private func refusal(_ packets: [UInt8]...) -> QUICError? {
        var flight = QUICFlight()
        do {
            for (number, frames) in packets.enumerated() {
                _ = try flight.take(QUICBytes.datagram(QUICBytes.initial(frames, number: UInt32(number))))
            }
            return nil
        } catch {
            return error as? QUICError
        }
    }

    private func progress(_ frames: [UInt8]...) throws -> QUICFlight.Progress {
        try QUICFlight.progress(QUICBytes.datagram(QUICBytes.initial(frames.flatMap(\.self))))
    }

    @Test("those that may be there are passed over")
    func readsFrames() throws {
        let crypto = QUICBytes.crypto(0, hello)
        let acknowledgement = hex("02 4064 05 02 0a | 03 04 00 404f")
        #expect(try progress(acknowledgement, crypto) == .hello(hello))
        #expect(try progress(hex("03 09 00 00 09 01 02 03"), [0, 1, 0], crypto) == .hello(hello))
        #expect(try progress(crypto, [UInt8](repeating: 0, count: 21), [1]) == .hello(hello))
        #expect(try progress(QUICBytes.crypto(0, [])) == .incomplete)
    }

    @Test("the first packet has a CRYPTO frame, and later ones need none")
    func needsHandshake() {
        for frames: [UInt8] in [[0], [1], hex("02 05 00 00 00")] {
            #expect(refusal(frames) == .noHandshake)
            #expect(refusal(QUICBytes.crypto(0, []), frames) == nil)
        }
    }

    @Test("nothing is read behind a closed connection")
    func refusesClosed() {
        #expect(refusal(hex("1c 0a 06 03 616263") + QUICBytes.crypto(0, hello)) == .closed)
        #expect(refusal(QUICBytes.crypto(0, hello), hex("1c 00 00 00")) == .closed)
    }

    @Test("those that may not be there", arguments: (0...255).map(UInt8.init))
    func refusesFrames(_ type: UInt8) {
        let frames = QUICBytes.crypto(0, []) + [type, 0, 0, 0, 0, 0, 0, 0, 0]
        let isKnown = [0, 1, 2, 3, 6].contains(type)
        #expect(refusal(frames) == (isKnown ? nil : type == 0x1c ? .closed : .frame(type)))
    }

    @Test("a packet without frames, and one with a longer spelling of a type")
    func refusesNone() {
        #expect(refusal([]) == .empty)
        #expect(refusal(hex("4006 00 00")) == .frame(0x40))
    }

    @Test(
        "frames cut short, and impossible ones",
        arguments: [
            "06", "06 00", "06 00 01", "06 40", "06 00 ffffffffffffffff 00", "06 00 05 01020304", "02 05 00 00",
            "02 05 00 00 06", "02 05 00 01 05 00 00", "02 05 00 01 02 02 00", "02 05 00 01 01 00 03",
            "02 05 00 02 01 00", "02 05 00 ffffffffffffffff 00", "02 4064 05 02 0a 03 04 00 4050",
            "03 05 00 00 00 00 00", "1c 00 00", "1c 00 00 02 61", "1c 00 00 ffffffffffffffff",
        ]
    )
    func refusesFormats(_ frame: String) { #expect(refusal(hex(frame)) == .frameFormat) }

    @Test("bytes that come again must be the same")
    func comparesOverlaps() {
        let start = QUICBytes.crypto(10, hello[10..<40])
        #expect(refusal(start, QUICBytes.crypto(0, hello)) == nil)
        #expect(refusal(start, QUICBytes.crypto(20, hello[20..<30])) == nil)
        for offset in hello.indices {
            var other = hello
            other[offset] ^= 0x80
            let expected: QUICError? = (10..<40).contains(offset) ? .conflict : offset == 0 ? .handshake(0x81) : nil
            guard offset > 3 || offset == 0 else { continue }
            #expect(refusal(start, QUICBytes.crypto(0, other)) == expected, "byte \(offset)")
        }
    }

    @Test("a message that is no ClientHello is refused as soon as its type is there")
    func refusesTypes() {
        for type: UInt8 in [0, 2, 11, 255] {
            #expect(refusal(QUICBytes.crypto(0, [type])) == .handshake(type))
            #expect(refusal(QUICBytes.crypto(1, [0, 0, 8]), QUICBytes.crypto(0, [type])) == .handshake(type))
        }
    }

    @Test("a ClientHello of 16 KiB and not more")
    func boundsLength() throws {
        let longest = QUICBytes.message([UInt8](repeating: 7, count: 16_380))
        #expect(try progress(QUICBytes.crypto(0, longest)) == .hello(longest))
        #expect(refusal(QUICBytes.crypto(0, [1, 0, 0x3f, 0xfd])) == .tooLong)
        #expect(refusal(QUICBytes.crypto(0, [1, 0xff, 0, 0])) == .tooLong)
        #expect(refusal(QUICBytes.crypto(16_384, [7])) == .tooLong)
        #expect(refusal(QUICBytes.crypto(16_383, [7])) == nil)
        #expect(refusal(QUICBytes.crypto(1 << 62 - 1, [7])) == .tooLong)
        #expect(refusal(QUICBytes.crypto(1 << 62 - 1, [])) == .tooLong)
    }

    @Test("bytes behind the ClientHello")
    func refusesExcess() {
        #expect(refusal(QUICBytes.crypto(0, hello + [0])) == .excess)
        #expect(refusal(QUICBytes.crypto(UInt64(hello.count), [7]), QUICBytes.crypto(0, hello)) == .excess)
        #expect(refusal(QUICBytes.crypto(0, hello), QUICBytes.crypto(200, [7])) == .excess)
    }

    @Test("64 pieces that do not touch and not more")
    func boundsRanges() {
        func pieces(_ count: Int) -> [UInt8] {
            (0..<count).flatMap { QUICBytes.crypto(UInt64(4 + 2 * $0), [7]) }
        }
        #expect(refusal(pieces(64)) == nil)
        #expect(refusal(pieces(65)) == .tooManyRanges)
        // One that joins two makes room.
        #expect(refusal(pieces(64) + QUICBytes.crypto(5, [7]) + QUICBytes.crypto(400, [7])) == nil)
    }
}
