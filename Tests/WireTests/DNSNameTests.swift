import Model
import Testing

@testable import Wire

/// Names: the canonical form, their text, and what compression may do.
@Suite("DNS names")
struct DNSNameTests {
    /// The bytes behind a header, read as a name; more may follow.
    private func read(_ bytes: [UInt8], at offset: Int = 0, _ rule: NameRule = .strict) throws -> DNSName {
        let message = [UInt8](repeating: 0, count: DNSHeader.length) + bytes
        var cursor = DNSCursor((DNSHeader.length + offset)..<message.count)
        return try cursor.name(in: message.raw, rule)
    }

    private func refusal(_ bytes: [UInt8], at offset: Int = 0, _ rule: NameRule = .strict) -> DNSError? {
        do {
            _ = try read(bytes, at: offset, rule)
            return nil
        } catch {
            return error as? DNSError
        }
    }

    private let name = DNSBytes.name

    @Test("the canonical form is lower case")
    func lowers() throws {
        #expect(try read(name("wWw.EXAMPLE.org@[`{")).wire == name("www.example.org@[`{"))
        #expect(try read(name("WWW.example.org")) == read(name("www.EXAMPLE.org")))
        #expect(try read(name("a.example.org")) != read(name("b.example.org")))
    }

    @Test("equal names have equal hashes, and long names differ in theirs")
    func hashes() throws {
        let names = try (0..<200).map { try read(name("host-number-\($0).example.org")) }
        #expect(Set(names).count == 200)
        #expect(Set(names.map(\.hashValue)).count > 190)
        #expect(try Set(names).contains(read(name("HOST-number-7.example.org"))))
    }

    @Test("text with escapes")
    func writesText() throws {
        #expect(try read(name("www.example.org")).text == "www.example.org")
        #expect(DNSName.root.text == ".")
        let odd = try read([5, 0x61, 0x2e, 0x5c, 0x00, 0xff, 1, 0x20, 0], .anyBytes)
        #expect(odd.text == #"a\.\\\000\255.\032"#)
        #expect("\(odd)" == odd.text)
    }

    @Test("labels, root and Model's names")
    func converts() throws {
        let read = try read(name("www.example.org"))
        #expect(read.labels.map(Array.init) == ["www", "example", "org"].map { Array($0.utf8) })
        #expect(DNSName.root.labels.isEmpty)
        #expect(DNSName.root.isRoot)
        #expect(!read.isRoot)
        #expect(read.domain?.text == "www.example.org")
        #expect(DNSName.root.domain == nil)
        #expect(try self.read(name("a b")).domain == nil)
        #expect(try self.read(name("10.0.0.1")).domain == nil)
        #expect(DNSName(try DomainName("www.example.org")) == read)
        #expect(DNSName(try DomainName("org")).wire == name("org"))
    }

    @Test("made of wire bytes and of labels")
    func makes() throws {
        #expect(DNSName(wire: name("Www.example.org")) == (try read(name("www.example.org"))))
        #expect(DNSName(wire: [0]) == .root)
        #expect(DNSName(wire: [0, 0]) == nil)
        #expect(DNSName(wire: [] as [UInt8]) == nil)
        #expect(DNSName(wire: [1, 0x61]) == nil)
        #expect(DNSName(wire: [1, 0x2e, 0]) == nil)
        #expect(DNSName(wire: [0xc0, 12]) == nil)
        #expect(DNSName(labels: ["WWW", "org"].map { Array($0.utf8) })?.text == "www.org")
        #expect(DNSName(labels: [[UInt8]]())?.isRoot == true)
        #expect(DNSName(labels: [[0x61], []] as [[UInt8]]) == nil)
        #expect(DNSName(labels: [[UInt8](repeating: 0x61, count: 64)]) == nil)
        #expect(DNSName(labels: [[UInt8]](repeating: [0x61], count: 127)) != nil)
        #expect(DNSName(labels: [[UInt8]](repeating: [0x61], count: 128)) == nil)
    }

    @Test("255 bytes are a name, 256 are none")
    func boundsLength() {
        let long = [63] + [UInt8](repeating: 0x61, count: 63)
        let most = long + long + long + [61] + [UInt8](repeating: 0x61, count: 61) + [0]
        #expect(most.count == 255)
        #expect(refusal(most) == nil)
        #expect(refusal(long + long + long + [62] + [UInt8](repeating: 0x61, count: 62) + [0]) == .name)
        // Each part is short enough, the whole is not.
        #expect(refusal(most + [1, 0x62, 0xc0, 12], at: 255) == .name)
    }

