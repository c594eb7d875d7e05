/// The control bits of a TCP header (RFC 9293 §3.1), as the byte that holds them.
package struct TCPFlags: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let fin = TCPFlags(rawValue: 0x01)
    package static let syn = TCPFlags(rawValue: 0x02)
    package static let rst = TCPFlags(rawValue: 0x04)
    package static let psh = TCPFlags(rawValue: 0x08)
    package static let ack = TCPFlags(rawValue: 0x10)
    package static let urg = TCPFlags(rawValue: 0x20)
    /// ECN echo (RFC 3168).
    package static let ece = TCPFlags(rawValue: 0x40)
    /// Congestion window reduced (RFC 3168).
    package static let cwr = TCPFlags(rawValue: 0x80)
}
