import Model
import Testing
import Wire

@testable import Inspection

/// What the first bytes of a stream are said to be.
@Suite("Flight reader")
struct FlightReaderTests {
    private let name: Flight.ServerName? = (try? DomainName("packages.example.org")).map { .name($0) }

    @Test(
        "what real clients send",
        arguments: [
            ("curl-tls", Application.tls, ["h2", "http/1.1"]), ("git-tls", .tls, ["h2", "http/1.1"]),
            ("go-tls", .tls, ["h2", "http/1.1"]), ("node-tls", .tls, ["h2", "http/1.1"]),
            ("curl-http", .http, []), ("curl-http2", .http, []), ("curl-upload", .http, []),
            ("python-requests", .http, []), ("git-http", .http, []), ("curl-proxy", .httpConnect, []),
        ],
    )
    func readsClients(_ file: String, _ application: Application, _ alpn: [String]) throws {
        let stream = try #require(Recorded.streams.first { $0.name == "\(file).stream" })
        let flight = FlightReader.flight(of: stream.bytes)
        #expect(flight.application == application)
        #expect(flight.serverName == name)
        #expect(flight.alpn == alpn)
        #expect((flight.ja4 != nil) == (application == .tls))
        #expect(flight.flaw == nil)
        #expect((10...64).contains(flight.excerpt.count))
    }

    @Test("a ClientHello")
    func readsHello() {
        let flight = FlightReader.flight(of: Hello(keyShare: 1216).stream)
        #expect(flight.application == .tls)
        #expect(flight.serverName == name)
        #expect(flight.alpn == ["h2", "http/1.1"])
        #expect(flight.ja4?.hasPrefix("t13d0205h2_") == true)
        #expect(flight.excerpt.hasPrefix(#"\x16\x03\x01"#))
    }

    @Test("what a ClientHello says of the server")
    func readsServerNames() {
        #expect(FlightReader.flight(of: Hello(name: nil).stream).serverName == .absent)
        #expect(FlightReader.flight(of: Hello(more: [(0xfe0d, 8)]).stream).serverName == .encrypted)
        #expect(FlightReader.flight(of: Hello(more: [(0xffce, 8)]).stream).serverName == .encrypted)
        #expect(FlightReader.flight(of: Hello(name: "192.0.2.1").stream).serverName == .unreadable("192.0.2.1"))
        #expect(FlightReader.flight(of: Hello(name: "a\0b").stream).serverName == .unreadable(#"a\x00b"#))
    }

    @Test("at most 16 protocols are kept, escaped")
    func boundsProtocols() {
        let flight = FlightReader.flight(of: Hello(protocols: ["\n"] + (0..<30).map { "p\($0)" }).stream)
        #expect(flight.alpn == [#"\n"#] + (0..<15).map { "p\($0)" })
    }

    @Test("a malformed ClientHello is TLS with a flaw")
    func tellsFlaws() {
        var stream = Hello().stream
        stream[5 + 4 + 2 + 32] = 200
        let flight = FlightReader.flight(of: stream)
        #expect(flight.application == .tls)
        #expect(flight.flaw != nil)
        #expect(flight.serverName == .absent)
    }

    @Test("SSH and its excerpt")
    func readsSSH() {
        let flight = FlightReader.flight(of: "SSH-2.0-OpenSSH_9.2p1\r\n\0\0\u{1}")
        #expect(flight.application == .ssh)
        #expect(flight.flaw == nil)
        #expect(flight.excerpt == "SSH-2.0-OpenSSH_9.2p1")
        #expect(FlightReader.flight(of: "SSH-1.5-old\r\n").flaw != nil)
        #expect(FlightReader.flight(of: "SSH-1.5-old\r\n").application == .ssh)
    }

    @Test("the host of a request")
    func readsHosts() {
        func host(_ text: String) -> Flight.ServerName {
            FlightReader.flight(of: "GET /a HTTP/1.1\r\nHost: \(text)\r\n\r\n").serverName
        }
        #expect(host("Packages.Example.ORG:80") == name)
        #expect(IPAddress("192.0.2.1").map { host("192.0.2.1") == .address($0) } == true)
        #expect(host("a b") == .unreadable("a b"))
        let flight = FlightReader.flight(of: "GET /a HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n")
        #expect(flight.application == .http)
        #expect(flight.flaw != nil)
        #expect(flight.excerpt == "GET /a HTTP/1.1")
    }

