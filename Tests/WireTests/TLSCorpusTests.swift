import Model
import TestSupport
import Testing

@testable import Wire

/// What real clients send, byte for byte, and what the fuzzer found worth keeping.
@Suite("TLS of real clients")
struct TLSCorpusTests {
    /// A capture in the corpus, and what is known of it.
    struct Capture: CustomTestStringConvertible, Sendable {
        let file: String
        /// Computed by another program, and for the browsers published.
        let ja4: String
        var version: UInt16 = 0x0304
        var protocols: [String] = []
        var name: String? = "packages.example.org"

        var testDescription: String { file }
    }

    /// OpenSSL 3.0 and 3.5, GnuTLS 3.7, curl 7.88, git, Python's ssl, Go 1.19, Java 17, Node 18, and the hellos of browsers.
    static let captures = [
        Capture(file: "openssl-tls10", ja4: "t10d230600_44099cda8a52_195413a0cc0f", version: 0x0301),
        Capture(
            file: "openssl-tls12",
            ja4: "t12d2808h2_d943125447b4_e7e480e5a997",
            version: 0x0303,
            protocols: ["h2", "http/1.1"]
        ),
        Capture(file: "openssl-tls13", ja4: "t13d041000_16476d049b0b_78f1d400d464"),
        Capture(file: "openssl-no-name", ja4: "t13i310900_e8f1e7e78f70_1f22a2ca17c4", name: nil),
        Capture(file: "openssl-post-quantum", ja4: "t13d301100_1d37bd780c83_0d46a1bf4a7c"),
        Capture(
            file: "openssl-split",
            ja4: "t13d3111p0_e8f1e7e78f70_1f22a2ca17c4",
            protocols: (0..<80).map { "protocol-\($0)" }
        ),
        Capture(file: "gnutls", ja4: "t13d2914h2_723694b0fccc_2cc26d266019", protocols: ["h2"]),
        Capture(file: "curl", ja4: "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6", protocols: ["h2", "http/1.1"]),
        Capture(file: "git", ja4: "t13d2912h2_723694b0fccc_288f874c93d6", protocols: ["h2", "http/1.1"]),
        Capture(file: "python", ja4: "t13d1812h1_85036bcba153_d41ae481755e", protocols: ["http/1.1"]),
        Capture(file: "java", ja4: "t13d3713h2_db35923f8641_7c76daad20ec", protocols: ["h2", "http/1.1"]),
        Capture(file: "node", ja4: "t13d591000_a33745022dd6_1f22a2ca17c4"),
        Capture(file: "edge101", ja4: "t13d1516h2_8daaf6152771_e5627efa2ab1", protocols: ["h2", "http/1.1"]),
        Capture(file: "chrome120", ja4: "t13d1516h2_8daaf6152771_02713d6af862", protocols: ["h2", "http/1.1"]),
        Capture(file: "chrome131", ja4: "t13d1516h2_8daaf6152771_02713d6af862", protocols: ["h2", "http/1.1"]),
        Capture(file: "firefox133", ja4: "t13d1716h2_5b57614c22b0_eeeea6562960", protocols: ["h2", "http/1.1"]),
        Capture(file: "safari180", ja4: "t13d2014h2_a09f3c656075_e42f34c56612", protocols: ["h2", "http/1.1"]),
    ]

    @Test("a client's hello", arguments: captures)
    func reads(_ capture: Capture) throws {
        let stream = try #require(Corpus.file(capture.file, of: "tls"))
        let message = try #require(try stream.tlsMessage())
        let hello = try message.clientHello()
        #expect(hello.version == capture.version)
        #expect(try message.serverName() == capture.name.map { .name(try DomainName($0)) } ?? .absent)
        #expect(message.texts(hello.protocols) == capture.protocols)
        #expect(try message.ja4() == capture.ja4)
    }

    @Test("a name with its port, as old programs in Go send it, is unreadable")
    func readsPort() throws {
        let stream = try #require(Corpus.file("go-port-in-name", of: "tls"))
        let message = try #require(try stream.tlsMessage())
        guard case .unreadable(let place) = try message.serverName() else {
            Issue.record("it was read")
            return
        }
        #expect(String(decoding: message[place], as: UTF8.self) == "localhost:44651")
        #expect(try message.ja4() == "t13d1910h2_9dc949149365_97f8aa674fd9")
    }

    @Test("a post-quantum key share is larger than an MTU", arguments: ["openssl-post-quantum", "chrome131"])
    func readsLarge(_ file: String) throws {
        let stream = try #require(Corpus.file(file, of: "tls"))
        #expect(stream.count > 1500)
        // Two segments of 1,448 bytes at most.
        var records = TLSRecords()
        #expect(try !Array(stream.prefix(1448)).read(&records))
        #expect(try stream.read(&records))
    }

    @Test("GREASE and an encrypted hello are among what browsers send")
    func readsGrease() throws {
        let stream = try #require(Corpus.file("chrome131", of: "tls"))
        let message = try #require(try stream.tlsMessage())
        let hello = try message.clientHello()
        #expect(hello.hasEncryptedHello)
        #expect(message.numbers(hello.cipherSuites).count { $0.isGrease } == 1)
        #expect(message.types(hello.extensions).filter(\.isGrease).count == 2)
    }

    @Test("everything kept is read without a trap and without a contradiction")
    func replays() {
        let files = Corpus.files(of: "tls")
        #expect(files.count > Self.captures.count)
        for (name, bytes) in files { #expect(TLSRobustnessTests.flaw(of: bytes) == nil, "tls/\(name)") }
    }
}
