import Model

/// The fields of an HTTP/2 request (RFC 9113 §8.3), and what they say together.
struct HTTP2Fields {
    private var method: [UInt8]?
    private var scheme: [UInt8]?
    private var authority: [UInt8]?
    private var path: [UInt8]?
    /// What CONNECT is to become (RFC 8441).
    private var `protocol`: [UInt8]?
    private var host: [UInt8]?
    private var contentLength: [UInt8]?
    private var isBehindPseudoFields = false

    /// The head that the fields make, with the flaw that they have.
    static func head(of fields: [HPACKField]) -> HTTPRequestHead {
        var all = HTTP2Fields()
        var flaw: HTTPError?
        do throws(HTTPError) {
            for field in fields { try all.take(field) }
        } catch {
            flaw = error
        }
        var head = HTTPRequestHead(.http2, method: Excerpt.text(all.method ?? []))
        do throws(HTTPError) {
            if let flaw { throw flaw }
            try all.fill(&head)
        } catch {
            head.flaw = error
        }
        return head
    }

    private mutating func take(_ field: HPACKField) throws(HTTPError) {
        guard field.value.allSatisfy(\.isHTTPValueByte), field.value.first?.isHTTPBlank != true,
            field.value.last?.isHTTPBlank != true
        else { throw .fieldValue }
        let name = String(decoding: field.name, as: UTF8.self)
        guard field.name.first != UInt8(ascii: ":") else {
            guard !isBehindPseudoFields else { throw .pseudoField }
            return try takePseudoField(name, field.value)
        }
        isBehindPseudoFields = true
        guard !field.name.isEmpty, field.name.allSatisfy({ $0.isHTTPToken && !(0x41...0x5a).contains($0) }) else {
            throw .fieldName
        }
        try takeField(name, field.value)
    }

    private mutating func takePseudoField(_ name: String, _ value: [UInt8]) throws(HTTPError) {
        switch name {
        case ":method" where method == nil: method = value
        case ":scheme" where scheme == nil: scheme = value
        case ":authority" where authority == nil: authority = value
        case ":path" where path == nil: path = value
        case ":protocol" where `protocol` == nil: `protocol` = value
        default: throw .pseudoField
        }
    }

    private mutating func takeField(_ name: String, _ value: [UInt8]) throws(HTTPError) {
        switch name {
        case "host":
            guard host == nil else { throw .hostCount }
            host = value
        case "content-length":
            guard value.isNumber, contentLength ?? value == value else { throw .contentLength }
            contentLength = value
        case "te" where value != Array("trailers".utf8): throw .connectionField
        case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade": throw .connectionField
        default: break
        }
    }

    private func fill(_ head: inout HTTPRequestHead) throws(HTTPError) {
        guard let method else { throw .pseudoField }
        guard (1...HTTPRequestLine.methodLimit).contains(method.count), method.allSatisfy(\.isHTTPToken) else {
            throw .method
        }
        let isConnect = head.method == "CONNECT"
        if isConnect { head.application = `protocol` == nil ? .httpConnect : .websocket }
        if let server = authority ?? host { head.host = HTTPHost(server) }
        if let authority, let host, !Self.areAlike(authority, host) { throw .hostsDiffer }
        guard let `protocol` else {
            guard isConnect else { return try checkTarget(head) }
            guard authority != nil, scheme == nil, path == nil else { throw .pseudoField }
            return
        }
        guard isConnect else { throw .pseudoField }
        try checkTarget(head)
        guard String(decoding: `protocol`, as: UTF8.self).lowercased() == "websocket" else {
            throw .upgrade(Excerpt.text(`protocol`))
        }
    }

    /// Refuses another scheme than HTTP's two, and what is no path.
    private func checkTarget(_ head: HTTPRequestHead) throws(HTTPError) {
        guard let scheme, let path else { throw .pseudoField }
        guard ["http", "https"].contains(String(decoding: scheme, as: UTF8.self)) else { throw .target }
        let isPath = path.first == UInt8(ascii: "/") && path.allSatisfy { (0x21...0x7e).contains($0) }
        guard isPath || path == [UInt8(ascii: "*")] && head.method == "OPTIONS" else { throw .target }
        guard authority != nil || host != nil else { throw .hostMissing }
    }

    private static func areAlike(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count
            && zip(left, right).allSatisfy { left, right in
                left == right || left | 0x20 == right | 0x20 && (0x61...0x7a).contains(left | 0x20)
            }
    }
}
