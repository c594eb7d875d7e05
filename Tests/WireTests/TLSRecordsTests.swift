import TestSupport
import Testing

@testable import Wire

/// Where a ClientHello is in a stream.
@Suite("TLS records")
struct TLSRecordsTests {
    private let hello = TLSBytes.modern

    private func refusal(_ bytes: [UInt8]) -> TLSError? {
        do {
            _ = try bytes.tlsMessage()
            return nil
        } catch {
            return error as? TLSError
        }
    }

    @Test("one record, which stays in place")
    func readsOne() throws {
        let stream = TLSBytes.records(hello)
        #expect(try stream.tlsMessage() == hello)
        var records = TLSRecords()
        #expect(try stream.read(&records))
        #expect(records.isWhole && records.offset == stream.count)
        // In place: from other bytes it is other bytes.
        let other = [UInt8](repeating: 9, count: stream.count)
        #expect(other.message(of: records) == Array(repeating: 9, count: hello.count))
        #expect(other.dropLast().map(\.self).message(of: records) == [])
    }

    @Test("several records, be their first of one byte or without the header's end", arguments: 1...9)
    func readsSeveral(_ size: Int) throws {
        #expect(try TLSBytes.records(hello, [size]).tlsMessage() == hello)
        #expect(try TLSBytes.records(hello, [size, 1, 1, 50]).tlsMessage() == hello)
        let sizes = [Int](repeating: size, count: hello.count / size)
        #expect(try TLSBytes.records(hello, sizes).tlsMessage() == hello)
    }

    @Test("a stream that grows by one byte is not whole before its end")
    func readsGrowing() throws {
        for sizes in [[], [1, 2, 3], [100, 40], [4], [5]] {
            let stream = TLSBytes.records(hello, sizes)
            var records = TLSRecords()
            for count in 0..<stream.count {
                #expect(try !Array(stream.prefix(count)).read(&records))
                #expect(!records.isWhole && stream.message(of: records).isEmpty)
            }
            #expect(try stream.read(&records))
            #expect(stream.message(of: records) == hello)
        }
    }

    @Test("what follows the last record is not read")
    func leavesEarlyData() throws {
        let stream = TLSBytes.records(hello, [9]) + [20, 3, 3, 0, 1, 1, 23, 3, 3]
        var records = TLSRecords()
        #expect(try stream.read(&records))
        #expect(records.offset == stream.count - 9)
        #expect(try stream.read(&records))
        #expect(stream.message(of: records) == hello)
    }

    @Test("record versions of SSL 3.0 to TLS 1.3")
    func readsVersions() throws {
        for version in 0x0300...0x0304 {
            #expect(try TLSBytes.records(hello, [7], version: version).tlsMessage() == hello)
        }
        for version in [0x0305, 0x03ff, 0x0200, 0x0002, 0x0401, 0xfefd] {
            let stream = TLSBytes.records(hello, version: version)
            #expect(refusal(stream) == .recordVersion)
            #expect(refusal(Array(stream.prefix(3))) == .recordVersion)
        }
        #expect(refusal([22, 2]) == .recordVersion)
    }

    @Test("other records, first and in between")
    func refusesOtherTypes() {
        for type in (0...255).map(UInt8.init) where type != 22 {
            #expect(refusal([type]) == .contentType(type))
            #expect(refusal(TLSBytes.records(hello, [9]).with([type], at: 14)) == .contentType(type))
        }
    }

    @Test("a record's length")
    func refusesLengths() {
        #expect(refusal([22, 3, 1, 0, 0]) == .recordLength)
        #expect(refusal([22, 3, 1, 0x40, 1]) == .recordLength)
        #expect(refusal([22, 3, 1, 0xff]) == .recordLength)
        #expect(refusal([22, 3, 1, 0x40]) == nil)
        let start = Array(TLSBytes.records(hello, [9]).prefix(14))
        #expect(refusal(start) == nil)
        #expect(refusal(start + [22, 3, 1, 0, 0]) == .recordLength)
    }

    @Test("other handshake messages, told by their first byte")
    func refusesMessages() {
        for type in (0...255).map(UInt8.init) where type != 1 {
            #expect(refusal([22, 3, 3, 0, 90, type]) == .handshakeType(type))
        }
    }

    @Test("16 KiB are the most")
    func refusesTooLong() throws {
        let most = TLSBytes.hello(extensions: TLSBytes.extension(21, [UInt8](repeating: 0, count: 16_384 - 51)))
        #expect(most.count == TLSRecords.limit)
        #expect(try TLSBytes.records(most).tlsMessage() == most)
        #expect(try TLSBytes.records(most, [16_000]).tlsMessage() == most)
        #expect(refusal([22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfd]) == .tooLong(16_385))
        #expect(refusal([22, 3, 1, 0, 2, 1, 0xff, 22, 3, 1, 0, 2, 0xff, 0xff]) == .tooLong(0xff_ffff + 4))
    }

    @Test("bytes behind the message in its record")
    func refusesTrailing() {
        #expect(refusal(TLSBytes.records(hello + [0])) == .trailing)
        #expect(refusal(TLSBytes.records(hello + [0], [20])) == .trailing)
        // The record's length tells, before its bytes are there.
        #expect(refusal(Array(TLSBytes.records(hello + [0]).prefix(9))) == .trailing)
        #expect(refusal(Array(TLSBytes.records(hello + [0], [20]).prefix(30))) == .trailing)
    }

    @Test("an error stays the same")
    func repeatsErrors() throws {
        let stream = TLSBytes.records(hello, [9]).with([21], at: 14)
        var records = TLSRecords()
        for _ in 0..<3 { #expect(throws: TLSError.contentType(21)) { try stream.read(&records) } }
    }

    @Test("whether a stream may begin")
    func tellsBeginnings() {
        let stream = TLSBytes.records(hello, [2])
        for count in 0...stream.count { #expect(Array(stream.prefix(count)).mayBeginTLS) }
        for start in ["S", "SSH-2.0-", "GET / HTTP/1.1\r\n", "PRI * ", "\u{5}\u{1}\u{0}", "{\"id\":1"] {
            #expect(!Array(start.utf8).mayBeginTLS, "\(start)")
        }
        // SSL 2.0's form of a ClientHello.
        #expect(!hex("80 2e 01 03 01").mayBeginTLS)
        #expect(!hex("16 03 01 00 00").mayBeginTLS)
        #expect(!hex("16 03 03 00 40 02").mayBeginTLS)
    }
}
