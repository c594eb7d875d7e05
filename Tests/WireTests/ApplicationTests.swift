import Model
import TestSupport
import Testing

@testable import Wire

/// What first bytes are.
@Suite("Applications by their signs")
struct ApplicationTests {
    private func stream(_ bytes: [UInt8]) -> Application { Application.ofStream(bytes.raw) }

    private func stream(_ text: String) -> Application { stream(Array(text.utf8)) }

    private func datagram(_ bytes: [UInt8]) -> Application { Application.ofDatagram(bytes.raw) }

    private func server(_ text: String) -> Application { Application.ofServer(Array(text.utf8).raw) }

    private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    @Test("TLS")
    func knowsTLS() {
        #expect(stream(hex("160301 0200 01")) == .tls)
        #expect(stream(hex("160303")) == .tls)
        for other in [
            "16", "1603", "160201", "160305 0200 01", "160301 0200 02", "160301 0000", "160301 ffff", "150301 0002",
        ] {
            #expect(stream(hex(other)) == .unknown, "\(other)")
        }
    }

    @Test("HTTP, whole, begun and odd")
    func knowsHTTP() {
        #expect(stream(HTTPBytes.get) == .http)
        #expect(stream(HTTPBytes.http2(HTTPBytes.fields)) == .http)
        #expect(stream("PRI * HTTP/2.0\r\n") == .http)
        #expect(stream("GET /x") == .http)
        #expect(stream("GET / HTTP/1.1\nHost: x\n\n") == .http)
        #expect(stream("GET  /x HTTP/1.1\r\n") == .http)
        #expect(stream("CONNECT b.example:443 HTTP/1.1\r\n") == .httpConnect)
        #expect(stream("CONNECT b.exam") == .httpConnect)
        #expect(stream("GET http://b.example/ HTTP/1.1\r\n") == .httpConnect)
        #expect(stream("POST https://b.ex") == .httpConnect)
        #expect(stream(HTTPBytes.head("GET / HTTP/1.1", "Host: a.example", "Upgrade: websocket")) == .websocket)
        for other in ["GET", "GET ", "GET it\n", "CONNECT ", "HTTP/1.1 200 OK\r\n", "PRI * HTTP/1", "LIST /\r\n"] {
            #expect(stream(other) == .unknown, "\(other)")
        }
    }

    @Test("SSH")
    func knowsSSH() {
        #expect(stream("SSH-2.0-Go\r\n") == .ssh)
        #expect(stream("SSH-1.5-old\n") == .ssh)
        #expect(stream("SSH") == .unknown)
        #expect(server("SSH-2.0-Ope") == .ssh)
        #expect(server("keep out\r\nSSH-2.0-x\r\n") == .ssh)
        for other in ["220 mail.example ESMTP\r\n", "", "keep out\r\nSSH-2.0", "\u{0}"] {
            #expect(server(other) == .unknown, "\(other)")
        }
    }

    @Test("SOCKS")
    func knowsSOCKS() {
        for greeting in [
            "05 01 00", "05 02 00 02", "05 03 00 01 02", "04 01 01bb c0000201 00", "04 01 0050 c0000201 6d6500",
        ] {
            #expect(stream(hex(greeting)) == .socks, "\(greeting)")
        }
        #expect(stream(hex("04 01 01bb 00000001 00 622e6578616d706c6500")) == .socks)
        for other in [
            "05", "05 01", "05 00", "05 02 00", "05 01 00 00", "05 01 ff", "05 02 00 00", "05 01 09", "05 ff 00",
            "04 01 01bb c0000201", "04 01 01bb c0000201 6d65", "04 03 01bb c0000201 00", "04 01 0000 c0000201 00",
            "04 01 01bb 00000001 00", "04 01 01bb 00000001 00 00", "04 01 01bb c0000201 00 00",
            "04 01 01bb c0000201 0a00",
        ] {
            #expect(stream(hex(other)) == .unknown, "\(other)")
        }
    }