    @Test("what asks a proxy, or to become something else, is not HTTP")
    func tellsProxies() {
        let proxied = FlightReader.flight(of: "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n")
        #expect(proxied.application == .httpConnect)
        let upgrade = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        #expect(FlightReader.flight(of: upgrade).application == .websocket)
    }

    @Test(
        "what no reader is for is named at once",
        arguments: [
            (#"{"id":1,"method":"mining.subscribe","params":[]}"# + "\n", Application.stratum),
            ("\u{13}BitTorrent protocol", .bittorrent), ("\u{5}\u{1}\0", .socks), ("\0\u{1}\u{2}", .unknown),
            ("hello, world\r\n", .unknown),
        ],
    )
    func namesOthers(_ text: String, _ application: Application) {
        var reader = FlightReader.real
        let bytes = Array(text.utf8)
        #expect(reader.read(bytes.rawBytes) == .done(Flight(application, excerptOf: bytes.rawBytes)))
        #expect(!FlightReader.flight(of: text).excerpt.isEmpty)
    }

    @Test("the candidate is said as soon as there is but one")
    func namesCandidates() {
        func candidate(_ bytes: [UInt8]) -> FlightReader.Progress {
            var reader = FlightReader.real
            return reader.read(bytes.rawBytes)
        }
        #expect(candidate([]) == .more(candidate: .unknown))
        #expect(candidate([22]) == .more(candidate: .tls))
        #expect(candidate(Array(Hello().stream.dropLast())) == .more(candidate: .tls))
        // A method may be called "SSH".
        #expect(candidate(Array("S".utf8)) == .more(candidate: .unknown))
        #expect(candidate(Array("SSH-".utf8)) == .more(candidate: .unknown))
        #expect(candidate(Array("SSH-2".utf8)) == .more(candidate: .ssh))
        #expect(candidate(Array("SE".utf8)) == .more(candidate: .http))
        #expect(candidate(Array("G".utf8)) == .more(candidate: .http))
        #expect(candidate(Array("PRI * HTTP/2.0\r\n".utf8)) == .more(candidate: .http))
        #expect(candidate(Array("GET / HTTP/1.1\r\nHost: a.example\r\n".utf8)) == .more(candidate: .http))
    }

    @Test("a first byte of TLS alone makes no TLS")
    func tellsOtherBytes() {
        let flight = FlightReader.flight(of: [22, 9, 9, 9])
        #expect(flight.application == .unknown)
        #expect(flight.flaw == nil)
    }

    @Test("what is not whole when nobody waits any longer has a flaw")
    func givesUp() {
        let half = FlightReader.flight(of: Array(Hello().stream.prefix(100)))
        #expect(half.application == .tls)
        #expect(half.flaw == "the first flight is not whole")
        #expect(half.excerpt.count >= 60)
        #expect(FlightReader.flight(of: "G").application == .http)
        #expect(FlightReader.flight(of: "S").application == .unknown)
        #expect(FlightReader.flight(of: "SSH-2.0").application == .ssh)
        let nothing = FlightReader.flight(of: "")
        #expect(nothing.application == .unknown)
        #expect(nothing.flaw == "nothing was sent")
    }

    @Test("16 KiB that say nothing are enough")
    func boundsBytes() {
        func progress(_ bytes: [UInt8]) -> FlightReader.Progress {
            var reader = FlightReader.real
            return reader.read(bytes.rawBytes)
        }
        let hello = Array(Hello(more: [(21, 16_225)]).stream)
        #expect(hello.count > 16_384)
        #expect(progress(Array(hello.prefix(16_383))) == .more(candidate: .tls))
        guard case .done(let flight) = progress(Array(hello.prefix(16_384))) else {
            Issue.record("more is waited for")
            return
        }
        #expect(flight.application == .tls)
        #expect(flight.flaw == "a first flight of more than 16384 bytes")
        let head = Array(("GET / HTTP/1.1\r\nHost: a.example\r\nX: " + String(repeating: "x", count: 17_000)).utf8)
        guard case .done(let request) = progress(Array(head.prefix(16_384))) else {
            Issue.record("more is waited for")
            return
        }
        #expect(request.application == .http)
        #expect(request.flaw != nil)
    }
}
