package import Model

/// A packet that a `log group` rule told of: `NFULNL_MSG_PACKET` of nfnetlink_log.
///
/// All values are in network byte order on the wire and in host order here. Ranges are into the bytes it was read from.
/// Never traps, whatever the bytes are, and allocates nothing.
package struct LogMessage: Hashable, Sendable {
    /// The protocol family of the table: 1 for `inet`, 2 for IPv4, 5 for `netdev`, 10 for IPv6.
    package let family: UInt8
    /// The log group's number.
    package let group: UInt16
    /// The hook: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting; in `netdev` 0 ingress, 1 egress.
    package private(set) var hook: UInt8 = 0
    /// The ethertype: 0x0800 for IPv4, 0x86dd for IPv6.
    package private(set) var hardwareProtocol: UInt16 = 0
    /// The packet mark; 0 when it has none.
    package private(set) var mark: UInt32 = 0
    /// The index of the interface it came in by; 0 when it did not.
    package private(set) var inputInterface: UInt32 = 0
    /// The index of the interface it goes out by; 0 when that is not known.
    package private(set) var outputInterface: UInt32 = 0
    /// The index of the interface that the packet is at: it goes out by it, or came in by it.
    package var device: UInt32 { outputInterface != 0 ? outputInterface : inputInterface }
    /// The user who owns the socket; nil without a socket or with one that has no file.
    package private(set) var uid: UInt32?
    /// The group of the socket's owner; nil like `uid`.
    package private(set) var gid: UInt32?
    /// When the packet was received, if it was stamped.
    package private(set) var time: WallTime?
    /// Counts the messages of this group, if that was asked for: a gap is a loss.
    package private(set) var sequence: UInt32?
    /// The rule's `prefix`, without its final NUL.
    package private(set) var prefix: Range<Int> = 0..<0
    /// The packet from its IP header on, as far as the group copies it; in `netdev` from its network header on.
    package private(set) var payload: Range<Int> = 0..<0

    /// Reads the payload of one netlink message, from its `nfgenmsg` on.
    ///
    /// A message without packet header is an error.
    package init(_ bytes: RawSpan) throws(MessageError) {
        let header = try NetfilterHeader(bytes)
        self.family = header.family
        self.group = header.resource
        var attributes = header.attributes(of: bytes)
        var hasPacketHeader = false
        while let attribute = try attributes.next(in: bytes) {
            try take(attribute, bytes)
            if attribute.type == Number.packetHeader { hasPacketHeader = true }
        }
        guard hasPacketHeader else { throw .missingAttribute(Number.packetHeader) }
    }

    /// The attributes' numbers: `enum nfulnl_attr_type` of `linux/netfilter/nfnetlink_log.h`.
    enum Number {
        /// `struct nfulnl_msg_packet_hdr`: ethertype (16), hook (8), padding.
        static let packetHeader: UInt16 = 1
        static let mark: UInt16 = 2
        /// `struct nfulnl_msg_packet_timestamp`: seconds and microseconds, 64 bits each.
        static let timestamp: UInt16 = 3
        static let inputInterface: UInt16 = 4
        static let outputInterface: UInt16 = 5
        static let payload: UInt16 = 9
        static let prefix: UInt16 = 10
        static let uid: UInt16 = 11
        static let sequence: UInt16 = 12
        static let gid: UInt16 = 14
    }

    private mutating func take(_ attribute: NetlinkAttributes.Attribute, _ bytes: RawSpan) throws(MessageError) {
        switch attribute.type {
        case Number.packetHeader:
            hardwareProtocol = try attribute.network16(in: bytes)
            hook = try attribute.byte(in: bytes, at: 2)
        case Number.mark: mark = try attribute.network32(in: bytes)
        case Number.timestamp: time = try attribute.time(in: bytes)
        case Number.inputInterface: inputInterface = try attribute.network32(in: bytes)
        case Number.outputInterface: outputInterface = try attribute.network32(in: bytes)
        case Number.payload: payload = attribute.value
        case Number.prefix: prefix = Self.text(attribute.value, bytes)
        case Number.uid: uid = try attribute.network32(in: bytes)
        case Number.sequence: sequence = try attribute.network32(in: bytes)
        case Number.gid: gid = try attribute.network32(in: bytes)
        default: break
        }
    }

    /// The part of the value before its first NUL.
    private static func text(_ value: Range<Int>, _ bytes: RawSpan) -> Range<Int> {
        var end = value.lowerBound
        while end < value.upperBound, let byte = bytes.byte(at: end), byte != 0 { end += 1 }
        return value.lowerBound..<end
    }
}
