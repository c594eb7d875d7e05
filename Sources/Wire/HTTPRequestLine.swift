import Model

/// The first line of an HTTP/1 request (RFC 9112 §3): `method SP target SP HTTP/1.x CR LF`.
struct HTTPRequestLine {
    /// The longest method.
    static let methodLimit = 32

    let method: Range<Int>
    let target: Range<Int>
    let version: HTTPRequestHead.Version
    /// What is wrong in it; all is right up to the slash of the version.
    let flaw: HTTPError?
    /// Where the fields start.
    let end: Int

    /// Nil as long as the line is not whole; throws when it is no request line.
    static func read(_ bytes: RawSpan) throws(HTTPError) -> HTTPRequestLine? {
        let end = min(bytes.byteCount, HTTPRequestHead.limit)
        guard let method = try token(bytes, before: end) else { return nil }
        let start = method.upperBound + 1
        var offset = start
        while let byte = bytes.byte(at: offset), offset < end, (0x21...0x7e).contains(byte) { offset += 1 }
        guard offset < end else {
            guard end < HTTPRequestHead.limit else { throw .tooLong }
            return nil
        }
        guard offset > start, bytes.byte(at: offset) == UInt8(ascii: " ") else { throw .target }
        return try version(bytes, method: method, target: start..<offset)
    }

    private static func token(_ bytes: RawSpan, before end: Int) throws(HTTPError) -> Range<Int>? {
        var offset = 0
        while offset < end, let byte = bytes.byte(at: offset), byte.isHTTPToken { offset += 1 }
        guard offset <= methodLimit else { throw .method }
        guard offset < end else { return nil }
        guard offset > 0, bytes.byte(at: offset) == UInt8(ascii: " ") else { throw .method }
        return 0..<offset
    }

    /// Reads `HTTP/1.x` and the line's end.
    private static func version(
        _ bytes: RawSpan,
        method: Range<Int>,
        target: Range<Int>,
    ) throws(HTTPError) -> HTTPRequestLine? {
        let start = target.upperBound + 1
        guard bytes.matches("HTTP/", at: start) else {
            // What is there of it must be right.
            guard bytes.startsLike("HTTP/", at: start) else { throw .version }
            return nil
        }
        guard let major = bytes.byte(at: start + 5), let dot = bytes.byte(at: start + 6),
            let minor = bytes.byte(at: start + 7), let first = bytes.byte(at: start + 8)
        else { return nil }
        let isKnown = major == UInt8(ascii: "1") && dot == UInt8(ascii: ".") && minor & 0xfe == UInt8(ascii: "0")
        var flaw: HTTPError? = isKnown ? nil : .version
        if isKnown {
            if first == UInt8(ascii: "\r") {
                guard let second = bytes.byte(at: start + 9) else { return nil }
                if second != UInt8(ascii: "\n") { flaw = .lineEnd }
            } else {
                flaw = first == UInt8(ascii: "\n") ? .lineEnd : .version
            }
        }
        return HTTPRequestLine(
            method: method,
            target: target,
            version: isKnown && minor == UInt8(ascii: "0") ? .http10 : .http11,
            flaw: flaw,
            end: start + 10,
        )
    }

    /// The head that starts with this line; nil as long as it is not whole.
    func head(_ bytes: RawSpan) -> HTTPRequestHead? {
        var head = HTTPRequestHead(version, method: String(decoding: bytes.copy(method), as: UTF8.self))
        readTarget(bytes, into: &head)
        if head.flaw == nil { head.flaw = flaw }
        guard head.flaw == nil, head.application == .http else { return head }
        do throws(HTTPError) {
            guard let fields = try HTTPFields.read(bytes, from: end) else { return nil }
            try fields.fill(&head, bytes)
        } catch {
            head.flaw = error
        }
        return head
    }

    /// Tells the four forms of RFC 9112 §3.2 apart.
    private func readTarget(_ bytes: RawSpan, into head: inout HTTPRequestHead) {
        if head.method == "CONNECT" {
            head.application = .httpConnect
            head.host = HTTPHost(bytes, in: target)
        } else if let authority = authority(bytes) {
            head.application = .httpConnect
            head.host = HTTPHost(bytes, in: authority)
        } else if bytes.byte(at: target.lowerBound) != UInt8(ascii: "/") {
            let isAsterisk = target.count == 1 && bytes.byte(at: target.lowerBound) == UInt8(ascii: "*")
            if !isAsterisk || head.method != "OPTIONS" { head.flaw = .target }
        }
    }

    /// Where the authority is in a target with a scheme (RFC 3986 §3); nil without one.
    private func authority(_ bytes: RawSpan) -> Range<Int>? {
        var offset = target.lowerBound
        while offset < target.upperBound, let byte = bytes.byte(at: offset), byte.isSchemeByte { offset += 1 }
        guard offset > target.lowerBound, offset + 3 <= target.upperBound, bytes.matches("://", at: offset) else {
            return nil
        }
        let start = offset + 3
        offset = start
        let ends = [UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#")]
        while offset < target.upperBound, let byte = bytes.byte(at: offset), !ends.contains(byte) { offset += 1 }
        return start..<offset
    }
}
