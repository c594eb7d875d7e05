extension QUICFlight {
    /// Whether a flow's first datagram looks like a QUIC client's: to say what it is, not to allow it.
    ///
    /// True for an Initial of a version that is read, whether or not the rest holds; and for a long header of any other version
    /// but 0 whose connection ids are as a client's must be, in a datagram as large as one with an Initial.
    package static func mayBegin(_ datagram: RawSpan) -> Bool {
        do throws(QUICError) {
            var cursor = QUICCursor(0..<datagram.byteCount)
            let (version, first) = try QUICPacket.version(&cursor, datagram)
            guard first & 0x40 != 0, version != 0 else { return false }
            let destination = try QUICPacket.id(&cursor, datagram)
            _ = try QUICPacket.id(&cursor, datagram)
            if let known = QUICVersion(rawValue: version) { return known.kind(first) == .initial }
            return destination.count >= smallestID && datagram.byteCount >= smallestDatagram
        } catch {
            return false
        }
    }
}