    @Test(
        "Stratum",
        arguments: [
            #"{"id": 1, "method": "mining.subscribe", "params": ["cpuminer/2.5.1"]}"#,
            #"{"params":["u","p"],"id":2,"method":"mining.authorize"}"#,
            "\r\n {\"method\"\t:\n\"mining.configure\",",
            "[{\"id\":1,\"method\":\"mining.subscribe\"",
            #"{"worker":"eth1.0","jsonrpc":"2.0","params":["0x0"],"id":2,"method":"eth_submitLogin"}"#,
            #"{"id":0,"jsonrpc":"2.0","method":"eth_getWork"}"#,
            #"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"48x","pass":"x","agent":"XMRig/6.21"}}"#,
            "{\"params\":{\"agent\":\"x\",\"login\":\"48\"},\"method\":\"login\"",
            #"{"method":"getjob","params":{"id":"x"},"id":1}"#,
            #"{"note":"a \" b","method":"mining.extranonce.subscribe"}"#,
        ]
    )
    func knowsStratum(_ line: String) {
        #expect(stream(line) == .stratum)
    }

    @Test(
        "other JSON is not Stratum",
        arguments: [
            #"{"id":1,"method":"login","params":{"user":"x","pass":"y"}}"#, #"{"method":"subscribe"}"#,
            #"{"method":"mining"}"#,
            #"{"text":"method: mining.subscribe"}"#, #"{"mining.subscribe":"method"}"#,
            #"{"method":["mining.subscribe"]}"#,
            #"{"method":1,"x":"mining.subscribe"}"#, #""method":"mining.subscribe""#, #"{"method":"mining.sub"#, "{",
            "[", "",
            #"{"method":"login","login":"x"}"#, #"{"a":"method","b":"mining.subscribe"}"#, #"{"method\":"mining.x"}"#,
        ]
    )
    func knowsOtherJSON(_ line: String) {
        #expect(stream(line) == .unknown)
    }

