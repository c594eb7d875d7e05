/// Where names are in a message that is being written, so that later ones can point to them.
///
/// Keeps the first 64 names and ends of names that a pointer reaches, so that the work for a message is bounded.
struct DNSNameTable: Sendable {
    /// A name, or the end of one, in the message.
    private struct Known {
        /// Of the labels from here to the root.
        let hash: UInt32
        let offset: Int
    }

    /// How many names and ends of names are kept.
    private static let limit = 64
    /// What the 14 bits of a pointer cannot say.
    private static let reach = 0x4000
    /// The most labels that a name can have.
    private static let labelLimit = 127

    private var known: [Known] = []

    /// How many names and ends of names are known.
    var count: Int { known.count }

    /// Forgets what was learned since there were `count`, because it was taken back.
    mutating func forget(after count: Int) { known.removeLast(max(0, known.count - count)) }

    /// Adds a name to the message: as many labels as are not known yet, then a pointer or the root's zero.
    mutating func write(_ name: DNSName, to bytes: inout [UInt8]) {
        let labels = Labels(at: 0, in: name.wire)
        let start = bytes.count
        for index in 0..<labels.count {
            let suffix = labels[index]
            guard let target = find(suffix.hash, name.wire, from: suffix.offset, in: bytes) else { continue }
            for offset in 0..<suffix.offset { bytes.append(name.wire[offset]) }
            bytes.appendNetwork(UInt16(truncatingIfNeeded: 0xc000 | target))
            learn(labels, before: index, at: start)
            return
        }
        bytes += name.wire
        learn(labels, before: labels.count, at: start)
    }

    /// Learns a name that is in the message without a pointer; bytes that are no name are not learned.
    mutating func learn(at start: Int, in bytes: [UInt8]) {
        let labels = Labels(at: start, in: bytes)
        learn(labels, before: labels.count, at: start)
    }

    private mutating func learn(_ labels: Labels, before end: Int, at start: Int) {
        for index in 0..<end {
            let offset = start + labels[index].offset
            guard known.count < Self.limit, offset < Self.reach else { return }
            if known.isEmpty { known.reserveCapacity(8) }
            known.append(Known(hash: labels[index].hash, offset: offset))
        }
    }

    /// Where the name from `start` on is in the message.
    private func find(_ hash: UInt32, _ name: [UInt8], from start: Int, in bytes: [UInt8]) -> Int? {
        for candidate in known where candidate.hash == hash {
            if Self.isSame(name, from: start, in: bytes, at: candidate.offset) { return candidate.offset }
        }
        return nil
    }

    /// Whether the message has the name at `place`, in any case and compressed or not.
    private static func isSame(_ name: [UInt8], from start: Int, in bytes: [UInt8], at place: Int) -> Bool {
        var offset = place
        var index = start
        while index < name.count, offset < bytes.count {
            if bytes[offset] >= 0xc0, offset + 1 < bytes.count {
                offset = Int(bytes[offset] & 0x3f) << 8 | Int(bytes[offset + 1])
                continue
            }
            let length = Int(bytes[offset])
            guard length == Int(name[index]), index + length < name.count, offset + length < bytes.count else {
                return false
            }
            if length == 0 { return true }
            for place in 1...length where bytes[offset + place].lowered != name[index + place] { return false }
            offset += 1 + length
            index += 1 + length
        }
        return false
    }

    /// Where the labels of an uncompressed name start, and the hash of what is left of the name from each.
    private struct Labels {
        /// From the start of the name.
        private var offsets = InlineArray<128, UInt8>(repeating: 0)
        private var hashes = InlineArray<128, UInt32>(repeating: 0)
        private(set) var count = 0

        subscript(index: Int) -> (offset: Int, hash: UInt32) { (Int(offsets[index]), hashes[index]) }

        /// No labels for the root, and when there is no whole name or it has a pointer.
        init(at start: Int, in bytes: [UInt8]) {
            var found = 0
            var offset = start
            while offset < bytes.count, bytes[offset] > 0 {
                guard bytes[offset] < 64, found < DNSNameTable.labelLimit, offset - start < DNSName.limit else {
                    return
                }
                offsets[found] = UInt8(truncatingIfNeeded: offset - start)
                found += 1
                offset += 1 + Int(bytes[offset])
            }
            guard offset < bytes.count else { return }
            count = found
            // FNV-1a, from the last label to the first.
            var hash: UInt32 = 2_166_136_261
            for index in stride(from: count - 1, through: 0, by: -1) {
                let first = start + Int(offsets[index])
                for place in first...(first + Int(bytes[first])) {
                    hash = (hash ^ UInt32(bytes[place].lowered)) &* 16_777_619
                }
                hashes[index] = hash
            }
        }
    }
}
