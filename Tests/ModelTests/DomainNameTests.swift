import Model
import Testing

struct DomainNameTests {
    @Test(arguments: [
        ("packages.example.org", "packages.example.org"),
        ("Packages.EXAMPLE.org.", "packages.example.org"),
        ("_dmarc.example", "_dmarc.example"),
        ("r3---sn.example", "r3---sn.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("1.2.3.4a", "1.2.3.4a"),
        ("0xg.example", "0xg.example"),
    ])
    func canonical(_ text: String, _ expected: String) throws { #expect(try DomainName(text).text == expected) }

    @Test(arguments: [
        "", ".", "..", "a..b", ".a", "a.", "a-.b", "-a.b", "a b", "a/b", "a:1", "[a]", "a,b", "a\0b", "a\nb", "a%b",
        "*.a",
        "a\u{3002}b", "\u{ff41}.example", "a\u{200b}.example", "127.0.0.1", "0x7f.1", "2130706433", "10.1",
        "0x7f000001",
        "0177.0.0.1", "a.0x", "a.1", "::1",
    ])
    func refused(_ text: String) {
        // A single trailing dot is the root's, and no mistake.
        if text == "a." { return }
        #expect(throws: TextError.self) { try DomainName(text) }
    }

    @Test func lengths() throws {
        let label = String(repeating: "a", count: 63)
        #expect(try DomainName("\(label).b").text.utf8.count == 65)
        #expect(throws: TextError.self) { try DomainName("\(label)a.b") }
        let long = "\(label).\(label).\(label).\(String(label.prefix(61)))"
        #expect(try DomainName(long).text.utf8.count == 253)
        #expect(try DomainName(long + ".").text.utf8.count == 253)
        #expect(throws: TextError.self) { try DomainName(long + "a") }
    }

    // The samples of RFC 3492 §7.1 and names in use.
    @Test(arguments: [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("他们为什么不说中文.example", "xn--ihqwcrb4cv8a8dqg056pqjye.example"),
        ("почемужеонинеговорятпорусски.example", "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l.example"),
        ("安室奈美恵-with-super-monkeys.example", "xn---with-super-monkeys-pc58ag80a8qai00g7n9n.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
    ])
    func mendOfANameThatIsNotASCII(_ text: String, _ ascii: String) {
        let error = #expect(throws: TextError.self) { try DomainName(text) }
        #expect(error?.message.contains("write '\(ascii)'") == true, "\(error?.message ?? "")")
    }

    /// The wire form of labels.
    private func wire(_ labels: [[UInt8]]) -> [UInt8] {
        labels.flatMap { [UInt8(truncatingIfNeeded: $0.count)] + $0 } + [0]
    }

    @Test func canonicalWireForm() throws {
        let name = DomainName(canonicalWire: wire([Array("www".utf8), Array("example".utf8)]))
        #expect(try name == DomainName("www.Example."))
    }

    @Test(
        arguments: [
            [], [[]], [[0x61], []], [[0x61, 0x2e, 0x62]], [[0x61, 0x00]], [[0x61, 0x20]], [[0xc3, 0xbc]], [[0xff]],
            [[0x31]], [Array("WWW".utf8)], [Array("0xf".utf8)], [Array("0".utf8), Array("0x".utf8)],
            [[0x61, 0x5c]], [[0x2a], [0x61]], [[UInt8](repeating: 0x61, count: 64)], [Array("-a".utf8)],
            [Array("a-".utf8)],
            [[UInt8]](repeating: [UInt8](repeating: 0x61, count: 63), count: 4),
        ] as [[[UInt8]]]
    )
    func wireFormRefused(_ labels: [[UInt8]]) { #expect(DomainName(canonicalWire: wire(labels)) == nil) }

    @Test(
        arguments: [
            [], [0, 0], [1], [1, 0x61], [2, 0x61, 0], [1, 0x61, 0, 0], [1, 0x61, 0, 1, 0x62, 0],
        ] as [[UInt8]]
    )
    func brokenWireForm(_ bytes: [UInt8]) { #expect(DomainName(canonicalWire: bytes) == nil) }

    @Test func wireFormAndTextAgree() {
        let letters = Array("abz019-_x.*A\u{0} ".utf8)
        for _ in 0..<20_000 {
            let labels = (0..<Int.random(in: 1...4)).map { _ in
                (0..<Int.random(in: 0...5)).map { _ in letters.randomElement() ?? 0 }
            }
            let hasOddByte = labels.joined().contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "A") }
            let text = labels.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ".")
            let read = hasOddByte || labels.last == [] ? nil : try? DomainName(text)
            #expect(DomainName(canonicalWire: wire(labels)) == read, "\(labels)")
        }
    }

    @Test func quotesShowWhatIsHidden() {
        #expect(TextError.quote("a b") == "'a b'")
        #expect(TextError.quote("a\u{202e}\n\u{1b}") == "'a\\u{202e}\\u{a}\\u{1b}'")
        #expect(TextError.quote(String(repeating: "x", count: 81)).hasSuffix("x…'"))
        #expect(TextError.quote(String(repeating: "x", count: 80)).count == 82)
    }
}
