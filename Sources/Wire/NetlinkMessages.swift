/// One message of a netlink datagram: its header, and where its payload is.
package struct NetlinkMessage: Hashable, Sendable {
    package let type: UInt16
    package let flags: UInt16
    package let sequence: UInt32
    /// The port of the socket that is meant, or that asked; 0 is the kernel.
    package let portID: UInt32
    /// The payload, in the bytes that the message was read from.
    package let payload: Range<Int>
}

/// Walks the messages of one `recv` from a netlink socket.
///
/// Reads `struct nlmsghdr` of `linux/netlink.h` (RFC 3549 §2.3.2), in the byte order of this machine; each message starts at a
/// multiple of 4:
///
/// ```
/// +-------------------------------+
/// |      length with header       |
/// +---------------+---------------+
/// |     type      |     flags     |
/// +---------------+---------------+
/// |        sequence number        |
/// +-------------------------------+
/// |            port id            |
/// +-------------------------------+
/// |        payload, padding       |
/// ```
///
/// The walk keeps only its place: give it the same bytes every time.
package struct NetlinkMessages: Sendable {
    static let headerLength = 16

    private var offset = 0

    package init() {}

    /// The next message, or nil behind the last.
    ///
    /// A length that does not fit ends the walk with an error: what follows can no longer be told apart.
    package mutating func next(in bytes: RawSpan) throws(MessageError) -> NetlinkMessage? {
        let start = offset
        guard start < bytes.byteCount else { return nil }
        // Taken back below, when the message turns out to be whole.
        offset = bytes.byteCount
        guard let length = bytes.host32(at: start), let type = bytes.host16(at: start + 4),
            let flags = bytes.host16(at: start + 6), let sequence = bytes.host32(at: start + 8),
            let portID = bytes.host32(at: start + 12)
        else { throw .truncated }
        guard length >= UInt32(Self.headerLength), bytes.holds(Int(length), at: start) else { throw .length }
        let end = start + Int(length)
        offset = aligned(end)
        return NetlinkMessage(
            type: type,
            flags: flags,
            sequence: sequence,
            portID: portID,
            payload: (start + Self.headerLength)..<end,
        )
    }
}

/// The next multiple of 4 (`NLMSG_ALIGN`, `NLA_ALIGN`).
func aligned(_ offset: Int) -> Int { (offset + 3) & ~3 }
