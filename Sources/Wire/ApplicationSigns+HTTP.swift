import Model

extension ApplicationSigns {
    /// The methods of RFC 9110 §9 and RFC 4918 that begin a request even where the rest of its head is odd or not there.
    private static let methods = [
        "GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "TRACE ", "PATCH ", "PROPFIND ", "REPORT ", "MKCOL ",
    ]

    /// What kind of HTTP it is; nil when it is none.
    static func http(_ bytes: RawSpan) -> Application? {
        if let head = head(bytes) { return head.application }
        if bytes.matches("PRI * HTTP/2", at: 0) { return .http }
        if bytes.matches("CONNECT ", at: 0) { return target(bytes, at: 8).count > 0 ? .httpConnect : nil }
        guard let method = methods.first(where: { bytes.matches($0, at: 0) }) else { return nil }
        let target = target(bytes, at: method.utf8.count)
        switch bytes.byte(at: target.lowerBound) {
        case UInt8(ascii: "/"), UInt8(ascii: "*"): return .http
        default: return hasScheme(bytes, in: target) ? .httpConnect : nil
        }
    }

    private static func head(_ bytes: RawSpan) -> HTTPRequestHead? {
        do throws(HTTPError) {
            return try HTTPRequestHead.read(bytes)
        } catch {
            return nil
        }
    }

    /// The visible bytes behind blanks.
    private static func target(_ bytes: RawSpan, at offset: Int) -> Range<Int> {
        var start = offset
        while bytes.byte(at: start)?.isHTTPBlank == true { start += 1 }
        var end = start
        while let byte = bytes.byte(at: end), (0x21...0x7e).contains(byte) { end += 1 }
        return start..<end
    }

    private static func hasScheme(_ bytes: RawSpan, in target: Range<Int>) -> Bool {
        var end = target.lowerBound
        while end < target.upperBound, bytes.byte(at: end)?.isSchemeByte == true { end += 1 }
        return end > target.lowerBound && bytes.matches("://", at: end)
    }
}
