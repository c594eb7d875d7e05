/// Where the names are in the data of a type that is kept as bytes and that servers may compress all the same (RFC 3597 §4).
private struct CompressedForm {
    /// Bytes before the names.
    var prefix = 0
    /// Character strings (RFC 1035 §3.3) behind these.
    var strings = 0
    var names = 1
    /// Whether bytes may follow.
    var hasRest = false

    init?(_ type: DNSType, class: UInt16) {
        switch (type.rawValue, `class`) {
        case (3, _), (4, _), (7, _), (8, _), (9, _): break  // MD, MF, MB, MG, MR
        case (14, _), (17, _): names = 2  // MINFO, RP
        case (15, _), (18, _), (21, _): prefix = 2  // MX, AFSDB, RT
        case (24, _): (prefix, hasRest) = (18, true)  // SIG
        case (26, DNSClass.internet): (prefix, names) = (2, 2)  // PX
        case (30, _): hasRest = true  // NXT
        case (35, DNSClass.internet): (prefix, strings) = (4, 3)  // NAPTR
        case (36, DNSClass.internet): prefix = 2  // KX
        default: return nil
        }
    }
}

extension DNSCursor {
    /// The data as it is, with names that may be compressed written out in lower case: elsewhere their pointers lead astray.
    mutating func opaque(of head: RecordHead, in bytes: RawSpan) throws(DNSError) -> [UInt8] {
        guard let form = CompressedForm(head.type, class: head.class) else { return bytes.copy(rest) }
        let start = offset
        _ = try skip(form.prefix)
        for _ in 0..<form.strings { _ = try skip(Int(try take8(in: bytes))) }
        var data = bytes.copy(start..<offset)
        for _ in 0..<form.names { data += try name(in: bytes, .anyBytes).wire }
        guard isAtEnd || form.hasRest else { throw .length }
        data += bytes.copy(rest)
        guard data.count <= Int(UInt16.max) else { throw .length }
        return data
    }
}
