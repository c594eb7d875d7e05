/// An IPv4 or IPv6 address in its one canonical form.
///
/// A v4-mapped IPv6 address (`::ffff:10.0.0.1`) is the IPv4 address it holds, so that equal destinations are equal values.
/// Ordered by family (IPv4 first), then by value.
package enum IPAddress: Hashable, Sendable {
    /// The 32 bits in host byte order.
    case v4(UInt32)
    /// The 128 bits in host byte order.
    case v6(UInt128)
}

extension IPAddress: Comparable {
    package static func < (left: IPAddress, right: IPAddress) -> Bool {
        switch (left, right) {
        case (.v4(let left), .v4(let right)): left < right
        case (.v6(let left), .v6(let right)): left < right
        case (.v4, .v6): true
        case (.v6, .v4): false
        }
    }
}

extension IPAddress {
    /// The address of 128 bits from the wire; a v4-mapped one becomes the IPv4 address it holds.
    package init(wire bits: UInt128) {
        self = bits >> 32 == 0xffff ? .v4(UInt32(truncatingIfNeeded: bits)) : .v6(bits)
    }

    /// Whether this is an IPv4 address.
    package var isV4: Bool {
        if case .v4 = self { true } else { false }
    }

    /// The width of the family in bits: 32 or 128.
    package var width: Int { isV4 ? 32 : 128 }

    /// The value in the low bits of 128.
    package var bits: UInt128 {
        switch self {
        case .v4(let value): UInt128(value)
        case .v6(let value): value
        }
    }

    /// The address in network byte order: 4 or 16 bytes.
    package var bytes: [UInt8] {
        let width = width
        return stride(from: width - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: bits >> UInt128($0)) }
    }

    /// Whether the address never leaves the host: 127.0.0.0/8 or ::1.
    package var isLoopback: Bool {
        switch self {
        case .v4(let value): value >> 24 == 127
        case .v6(let value): value == 1
        }
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted quad, or RFC 5952 text.
    package var description: String {
        switch self {
        case .v4(let value):
            return "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)"
        case .v6(let value):
            let groups = (0..<8).map { UInt16(truncatingIfNeeded: value >> UInt128(112 - 16 * $0)) }
            // RFC 5952 §4.2: the longest run of at least two zero groups, the first of equals, becomes "::".
            var best = 0..<0
            var start = 0
            while start < 8 {
                var end = start
                while end < 8, groups[end] == 0 { end += 1 }
                if end - start > max(best.count, 1) { best = start..<end }
                start = max(end, start + 1)
            }
            let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
            return best.isEmpty
                ? text(groups[...]) : text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
        }
    }
}

extension IPAddress: LosslessStringConvertible {
    /// Reads the strict text form.
    ///
    /// Dotted quad of four decimal numbers without leading zeros, or RFC 4291 IPv6 without zone. Whatever another program
    /// might read as an address in another way (`0x7f.1`, `2130706433`, `010.0.0.1`, brackets, a zone) is nil.
    package init?(_ text: String) {
        let utf8 = Array(text.utf8)
        if utf8.contains(UInt8(ascii: ":")) {
            guard let value = Self.parseV6(utf8[...]) else { return nil }
            self.init(wire: value)
        } else {
            guard let value = Self.parseV4(utf8[...]) else { return nil }
            self = .v4(value)
        }
    }

    private static func parseV4(_ text: ArraySlice<UInt8>) -> UInt32? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0") else { return nil }
            var number: UInt32 = 0
            for digit in part {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
                number = number * 10 + UInt32(digit - UInt8(ascii: "0"))
            }
            guard number < 256 else { return nil }
            value = value << 8 | number
        }
        return value
    }

    private static func parseV6(_ text: ArraySlice<UInt8>) -> UInt128? {
        let colon = UInt8(ascii: ":")
        var halves: [ArraySlice<UInt8>] = [text]
        if let gap = text.indices.dropLast().first(where: { text[$0] == colon && text[$0 + 1] == colon }) {
            halves = [text[..<gap], text[(gap + 2)...]]
        }
        var groups: [[UInt16]] = []
        for (index, half) in halves.enumerated() {
            guard let read = parseGroups(half, mayEndInV4: index == halves.count - 1) else { return nil }
            groups.append(read)
        }
        let count = groups.reduce(0) { $0 + $1.count }
        guard halves.count == 1 ? count == 8 : count < 8 else { return nil }
        let zeros = [UInt16](repeating: 0, count: 8 - count)
        let all = halves.count == 1 ? groups[0] : groups[0] + zeros + groups[1]
        return all.reduce(0) { $0 << 16 | UInt128($1) }
    }

    private static func parseGroups(_ text: ArraySlice<UInt8>, mayEndInV4: Bool) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        var groups: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if mayEndInV4, index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let value = parseV4(part) else { return nil }
                groups += [UInt16(value >> 16), UInt16(value & 0xffff)]
                continue
            }
            guard (1...4).contains(part.count) else { return nil }
            var value: UInt16 = 0
            for digit in part {
                guard let nibble = Character(UnicodeScalar(digit)).hexDigitValue else { return nil }
                value = value << 4 | UInt16(nibble)
            }
            groups.append(value)
        }
        return groups.count <= 8 ? groups : nil
    }
}
