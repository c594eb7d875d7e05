import Model

extension DNSWriter {
    /// Writes a record; false when its data is longer than 65,535 bytes.
    mutating func write(_ record: DNSRecord, ttl: UInt32) -> Bool {
        append(compressed: record.name)
        append(record.type.rawValue)
        append(record.class)
        append(ttl)
        let length = bytes.count
        append(UInt16(0))
        write(record.data, type: record.type)
        let written = bytes.count - length - 2
        guard written <= Int(UInt16.max) else { return false }
        put(UInt16(truncatingIfNeeded: written), at: length)
        return true
    }

    private mutating func write(_ data: DNSRecord.Data, type: DNSType) {
        switch data {
        case .address(let address): write(address, type: type)
        case .name(let name):
            if type == .dname { append(name.wire) } else { append(compressed: name) }
        case .service(let priority, let weight, let port, let target):
            append(priority)
            append(weight)
            append(port)
            append(target.wire)
        case .binding(let priority, let target, let parameters):
            append(priority)
            append(target.wire)
            for parameter in parameters { write(parameter) }
        case .authority(let primary, let mailbox, let serial, let refresh, let retry, let expire, let minimum):
            append(compressed: primary)
            append(compressed: mailbox)
            for value in [serial, refresh, retry, expire, minimum] { append(value) }
        case .opaque(let bytes): append(bytes)
        }
    }

    /// An IPv4 address in an AAAA record is written in its v4-mapped form (RFC 4291 §2.5.5.2).
    private mutating func write(_ address: IPAddress, type: DNSType) {
        switch address {
        case .v4(let value):
            if type == .aaaa {
                append(UInt32(0))
                append(UInt32(0))
                append(UInt32(0xffff))
            }
            append(value)
        case .v6(let value):
            for shift in stride(from: 96, through: 0, by: -32) { append(UInt32(truncatingIfNeeded: value >> shift)) }
        }
    }

    /// A value that is too long for its length is cut, as is the record that holds it then refused.
    private mutating func write(_ parameter: ServiceParameter) {
        append(parameter.key)
        append(UInt16(truncatingIfNeeded: parameter.value.count))
        append(parameter.value)
    }
}

extension DNSMessage {
    /// The message in at most `limit` bytes, names compressed; cut at a whole record when it is longer, as `DNSWriter` does.
    package func encoded(limit: Int = 65_535) -> [UInt8] {
        var writer = DNSWriter(header, extension: `extension`, limit: limit)
        for question in questions { writer.append(question) }
        for record in answers { writer.append(record, to: .answer) }
        for record in authorities { writer.append(record, to: .authority) }
        for record in additionals { writer.append(record, to: .additional) }
        return writer.finish()
    }
}
