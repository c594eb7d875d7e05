import Model

extension NetworkHeader {
    /// Reads an IPv4 header (RFC 791 §3.1).
    ///
    /// ```
    ///  0                   1                   2                   3
    ///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    /// +-------+-------+---------------+-------------------------------+
    /// |   4   |  IHL  | type of serv. |         total length          |
    /// +-------+-------+---------------+-----+-------------------------+
    /// |        identification         |0|D|M|     fragment offset     |
    /// +---------------+---------------+-----+-------------------------+
    /// | time to live  |   protocol    |        header checksum        |
    /// +---------------+---------------+-------------------------------+
    /// |                        source address                         |
    /// +---------------------------------------------------------------+
    /// |                      destination address                      |
    /// +---------------------------------------------------------------+
    /// |                       options, padding                        |
    /// +---------------------------------------------------------------+
    /// ```
    ///
    /// A total length of zero is what Linux 6.3 and later writes into a segment of more than 64 KiB that the device will cut
    /// (BIG TCP): such a packet ends where its bytes do. Bytes behind the total length are padding and are left out.
    init(v4 bytes: RawSpan) throws(PacketError) {
        guard let first = bytes.byte(at: 0), let total = bytes.network16(at: 2), let slice = bytes.network16(at: 6),
            let transport = bytes.byte(at: 9), let source = bytes.network32(at: 12),
            let destination = bytes.network32(at: 16)
        else { throw .truncated }
        let length = Int(first & 15) * 4
        guard length >= 20 else { throw .headerLength }
        self.isIPv4 = true
        self.source = .v4(source)
        self.destination = .v4(destination)
        self.transport = Transport(number: transport)
        self.start = length
        self.end = total == 0 ? bytes.byteCount : Int(total)
        self.captured = min(end, bytes.byteCount)
        try need(length, at: 0)
        if slice & 0x1fff != 0 {
            self.fragment = .later
        } else if slice & 0x2000 != 0 {
            self.fragment = .first
        }
        self.isSourceRouted = try Self.findSourceRoute(bytes, in: 20..<length)
    }

    /// Whether the options hold a loose or strict source route (RFC 791 §3.1: 131, 137), walked by their lengths.
    private static func findSourceRoute(_ bytes: RawSpan, in options: Range<Int>) throws(PacketError) -> Bool {
        var offset = options.lowerBound
        while offset < options.upperBound, let kind = bytes.byte(at: offset), kind != 0 {
            if kind == 1 {
                offset += 1
                continue
            }
            guard offset + 1 < options.upperBound, let length = bytes.byte(at: offset + 1), length >= 2,
                Int(length) <= options.upperBound - offset
            else { throw .option }
            if kind == 131 || kind == 137 { return true }
            offset += Int(length)
        }
        return false
    }
}
