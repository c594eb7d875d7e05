import Model
import Wire

/// A packet with its headers, written here.
struct WirePacket {
    var source: IPAddress
    var sourcePort: UInt16
    var destination: IPAddress
    var destinationPort: UInt16
    var transport = Transport.tcp
    var sequence: UInt32 = 0
    var flags: TCPFlags = []
    var payload: [UInt8] = []
    /// The TTL of IPv4, the hop limit of IPv6.
    var hopLimit: UInt8 = 64

    /// From its IP header on, without checksums: nobody looks at them.
    var bytes: [UInt8] {
        let segment = transport == .tcp ? tcp : udp
        return (source.isV4 ? ipv4(segment.count) : ipv6(segment.count)) + segment
    }

    /// RFC 791 §3.1.
    private func ipv4(_ count: Int) -> [UInt8] {
        [0x45, 0] + Self.word16(20 + count) + [0, 0, 0, 0, hopLimit, transport.number, 0, 0]
            + Self.bytes(source) + Self.bytes(destination)
    }

    /// RFC 8200 §3.
    private func ipv6(_ count: Int) -> [UInt8] {
        [0x60, 0, 0, 0] + Self.word16(count) + [transport.number, hopLimit]
            + Self.bytes(source) + Self.bytes(destination)
    }

    /// RFC 9293 §3.1.
    private var tcp: [UInt8] {
        ports + Self.word16(Int(sequence >> 16)) + Self.word16(Int(sequence & 0xffff))
            + [0, 0, 0, 1, 0x50, flags.rawValue, 0xff, 0xff, 0, 0, 0, 0] + payload
    }

    /// RFC 768.
    private var udp: [UInt8] { ports + Self.word16(8 + payload.count) + [0, 0] + payload }

    private var ports: [UInt8] { Self.word16(Int(sourcePort)) + Self.word16(Int(destinationPort)) }

    private static func word16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 255), UInt8(value & 255)] }

    private static func bytes(_ address: IPAddress) -> [UInt8] {
        let count = address.isV4 ? 4 : 16
        return (0..<count).map { UInt8(truncatingIfNeeded: address.bits >> UInt128(8 * (count - 1 - $0))) }
    }
}
