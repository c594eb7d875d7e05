import Model

/// What the IP headers of a packet say: who, to whom, and where the transport starts.
struct NetworkHeader {
    /// How many IPv6 extension headers are walked.
    static let extensionLimit = 8

    var isIPv4: Bool
    var source: IPAddress
    var destination: IPAddress
    var transport: Transport
    var fragment: Packet.Fragment = .whole
    var isSourceRouted = false
    /// Where the transport header starts: at most `captured`.
    var start: Int
    /// Where the packet ends by its own account, captured or not.
    var end: Int
    /// Where the bytes at hand end: at most `end`.
    var captured: Int

    /// Throws unless `count` bytes from `offset` are in the packet and at hand.
    func need(_ count: Int, at offset: Int) throws(PacketError) {
        guard count <= end - offset else { throw .length }
        guard count <= captured - offset else { throw .truncated }
    }

    /// Reads the headers of either version.
    @inline(__always)
    init(_ bytes: RawSpan) throws(PacketError) {
        guard let first = bytes.byte(at: 0) else { throw .truncated }
        switch first >> 4 {
        case 4: try self.init(v4: bytes)
        case 6: try self.init(v6: bytes)
        default: throw .version
        }
    }
}
