package import Model

/// A packet that the kernel holds in a queue until it gets a verdict: `NFQNL_MSG_PACKET` of nfnetlink_queue.
///
/// All values are in network byte order on the wire and in host order here. Ranges are into the bytes it was read from.
/// Never traps, whatever the bytes are, and allocates nothing.
package struct QueueMessage: Hashable, Sendable {
    /// The protocol family of the table: 1 for `inet`, 2 for IPv4, 10 for IPv6.
    package let family: UInt8
    /// The queue's number.
    package let queue: UInt16
    /// The packet's number in the queue: the verdict names it.
    package private(set) var packetID: UInt32 = 0
    /// The hook: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
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
    /// `NFQA_SKB_INFO`: 1 checksum not ready, 2 GSO, 4 checksum not verified.
    package private(set) var packetInfo: UInt32 = 0
    /// `NFQA_CT_INFO`, the packet's place in its connection (`enum ip_conntrack_info`), if conntrack was asked for.
    package private(set) var connectionInfo: UInt32?
    /// The packet's whole length, given only when `payload` holds less.
    package private(set) var capturedLength: UInt32?
    /// The packet from its IP header on; empty in copy mode "meta".
    package private(set) var payload: Range<Int> = 0..<0

    /// Reads the payload of one netlink message, from its `nfgenmsg` on.
    ///
    /// A message without packet header is an error.
    package init(_ bytes: RawSpan) throws(MessageError) {
        let header = try NetfilterHeader(bytes)
        self.family = header.family
        self.queue = header.resource
        var attributes = header.attributes(of: bytes)
        var hasPacketHeader = false
        while let attribute = try attributes.next(in: bytes) {
            try take(attribute, bytes)
            if attribute.type == Number.packetHeader { hasPacketHeader = true }
        }
        guard hasPacketHeader else { throw .missingAttribute(Number.packetHeader) }
    }

    /// The attributes' numbers: `enum nfqnl_attr_type` of `linux/netfilter/nfnetlink_queue.h`.
    enum Number {
        /// `struct nfqnl_msg_packet_hdr`: packet id (32), ethertype (16), hook (8).
        static let packetHeader: UInt16 = 1
        static let mark: UInt16 = 3
        /// `struct nfqnl_msg_packet_timestamp`: seconds and microseconds, 64 bits each.
        static let timestamp: UInt16 = 4
        static let inputInterface: UInt16 = 5
        static let outputInterface: UInt16 = 6
        static let payload: UInt16 = 10
        static let connectionInfo: UInt16 = 12
        static let capturedLength: UInt16 = 13
        static let packetInfo: UInt16 = 14
        static let uid: UInt16 = 16
        static let gid: UInt16 = 17
    }

    private mutating func take(_ attribute: NetlinkAttributes.Attribute, _ bytes: RawSpan) throws(MessageError) {
        switch attribute.type {
        case Number.packetHeader:
            packetID = try attribute.network32(in: bytes)
            hardwareProtocol = try attribute.network16(in: bytes, at: 4)
            hook = try attribute.byte(in: bytes, at: 6)
        case Number.mark: mark = try attribute.network32(in: bytes)
        case Number.timestamp: time = try attribute.time(in: bytes)
        case Number.inputInterface: inputInterface = try attribute.network32(in: bytes)
        case Number.outputInterface: outputInterface = try attribute.network32(in: bytes)
        case Number.payload: payload = attribute.value
        case Number.connectionInfo: connectionInfo = try attribute.network32(in: bytes)
        case Number.capturedLength: capturedLength = try attribute.network32(in: bytes)
        case Number.packetInfo: packetInfo = try attribute.network32(in: bytes)
        case Number.uid: uid = try attribute.network32(in: bytes)
        case Number.gid: gid = try attribute.network32(in: bytes)
        default: break
        }
    }
}
