import Wire

extension [UInt8] {
    /// The bytes as the readers take them.
    var raw: RawSpan {
        @_lifetime(borrow self)
        borrowing get { unsafe span.bytes }
    }

    // `try?` and `catch` around a borrowed span crash the compiler (6.3.1), so the calls stand in functions of their own.

    func packet() throws -> Packet { try Packet(raw) }

    func queueMessage() throws -> QueueMessage { try QueueMessage(raw) }

    func logMessage() throws -> LogMessage { try LogMessage(raw) }

    func next(_ walk: inout NetlinkMessages) throws -> NetlinkMessage? { try walk.next(in: raw) }

    /// The bytes with some replaced.
    func with(_ replacement: [UInt8], at offset: Int) -> [UInt8] {
        var copy = self
        copy.replaceSubrange(offset..<(offset + replacement.count), with: replacement)
        return copy
    }

    /// The bytes with one to four of them changed, and now and then some missing or more at the end.
    func mutated(using random: inout some RandomNumberGenerator) -> [UInt8] {
        var copy = self
        for _ in 0..<Int.random(in: 1...4, using: &random) where !copy.isEmpty {
            let edges: [UInt8] = [0, 1, 4, 0x3f, 0x40, 0x7f, 0x80, 0xff, .random(in: 0...255, using: &random)]
            copy[Int.random(in: 0..<copy.count, using: &random)] = edges.randomElement(using: &random) ?? 0
        }
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return Array(copy.prefix(Int.random(in: 0...copy.count, using: &random)))
        case 1: return copy + copy.prefix(Int.random(in: 0...40, using: &random))
        default: return copy
        }
    }
}
