import Model
import TestSupport
import Testing

@testable import Wire

/// The fingerprint of a TLS client, against what is published of it.
@Suite("JA4")
struct TLSJA4Tests {
    private static let suites = [
        0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
        0x002f, 0x0035,
    ]
    private static let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]

    /// A hello with these extensions in this order; those that are looked into hold what the examples have.
    private func hello(_ types: [Int], algorithms: [Int] = algorithms, suites: [Int] = suites) -> [UInt8] {
        let extensions = types.flatMap { type in
            switch type {
            case 0: TLSBytes.serverName("a.example")
            case 13: TLSBytes.algorithms(algorithms)
            case 16: TLSBytes.protocols(["h2", "http/1.1"])
            case 43: TLSBytes.versions([0x6a6a, 0x0304, 0x0303])
            default: TLSBytes.extension(type)
            }
        }
        return TLSBytes.hello(suites: TLSBytes.words(suites), extensions: extensions)
    }

    @Test("the example of the specification, in any order of suites and extensions")
    func fingerprintsExample() throws {
        let types = [
            0x1a1a, 0, 0x33, 0xd, 0x23, 0xb, 0xff01, 0xa, 0x1b, 0x4469, 0x12, 0x2d, 0x10, 5, 0x2b, 0x17, 0x2a2a, 0x15,
        ]
        #expect(try hello(types).ja4() == "t13d1516h2_8daaf6152771_e5627efa2ab1")
        let other = hello(types.reversed(), suites: Self.suites.reversed())
        #expect(try other.ja4() == "t13d1516h2_8daaf6152771_e5627efa2ab1")
        #expect(try other.ja4(over: .udp) == "q13d1516h2_8daaf6152771_e5627efa2ab1")
    }

    @Test("published captures: GREASE among the signature algorithms, and another order of those")
    func fingerprintsCaptures() throws {
        let types = [
            0xfe0d, 0x10, 0x17, 0x33, 0x44cd, 0xff01, 0xa, 0xd, 0x23, 0x2b, 0xb, 0xca34, 0x2d, 0, 5, 0x1b, 0x12,
        ]
        let algorithms = [0x1a1a, 0x0904, 0x0905, 0x0906] + Self.algorithms
        #expect(try hello(types, algorithms: algorithms).ja4() == "t13d1517h2_8daaf6152771_cb7bf5808d99")
        #expect(try hello(types, algorithms: algorithms.reversed()).ja4() != "t13d1517h2_8daaf6152771_cb7bf5808d99")
        let chrome = types.map { $0 == 0x44cd ? 0x4469 : $0 }.filter { $0 != 0xca34 }
        #expect(try hello(chrome).ja4() == "t13d1516h2_8daaf6152771_02713d6af862")
    }

    @Test(
        "first and last of the first protocol",
        arguments: [
            ("", "00"), ("ab", "ab"), ("abcd", "ad"), ("30ab", "3b"), ("3031abcd", "3d"), ("30abcd31", "01"),
            ("68", "hh"),
            ("6832", "h2"), ("687474702f312e31", "h1"), ("2e61", "21"), ("5a5f39", "Z9"), ("0a0a", "0a"),
        ]
    )
    func fingerprintsProtocols(_ digits: String, _ expected: String) throws {
        let names = TLSBytes.extension(16, TLSBytes.vector16(TLSBytes.vector8(hex(digits)) + [1, 0x71]))
        let bytes = TLSBytes.hello(extensions: digits.isEmpty ? [] : names)
        #expect(try bytes.ja4().prefix(10).suffix(2) == expected)
    }

    @Test("versions, and a name that is missing or unreadable")
    func fingerprintsVersions() throws {
        for (version, text) in [(0x0301, "10"), (0x0302, "11"), (0x0303, "12")] {
            #expect(try TLSBytes.hello(version: version, extensions: nil).ja4().hasPrefix("t\(text)i010000_"))
        }
        let draft = TLSBytes.serverName("192.0.2.1") + TLSBytes.versions([0x7f1c, 0x0304])
        #expect(try TLSBytes.hello(extensions: draft).ja4().hasPrefix("t00d010200_"))
    }

    @Test("nothing to hash is zeros")
    func fingerprintsNothing() throws {
        let extensions = TLSBytes.serverName("a") + TLSBytes.protocols(["h2"])
        let bytes = TLSBytes.hello(suites: [0x0a, 0x0a], extensions: extensions)
        #expect(try bytes.ja4() == "t12d0002h2_000000000000_000000000000")
    }

    @Test("99 is the most that is counted")
    func fingerprintsMany() throws {
        let bytes = TLSBytes.hello(suites: TLSBytes.words(Array(0x0100..<0x01c8)), extensions: nil)
        #expect(try bytes.ja4().hasPrefix("t12i990000_"))
    }

    @Test("the hash that these tests stand on (FIPS 180-4 examples)")
    func hashes() {
        #expect(
            PlainHash().sha256(Array("abc".utf8).raw)
                == hex("ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c b410ff61 f20015ad")
        )
        #expect(
            PlainHash().sha256(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8).raw)
                == hex("248d6a61 d20638b8 e5c02693 0c3e6039 a33ce459 64ff2167 f6ecedd4 19db06c1")
        )
    }
}
