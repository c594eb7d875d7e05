import Model
import Testing

@testable import Wire

/// Hosts as `Host`, `:authority` and targets spell them.
@Suite("HTTP hosts")
struct HTTPHostTests {
    private func host(_ text: String) -> HTTPHost { HTTPHost(Array(text.utf8)) }

    @Test(
        "names are canonical, and the port is left out",
        arguments: [
            "a.example", "A.Example", "a.example.", "a.example:443", "a.example:", "a.example.:0", "a.example:65535",
        ]
    )
    func readsNames(_ text: String) throws {
        #expect(host(text) == .name(try DomainName("a.example")))
    }

    @Test("addresses in their one form")
    func readsAddresses() throws {
        let v4 = try #require(IPAddress("192.0.2.1"))
        let v6 = try #require(IPAddress("2001:db8::1"))
        #expect(host("192.0.2.1") == .address(v4))
        #expect(host("192.0.2.1:80") == .address(v4))
        #expect(host("[2001:db8::1]") == .address(v6))
        #expect(host("[2001:DB8:0::1]:443") == .address(v6))
        #expect(host("[::ffff:192.0.2.1]") == .address(v4))
    }

    @Test("nothing is absent")
    func readsNothing() { #expect(host("") == .absent) }

    @Test(
        "all else is unreadable, and shown",
        arguments: [
            "2001:db8::1", "[192.0.2.1]", "[a.example]", "[2001:db8::1", "[2001:db8::1]443", "[2001:db8::1%25eth0]",
            "[]", "[",
            "0x7f.1", "2130706433", "010.0.0.1", "192.0.2.1.", "1.2.3", "a.example:http", "a.example:65536",
            "a.example:000080",
            "a.example:80:80", "a.example:-1", ":80", "user@a.example", "a.example, b.example", "a example",
            "a..example",
            ".a.example", "-a.example", "*.example", "a%2eexample", "a/b", "a.example?", "a.example#", "\"a.example\"",
            ".", "a\tb",
        ]
    )
    func refuses(_ text: String) {
        #expect(host(text) == .unreadable(Excerpt.text(Array(text.utf8))))
    }

    @Test("what is not ASCII, and what is too long, is not looked into")
    func refusesQuickly() {
        #expect(host("b\u{fc}cher.example") == .unreadable("b\\xc3\\xbccher.example"))
        #expect(HTTPHost([0xff, 0xfe]) == .unreadable("\\xff\\xfe"))
        #expect(host(String(repeating: "a.", count: 8_000)) == .unreadable(String(repeating: "a.", count: 32)))
    }
}
