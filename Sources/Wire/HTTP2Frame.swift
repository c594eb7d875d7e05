/// A frame of HTTP/2 (RFC 9113 §4.1) that a client may send before or with its first request.
struct HTTP2Frame {
    static let headerLength = 9

    let type: UInt8
    let flags: UInt8
    let stream: UInt32
    /// Where its payload is, which need not be there yet.
    let payload: Range<Int>

    /// Reads a frame's header; nil when it is not whole.
    init?(_ bytes: RawSpan, at offset: Int) {
        guard bytes.holds(Self.headerLength, at: offset), let word = bytes.network32(at: offset),
            let flags = bytes.byte(at: offset + 4), let stream = bytes.network32(at: offset + 5)
        else { return nil }
        type = UInt8(truncatingIfNeeded: word)
        self.flags = flags
        self.stream = stream & 0x7fff_ffff
        let start = offset + Self.headerLength
        payload = start..<(start + Int(word >> 8))
    }

    /// Whether the fields end with this frame (END_HEADERS).
    var endsFields: Bool { flags & 0x04 != 0 }

    /// Refuses what may not stand here, by the header alone.
    ///
    /// The first frame holds settings, and nothing comes between the frames of one request's fields (`continues` is their
    /// stream). Types that nobody knows are passed over (§4.1).
    func check(isFirst: Bool, continues: UInt32?) throws(HTTPError) {
        let mayStand =
            switch type {
            // HEADERS, PRIORITY, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION.
            case 1: stream & 1 == 1
            case 2: stream != 0 && payload.count == 5
            case 4: stream == 0 && (flags & 1 == 0 ? payload.count.isMultiple(of: 6) : payload.isEmpty)
            case 6: stream == 0 && payload.count == 8
            case 8: stream == 0 && payload.count == 4
            case 9: continues == stream
            // DATA, RST_STREAM, PUSH_PROMISE, GOAWAY.
            case 0, 3, 5, 7: false
            default: true
            }
        guard mayStand, continues == nil || type == 9, !isFirst || type == 4 && flags & 1 == 0 else { throw .frame }
    }

    /// Where a frame that is all there holds fields; nil when it holds none.
    func fragment(_ bytes: RawSpan) throws(HTTPError) -> Range<Int>? {
        switch type {
        case 1: return try fieldsOfHeaders(bytes)
        case 9: return payload
        case 4: try checkSettings(bytes)
        case 8: try checkIncrement(bytes)
        default: break
        }
        return nil
    }

    /// Takes padding and priority away (§6.2).
    private func fieldsOfHeaders(_ bytes: RawSpan) throws(HTTPError) -> Range<Int> {
        var start = payload.lowerBound
        var end = payload.upperBound
        if flags & 0x08 != 0 {
            guard start < end, let padding = bytes.byte(at: start) else { throw .frame }
            start += 1
            end -= Int(padding)
        }
        if flags & 0x20 != 0 { start += 5 }
        guard start <= end else { throw .frame }
        return start..<end
    }

    /// Refuses values that no receiver takes (§6.5.2; RFC 8441 §3).
    private func checkSettings(_ bytes: RawSpan) throws(HTTPError) {
        for offset in stride(from: payload.lowerBound, to: payload.upperBound, by: 6) {
            guard let key = bytes.network16(at: offset), let value = bytes.network32(at: offset + 2) else {
                throw .frame
            }
            let isValid =
                switch key {
                // ENABLE_PUSH and ENABLE_CONNECT_PROTOCOL, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE.
                case 2, 8: value <= 1
                case 4: value < 1 << 31
                case 5: (16_384..<(1 << 24)).contains(value)
                default: true
                }
            guard isValid else { throw .frame }
        }
    }

    private func checkIncrement(_ bytes: RawSpan) throws(HTTPError) {
        let increment = bytes.network32(at: payload.lowerBound) ?? 0
        guard increment & 0x7fff_ffff != 0 else { throw .frame }
    }
}
