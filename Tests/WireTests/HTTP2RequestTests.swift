import Model
import TestSupport
import Testing

@testable import Wire

/// Requests of HTTP/2 with prior knowledge.
@Suite("HTTP/2 requests")
struct HTTP2RequestTests {
    private func flaw(_ fields: [(String, String)]) -> HTTPError? {
        (try? HTTPBytes.http2(fields).httpHead())?.flaw
    }

    /// The fields that are right, with some replaced, left out (nil) or added.
    private func fields(_ changes: (String, String?)...) -> [(String, String)] {
        var fields = HTTPBytes.fields
        for (name, value) in changes {
            let place = fields.firstIndex { $0.0 == name }
            switch (place, value) {
            case (let place?, let value?): fields[place].1 = value
            case (let place?, nil): fields.remove(at: place)
            case (nil, let value?) where name.hasPrefix(":"): fields.insert((name, value), at: 0)
            case (nil, let value?): fields.append((name, value))
            case (nil, nil): break
            }
        }
        return fields
    }

    /// The flaw of a connection that goes on so after the preface.
    private func flaw(_ frames: [UInt8]...) -> HTTPError? {
        (try? (HTTPBytes.preface + frames.flatMap { $0 }).httpHead())?.flaw
    }

    private let settings = HTTPBytes.frame(4, hex("0003 00000064 0004 02000000 0002 00000000"))

    @Test("a request")
    func reads() throws {
        let head = try #require(try HTTPBytes.http2(HTTPBytes.fields).httpHead())
        #expect(head.version == .http2)
        #expect(head.method == "GET")
        #expect(head.application == .http)
        #expect(head.host == .name(try DomainName("pypi.example.org")))
        #expect(head.flaw == nil)
    }

    @Test("cut at any length it is not whole yet")
    func waits() throws {
        let bytes = HTTPBytes.http2(HTTPBytes.fields)
        for length in 0..<bytes.count {
            let start = Array(bytes.prefix(length))
            #expect(try start.httpHead() == nil, "\(length)")
            #expect(start.mayBeHTTP, "\(length)")
        }
    }

    @Test("what comes before the first request")
    func passesFrames() throws {
        let frames: [[UInt8]] = [
            settings, HTTPBytes.frame(4, [], flags: 1), HTTPBytes.frame(8, hex("3fff0001")),
            HTTPBytes.frame(2, hex("00000000 c8"), stream: 3), HTTPBytes.frame(6, hex("0102030405060708")),
            HTTPBytes.frame(16, Array("u=3".utf8)), HTTPBytes.frame(0xfa, [1, 2, 3], stream: 7),
        ]
        let bytes = HTTPBytes.preface + frames.flatMap { $0 } + HTTPBytes.headers(HTTPBytes.fields, stream: 13)
        #expect(try bytes.httpHead()?.host == .name(try DomainName("pypi.example.org")))
        #expect(try bytes.httpHead()?.flaw == nil)
    }

    @Test("settings come first")
    func refusesOrder() {
        let request = HTTPBytes.headers(HTTPBytes.fields)
        #expect(flaw(request) == .frame)
        #expect(flaw(HTTPBytes.frame(4, [], flags: 1), settings, request) == .frame)
        #expect(flaw(HTTPBytes.frame(0xfa, []), settings, request) == .frame)
        #expect(flaw(HTTPBytes.frame(8, hex("00000001")), settings, request) == .frame)
    }

    @Test("frames that may not stand there")
    func refusesFrames() {
        let bad: [[UInt8]] = [
            HTTPBytes.frame(0, [1], stream: 1), HTTPBytes.frame(3, hex("00000008"), stream: 1),
            HTTPBytes.frame(5, hex("00000002"), stream: 1), HTTPBytes.frame(7, hex("00000000 00000000")),
            HTTPBytes.frame(9, [0x82], flags: 4, stream: 1), HTTPBytes.frame(9, [0x82], flags: 4),
            HTTPBytes.frame(2, hex("00000000 c8")), HTTPBytes.frame(2, hex("00000000"), stream: 1),
            HTTPBytes.frame(4, [], stream: 1), HTTPBytes.frame(4, [1]),
            HTTPBytes.frame(4, hex("0002 00000000"), flags: 1),
            HTTPBytes.frame(6, [1]), HTTPBytes.frame(6, hex("0102030405060708"), stream: 1),
            HTTPBytes.frame(8, hex("00000000")), HTTPBytes.frame(8, hex("80000000")), HTTPBytes.frame(8, hex("01")),
            HTTPBytes.frame(8, hex("00000001"), stream: 1),
            HTTPBytes.frame(4, hex("0002 00000002")), HTTPBytes.frame(4, hex("0008 00000002")),
            HTTPBytes.frame(4, hex("0004 80000000")), HTTPBytes.frame(4, hex("0005 00003fff")),
            HTTPBytes.frame(4, hex("0005 01000000")),
            HTTPBytes.headers(HTTPBytes.fields, stream: 0), HTTPBytes.headers(HTTPBytes.fields, stream: 2),
        ]
        for frame in bad {
            #expect(flaw(settings, frame, HTTPBytes.headers(HTTPBytes.fields)) == .frame, "\(frame)")
        }
    }

