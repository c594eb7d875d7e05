/// The header that every nfnetlink message starts with: `struct nfgenmsg` of `linux/netfilter/nfnetlink.h`.
///
/// ```
/// +---------------+---------------+-------------------------------+
/// |    family     |    version    |  resource id (network order)  |
/// +---------------+---------------+-------------------------------+
/// |                          attributes                           |
/// ```
struct NetfilterHeader {
    static let length = 4

    /// The protocol family of the table that the packet met.
    let family: UInt8
    /// The number of the queue or log group.
    let resource: UInt16

    init(_ bytes: RawSpan) throws(MessageError) {
        guard let family = bytes.byte(at: 0), let resource = bytes.network16(at: 2) else { throw .truncated }
        self.family = family
        self.resource = resource
    }

    /// The attributes behind the header.
    func attributes(of bytes: RawSpan) -> NetlinkAttributes {
        NetlinkAttributes(Self.length..<max(Self.length, bytes.byteCount))
    }
}
