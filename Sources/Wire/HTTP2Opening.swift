/// What a client of HTTP/2 sends first: its preface, settings, and the frames up to the first request (RFC 9113 §3.4).
///
/// ```
/// +-----------------------------------------------+
/// |                  length (24)                  |
/// +---------------+---------------+---------------+
/// |     type      |     flags     |
/// +-+-------------+---------------+---------------+---------------+
/// |R|                      stream identifier                      |
/// +-+-------------------------------------------------------------+
/// |                            payload                            |
/// +---------------------------------------------------------------+
/// ```
struct HTTP2Opening {
    /// How much of the preface is there.
    enum Preface {
        /// The bytes are something else.
        case none
        /// The bytes, of which there may be none, are a start of it.
        case start
        case whole
    }

    private static let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    static func preface(of bytes: RawSpan) -> Preface {
        guard bytes.startsLike(preface, at: 0) else { return .none }
        return bytes.byteCount < preface.utf8.count ? .start : .whole
    }

    private var offset = Self.preface.utf8.count
    private var isFirst = true
    /// Where the fields of the first request are, frame by frame; its stream.
    private var fragments: [Range<Int>] = []
    private var stream: UInt32 = 0

    /// Reads what follows the preface; nil as long as the first request's fields are not whole.
    static func read(_ bytes: RawSpan) -> HTTPRequestHead? {
        do throws(HTTPError) {
            var opening = HTTP2Opening()
            guard try opening.findFields(bytes) else { return nil }
            return try opening.head(bytes)
        } catch {
            var head = HTTPRequestHead(.http2, method: "")
            head.flaw = error
            return head
        }
    }

    /// Goes through the frames until the first request's fields are there; false when more bytes are needed.
    private mutating func findFields(_ bytes: RawSpan) throws(HTTPError) -> Bool {
        let end = min(bytes.byteCount, HTTPRequestHead.limit)
        while let frame = HTTP2Frame(bytes, at: offset) {
            guard frame.payload.upperBound <= HTTPRequestHead.limit else { throw .tooLong }
            // What a frame is can be refused before all of it is there.
            try frame.check(isFirst: isFirst, continues: fragments.isEmpty ? nil : stream)
            guard frame.payload.upperBound <= end else { return false }
            isFirst = false
            offset = frame.payload.upperBound
            guard let fragment = try frame.fragment(bytes) else { continue }
            fragments.append(fragment)
            stream = frame.stream
            if frame.endsFields { return true }
        }
        guard offset + HTTP2Frame.headerLength <= HTTPRequestHead.limit else { throw .tooLong }
        return false
    }

    private func head(_ bytes: RawSpan) throws(HTTPError) -> HTTPRequestHead {
        let fields: [HPACKField]
        do throws(HPACKError) {
            fields = try decode(bytes)
        } catch {
            throw .compression(error)
        }
        return HTTP2Fields.head(of: fields)
    }

    private func decode(_ bytes: RawSpan) throws(HPACKError) -> [HPACKField] {
        var decoder = HPACKDecoder()
        if fragments.count == 1 { return try decoder.fields(bytes, in: fragments[0]) }
        let block = fragments.flatMap { bytes.copy($0) }
        return try decoder.fields(block.rawBytes, in: 0..<block.count)
    }
}
