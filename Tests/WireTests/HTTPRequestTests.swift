import Model
import Testing

@testable import Wire

/// Requests of HTTP/1.0 and 1.1.
@Suite("HTTP/1 requests")
struct HTTPRequestTests {
    /// The flaw of a request that is HTTP.
    private func flaw(_ lines: String...) -> HTTPError? {
        flaw(Array((lines + ["", ""]).joined(separator: "\r\n").utf8))
    }

    private func flaw(_ bytes: [UInt8]) -> HTTPError? { (try? bytes.httpHead())?.flaw }

    /// Why the bytes are no HTTP.
    private func refusal(_ text: String) -> HTTPError? {
        do {
            _ = try Array(text.utf8).httpHead()
            return nil
        } catch {
            return error as? HTTPError
        }
    }

    private func name(_ text: String) throws -> HTTPHost { .name(try DomainName(text)) }

    @Test("a request with a host")
    func reads() throws {
        let head = try #require(try HTTPBytes.get.httpHead())
        #expect(head.version == .http11)
        #expect(head.method == "GET")
        #expect(head.application == .http)
        #expect(head.host == (try name("pypi.example.org")))
        #expect(head.flaw == nil)
        #expect(try (HTTPBytes.get + Array("what follows".utf8)).httpHead() == head)
    }

    @Test("cut at any length it is not whole yet")
    func waits() throws {
        for length in 0..<HTTPBytes.get.count {
            let start = Array(HTTPBytes.get.prefix(length))
            #expect(try start.httpHead() == nil, "\(length)")
            #expect(start.mayBeHTTP, "\(length)")
        }
    }

    @Test("HTTP/1.0 needs no host")
    func readsOld() throws {
        let head = try #require(try HTTPBytes.head("GET / HTTP/1.0").httpHead())
        #expect(head.version == .http10)
        #expect(head.host == .absent)
        #expect(head.flaw == nil)
        #expect(try HTTPBytes.head("GET / HTTP/1.0", "Host: a.example").httpHead()?.host == (try name("a.example")))
    }

    @Test(
        "what cannot become a request line",
        arguments: ["\u{16}\u{3}\u{1}", "{\"id\":1", "\r\nGET", " GET", "SSH-2.0-x\r"]
    )
    func refusesOthers(_ text: String) {
        #expect(refusal(text) == .method)
        #expect(!Array(text.utf8).mayBeHTTP)
    }

    @Test("a method is a token of at most 32 characters, with one blank behind it")
    func refusesMethods() throws {
        let longest = String(repeating: "M", count: 32)
        #expect(try HTTPBytes.head("\(longest) / HTTP/1.0").httpHead()?.method == longest)
        #expect(refusal("\(longest)M") == .method)
        #expect(refusal("G(T / HTTP/1.1\r\n") == .method)
        #expect(refusal("GET\t/ HTTP/1.1\r\n") == .method)
        #expect(refusal("GET  / HTTP/1.1\r\n") == .target)
        #expect(refusal("G\u{e9}T / HTTP/1.1\r\n") == .method)
    }

    @Test("a target is visible ASCII, with one blank behind it")
    func refusesTargets() {
        #expect(refusal("GET /a\tb HTTP/1.1\r\n") == .target)
        #expect(refusal("GET /\u{0}") == .target)
        #expect(refusal("GET /\u{e9} HTTP/1.1\r\n") == .target)
        #expect(refusal("GET /\r\n") == .target)
        #expect(refusal("GET /  HTTP/1.1\r\n") == .version)
        #expect(refusal("GET /a b HTTP/1.1\r\n") == .version)
        #expect(refusal("GET / HTTQ") == .version)
        #expect(refusal("GET / http/1.1\r\n") == .version)
    }

    @Test(
        "other versions",
        arguments: ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0", "HTTP/1,1", "HTTP/1.1 ", "HTTP/1.10"]
    )
    func refusesVersions(_ version: String) {
        #expect(flaw("GET / \(version)", "Host: a.example") == .version)
    }

