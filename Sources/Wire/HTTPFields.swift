import Model

/// What the fields of an HTTP/1 request say of its host, its length and its protocol (RFC 9112 §5).
struct HTTPFields {
    private var count = 0
    private var hosts = 0
    private var host = 0..<0
    private var upgrade: Range<Int>?
    private var contentLength: Range<Int>?
    private var transferEncoding: Range<Int>?

    /// Reads the fields from `start` to the empty line; nil as long as that is not there.
    static func read(_ bytes: RawSpan, from start: Int) throws(HTTPError) -> HTTPFields? {
        var fields = HTTPFields()
        var offset = start
        while let next = try fields.readLine(bytes, at: offset) {
            guard next > offset + 2 else { return fields }
            offset = next
        }
        guard bytes.byteCount < HTTPRequestHead.limit else { throw .tooLong }
        return nil
    }

    /// Reads one line and gives the place behind it; nil when the line is not whole.
    private mutating func readLine(_ bytes: RawSpan, at start: Int) throws(HTTPError) -> Int? {
        let limit = min(bytes.byteCount, HTTPRequestHead.limit)
        guard start < limit, let first = bytes.byte(at: start) else { return nil }
        if first == UInt8(ascii: "\r") { return try lineEnd(bytes, at: start, before: limit) }
        guard first != UInt8(ascii: "\n") else { throw .lineEnd }
        guard first != UInt8(ascii: " "), first != UInt8(ascii: "\t") else { throw .fold }
        guard count < HTTPRequestHead.fieldLimit else { throw .tooManyFields }
        var colon = start
        while colon < limit, let byte = bytes.byte(at: colon), byte.isHTTPToken { colon += 1 }
        guard colon < limit else { return nil }
        guard colon > start, bytes.byte(at: colon) == UInt8(ascii: ":") else { throw .fieldName }
        var end = colon + 1
        while end < limit, let byte = bytes.byte(at: end), byte.isHTTPValueByte { end += 1 }
        guard end < limit else { return nil }
        guard let next = try lineEnd(bytes, at: end, before: limit) else { return nil }
        try take(bytes, name: start..<colon, value: bytes.trimmed((colon + 1)..<end))
        return next
    }

    /// The place behind CR LF; nil when the line feed is still to come.
    private func lineEnd(_ bytes: RawSpan, at offset: Int, before limit: Int) throws(HTTPError) -> Int? {
        guard let byte = bytes.byte(at: offset) else { return nil }
        guard byte == UInt8(ascii: "\r") else { throw byte == UInt8(ascii: "\n") ? .lineEnd : .fieldValue }
        guard offset + 1 < limit else { return nil }
        guard bytes.byte(at: offset + 1) == UInt8(ascii: "\n") else { throw .lineEnd }
        return offset + 2
    }

    private mutating func take(_ bytes: RawSpan, name: Range<Int>, value: Range<Int>) throws(HTTPError) {
        count += 1
        switch name.count {
        case 4 where bytes.matches("host", at: name.lowerBound, anyCase: true):
            hosts += 1
            host = value
        case 7 where bytes.matches("upgrade", at: name.lowerBound, anyCase: true):
            upgrade = upgrade ?? value
        case 14 where bytes.matches("content-length", at: name.lowerBound, anyCase: true):
            guard bytes.isNumber(value) else { throw .contentLength }
            if let earlier = contentLength, !bytes.equal(earlier, value) { throw .contentLength }
            contentLength = value
        case 17 where bytes.matches("transfer-encoding", at: name.lowerBound, anyCase: true):
            guard transferEncoding == nil, value.count == 7,
                bytes.matches("chunked", at: value.lowerBound, anyCase: true)
            else { throw .transferEncoding }
            transferEncoding = value
        default: break
        }
    }

    /// Puts into the head what the fields say together.
    func fill(_ head: inout HTTPRequestHead, _ bytes: RawSpan) throws(HTTPError) {
        head.host = HTTPHost(bytes, in: host)
        var other: HTTPError?
        if let upgrade {
            head.application = .websocket
            let isWebSocket = upgrade.count == 9 && bytes.matches("websocket", at: upgrade.lowerBound, anyCase: true)
            if !isWebSocket { other = .upgrade(Excerpt.text(bytes, in: upgrade)) }
        }
        guard hosts <= 1 else { throw .hostCount }
        guard hosts == 1 || head.version == .http10 else { throw .hostMissing }
        if transferEncoding != nil {
            guard head.version == .http11 else { throw .transferEncoding }
            guard contentLength == nil else { throw .contentLength }
        }
        if let other { throw other }
    }
}
