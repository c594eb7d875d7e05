package import Model

/// The server that an HTTP request names: its `Host`, or the authority of its target (RFC 9110 §7.2).
package enum HTTPHost: Hashable, Sendable {
    /// There is none, or an empty one.
    case absent
    case name(DomainName)
    /// An address, IPv6 in brackets.
    case address(IPAddress)
    /// Neither; as an excerpt.
    case unreadable(String)

    /// Reads a host with an optional port (RFC 3986 §3.2.2, §3.2.3), without user information.
    ///
    /// The port must be one, but is not kept. An address is read in its one strict form.
    init(_ bytes: RawSpan, in range: Range<Int>) {
        guard !range.isEmpty else {
            self = .absent
            return
        }
        // The longest name, brackets, a port: what is longer is not worth a copy.
        let text = range.count <= 270 ? bytes.copy(range) : []
        self = Self.read(text[...]) ?? .unreadable(Excerpt.text(bytes, in: range))
    }

    /// Reads a host that is all of the bytes.
    init(_ bytes: [UInt8]) { self.init(bytes.rawBytes, in: 0..<bytes.count) }

    private static func read(_ text: ArraySlice<UInt8>) -> HTTPHost? {
        // DomainName would look for the name that somebody meant, which no program sends.
        guard let first = text.first, text.allSatisfy({ $0 < 0x80 }) else { return nil }
        if first == UInt8(ascii: "[") {
            guard let end = text.firstIndex(of: UInt8(ascii: "]")), isPort(text[(end + 1)...]) else { return nil }
            let inside = text[(text.startIndex + 1)..<end]
            guard inside.contains(UInt8(ascii: ":")) else { return nil }
            return IPAddress(String(decoding: inside, as: UTF8.self)).map { .address($0) }
        }
        let end = text.firstIndex(of: UInt8(ascii: ":")) ?? text.endIndex
        guard isPort(text[end...]) else { return nil }
        let host = String(decoding: text[..<end], as: UTF8.self)
        if let address = IPAddress(host) { return .address(address) }
        return (try? DomainName(host)).map { .name($0) }
    }

    /// Whether it is nothing, or a colon and a port; no digits are the scheme's own port.
    private static func isPort(_ text: ArraySlice<UInt8>) -> Bool {
        guard let first = text.first else { return true }
        let digits = text.dropFirst()
        guard first == UInt8(ascii: ":"), digits.count <= 5 else { return false }
        var port = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return false }
            port = port * 10 + Int(digit - 0x30)
        }
        return port <= 65_535
    }
}
