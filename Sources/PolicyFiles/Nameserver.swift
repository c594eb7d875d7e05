package import Model

/// A resolver that the broker asks.
package struct Nameserver: Hashable, Sendable {
    package let address: IPAddress
    package let port: UInt16

    package init(_ address: IPAddress, port: UInt16 = 53) {
        self.address = address
        self.port = port
    }
}

extension Nameserver: CustomStringConvertible {
    /// As it is written in the configuration: `10.0.0.2`, `127.0.0.1#5353`.
    package var description: String { port == 53 ? "\(address)" : "\(address)#\(port)" }
}

extension Nameserver {
    /// Reads `10.0.0.2`, or with a port other than 53 `10.0.0.2#5353`.
    package init(_ text: String) throws(TextError) {
        let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(String(first)) else {
            throw TextError("\(TextError.quote(text)) is no address; write one like 10.0.0.2, fd00::2 or 10.0.0.2#5353")
        }
        guard parts.count == 2 else {
            self.init(address)
            return
        }
        guard let port = Decimal.port(parts[1]) else {
            throw TextError(
                "\(TextError.quote(text)) has no port in 1...65535; write \(address)#5353, or \(address) for 53"
            )
        }
        self.init(address, port: port)
    }
}

/// Numbers in their one decimal form.
enum Decimal {
    /// A port without sign, spaces and leading zeros; nil for 0 and whatever is no port.
    static func port(_ text: some StringProtocol) -> UInt16? {
        number(text, upTo: Int(UInt16.max)).map { UInt16($0) }
    }

    /// A number from 1 on without sign, spaces and leading zeros; nil for any other text.
    static func number(_ text: some StringProtocol, upTo limit: Int) -> Int? {
        guard (1...18).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            text.utf8.first != UInt8(ascii: "0"), let number = Int(text), number <= limit
        else { return nil }
        return number
    }
}
