import Model

extension NetworkHeader {
    /// Reads an IPv6 header (RFC 8200 §3) and its extension headers.
    ///
    /// ```
    ///  0                   1                   2                   3
    ///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    /// +-------+---------------+---------------------------------------+
    /// |   6   | traffic class |              flow label               |
    /// +-------+---------------+-------+---------------+---------------+
    /// |        payload length         |  next header  |   hop limit   |
    /// +-------------------------------+---------------+---------------+
    /// |                   source address (128 bits)                   |
    /// +---------------------------------------------------------------+
    /// |                destination address (128 bits)                 |
    /// +---------------------------------------------------------------+
    /// ```
    ///
    /// A payload length of zero is a jumbogram (RFC 2675), or a segment that the device will cut: it ends where its bytes do.
    init(v6 bytes: RawSpan) throws(PacketError) {
        guard let length = bytes.network16(at: 4), let next = bytes.byte(at: 6),
            let source = bytes.network128(at: 8), let destination = bytes.network128(at: 24)
        else { throw .truncated }
        self.isIPv4 = false
        self.source = IPAddress(wire: source)
        self.destination = IPAddress(wire: destination)
        self.transport = Transport(number: next)
        self.start = 40
        self.end = length == 0 ? bytes.byteCount : 40 + Int(length)
        self.captured = min(end, bytes.byteCount)
        for _ in 0..<Self.extensionLimit {
            guard try skipExtension(bytes) else { return }
        }
        guard !Self.isExtension(transport.number) else { throw .tooManyHeaders }
    }

    /// Whether the number is an extension header that is walked (RFC 8200 §4).
    ///
    /// ESP and "no next header" end the walk and are the transport, as for the kernel's `meta l4proto`.
    private static func isExtension(_ number: UInt8) -> Bool {
        switch number {
        case 0, 43, 44, 51, 60: true
        default: false
        }
    }

    /// Steps over the extension header at `start`; false when there is none, or nothing behind it can be read.
    ///
    /// ```
    /// +---------------+---------------+-------------------------------+
    /// |  next header  |    length     | routing: type, segments left  |
    /// +---------------+---------------+---------------------+---+-----+
    /// | fragment (8 bytes): reserved  |       offset        | 0 |  M  |
    /// +-------------------------------+---------------------+---+-----+
    /// ```
    ///
    /// The length counts units of 8 bytes beyond the first; for the authentication header units of 4 beyond the second
    /// (RFC 4302 §2.2). The fragment header has none.
    private mutating func skipExtension(_ bytes: RawSpan) throws(PacketError) -> Bool {
        let number = transport.number
        guard Self.isExtension(number) else { return false }
        try need(8, at: start)
        guard let next = bytes.byte(at: start), let length = bytes.byte(at: start + 1),
            let word = bytes.network16(at: start + 2)
        else { throw .truncated }
        let size =
            switch number {
            case 44: 8
            case 51: (Int(length) + 2) * 4
            default: (Int(length) + 1) * 8
            }
        try need(size, at: start)
        // A route that is not yet used up leads elsewhere than the destination in the header.
        if number == 43, word & 0xff != 0 { isSourceRouted = true }
        transport = Transport(number: next)
        start += size
        guard number == 44 else { return true }
        if word >> 3 != 0 {
            fragment = .later
            return false
        }
        if word & 1 != 0 { fragment = .first }
        return true
    }
}
