/// A transport protocol by its IP protocol number (IANA "Assigned Internet Protocol Numbers").
package struct Transport: Hashable, Sendable, Comparable {
    /// The IP protocol number.
    package let number: UInt8

    /// The transport with this IP protocol number.
    package init(number: UInt8) { self.number = number }

    package static let tcp = Transport(number: 6)
    package static let udp = Transport(number: 17)

    /// Whether a port means anything: TCP and UDP.
    package var hasPorts: Bool { self == .tcp || self == .udp }

    package static func < (left: Transport, right: Transport) -> Bool { left.number < right.number }
}

extension Transport: CustomStringConvertible {
    private static let names: [UInt8: String] = [
        1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 41: "6in4", 47: "gre", 50: "esp", 51: "ah",
        58: "icmpv6", 132: "sctp", 136: "udplite",
    ]

    /// The IANA keyword in lower case, or `ip-N`.
    package var description: String { Self.names[number] ?? "ip-\(number)" }

    /// Reads what `description` writes; nil for anything else.
    package init?(_ text: String) {
        if let known = Self.names.first(where: { $0.value == text }) {
            self.init(number: known.key)
        } else if text.hasPrefix("ip-"), let number = UInt8(text.dropFirst(3)), Self.names[number] == nil {
            self.init(number: number)
        } else {
            return nil
        }
    }
}