    @Test("fields over several frames, with padding and priority")
    func joinsFragments() throws {
        let block = HTTPBytes.block(HTTPBytes.fields)
        let parts = [Array(block[..<10]), Array(block[10..<11]), [], Array(block[11...])]
        let first = HTTPBytes.frame(1, [3] + hex("00000000 0f") + parts[0] + [0, 0, 0], flags: 0x28, stream: 5)
        let rest = zip(parts.dropFirst(), [UInt8(0), 0, 4]).map { HTTPBytes.frame(9, $0.0, flags: $0.1, stream: 5) }
        let bytes = HTTPBytes.preface + settings + first + rest.flatMap { $0 }
        #expect(try bytes.httpHead() == (try HTTPBytes.http2(HTTPBytes.fields).httpHead()))
        #expect(flaw(settings, first, settings) == .frame)
        #expect(flaw(settings, first, HTTPBytes.frame(9, parts[1], flags: 4, stream: 7)) == .frame)
        #expect(flaw(settings, first, HTTPBytes.frame(0xfa, [], stream: 5)) == .frame)
    }

    @Test("padding and priority that do not fit")
    func refusesPadding() {
        #expect(flaw(settings, HTTPBytes.frame(1, [], flags: 0x0c, stream: 1)) == .frame)
        #expect(flaw(settings, HTTPBytes.frame(1, [1], flags: 0x0c, stream: 1)) == .frame)
        #expect(flaw(settings, HTTPBytes.frame(1, [0, 0, 0, 0], flags: 0x24, stream: 1)) == .frame)
        // No fields at all, but nothing wrong with the frame.
        #expect(flaw(settings, HTTPBytes.frame(1, [0], flags: 0x0c, stream: 1)) == .pseudoField)
    }

