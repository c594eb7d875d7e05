package import Model

/// JA4, the fingerprint of a TLS client: its open part alone (FoxIO, "JA4: TLS Client Fingerprinting", BSD 3-Clause).
///
/// `t13d1516h2_8daaf6152771_e5627efa2ab1`: the transport, the highest version, whether a server is named, how many cipher
/// suites and extensions, the first protocol of ALPN; the suites sorted; the extensions sorted and the signature algorithms as
/// they are. GREASE (RFC 8701) is left out everywhere.
extension TLSClientHello {
    /// The fingerprint, from the message that the hello was read from.
    ///
    /// `q` for a hello over UDP, which is QUIC's; `t` for others. 36 visible ASCII characters, whatever the bytes are.
    package func ja4(in message: RawSpan, over transport: Transport, using cryptography: some Cryptography) -> String {
        let suites = numbers(cipherSuites, in: message).sorted()
        let types = extensionTypes(in: message)
        let hashed = types.filter { $0 != TLSExtensionType.serverName && $0 != TLSExtensionType.protocols }.sorted()
        var behind = hexList(hashed)
        let algorithms = hexList(numbers(signatureAlgorithms, in: message))
        if !hashed.isEmpty, !algorithms.isEmpty { behind += [UInt8(ascii: "_")] + algorithms }
        var text: [UInt8] = []
        text.reserveCapacity(36)
        text.append(transport == .udp ? UInt8(ascii: "q") : UInt8(ascii: "t"))
        text += versionText(in: message).utf8
        text.append(serverNames == nil ? UInt8(ascii: "i") : UInt8(ascii: "d"))
        text += twoDigits(suites.count) + twoDigits(types.count) + protocolText(in: message)
        for part in [hexList(suites), behind] {
            text.append(UInt8(ascii: "_"))
            text += shortHash(part, cryptography)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The numbers of a list without GREASE, as they are sent.
    private func numbers(_ list: TLSNumbers, in message: RawSpan) -> [UInt16] {
        var numbers: [UInt16] = []
        numbers.reserveCapacity(list.count)
        for index in 0..<list.count {
            if let number = list.number(at: index, in: message), !number.isGrease { numbers.append(number) }
        }
        return numbers
    }

    private func extensionTypes(in message: RawSpan) -> [UInt16] {
        var walk = extensions
        var types: [UInt16] = []
        types.reserveCapacity(extensionCount)
        while let found = walk.next(in: message) {
            if !found.type.isGrease { types.append(found.type) }
        }
        return types
    }

    /// The highest version offered, which need not be one that TLS has.
    private func versionText(in message: RawSpan) -> String {
        let offered = supportedVersions.map { numbers($0, in: message).max() ?? 0 } ?? legacyVersion
        switch offered {
        case 0x0304: return "13"
        case 0x0303: return "12"
        case 0x0302: return "11"
        case 0x0301: return "10"
        default: return "00"
        }
    }

    /// First and last character of the first protocol, or of its bytes in hexadecimal when one of the two is no letter or digit.
    private func protocolText(in message: RawSpan) -> [UInt8] {
        var walk = protocols
        guard let name = walk.next(in: message), let first = message.byte(at: name.lowerBound),
            let last = message.byte(at: name.upperBound - 1)
        else { return [UInt8(ascii: "0"), UInt8(ascii: "0")] }
        guard first.isAlphanumeric, last.isAlphanumeric else { return [hexDigit(first >> 4), hexDigit(last & 15)] }
        return [first, last]
    }
}

private func twoDigits(_ count: Int) -> [UInt8] {
    let shown = UInt8(min(count, 99))
    return [0x30 + shown / 10, 0x30 + shown % 10]
}

/// Four digits for each number, with commas between them.
private func hexList(_ numbers: [UInt16]) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(numbers.count * 5)
    for number in numbers {
        if !text.isEmpty { text.append(UInt8(ascii: ",")) }
        for shift in [12, 8, 4, 0] { text.append(hexDigit(UInt8(number >> UInt16(shift) & 15))) }
    }
    return text
}

/// The first 12 digits of the hash of what is not empty; zeros for what is.
private func shortHash(_ text: [UInt8], _ cryptography: some Cryptography) -> [UInt8] {
    guard !text.isEmpty else { return [UInt8](repeating: UInt8(ascii: "0"), count: 12) }
    return cryptography.sha256(text.rawBytes).prefix(6).flatMap { [hexDigit($0 >> 4), hexDigit($0 & 15)] }
}

private func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }

extension UInt8 {
    /// Whether this is an ASCII digit or letter.
    fileprivate var isAlphanumeric: Bool { 0x30...0x39 ~= self || 0x61...0x7a ~= self | 0x20 }
}