    @Test("the label types 0x40 and 0x80 are refused", arguments: [UInt8(0x40), 0x41, 0x7f, 0x80, 0xbf])
    func refusesLabelTypes(_ first: UInt8) {
        #expect(refusal([first] + [UInt8](repeating: 0x61, count: 300)) == .label)
        #expect(refusal([1, 0x61, first] + [UInt8](repeating: 0x61, count: 300)) == .label)
    }

    @Test("a dot or NUL in a label is refused, but where any byte may be")
    func refusesDots() throws {
        for byte in [UInt8(0x2e), 0] {
            #expect(refusal([3, 0x61, byte, 0x62, 0]) == .labelByte)
            #expect(refusal([3, 0x61, byte, 0x62, 0], .uncompressed) == .labelByte)
            #expect(refusal([3, 0x61, byte, 0x62, 0, 0xc0, 12], at: 5) == .labelByte)
            #expect(try read([3, 0x61, byte, 0x62, 0], .anyBytes).wire == [3, 0x61, byte, 0x62, 0])
        }
        // A length of 46 is no dot.
        #expect(refusal([46] + [UInt8](repeating: 0x61, count: 46) + [0]) == nil)
    }

    @Test("a name that does not end is refused")
    func refusesOpenEnds() {
        for bytes: [UInt8] in [[], [1], [1, 0x61], [3, 0x61, 0x62], [0xc0], [1, 0x61, 0xc0]] {
            #expect(refusal(bytes) == .truncated, "\(bytes)")
        }
    }

    @Test("pointers lead backwards to a whole name")
    func followsPointers() throws {
        let bytes = name("example.org") + [3, 0x77, 0x77, 0x57, 0xc0, 12] + [1, 0x41, 0xc0, 25] + [0xc0, 20]
        #expect(try read(bytes, at: 13).text == "www.example.org")
        #expect(try read(bytes, at: 19).text == "a.www.example.org")
        #expect(try read(bytes, at: 23).text == "org")
    }

    @Test("a byte of 0xc0 and more within a label is no pointer")
    func readsHighBytes() throws {
        let bytes: [UInt8] = [1, 0x62, 0, 3, 0xc0, 0x0c, 0xff, 0xc0, 12]
        #expect(try read(bytes, at: 3).wire == [3, 0xc0, 0x0c, 0xff, 1, 0x62, 0])
    }

    @Test("pointers that lead elsewhere are refused")
    func refusesPointers() {
        // To itself, forwards, into the header, behind the end.
        #expect(refusal([0xc0, 12]) == .pointer)
        #expect(refusal([0xc0, 14, 0]) == .pointer)
        #expect(refusal([0, 0xc0, 13], at: 1) == .pointer)
        #expect(refusal([1, 0x61, 0xc0, 12]) == .pointer)
        #expect(refusal([0xc0, 0]) == .pointer)
        #expect(refusal([0xc0, 11]) == .pointer)
        #expect(refusal([0xff, 0xff]) == .pointer)
        // Backwards, then forwards again: a loop.
        #expect(refusal([1, 0x61, 0xc0, 16, 1, 0x62, 0xc0, 12], at: 4) == .pointer)
        // Into a name that reaches into what pointed to it.
        #expect(refusal([2, 0x61, 0xc0, 12], at: 2) == .pointer)
        #expect(refusal([3, 0x61, 0x62, 0xc0, 12, 0], at: 3) == .pointer)
        #expect(refusal(name("org") + [0xc0, 12], at: 5, .uncompressed) == .pointer)
    }

    @Test("127 pointers are followed, 128 are not")
    func boundsPointers() {
        var bytes: [UInt8] = [0]
        for hop in 0..<128 { bytes += DNSBytes.word(0xc000 | (hop == 0 ? 12 : 13 + 2 * (hop - 1))) }
        #expect(refusal(Array(bytes.prefix(1 + 2 * 127)), at: 1 + 2 * 126) == nil)
        #expect(refusal(bytes, at: 1 + 2 * 127) == .pointer)
    }
}
