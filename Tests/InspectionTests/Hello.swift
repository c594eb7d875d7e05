/// A ClientHello that is written here, as large as is wanted.
struct Hello {
    var name: String? = "packages.example.org"
    var protocols = ["h2", "http/1.1"]
    /// The bytes of the key share: 32 of X25519, 1,216 of X25519MLKEM768.
    var keyShare = 32
    /// Further extensions: type, and as many zeros.
    var more: [(type: UInt16, count: Int)] = []

    /// The handshake message (RFC 8446 §4.1.2).
    var message: [UInt8] {
        var extensions: [UInt8] = []
        if let name { extensions += part(0, vector16([0] + vector16(Array(name.utf8)))) }
        extensions += part(16, vector16(protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }))
        extensions += part(43, [2, 3, 4])
        extensions += part(13, [0, 4, 4, 3, 8, 4])
        extensions += part(51, vector16([0x11, 0xec] + vector16([UInt8](repeating: 0x5a, count: keyShare))))
        for extra in more { extensions += part(extra.type, [UInt8](repeating: 0, count: extra.count)) }
        let random = (0..<32).map { UInt8($0 * 7) }
        let suites: [UInt8] = [0, 4, 0x13, 1, 0x13, 2]
        let body = [3, 3] + random + [0] + suites + [1, 0] + vector16(extensions)
        return [1, UInt8(body.count >> 16), UInt8(body.count >> 8 & 255), UInt8(body.count & 255)] + body
    }

    /// The message in one TLS record.
    var stream: [UInt8] { Self.record(message[...]) }

    /// A handshake record (RFC 8446 §5.1).
    static func record(_ fragment: ArraySlice<UInt8>, minor: UInt8 = 1) -> [UInt8] {
        [22, 3, minor, UInt8(fragment.count >> 8), UInt8(fragment.count & 255)] + fragment
    }

    /// The handshake bytes of a stream of records, joined; nil when it is something else.
    static func message(of stream: [UInt8]) -> [UInt8]? {
        var (message, rest) = ([UInt8](), stream[...])
        while rest.count > 5, rest.first == 22 {
            let head = Array(rest.prefix(5))
            let count = Int(head[3]) << 8 | Int(head[4])
            message += rest.dropFirst(5).prefix(count)
            rest = rest.dropFirst(5 + count)
        }
        return message.isEmpty ? nil : message
    }

    private func part(_ type: UInt16, _ data: [UInt8]) -> [UInt8] {
        [UInt8(type >> 8), UInt8(type & 255)] + vector16(data)
    }

    private func vector16(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes }
}
