// What is read of single extensions; each is false when its data is not exactly what it must be.
extension TLSClientHello {
    /// `server_name` (RFC 6066 §3): a list of names, each with its type before it.
    mutating func takeServerNames(_ data: Range<Int>, in message: RawSpan) -> Bool {
        guard let list = Self.list16(data, in: message) else { return false }
        var names = TLSCursor(list)
        var count = 0
        while !names.isAtEnd {
            guard let type = names.take8(in: message), let name = names.vector16(in: message) else { return false }
            count += 1
            hostName = count == 1 && type == 0 ? name : nil
        }
        serverNames = list
        return true
    }

    /// `signature_algorithms` (RFC 8446 §4.2.3).
    mutating func takeSignatureAlgorithms(_ data: Range<Int>, in message: RawSpan) -> Bool {
        guard let list = Self.list16(data, in: message), list.count.isMultiple(of: 2) else { return false }
        signatureAlgorithms = TLSNumbers(list)
        return true
    }

    /// `application_layer_protocol_negotiation` (RFC 7301 §3.1): names that are not empty.
    mutating func takeProtocols(_ data: Range<Int>, in message: RawSpan) -> Bool {
        guard let list = Self.list16(data, in: message) else { return false }
        var names = TLSCursor(list)
        while !names.isAtEnd {
            guard let name = names.vector8(in: message), !name.isEmpty else { return false }
        }
        protocols = TLSStrings(list)
        return true
    }

    /// `supported_versions` (RFC 8446 §4.2.1); the highest that TLS has is the hello's.
    mutating func takeVersions(_ data: Range<Int>, in message: RawSpan) -> Bool {
        var cursor = TLSCursor(data)
        guard let list = cursor.vector8(in: message), cursor.isAtEnd, !list.isEmpty, list.count.isMultiple(of: 2) else {
            return false
        }
        let versions = TLSNumbers(list)
        var highest: UInt16 = 0
        for index in 0..<versions.count {
            guard let version = versions.number(at: index, in: message), version <= 0x0304 else { continue }
            highest = max(highest, version)
        }
        supportedVersions = versions
        version = highest
        return true
    }

    /// Where the list is that is all of the data behind its length of 16 bits; nil when it is something else, or empty.
    private static func list16(_ data: Range<Int>, in message: RawSpan) -> Range<Int>? {
        var cursor = TLSCursor(data)
        guard let list = cursor.vector16(in: message), cursor.isAtEnd, !list.isEmpty else { return nil }
        return list
    }
}