    @Test("another preface is refused")
    func refusesPrefaces() {
        for text in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", "PRI * HTTP/2.0\r\nX"] {
            #expect((try? Array(text.utf8).httpHead())?.flaw == .target, "\(text)")
        }
        #expect((try? Array("PRI * HTTP/1.1\r\nHost: a.example\r\n\r\n".utf8).httpHead())?.flaw == .target)
    }

    @Test("hosts")
    func readsHosts() throws {
        let name = HTTPHost.name(try DomainName("pypi.example.org"))
        let host = { (fields: [(String, String)]) in try HTTPBytes.http2(fields).httpHead()?.host }
        #expect(try host(fields((":authority", nil), ("host", "pypi.example.org"))) == name)
        #expect(try host(fields(("host", "PYPI.example.org"))) == name)
        #expect(flaw(fields(("host", "PYPI.example.org"))) == nil)
        #expect(flaw(fields(("host", "b.example"))) == .hostsDiffer)
        #expect(flaw(fields(("host", "pypi.example.org:80"))) == .hostsDiffer)
        #expect(flaw(fields((":authority", nil))) == .hostMissing)
        #expect(flaw(fields(("host", "pypi.example.org")) + [("host", "pypi.example.org")]) == .hostCount)
        #expect(try host(fields((":authority", "u@pypi.example.org"))) == .unreadable("u@pypi.example.org"))
        #expect(try host(fields((":authority", "192.0.2.1:80"))) == .address(try #require(IPAddress("192.0.2.1"))))
    }

    @Test("pseudo-fields: each once, before all others, and none that is unknown")
    func refusesPseudoFields() {
        #expect(flaw(fields((":method", nil))) == .pseudoField)
        #expect(flaw(fields((":scheme", nil))) == .pseudoField)
        #expect(flaw(fields((":path", nil))) == .pseudoField)
        #expect(flaw(fields((":status", "200"))) == .pseudoField)
        #expect(flaw(fields((":", "x"))) == .pseudoField)
        #expect(flaw(fields((":protocol", "websocket"))) == .pseudoField)
        #expect(flaw([(":path", "/")] + HTTPBytes.fields) == .pseudoField)
        #expect(flaw(fields((":path", nil)) + [(":path", "/")]) == .pseudoField)
        #expect(flaw([]) == .pseudoField)
    }

    @Test("targets and methods")
    func refusesTargets() {
        for path in ["", "x", "http://b.example/", "*", "/a b", "/\u{e9}", "//\u{7f}"] {
            let expected: HTTPError = path.hasSuffix("\u{7f}") ? .fieldValue : .target
            #expect(flaw(fields((":path", path))) == expected, "\(path)")
        }
        #expect(flaw(fields((":path", "*"), (":method", "OPTIONS"))) == nil)
        #expect(flaw(fields((":scheme", "ftp"))) == .target)
        #expect(flaw(fields((":scheme", "https"))) == nil)
        for method in ["", "G T", "G\u{e9}T", String(repeating: "M", count: 33)] {
            #expect(flaw(fields((":method", method))) == .method, "\(method)")
        }
    }

    @Test("names and values")
    func refusesFields() {
        for name in ["", "Accept", "a b", "a:b", "a\u{0}", "\u{e9}"] {
            #expect(flaw(fields((name, "x"))) == .fieldName, "\(name)")
        }
        for value in ["a\u{0}", "a\r\nb: c", "a\n", " a", "a\t", "\u{7f}"] {
            #expect(flaw(fields(("x", value))) == .fieldValue, "\(value)")
        }
        #expect(flaw(fields(("x", ""), ("y", "\u{e9} z"))) == nil)
        for name in ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"] {
            #expect(flaw(fields((name, "x"))) == .connectionField, "\(name)")
        }
        #expect(flaw(fields(("te", "gzip"))) == .connectionField)
        #expect(flaw(fields(("te", "trailers"))) == nil)
        #expect(flaw(fields(("content-length", "5")) + [("content-length", "5")]) == nil)
        #expect(flaw(fields(("content-length", "5")) + [("content-length", "6")]) == .contentLength)
        #expect(flaw(fields(("content-length", "5x"))) == .contentLength)
    }

    @Test("CONNECT, alone and extended")
    func readsConnect() throws {
        let plain = [(":method", "CONNECT"), (":authority", "b.example:22")]
        let head = try #require(try HTTPBytes.http2(plain).httpHead())
        #expect(head.application == .httpConnect)
        #expect(head.host == .name(try DomainName("b.example")))
        #expect(head.flaw == nil)
        #expect(flaw(plain + [(":path", "/")]) == .pseudoField)
        #expect(flaw([plain[0]]) == .pseudoField)
        let socket = fields((":method", "CONNECT"), (":protocol", "websocket"))
        #expect(try HTTPBytes.http2(socket).httpHead()?.application == .websocket)
        #expect(flaw(socket) == nil)
        let other = fields((":method", "CONNECT"), (":protocol", "connect-udp"))
        #expect(try HTTPBytes.http2(other).httpHead()?.application == .websocket)
        #expect(flaw(other) == .upgrade("connect-udp"))
    }

    @Test("fields that cannot be decompressed")
    func refusesCompression() {
        #expect(flaw(settings, HTTPBytes.frame(1, [0xff], flags: 4, stream: 1)) == .compression(.truncated))
        #expect(flaw(settings, HTTPBytes.frame(1, [0xbe], flags: 4, stream: 1)) == .compression(.index))
        #expect(flaw(fields() + (0..<124).map { ("x", "\($0)") }) == .compression(.tooLarge))
        #expect(flaw(fields() + (0..<123).map { ("x", "\($0)") }) == nil)
    }

    @Test("at most 16 KiB up to the first request's end")
    func bounds() {
        let large = HTTPBytes.frame(0xfa, [UInt8](repeating: 0, count: 16_000))
        #expect(flaw(settings, large, HTTPBytes.headers(HTTPBytes.fields)) == nil)
        #expect(flaw(settings, large, large) == .tooLong)
        #expect(flaw(settings, hex("004001 fa 00 00000000")) == .tooLong)
        #expect(flaw(settings, hex("ffffff fa 00 00000000")) == .tooLong)
        let pings = (0..<1_000).flatMap { _ in HTTPBytes.frame(6, hex("0102030405060708")) }
        #expect(flaw(settings, pings) == .tooLong)
    }
}
