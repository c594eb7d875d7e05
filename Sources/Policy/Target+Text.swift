package import Model

extension Target {
    /// Reads `any`, an address, a prefix, or a name with or without `*.`.
    package init(_ text: String) throws(TextError) {
        if text == "any" {
            self = .any
        } else if AddressPrefix.isMeant(by: text) {
            self = .prefix(try AddressPrefix(policy: text))
        } else {
            self = .name(try NamePattern(text))
        }
    }
}

extension AddressPrefix {
    /// Whether the text can only be an address or a prefix, well written or not.
    fileprivate static func isMeant(by text: String) -> Bool {
        let utf8 = text.utf8
        if utf8.contains(UInt8(ascii: "/")) { return true }
        if utf8.contains(UInt8(ascii: ":")), !utf8.contains(UInt8(ascii: "[")) { return true }
        return IPAddress(text) != nil
    }

    /// Reads an address or a prefix as policies have it; the error names the mend.
    package init(policy text: String) throws(TextError) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let addressText = String(parts[0])
        guard let address = IPAddress(addressText) else {
            throw TextError(
                "\(TextError.quote(text)) is no address; write one like 10.20.0.1, 10.20.0.0/16 or fd00:20::/48"
            )
        }
        guard parts.count == 2 else {
            self.init(address)
            return
        }
        if address.isV4, addressText.utf8.contains(UInt8(ascii: ":")) {
            throw TextError("prefix \(TextError.quote(text)) is v4-mapped; write it as an IPv4 prefix of \(address)")
        }
        guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(parts[1]),
            length <= address.width
        else {
            throw TextError(
                "prefix \(TextError.quote(text)) has no length in 0...\(address.width); write \(address)/\(address.width)"
            )
        }
        if let prefix = AddressPrefix(address: address, length: length) {
            self = prefix
            return
        }
        let hostBits = UInt128(address.width - length)
        let kept = (address.bits >> hostBits) << hostBits
        let network = address.isV4 ? IPAddress.v4(UInt32(truncatingIfNeeded: kept)) : .v6(kept)
        throw TextError("\(text) has bits set below /\(length); write \(network)/\(length)")
    }
}
