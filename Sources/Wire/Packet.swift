package import Model

/// An IP packet as far as a verdict needs it: who asks whom, over what, and where the payload is.
///
/// Reads IPv4 and IPv6 with TCP, UDP and ICMP; other transports are their number. Checksums are not looked at: the kernel has
/// computed or checked them, or a device will. Never traps, whatever the bytes are, and allocates nothing. A packet cut off by
/// the capture is read as long as its headers are there.
package struct Packet: Hashable, Sendable {
    /// Which part of a datagram the packet is.
    package enum Fragment: Hashable, Sendable {
        /// All of it.
        case whole
        /// The first fragment: it has the ports, and more follow.
        case first
        /// A fragment further on: it has no ports.
        case later
    }

    /// Whether the header is IPv4; an IPv6 header may hold addresses that are IPv4 ones (v4-mapped).
    package let isIPv4: Bool
    package let source: IPAddress
    package let destination: IPAddress
    /// The transport; of a later IPv6 fragment what its fragment header names, which may be a further extension header.
    package let transport: Transport
    package let fragment: Fragment
    /// How many routers it may pass: IPv4's time to live, IPv6's hop limit.
    package let hopLimit: UInt8
    /// Whether an IPv4 source route or an unfinished IPv6 routing header takes it elsewhere than to `destination`.
    package let isSourceRouted: Bool
    /// The port it comes from; 0 without ports and in later fragments.
    package private(set) var sourcePort: UInt16 = 0
    /// The port it goes to; 0 without ports and in later fragments.
    package private(set) var destinationPort: UInt16 = 0
    /// The control bits of a TCP segment.
    package private(set) var tcpFlags: TCPFlags?
    /// The sequence number of a TCP segment's first byte (a SYN counts as one before the payload); 0 without TCP.
    package private(set) var tcpSequence: UInt32 = 0
    /// The type of an ICMP or ICMPv6 message.
    package private(set) var icmpType: UInt8?
    /// The code of an ICMP or ICMPv6 message.
    package private(set) var icmpCode: UInt8?
    /// Where the payload of TCP and UDP is, or what follows the IP headers for all else, in the bytes it was read from.
    package private(set) var payload: Range<Int>
    /// Whether the capture holds less than the packet says it has: `payload` is then only its start.
    package let isTruncated: Bool

    /// Reads a packet that starts with its IP header.
    package init(_ bytes: RawSpan) throws(PacketError) {
        let header = try NetworkHeader(bytes)
        self.isIPv4 = header.isIPv4
        self.source = header.source
        self.destination = header.destination
        self.transport = header.transport
        self.hopLimit = bytes.byte(at: header.isIPv4 ? 8 : 7) ?? 0
        self.fragment = header.fragment
        self.isSourceRouted = header.isSourceRouted
        self.payload = header.start..<header.captured
        self.isTruncated = header.captured < header.end
        guard header.fragment != .later else { return }
        switch header.transport.number {
        case 6: try readTCP(bytes, header)
        case 17: try readUDP(bytes, header)
        case 1 where header.isIPv4, 58 where !header.isIPv4: try readICMP(bytes, header)
        default: break
        }
    }

    /// Whether it is only a part of a datagram.
    package var isFragment: Bool { fragment != .whole }
}

extension Packet {
    /// Reads a TCP header (RFC 9293 §3.1).
    ///
    /// ```
    ///  0                   1                   2                   3
    ///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    /// +-------------------------------+-------------------------------+
    /// |          source port          |       destination port        |
    /// +-------------------------------+-------------------------------+
    /// |                        sequence number                        |
    /// +---------------------------------------------------------------+
    /// |                     acknowledgment number                     |
    /// +-------+-------+---------------+-------------------------------+
    /// |offset | rsrvd |C|E|U|A|P|R|S|F|            window             |
    /// +-------+-------+---------------+-------------------------------+
    /// |           checksum            |        urgent pointer         |
    /// +-------------------------------+-------------------------------+
    /// |                     options, then payload                     |
    /// +---------------------------------------------------------------+
    /// ```
    ///
    /// A first fragment that cuts the header short is refused: a later one could bring the rest (RFC 1858 §3).
    private mutating func readTCP(_ bytes: RawSpan, _ header: NetworkHeader) throws(PacketError) {
        let start = header.start
        try header.need(20, at: start)
        guard let ports = bytes.network32(at: start), let sequence = bytes.network32(at: start + 4),
            let offset = bytes.byte(at: start + 12), let flags = bytes.byte(at: start + 13)
        else { throw .truncated }
        let size = Int(offset >> 4) * 4
        guard size >= 20, size <= header.end - start else { throw .headerLength }
        setPorts(ports)
        tcpSequence = sequence
        tcpFlags = TCPFlags(rawValue: flags)
        payload = min(start + size, header.captured)..<header.captured
    }

    /// Reads a UDP header (RFC 768).
    ///
    /// ```
    /// +-------------------------------+-------------------------------+
    /// |          source port          |       destination port        |
    /// +-------------------------------+-------------------------------+
    /// |       length with header      |           checksum            |
    /// +-------------------------------+-------------------------------+
    /// ```
    ///
    /// What lies between the UDP length and the end of the packet is not payload.
    private mutating func readUDP(_ bytes: RawSpan, _ header: NetworkHeader) throws(PacketError) {
        let start = header.start
        try header.need(8, at: start)
        guard let ports = bytes.network32(at: start), let length = bytes.network16(at: start + 4) else {
            throw .truncated
        }
        // The length is the whole datagram's: a first fragment holds less.
        guard length >= 8, header.fragment == .first || Int(length) <= header.end - start else { throw .length }
        setPorts(ports)
        payload = (start + 8)..<min(start + Int(length), header.captured)
    }

    /// Reads type and code of ICMP (RFC 792) and ICMPv6 (RFC 4443 §2.1); the payload is the message with its header.
    private mutating func readICMP(_ bytes: RawSpan, _ header: NetworkHeader) throws(PacketError) {
        try header.need(4, at: header.start)
        icmpType = bytes.byte(at: header.start)
        icmpCode = bytes.byte(at: header.start + 1)
    }

    private mutating func setPorts(_ word: UInt32) {
        sourcePort = UInt16(truncatingIfNeeded: word >> 16)
        destinationPort = UInt16(truncatingIfNeeded: word)
    }
}
