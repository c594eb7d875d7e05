import Model
import Testing
import Wire

@testable import Inspection

/// Which packets are segments of a stream that is judged.
@Suite("Segments of a first flight")
struct SegmentTests {
    private var stream = StreamReassembler(initial: 99)

    /// An IPv4 packet with a TCP segment of the text, from 10.0.0.1:40000 to 203.0.113.9:443.
    private func packet(_ text: String, _ sequence: UInt32, _ flags: TCPFlags, fragment: UInt16 = 0) -> [UInt8] {
        let payload = Array(text.utf8)
        let length = UInt16(40 + payload.count)
        let words: [UInt16] = [
            0x4500, length, 0, fragment, 0x4006, 0, 0x0a00, 0x0001, 0xcb00, 0x7109,
            40_000, 443, UInt16(sequence >> 16), UInt16(sequence & 0xffff), 0, 1,
            0x5000 | UInt16(flags.rawValue), 0xffff, 0, 0,
        ]
        return words.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] } + payload
    }

    private mutating func take(_ bytes: [UInt8]) throws -> StreamReassembler.Outcome {
        let packet = try Packet(bytes.rawBytes)
        return stream.take(packet, in: bytes.rawBytes)
    }

    @Test("data and the last data before FIN")
    mutating func takesData() throws {
        #expect(try take(packet("GET ", 100, [.ack])) == .new)
        #expect(try take(packet("/", 104, [.ack, .psh, .fin])) == .new)
        #expect(try take(packet("GET /", 100, [.ack])) == .known)
        #expect(stream.contiguous.byteCount == 5)
        #expect(stream.contiguous.byte(at: 4) == UInt8(ascii: "/"))
        #expect(stream.segmentCount == 2)
    }

    @Test("the payload of a SYN starts behind the SYN")
    mutating func takesFastOpen() throws {
        #expect(try take(packet("GET ", 99, [.syn])) == .new)
        #expect(try take(packet("GET ", 99, [.syn])) == .known)
        #expect(try take(packet("PUT ", 99, [.syn])) == .conflict)
        #expect(try take(packet("GET /", 100, [.ack])) == .new)
        #expect(stream.contiguous.byteCount == 5)
    }

    @Test("a SYN with data in another place is refused")
    mutating func refusesMovedSYN() throws {
        #expect(try take(packet("GET ", 100, [.syn])) == .refused(.flags))
        #expect(try take(packet("GET ", 98, [.syn])) == .refused(.flags))
        #expect(try take(packet("GET ", 99, [.syn, .ack])) == .refused(.flags))
    }

    @Test("data that a peer passes over is refused")
    mutating func refusesUselessData() throws {
        #expect(try take(packet("GET ", 100, [])) == .refused(.flags))
        #expect(try take(packet("GET ", 100, [.psh, .fin])) == .refused(.flags))
        #expect(try take(packet("GET ", 100, [.rst, .ack])) == .refused(.flags))
        #expect(stream.heldBytes == 0)
    }

    @Test("urgent data is refused")
    mutating func refusesUrgentData() throws {
        #expect(try take(packet("GET ", 100, [.ack, .urg])) == .refused(.urgent))
    }

    @Test("a packet without payload has nothing to judge, whatever its control bits are")
    mutating func passesOverEmptyPackets() throws {
        for flags: TCPFlags in [.syn, .ack, [.fin, .ack], .rst, [.ack, .urg]] {
            #expect(try take(packet("", 100, flags)) == .known)
        }
    }

    @Test("a fragment is refused")
    mutating func refusesFragments() throws {
        #expect(try take(packet("GET ", 100, [.ack], fragment: 0x2000)) == .refused(.incomplete))
        #expect(try take(packet("GET ", 100, [.ack], fragment: 0x0010)) == .refused(.incomplete))
    }

    @Test("what the capture cut off must lie behind the bytes that are kept")
    mutating func refusesCutPackets() throws {
        let whole = packet(String(repeating: "a", count: 20_000), 100, [.ack])
        #expect(try take(Array(whole.prefix(40))) == .refused(.incomplete))
        #expect(try take(Array(whole.prefix(40 + 16_383))) == .refused(.incomplete))
        #expect(try take(Array(whole.prefix(40 + 16_384))) == .new)
        #expect(stream.isFull)
    }

    @Test("what is not TCP is refused")
    mutating func refusesOthers() throws {
        var udp = packet("GET ", 100, [.ack])
        udp.replaceSubrange(9..<10, with: [17])
        udp.replaceSubrange(24..<26, with: [0, 24])
        #expect(try take(udp) == .refused(.transport))
    }
}
