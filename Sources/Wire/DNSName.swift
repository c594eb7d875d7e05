package import Model

/// A name in DNS, in its one canonical form: the uncompressed wire form (RFC 1035 §3.1) in lower case.
///
/// Each label is its length (1...63) and that many bytes; the root's zero ends the name; 255 bytes in all. No label holds a dot
/// or a NUL, but in the mailbox of a SOA record: so two different names have two different texts.
package struct DNSName: Hashable, Sendable {
    /// The bytes with the root's zero at the end.
    package let wire: [UInt8]

    /// The longest name in bytes.
    static let limit = 255

    /// The name of no labels.
    package static let root = DNSName(canonical: [0])

    /// Takes bytes that are known to be canonical.
    init(canonical wire: [UInt8]) { self.wire = wire }

    /// The same name in Model's form.
    package init(_ name: DomainName) {
        // The dots become the lengths of the labels behind them, one more in front and the root's at the end.
        var wire: [UInt8] = [0]
        wire.reserveCapacity(name.text.utf8.count + 2)
        var start = 0
        for byte in name.text.utf8 {
            guard byte == UInt8(ascii: ".") else {
                wire.append(byte)
                continue
            }
            wire[start] = UInt8(truncatingIfNeeded: wire.count - start - 1)
            start = wire.count
            wire.append(0)
        }
        wire[start] = UInt8(truncatingIfNeeded: wire.count - start - 1)
        wire.append(0)
        self.wire = wire
    }

    /// Reads one whole uncompressed name in any case; nil when that is not all of the bytes, or a label has a dot or a NUL.
    package init?(wire bytes: some Collection<UInt8>) {
        let bytes = Array(bytes)
        guard let name = try? Self.read(bytes), name.wire.count == bytes.count else { return nil }
        self = name
    }

    /// Reads labels without the root's empty one; nil when they are too many or too long, or one has a dot or a NUL.
    package init?(labels: some Sequence<some Collection<UInt8>>) {
        var bytes: [UInt8] = []
        for label in labels {
            guard (1...63).contains(label.count) else { return nil }
            bytes.append(UInt8(truncatingIfNeeded: label.count))
            bytes += label
        }
        self.init(wire: bytes + [0])
    }

    // `try?` around a borrowed span crashes the compiler (6.3.1), so the call stands in a function of its own.
    private static func read(_ bytes: [UInt8]) throws(DNSError) -> DNSName {
        var cursor = DNSCursor(0..<bytes.count)
        return try cursor.name(in: bytes.rawBytes, .uncompressed)
    }

    /// Whether there are no labels.
    package var isRoot: Bool { wire.count <= 1 }

    /// The labels without the root's empty one.
    package var labels: [ArraySlice<UInt8>] {
        var labels: [ArraySlice<UInt8>] = []
        var offset = 0
        while offset < wire.count, wire[offset] > 0 {
            let end = min(offset + 1 + Int(wire[offset]), wire.count)
            labels.append(wire[(offset + 1)..<end])
            offset = end
        }
        return labels
    }

    /// The name as rules know it; nil for the root and for what Model refuses: blanks, odd bytes, what looks like an address.
    package var domain: DomainName? { DomainName(canonicalWire: wire) }

    /// Eight bytes at a time: `[UInt8]` would feed the hasher one by one.
    package func hash(into hasher: inout Hasher) {
        let bytes = wire.rawBytes
        var offset = 0
        while let word = bytes.network64(at: offset) {
            hasher.combine(word)
            offset += 8
        }
        var rest: UInt64 = 1
        while let byte = bytes.byte(at: offset) {
            rest = rest << 8 | UInt64(byte)
            offset += 1
        }
        hasher.combine(rest)
    }
}

extension DNSName: CustomStringConvertible {
    /// The text with the escapes of RFC 1035 §5.1, without a dot at the end; `.` for the root.
    ///
    /// A dot or backslash within a label is `\.` and `\\`; what is not visible ASCII is `\` and three decimal digits.
    package var text: String {
        guard !isRoot else { return "." }
        var text: [UInt8] = []
        text.reserveCapacity(wire.count)
        for label in labels {
            if !text.isEmpty { text.append(UInt8(ascii: ".")) }
            for byte in label { Self.append(byte, to: &text) }
        }
        return String(decoding: text, as: UTF8.self)
    }

    package var description: String { text }

    private static func append(_ byte: UInt8, to text: inout [UInt8]) {
        let backslash = UInt8(ascii: "\\")
        switch byte {
        case UInt8(ascii: "."), backslash: text += [backslash, byte]
        case 0x21...0x7e: text.append(byte)
        default: text += [backslash, 0x30 + byte / 100, 0x30 + byte / 10 % 10, 0x30 + byte % 10]
        }
    }
}

extension [UInt8] {
    /// The bytes as the readers take them.
    package var rawBytes: RawSpan {
        @_lifetime(borrow self)
        borrowing get { unsafe span.bytes }
    }
}
