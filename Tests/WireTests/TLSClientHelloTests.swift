import TestSupport
import Testing

@testable import Wire

/// What a ClientHello says, and what is none.
@Suite("TLS ClientHello")
struct TLSClientHelloTests {
    private func refusal(_ bytes: [UInt8]) -> TLSError? {
        do {
            _ = try bytes.clientHello()
            return nil
        } catch {
            return error as? TLSError
        }
    }

    private func refusal(extensions: [UInt8]) -> TLSError? { refusal(TLSBytes.hello(extensions: extensions)) }

    @Test("every field")
    func reads() throws {
        let bytes = TLSBytes.modern
        let hello = try bytes.clientHello()
        #expect(hello.legacyVersion == 0x0303)
        #expect(hello.version == 0x0304)
        #expect(hello.sessionID == 39..<71)
        #expect(bytes.numbers(hello.cipherSuites) == [0x2a2a, 0x1301, 0x1302, 0xc02b])
        #expect(hello.cipherSuites.number(at: -1, in: bytes.raw) == nil)
        #expect(hello.cipherSuites.number(at: 4, in: bytes.raw) == nil)
        #expect(Array(bytes[hello.compressions]) == [0])
        #expect(bytes.types(hello.extensions) == [0x3a3a, 0, 16, 13, 43, 0xff01, 41])
        #expect(hello.extensionCount == 7)
        #expect(bytes.texts(hello.protocols) == ["h2", "http/1.1"])
        #expect(bytes.numbers(hello.signatureAlgorithms) == [0x0403, 0x0804])
        #expect(hello.supportedVersions.map(bytes.numbers) == [0x4a4a, 0x0304, 0x0303])
        #expect(!hello.hasEncryptedHello && !hello.hasEncryptedName)
    }

    @Test("without extensions, and with none")
    func readsOld() throws {
        for extensions in [nil, []] as [[UInt8]?] {
            for version in 0x0301...0x0303 {
                let bytes = TLSBytes.hello(version: version, compressions: [1, 0], extensions: extensions)
                let hello = try bytes.clientHello()
                #expect(hello.version == UInt16(version))
                #expect(hello.extensionCount == 0)
                #expect(hello.supportedVersions == nil)
                #expect(bytes.texts(hello.protocols).isEmpty)
                #expect(bytes.numbers(hello.signatureAlgorithms).isEmpty)
                #expect(hello.serverName(in: bytes.raw) == .absent)
            }
        }
    }

    @Test("the highest version that TLS has")
    func readsVersions() throws {
        func version(_ versions: [Int], legacy: Int = 0x0303) throws -> UInt16 {
            try TLSBytes.hello(version: legacy, extensions: TLSBytes.versions(versions)).clientHello().version
        }
        #expect(try version([0x0303, 0x0304]) == 0x0304)
        #expect(try version([0x0301, 0x0302]) == 0x0302)
        #expect(try version([0x7f1c, 0xfafa, 0x0303]) == 0x0303)
        #expect(try version([0x0304], legacy: 0x0300) == 0x0304)
        for legacy in [0, 2, 0x0300, 0x0304, 0x0305, 0xfefd] {
            #expect(refusal(TLSBytes.hello(version: legacy, extensions: [])) == .version(UInt16(legacy)))
        }
        #expect(refusal(extensions: TLSBytes.versions([0x7f1c])) == .version(0))
        #expect(refusal(extensions: TLSBytes.versions([0x0a0a, 0x0300])) == .version(0x0300))
    }

    @Test("what hides another hello, or its name")
    func readsEncrypted() throws {
        let hello = try TLSBytes.hello(extensions: TLSBytes.extension(0xfe0d, [0, 0, 1])).clientHello()
        #expect(hello.hasEncryptedHello && !hello.hasEncryptedName)
        let old = try TLSBytes.hello(extensions: TLSBytes.extension(0xffce)).clientHello()
        #expect(old.hasEncryptedName && !old.hasEncryptedHello)
    }

