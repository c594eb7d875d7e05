import Model
import Testing

@testable import Wire

/// Whom a ClientHello asks for: one name, or nothing that could be taken for one.
@Suite("TLS server names")
struct TLSServerNameTests {
    private func name(_ names: [(UInt8, String)]) throws -> TLSServerName {
        let entries = names.map { (type: $0.0, name: Array($0.1.utf8)) }
        return try TLSBytes.hello(extensions: TLSBytes.serverNames(entries)).serverName()
    }

    private func name(_ text: String) throws -> TLSServerName { try name([(0, text)]) }

    @Test("a name, in its canonical form")
    func reads() throws {
        #expect(try TLSBytes.modern.serverName() == .name(DomainName("www.example.org")))
        for text in ["localhost", "a.B.c", "xn--bcher-kva.example", "_dns.example", String(repeating: "x", count: 63)] {
            #expect(try name(text) == .name(DomainName(text)))
        }
        let most = String(repeating: String(repeating: "x", count: 62) + ".", count: 4) + "x"
        #expect(try name(most) == .name(DomainName(most)))
    }

    @Test(
        "what is no name",
        arguments: [
            "", ".", "a.example.", "a..example", ".a", "a.example\0", "a\0.example", "a b", "a/b", "*.example.org",
            "a:443",
            "192.0.2.1", "0x7f.1", "2130706433", "1", "::1", "2001:db8::1", "[::1]", "-a.example", "bücher.example",
            "a@b",
            "a.example\r\n",
        ]
    )
    func refusesText(_ text: String) throws {
        let bytes = TLSBytes.hello(extensions: TLSBytes.serverName(text))
        guard case .unreadable(let place) = try bytes.serverName() else {
            Issue.record("\(text) was read")
            return
        }
        #expect(String(decoding: bytes[place], as: UTF8.self) == text)
    }

    @Test("names that are too long")
    func refusesLength() throws {
        let label = String(repeating: "x", count: 64)
        let long = String(repeating: "x.", count: 127)
        for text in [label, long + "x", String(repeating: "x", count: 10_000)] {
            guard case .unreadable = try name(text) else {
                Issue.record("\(text.count) bytes were read")
                continue
            }
        }
    }

    @Test("anything but one host name, with the place of all of it")
    func refusesLists() throws {
        for names in [
            [(0, "a.example"), (0, "b.example")], [(0, "a.example"), (0, "a.example")], [(1, "a.example")],
            [(0, "a.example"), (1, "b")], [(1, "b"), (0, "a.example")], [(255, "")],
        ] as [[(UInt8, String)]] {
            let count = names.reduce(0) { $0 + 3 + $1.1.utf8.count }
            guard case .unreadable(let place) = try name(names) else {
                Issue.record("\(names) was read")
                continue
            }
            // Behind header, version, random, empty session, one suite, one compression, three lengths and a type.
            #expect(place == 53..<(53 + count))
        }
    }
}
