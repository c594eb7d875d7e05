package import Model

extension IPAddress {
    /// The address that a name under `in-addr.arpa` (RFC 1035 §3.5) or `ip6.arpa` (RFC 3596 §2.5) stands for.
    ///
    /// Only a name of all four numbers or all 32 nibbles stands for one. The nibbles of a v4-mapped address do not: its
    /// name is the one under `in-addr.arpa`.
    package init?(reverseName name: DomainName) {
        let labels = name.text.utf8.split(separator: UInt8(ascii: "."))
        guard labels.last?.elementsEqual("arpa".utf8) == true, labels.count >= 2 else { return nil }
        let zone = labels[labels.count - 2]
        let digits = labels.dropLast(2).reversed()
        if zone.elementsEqual("in-addr".utf8), digits.count == 4 {
            self.init(digits.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "."))
        } else if zone.elementsEqual("ip6".utf8), digits.count == 32 {
            guard let bits = Self.bits(nibbles: digits), case let address = IPAddress(wire: bits), !address.isV4 else {
                return nil
            }
            self = address
        } else {
            return nil
        }
    }

    private static func bits(nibbles: some Sequence<Substring.UTF8View>) -> UInt128? {
        var bits: UInt128 = 0
        for nibble in nibbles {
            guard nibble.count == 1, let digit = nibble.first,
                let value = Character(UnicodeScalar(digit)).hexDigitValue
            else { return nil }
            bits = bits << 4 | UInt128(value)
        }
        return bits
    }
}