    @Test("the message's own length")
    func refusesLength() {
        let bytes = TLSBytes.modern
        #expect(refusal(bytes + [0]) == .trailing)
        for count in 0..<bytes.count { #expect(refusal(Array(bytes.prefix(count))) == .truncated, "\(count)") }
        #expect(refusal(bytes.with([2], at: 0)) == .handshakeType(2))
    }

    @Test("a body that ends early, whatever its length says")
    func refusesTruncation() {
        let body = TLSBytes.modern.dropFirst(4)
        for count in 0..<body.count {
            let flaw = refusal(TLSBytes.message(Array(body.prefix(count))))
            // The compressions end at 79: what ends there has no extensions.
            #expect(flaw == (count == 79 ? nil : .truncated), "\(count)")
        }
    }

    @Test("the lists before the extensions")
    func refusesLists() {
        #expect(refusal(TLSBytes.hello(session: [UInt8](repeating: 1, count: 33), extensions: nil)) == .sessionID)
        #expect(refusal(TLSBytes.hello(session: [UInt8](repeating: 1, count: 32), extensions: nil)) == nil)
        #expect(refusal(TLSBytes.hello(suites: [], extensions: nil)) == .cipherSuites)
        #expect(refusal(TLSBytes.hello(suites: [0x13, 1, 0x13], extensions: nil)) == .cipherSuites)
        #expect(refusal(TLSBytes.hello(compressions: [], extensions: nil)) == .compression)
        #expect(refusal(TLSBytes.hello(compressions: [1], extensions: nil)) == .compression)
    }

    @Test("the list of extensions")
    func refusesExtensionLists() {
        #expect(refusal(TLSBytes.message(Array(TLSBytes.hello(extensions: []).dropFirst(4)) + [0])) == .trailing)
        #expect(refusal(extensions: [0]) == .truncated)
        #expect(refusal(extensions: [0, 5, 0]) == .truncated)
        #expect(refusal(extensions: [0, 5, 0, 1]) == .truncated)
        #expect(refusal(extensions: TLSBytes.extension(5) + [0, 21, 0, 2, 0]) == .truncated)
    }

    @Test("an extension twice, next to each other or not")
    func refusesDuplicates() {
        for type in [0x0005, 0x0000, 63, 64, 0x3a3a, 0xffff] {
            let one = type == 0 ? TLSBytes.serverName("a.example") : TLSBytes.extension(type)
            #expect(refusal(extensions: one) == nil)
            #expect(refusal(extensions: one + one) == .duplicate(UInt16(type)))
            #expect(refusal(extensions: one + TLSBytes.extension(65) + one) == .duplicate(UInt16(type)))
        }
    }

    @Test("64 extensions are the most")
    func refusesMany() throws {
        let many = (100..<164).flatMap { TLSBytes.extension($0) }
        #expect(try TLSBytes.hello(extensions: many).clientHello().extensionCount == 64)
        #expect(refusal(extensions: many + TLSBytes.extension(1)) == .tooManyExtensions)
        #expect(refusal(extensions: many + TLSBytes.extension(100)) == .tooManyExtensions)
    }

    @Test("pre_shared_key is the last")
    func refusesLaterExtensions() {
        let key = TLSBytes.extension(41, [0])
        #expect(refusal(extensions: TLSBytes.extension(5) + key) == nil)
        #expect(refusal(extensions: key + TLSBytes.extension(5)) == .preSharedKeyNotLast)
        #expect(refusal(extensions: key + key) == .preSharedKeyNotLast)
    }

    @Test("data that is not exactly its list")
    func refusesData() {
        let bad: [(type: Int, data: [String])] = [
            (0, ["", "00", "0000", "0003 000000", "0004 00 0000", "0005 00 0001 61 00", "0004 00 0001 61 00"]),
            (13, ["", "0000", "0001 04", "0003 040308", "0002 0403 00", "0004 0403"]),
            (16, ["", "0000", "0001 00", "0003 02 6832 00", "0004 02 6832 00", "0003 03 6832", "0002 02 68"]),
            (43, ["", "00", "01 03", "03 030403", "02 0304 00", "04 0304"]),
        ]
        for (type, data) in bad {
            for data in data {
                let flaw = refusal(extensions: TLSBytes.extension(type, hex(data)))
                #expect(flaw == (data == "0003 000000" ? nil : .extension(UInt16(type))), "\(type): \(data)")
            }
        }
    }

    @Test("every reason has its sentence")
    func describes() {
        #expect(TLSError.version(0x0300).description == "version 0x0300 is none of TLS 1.0 to 1.3")
        #expect(TLSError.tooManyExtensions.description == "more than 64 extensions")
        #expect(TLSError.contentType(0x53).description == "a first byte or record of type 83 is not the handshake's")
    }
}
