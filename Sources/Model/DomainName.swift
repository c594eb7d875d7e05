/// A domain name in its one canonical form.
///
/// Lower case, no trailing dot, labels of letters, digits, hyphens and underscores with 1...63 bytes each, 253 bytes in
/// all, international labels as A-labels (`xn--…`). Nothing that any program reads as an address is a name.
package struct DomainName: Hashable, Sendable {
    /// The canonical text.
    package let text: String

    /// Reads the text form that people write.
    ///
    /// Upper case and one trailing dot are canonicalised; the rest is refused.
    ///
    /// A name that is not ASCII is refused with its A-label form as the mend, so that a look-alike is seen before it is
    /// trusted.
    package init(_ text: String) throws(TextError) {
        let quoted = TextError.quote(text)
        guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
            guard let ascii = Punycode.asciiName(text), let name = try? DomainName(ascii) else {
                throw TextError("name \(quoted) is not ASCII; write its A-label form (xn--…)")
            }
            throw TextError("name \(quoted) is not ASCII; write '\(name)' if that is the one you mean")
        }
        var bytes = Array(text.utf8)
        if bytes.count > 1, bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
        guard !bytes.isEmpty else { throw TextError("the name is empty; write one like 'packages.example.org'") }
        if bytes.contains(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "]") || $0 == UInt8(ascii: ":") }) {
            throw TextError(
                "\(quoted) is neither a name nor an address; write an IPv6 address without brackets or port"
            )
        }
        try self.init(
            labels: bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false),
            quoted: quoted
        )
    }

    /// Reads the canonical wire form (RFC 1035 §3.1): lower case, each label after its length, the root's zero at the end.
    ///
    /// Nil for what its text would be refused for; a dot, a NUL or any other byte that is no letter, digit, hyphen or
    /// underscore within a label too, so that no two wire names have one text. It is asked for with every answer of the
    /// resolver, so it says no reason.
    package init?(canonicalWire wire: [UInt8]) {
        // Every length but the first becomes the dot before its label.
        guard wire.count > 2, wire.count <= 255, wire.last == 0 else { return nil }
        var text = wire[1..<wire.count - 1]
        var start = 0
        var last = text
        while wire[start] > 0 {
            let end = start + 1 + Int(wire[start])
            guard wire[start] < 64, end < wire.count else { return nil }
            last = wire[start + 1..<end]
            guard last.allSatisfy(Self.isCanonicalByte), last.first != UInt8(ascii: "-"), last.last != UInt8(ascii: "-")
            else { return nil }
            if start > 0 { text[start] = UInt8(ascii: ".") }
            start = end
        }
        guard start == wire.count - 1, !Self.looksNumeric(last) else { return nil }
        self.text = String(decoding: text, as: UTF8.self)
    }

    private init(labels: [ArraySlice<UInt8>], quoted: String) throws(TextError) {
        var canonical: [UInt8] = []
        for label in labels {
            try Self.check(label, of: quoted)
            if !canonical.isEmpty { canonical.append(UInt8(ascii: ".")) }
            canonical += label.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }
        }
        guard canonical.count <= 253 else {
            throw TextError("name \(quoted) has \(canonical.count) characters; at most 253 are a name")
        }
        if let last = labels.last, Self.looksNumeric(last) {
            throw TextError(
                "\(quoted) looks like an address but is none; write four decimal numbers without leading zeros",
            )
        }
        self.text = String(decoding: canonical, as: UTF8.self)
    }

    private static func check(_ label: ArraySlice<UInt8>, of quoted: String) throws(TextError) {
        guard let first = label.first, let last = label.last else {
            throw TextError("name \(quoted) has an empty label; write exactly one dot between labels")
        }
        guard label.count <= 63 else {
            throw TextError("name \(quoted) has a label of \(label.count) characters; at most 63 are a label")
        }
        guard let odd = label.first(where: { !isNameByte($0) }) else {
            let hyphen = UInt8(ascii: "-")
            guard first != hyphen, last != hyphen else {
                throw TextError("name \(quoted) has a label that begins or ends with a hyphen; remove it")
            }
            return
        }
        if odd == UInt8(ascii: "*") {
            throw TextError("name \(quoted) has a '*' that is not the whole first label; write '*.example.org'")
        }
        let shown = odd < 0x80 ? TextError.quote(String(UnicodeScalar(odd))) : "byte 0x\(String(odd, radix: 16))"
        throw TextError("name \(quoted) holds \(shown); write letters, digits, hyphens and dots only")
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        isCanonicalByte(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    private static func isCanonicalByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default:
            false
        }
    }

    /// Whether a resolver might read a text that ends in this label as an address (WHATWG URL, "ends in a number").
    private static func looksNumeric(_ label: ArraySlice<UInt8>) -> Bool {
        if label.allSatisfy({ (0x30...0x39).contains($0) }) { return true }
        guard label.first == UInt8(ascii: "0"), label.dropFirst().first.map({ $0 | 0x20 }) == UInt8(ascii: "x") else {
            return false
        }
        return label.dropFirst(2).allSatisfy { Character(UnicodeScalar($0)).isHexDigit }
    }
}

extension DomainName: CustomStringConvertible {
    package var description: String { text }
}

extension DomainName: Comparable {
    /// By the bytes of the text.
    package static func < (left: DomainName, right: DomainName) -> Bool { left.text < right.text }
}