    @Test("a path, or * for OPTIONS, and nothing else")
    func readsForms() throws {
        #expect(try HTTPBytes.head("OPTIONS * HTTP/1.1", "Host: a.example").httpHead()?.flaw == nil)
        #expect(flaw("GET * HTTP/1.1", "Host: a.example") == .target)
        #expect(flaw("OPTIONS ** HTTP/1.1", "Host: a.example") == .target)
        #expect(flaw("GET a.example/x HTTP/1.1", "Host: a.example") == .target)
        #expect(flaw("GET a.example:80 HTTP/1.1", "Host: a.example") == .target)
        #expect(flaw("GET ?q HTTP/1.1", "Host: a.example") == .target)
        #expect(flaw("GET mailto:a@b.example HTTP/1.1", "Host: a.example") == .target)
        #expect(flaw("GET //b.example/x?y=http://c HTTP/1.1", "Host: a.example") == nil)
    }

    @Test("what asks a proxy is known from its first line")
    func readsProxies() throws {
        let cases: [(String, HTTPHost)] = [
            ("CONNECT b.example:443 HTTP/1.1", try name("b.example")),
            ("CONNECT [2001:db8::1]:443 HTTP/1.1", .address(try #require(IPAddress("2001:db8::1")))),
            ("CONNECT / HTTP/1.1", .unreadable("/")),
            ("GET http://b.example/x HTTP/1.1", try name("b.example")),
            ("GET https://192.0.2.7:8443 HTTP/1.0", .address(try #require(IPAddress("192.0.2.7")))),
            ("GET ftp://b.example?x HTTP/1.1", try name("b.example")),
            ("POST a+b-c.9://user@b.example/ HTTP/1.1", .unreadable("user@b.example")),
            ("GET http:///x HTTP/1.1", .absent),
        ]
        for (line, host) in cases {
            let head = try #require(try Array("\(line)\r\n".utf8).httpHead(), "\(line)")
            #expect(head.application == .httpConnect, "\(line)")
            #expect(head.host == host, "\(line)")
            #expect(head.flaw == nil, "\(line)")
        }
    }

    @Test("lines end in CR LF")
    func refusesLineEnds() {
        #expect(flaw(Array("GET / HTTP/1.1\nHost: a.example\n\n".utf8)) == .lineEnd)
        #expect(flaw(Array("GET / HTTP/1.1\r\r\n".utf8)) == .lineEnd)
        #expect(flaw(Array("GET / HTTP/1.1\r\nHost: a.example\nX: y".utf8)) == .lineEnd)
        #expect(flaw(Array("GET / HTTP/1.1\r\nHost: a.example\rX: y\r\n".utf8)) == .lineEnd)
        #expect(flaw(Array("GET / HTTP/1.1\r\nHost: a.example\r\n\n".utf8)) == .lineEnd)
        #expect(flaw(Array("GET / HTTP/1.1\r\nHost: a.example\r\n\rX".utf8)) == .lineEnd)
    }

    @Test("a field is a token, a colon and a value on one line")
    func refusesFields() {
        let start = "GET / HTTP/1.1"
        #expect(flaw(start, "Host: a.example", " b.example") == .fold)
        #expect(flaw(start, "\tHost: a.example") == .fold)
        #expect(flaw(start, "Host : a.example") == .fieldName)
        #expect(flaw(start, "Ho st: a.example") == .fieldName)
        #expect(flaw(start, ": a.example") == .fieldName)
        #expect(flaw(start, "Host") == .fieldName)
        #expect(flaw(start, "H\u{f6}st: a.example") == .fieldName)
        #expect(flaw(start, "Host\u{0}: a.example") == .fieldName)
        #expect(flaw(start, "X: a\u{0}b") == .fieldValue)
        #expect(flaw(start, "X: a\u{7f}b") == .fieldValue)
        #expect(flaw(start, "X: a\u{b}b") == .fieldValue)
        #expect(flaw(start, "Host: a.example", "X: \u{e9}\tb", "Y:") == nil)
    }

    @Test("exactly one host")
    func refusesHosts() throws {
        #expect(flaw("GET / HTTP/1.1", "Accept: */*") == .hostMissing)
        #expect(flaw("GET / HTTP/1.1", "Host: a.example", "hOST: a.example") == .hostCount)
        #expect(flaw("GET / HTTP/1.0", "Host: a.example", "Host: a.example") == .hostCount)
        #expect(
            try HTTPBytes.head("GET / HTTP/1.1", "hoST:\t a.example \t").httpHead()?.host == (try name("a.example"))
        )
    }

    @Test("one length, one way to say it")
    func refusesLengths() {
        let start = ["POST / HTTP/1.1", "Host: a.example"]
        let flaw = { (lines: [String]) in self.flaw(Array((start + lines + ["", ""]).joined(separator: "\r\n").utf8)) }
        #expect(flaw(["Content-Length: 5"]) == nil)
        #expect(flaw(["Content-Length: 5", "content-length: 5"]) == nil)
        #expect(flaw(["Content-Length: 5", "content-length: 6"]) == .contentLength)
        #expect(flaw(["Content-Length: 5", "content-length: 05"]) == .contentLength)
        for odd in ["", "+5", "-1", "5, 5", "0x5", "5 5", "12345678901234567890"] {
            #expect(flaw(["Content-Length: \(odd)"]) == .contentLength, "\(odd)")
        }
        #expect(flaw(["Transfer-Encoding: chunked"]) == nil)
        #expect(flaw(["Transfer-Encoding: Chunked "]) == nil)
        #expect(flaw(["Transfer-Encoding: chunked", "Content-Length: 5"]) == .contentLength)
        #expect(flaw(["Content-Length: 5", "Transfer-Encoding: chunked"]) == .contentLength)
        for odd in ["", "identity", "chunked, chunked", "gzip, chunked", "xchunked", "chunked\u{b}"] {
            let expected = odd.hasSuffix("\u{b}") ? HTTPError.fieldValue : .transferEncoding
            #expect(flaw(["Transfer-Encoding: \(odd)"]) == expected, "\(odd)")
        }
        #expect(flaw(["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]) == .transferEncoding)
        #expect(self.flaw("POST / HTTP/1.0", "Transfer-Encoding: chunked") == .transferEncoding)
    }

    @Test("what asks for another protocol")
    func readsUpgrades() throws {
        let start = "GET /chat HTTP/1.1"
        let head = try #require(try HTTPBytes.head(start, "Host: a.example", "upgrade: WebSocket").httpHead())
        #expect(head.application == .websocket)
        #expect(head.host == (try name("a.example")))
        #expect(head.flaw == nil)
        for other in ["h2c", "", "websocket, h2c", "TLS/1.0", "websockets"] {
            let head = try #require(try HTTPBytes.head(start, "Upgrade: \(other)", "Host: a.example").httpHead())
            #expect(head.application == .websocket, "\(other)")
            #expect(head.flaw == .upgrade(other), "\(other)")
        }
    }

    @Test("at most 128 fields")
    func boundsFields() {
        let fields = { (count: Int) in String(repeating: "X: y\r\n", count: count) }
        let head = { Array("GET / HTTP/1.1\r\nHost: a.example\r\n\(fields($0))\r\n".utf8) }
        #expect(flaw(head(127)) == nil)
        #expect((try? head(127).httpHead()) != nil)
        #expect(flaw(head(128)) == .tooManyFields)
    }

    @Test("at most 16 KiB")
    func boundsLength() throws {
        let head = { (count: Int) in
            HTTPBytes.head("GET / HTTP/1.1", "Host: a.example", "X: " + String(repeating: "y", count: count))
        }
        let fixed = head(0).count
        #expect(try head(HTTPRequestHead.limit - fixed).httpHead()?.flaw == nil)
        #expect(try head(HTTPRequestHead.limit - fixed).httpHead() != nil)
        #expect(flaw(head(HTTPRequestHead.limit - fixed + 1)) == .tooLong)
        #expect(flaw(Array(head(70_000).prefix(HTTPRequestHead.limit))) == .tooLong)
        #expect(try Array(head(70_000).prefix(HTTPRequestHead.limit - 1)).httpHead() == nil)
        #expect(refusal("GET /" + String(repeating: "x", count: HTTPRequestHead.limit)) == .tooLong)
    }
}
