import Model
import TestSupport
import Testing

@testable import Wire

/// What real clients and servers sent first, and everything the fuzzers found worth keeping.
@Suite("First bytes of real programs")
struct HTTPCorpusTests {
    @Test("are read alike, cut anywhere", arguments: ["http", "ssh", "application"])
    func replays(_ corpus: String) {
        let files = Corpus.files(of: corpus)
        #expect(!files.isEmpty)
        for (name, bytes) in files {
            #expect(HTTPRobustnessTests.flaw(of: bytes) == nil, "\(corpus)/\(name)")
        }
    }

    private func head(_ name: String) throws -> HTTPRequestHead {
        let bytes = try #require(Corpus.file(name, of: "http"))
        return try #require(try bytes.httpHead())
    }

    @Test(
        "HTTP requests",
        arguments: [
            ("curl", "GET", HTTPRequestHead.Version.http11, "pypi.example.org"),
            ("curl-post", "POST", .http11, "pypi.example.org"), ("curl-http10", "GET", .http10, "pypi.example.org"),
            ("curl-h2", "GET", .http2, "pypi.example.org"), ("nghttp", "GET", .http2, "pypi.example.org"),
            ("requests", "GET", .http11, "pypi.example.org"), ("urllib", "GET", .http11, "pypi.example.org"),
            ("git", "GET", .http11, "git.example.org"),
        ]
    )
    func readsRequests(_ name: String, method: String, version: HTTPRequestHead.Version, host: String) throws {
        let head = try head(name)
        #expect(head.method == method)
        #expect(head.version == version)
        #expect(head.application == .http)
        #expect(head.host == .name(try DomainName(host)))
        #expect(head.flaw == nil)
    }

    @Test("HTTP that is to be something else")
    func readsOthers() throws {
        #expect(try head("curl-address").host == .address(try #require(IPAddress("127.0.0.1"))))
        #expect(try head("curl-proxy").application == .httpConnect)
        #expect(try head("curl-proxy").host == .name(try DomainName("other.example")))
        #expect(try head("curl-tunnel").application == .httpConnect)
        #expect(try head("curl-websocket").application == .websocket)
        #expect(try head("curl-websocket").flaw == nil)
        #expect(try head("curl-h2c").flaw == .upgrade("h2c"))
    }

    @Test("SSH banners")
    func readsBanners() throws {
        let banner = { (name: String, side: SSHBanner.Side) in
            try #require(Corpus.file(name, of: "ssh")).sshBanner(from: side)
        }
        #expect(try banner("ssh", .client) != nil)
        #expect(try banner("sshd", .server) != nil)
        #expect(try banner("sshd-behind-lines", .server)?.range == 23..<44)
    }

    @Test(
        "what streams are",
        arguments: [
            ("curl", Application.http), ("curl-h2", .http), ("curl-proxy", .httpConnect), ("curl-tunnel", .httpConnect),
            ("curl-websocket", .websocket), ("curl-socks4", .socks), ("curl-socks4a", .socks), ("curl-socks5", .socks),
            ("git", .http), ("ssh", .ssh), ("dig", .dns), ("tls", .tls), ("stratum-subscribe", .stratum),
            ("stratum-login", .stratum), ("stratum-eth", .stratum), ("bittorrent", .bittorrent),
            ("openvpn-stream", .openvpn),
        ]
    )
    func namesStreams(_ name: String, expected: Application) throws {
        let bytes = try #require(Corpus.file(name, of: "application"))
        #expect(Application.ofStream(bytes.raw) == expected)
    }

    @Test(
        "what datagrams are",
        arguments: [
            ("bittorrent-dht", Application.bittorrent), ("bittorrent-tracker", .bittorrent),
            ("bittorrent-utp", .bittorrent),
            ("openvpn", .openvpn), ("openvpn-auth", .openvpn), ("openvpn-crypt-v2", .openvpn),
            ("wireguard", .wireguard),
            ("quic", .quic),
        ]
    )
    func namesDatagrams(_ name: String, expected: Application) throws {
        let bytes = try #require(Corpus.file(name, of: "application"))
        #expect(Application.ofDatagram(bytes.raw) == expected)
    }
}
