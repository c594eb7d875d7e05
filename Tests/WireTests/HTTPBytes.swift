import Wire

extension [UInt8] {
    // `try?` and `catch` around a borrowed span crash the compiler (6.3.1), so the calls stand in functions of their own.

    func httpHead() throws -> HTTPRequestHead? { try HTTPRequestHead.read(raw) }

    func hpackFields(_ decoder: inout HPACKDecoder) throws -> [HPACKField] { try decoder.fields(raw, in: 0..<count) }

    var mayBeHTTP: Bool { HTTPRequestHead.mayBegin(raw) }

    func mayBeSSH(from side: SSHBanner.Side = .client) -> Bool { SSHBanner.mayBegin(raw, from: side) }

    func sshBanner(from side: SSHBanner.Side) throws -> SSHBanner? { try SSHBanner.read(raw, from: side) }
}

extension HPACKField {
    init(_ name: String, _ value: String) { self.init(name: Array(name.utf8), value: Array(value.utf8)) }
}

/// HTTP requests and their parts, written by hand.
enum HTTPBytes {
    /// A line with CR LF for each, and the empty one.
    static func head(_ lines: String...) -> [UInt8] { Array((lines + ["", ""]).joined(separator: "\r\n").utf8) }

    static let get = head("GET /simple/ HTTP/1.1", "Host: pypi.example.org", "Accept: */*")

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    /// A frame of HTTP/2.
    static func frame(_ type: UInt8, _ payload: [UInt8], flags: UInt8 = 0, stream: UInt8 = 0) -> [UInt8] {
        [0, UInt8(payload.count >> 8), UInt8(payload.count & 255), type, flags, 0, 0, 0, stream] + payload
    }

    /// HEADERS with all fields, which are not compressed.
    static func headers(_ fields: [(String, String)], stream: UInt8 = 1) -> [UInt8] {
        frame(1, block(fields), flags: 0x05, stream: stream)
    }

    /// Fields that are not compressed and stay out of the table.
    static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { name, value in [0] + string(name) + string(value) }
    }

    private static func string(_ text: String) -> [UInt8] {
        let count = text.utf8.count
        precondition(count < 127 + 128, "more than one byte behind the prefix")
        return (count < 127 ? [UInt8(count)] : [127, UInt8(count - 127)]) + Array(text.utf8)
    }

    /// The fields of a request that is right.
    static let fields = [
        (":method", "GET"), (":scheme", "http"), (":authority", "pypi.example.org"), (":path", "/simple/"),
        ("accept", "*/*"),
    ]

    /// A connection that begins with these fields.
    static func http2(_ fields: [(String, String)]) -> [UInt8] { preface + frame(4, []) + headers(fields) }
}
