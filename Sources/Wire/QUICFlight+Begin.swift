extension QUICFlight {
    /// Whether a flow's first datagram looks like a QUIC client's: to say what it is, not to allow it.
    ///
    /// True for an Initial of a version that is read, whether or not the rest holds; and for a long header of a draft, or of a
    /// version that nobody speaks, which makes a server name its own (RFC 9000 §15), whose connection ids are as a client's must
    /// be, in a datagram as large as one with an Initial. Any other version would take in what only looks random.
    package static func mayBegin(_ datagram: RawSpan) -> Bool {
        do throws(QUICError) {
            var cursor = QUICCursor(0..<datagram.byteCount)
            let (version, first) = try QUICPacket.version(&cursor, datagram)
            guard first & 0x40 != 0 else { return false }
            let destination = try QUICPacket.id(&cursor, datagram)
            _ = try QUICPacket.id(&cursor, datagram)
            if let known = QUICVersion(rawValue: version) { return known.kind(first) == .initial }
            let isOther = version >> 8 == 0xff_0000 || version & 0x0f0f_0f0f == 0x0a0a_0a0a
            return isOther && destination.count >= smallestID && datagram.byteCount >= smallestDatagram
        } catch {
            return false
        }
    }
}
