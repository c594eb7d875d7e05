/// The sections of records, in the order in which they are written.
package enum DNSSection: UInt8, Hashable, Sendable, Comparable {
    case answer
    case authority
    case additional

    package static func < (left: DNSSection, right: DNSSection) -> Bool { left.rawValue < right.rawValue }
}

/// Writes a DNS message of at most so many bytes: questions first, then records section by section, then `finish`.
///
/// Owners, and the names in CNAME, NS, PTR and SOA, are compressed (RFC 1035 §4.1.4), those in other records never (RFC 2782,
/// RFC 3597 §4, RFC 9460 §2.2). A message that would become too long is cut at a whole record and bears TC, unless only
/// additional records are missing (RFC 2181 §9). The counts of the header are what was written.
package struct DNSWriter: Sendable {
    /// What is written so far; the header is filled in at the end.
    private(set) var bytes: [UInt8]
    var names = DNSNameTable()
    private var header: DNSHeader
    private let tail: [UInt8]
    /// The length that records may reach: OPT has its place behind it.
    private let limit: Int
    private var section = DNSSection.answer
    private var isFull = false

    /// Starts a message of at most `limit` bytes.
    ///
    /// Header, questions and OPT are written whatever the limit; `options` are left out when they leave no room for a question.
    package init(
        _ header: DNSHeader,
        extension: DNSExtension? = nil,
        options: [DNSOption] = [],
        limit: Int = 65_535,
    ) {
        let limit = max(limit, DNSHeader.length)
        let room = limit - DNSHeader.length - DNSName.limit - 4
        self.tail = `extension`?.record(options, limit: room) ?? []
        self.limit = limit - tail.count
        self.header = header
        self.header.questionCount = 0
        self.header.answerCount = 0
        self.header.authorityCount = 0
        self.header.additionalCount = 0
        self.bytes = []
        bytes.reserveCapacity(min(limit, 512))
        for _ in 0..<DNSHeader.length { bytes.append(0) }
    }

    /// Adds a question.
    ///
    /// `spelling` is the wire form of its name in another case; what is not the same name in lower case is not used.
    package mutating func append(_ question: DNSQuestion, spelling: [UInt8]? = nil) {
        header.questionCount &+= 1
        let start = bytes.count
        if let spelling, spelling.count == question.name.wire.count,
            zip(spelling, question.name.wire).allSatisfy({ $0.lowered == $1 })
        {
            bytes += spelling
            names.learn(at: start, in: bytes)
        } else {
            append(compressed: question.name)
        }
        append(question.type.rawValue)
        append(question.class)
    }

    /// Adds a question as it came: name, type and class, not compressed.
    package mutating func append(question: RawSpan) {
        header.questionCount &+= 1
        let start = bytes.count
        for offset in 0..<question.byteCount {
            if let byte = question.byte(at: offset) { bytes.append(byte) }
        }
        names.learn(at: start, in: bytes)
    }

    /// Adds a record; false when it does not fit, or its section is behind the last one's.
    ///
    /// When one did not fit, no more are taken.
    @discardableResult
    package mutating func append(_ record: DNSRecord, to section: DNSSection) -> Bool {
        append(record, ttl: record.ttl, to: section)
    }

    /// Adds a record with a time to live that was counted down, in seconds.
    @discardableResult
    package mutating func append(_ record: DNSRecord, ttl: UInt32, to section: DNSSection) -> Bool {
        guard !isFull, section >= self.section else { return false }
        let start = bytes.count
        let known = names.count
        guard write(record, ttl: ttl), bytes.count <= limit, count(one: section) else {
            bytes.removeLast(bytes.count - start)
            names.forget(after: known)
            isFull = true
            if section != .additional { header.isTruncated = true }
            return false
        }
        self.section = section
        return true
    }

    /// Counts a record; false when the 16 bits of its section's count are used up, with one kept for OPT.
    private mutating func count(one section: DNSSection) -> Bool {
        switch section {
        case .answer: Self.count(one: &header.answerCount)
        case .authority: Self.count(one: &header.authorityCount)
        case .additional: Self.count(one: &header.additionalCount)
        }
    }

    private static func count(one field: inout UInt16) -> Bool {
        guard field < UInt16.max - 1 else { return false }
        field += 1
        return true
    }

    /// The message.
    package consuming func finish() -> [UInt8] {
        if !tail.isEmpty {
            bytes += tail
            header.additionalCount += 1
        }
        put(header.id, at: 0)
        put(header.flags, at: 2)
        put(header.questionCount, at: 4)
        put(header.answerCount, at: 6)
        put(header.authorityCount, at: 8)
        put(header.additionalCount, at: 10)
        return bytes
    }

    // MARK: Bytes

    mutating func append(_ byte: UInt8) { bytes.append(byte) }

    mutating func append(_ more: [UInt8]) { bytes += more }

    /// 16 bits in network byte order.
    mutating func append(_ value: UInt16) { bytes.appendNetwork(value) }

    /// 32 bits in network byte order.
    mutating func append(_ value: UInt32) { bytes.appendNetwork(value) }

    /// Replaces 16 bits.
    mutating func put(_ value: UInt16, at offset: Int) {
        bytes[offset] = UInt8(truncatingIfNeeded: value >> 8)
        bytes[offset + 1] = UInt8(truncatingIfNeeded: value)
    }

    /// A name with what is known of it replaced by a pointer.
    mutating func append(compressed name: DNSName) { names.write(name, to: &bytes) }
}

extension [UInt8] {
    /// Adds 16 bits in network byte order.
    mutating func appendNetwork(_ value: UInt16) {
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }

    /// Adds 32 bits in network byte order.
    mutating func appendNetwork(_ value: UInt32) {
        appendNetwork(UInt16(truncatingIfNeeded: value >> 16))
        appendNetwork(UInt16(truncatingIfNeeded: value))
    }
}

extension DNSExtension {
    /// The OPT record with the options that fit into `limit` bytes (RFC 6891 §6.1.2).
    fileprivate func record(_ options: [DNSOption], limit: Int) -> [UInt8] {
        var record: [UInt8] = [0]
        record.appendNetwork(DNSType.opt.rawValue)
        record.appendNetwork(payloadSize)
        record += [extendedCode, version, dnssecOK ? 0x80 : 0, 0]
        var data: [UInt8] = []
        for option in options where record.count + 2 + data.count + 4 + option.value.count <= min(limit, 65_535) {
            data.appendNetwork(option.code)
            data.appendNetwork(UInt16(truncatingIfNeeded: option.value.count))
            data += option.value
        }
        record.appendNetwork(UInt16(truncatingIfNeeded: data.count))
        return record + data
    }
}