    @Test("Stratum is known as soon as its sign is there, and not looked for far")
    func boundsStratum() {
        let line = Array(#"{"id":1,"method":"mining.subscribe","params":[]}"#.utf8)
        for length in 0...line.count {
            #expect(stream(Array(line.prefix(length))) == (length >= 35 ? .stratum : .unknown), "\(length)")
        }
        let far = { #"{"x":""# + String(repeating: "y", count: $0) + #"","method":"mining.subscribe"}"# }
        #expect(stream(far(4_000)) == .stratum)
        #expect(stream(far(5_000)) == .unknown)
    }

    @Test("BitTorrent")
    func knowsBitTorrent() {
        #expect(stream("\u{13}BitTorrent protocol") == .bittorrent)
        #expect(stream("\u{13}BitTorrent") == .unknown)
        #expect(datagram(Array("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe".utf8)) == .bittorrent)
        #expect(datagram(hex("00000417 27101980 00000000 12345678")) == .bittorrent)
        #expect(datagram(hex("00000417 27101980 00000001 12345678")) == .unknown)
        #expect(datagram(hex("4100 1234 00000001 00000000 00100000 0001 0000")) == .bittorrent)
        #expect(datagram(hex("4100 1234 00000001 00000001 00100000 0001 0000")) == .unknown)
        #expect(datagram(hex("2100 1234 00000001 00000000 00100000 0001 0000")) == .unknown)
    }

    @Test("DNS")
    func knowsDNS() {
        let query = DNSBytes.query
        #expect(datagram(query) == .dns)
        #expect(stream(DNSBytes.word(query.count) + query) == .dns)
        #expect(stream(DNSBytes.word(query.count) + query + [0]) == .dns)
        #expect(stream(DNSBytes.word(query.count + 1) + query) == .unknown)
        #expect(stream(query) == .unknown)
        #expect(datagram(query + [0]) == .unknown)
        #expect(datagram(query.with([0x80], at: 2)) == .unknown)
    }

    @Test("OpenVPN, with and without a shell")
    func knowsOpenVPN() {
        let start = hex("38 0102030405060708")
        let plain = start + zeros(5)
        let last = hex("00000001 65000000 00 00000000")
        #expect(datagram(plain) == .openvpn)
        #expect(stream(DNSBytes.word(plain.count) + plain) == .openvpn)
        #expect(stream(DNSBytes.word(plain.count) + plain + [0]) == .unknown)
        #expect(datagram(start + [UInt8](repeating: 7, count: 20) + last) == .openvpn)
        #expect(datagram(start + [UInt8](repeating: 7, count: 64) + last) == .openvpn)
        #expect(datagram(start + [UInt8](repeating: 7, count: 21) + last) == .unknown)
        #expect(datagram(start + hex("00000001 65000000") + [UInt8](repeating: 7, count: 37)) == .openvpn)
        #expect(datagram(start + [UInt8](repeating: 7, count: 45)) == .unknown)
        let wrapped = hex("50 0102030405060708 0f000001 65000000") + [UInt8](repeating: 7, count: 37)
        #expect(datagram(wrapped + [UInt8](repeating: 9, count: 288) + DNSBytes.word(290)) == .openvpn)
        #expect(datagram(wrapped + [UInt8](repeating: 9, count: 288) + DNSBytes.word(291)) == .unknown)
        let others: [[UInt8]] = [
            Array(plain.dropLast()), plain + [0], plain.with([1], at: 13), plain.with([0x28], at: 0),
        ]
        for other in others {
            #expect(datagram(other) == .unknown)
        }
    }

    @Test("WireGuard")
    func knowsWireGuard() {
        #expect(datagram(hex("01000000") + zeros(144)) == .wireguard)
        #expect(datagram(hex("02000000") + zeros(88)) == .wireguard)
        #expect(datagram(hex("01000000") + zeros(145)) == .unknown)
        #expect(datagram(hex("01000001") + zeros(144)) == .unknown)
        #expect(datagram(hex("02000000") + zeros(144)) == .unknown)
        #expect(stream(hex("01000000") + zeros(144)) == .unknown)
    }

    @Test("QUIC")
    func knowsQUIC() {
        let initial = { (start: String) in hex(start) + hex("08 0102030405060708 00") + self.zeros(1_200) }
        for start in ["c3 00000001", "d3 6b3343cf", "c0 ff00001d", "f0 1a2a3a4a"] {
            #expect(datagram(initial(start)) == .quic, "\(start)")
        }
        for start in ["83 00000001", "43 00000001", "e3 00000001", "c3 6b3343cf", "c3 00000000", "c3 12345678"] {
            #expect(datagram(initial(start)) == .unknown, "\(start)")
        }
        // What is wrong with one of a version that is read, the reader says.
        #expect(datagram(Array(initial("c3 00000001").prefix(1_199))) == .quic)
        #expect(datagram(hex("c3 00000001 07 01020304050607 00") + zeros(1_200)) == .quic)
        #expect(datagram(Array(initial("f0 1a2a3a4a").prefix(1_199))) == .unknown)
        #expect(datagram(hex("f0 1a2a3a4a 07 01020304050607 00") + zeros(1_200)) == .unknown)
        #expect(datagram(hex("c3 00000001 08 0102030405060708 15") + zeros(1_200)) == .unknown)
    }

    @Test("random bytes are unknown")
    func claimsNothing() {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        for round in 0..<20_000 {
            let count = [3, 14, 16, 20, 54, 92, 148, 1_200].randomElement(using: &random) ?? 3
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            guard datagram(bytes) != .unknown || count > 3 && stream(bytes) != .unknown else { continue }
            Issue.record("EGRESSD_SEED=\(seed) round \(round): \(stream(bytes)), \(datagram(bytes)) of \(bytes)")
            return
        }
    }
}
