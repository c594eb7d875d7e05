/// The bytes of a client's first handshake message, put together from CRYPTO frames in any order (RFC 9000 §19.6).
///
/// Bounded: at most `limit` bytes and `rangeLimit` pieces that do not touch.
struct QUICCryptoStream: Sendable {
    /// The longest ClientHello, with the 4 bytes of its header.
    static let limit = 16_384
    static let rangeLimit = 64

    private var bytes: [UInt8] = []
    /// Which bytes are there: no two overlap or touch.
    private var ranges: [Range<Int>] = []

    /// Puts a frame's bytes in their place; what is there already must be the same.
    mutating func insert(_ data: ArraySlice<UInt8>, at offset: UInt64) throws(QUICError) {
        guard offset <= Self.limit, data.count <= Self.limit - Int(offset) else { throw .tooLong }
        guard !data.isEmpty else { return }
        let place = Int(offset)..<(Int(offset) + data.count)
        for range in ranges where range.overlaps(place) {
            let common = range.clamped(to: place)
            let start = data.startIndex - place.lowerBound
            guard bytes[common] == data[(start + common.lowerBound)..<(start + common.upperBound)] else {
                throw .conflict
            }
        }
        write(data, at: place)
        try join(place)
    }

    private mutating func write(_ data: ArraySlice<UInt8>, at place: Range<Int>) {
        if place.lowerBound > bytes.count { bytes += repeatElement(0, count: place.lowerBound - bytes.count) }
        bytes.replaceSubrange(place.lowerBound..<min(place.upperBound, bytes.count), with: data)
    }

    /// Joins the range with those that it overlaps or touches; no others can then touch it.
    private mutating func join(_ place: Range<Int>) throws(QUICError) {
        var whole = place
        ranges.removeAll { range in
            guard range.lowerBound <= place.upperBound, place.lowerBound <= range.upperBound else { return false }
            whole = min(whole.lowerBound, range.lowerBound)..<max(whole.upperBound, range.upperBound)
            return true
        }
        guard ranges.count < Self.rangeLimit else { throw .tooManyRanges }
        ranges.append(whole)
    }

    /// The ClientHello with its header of 4 bytes, once all of it is there; nil before.
    func hello() throws(QUICError) -> [UInt8]? {
        guard let start = ranges.first(where: { $0.lowerBound == 0 }) else { return nil }
        guard bytes[0] == 1 else { throw .handshake(bytes[0]) }
        guard start.count >= 4 else { return nil }
        let count = 4 + Int(bytes[1]) << 16 + Int(bytes[2]) << 8 + Int(bytes[3])
        guard count <= Self.limit else { throw .tooLong }
        guard bytes.count <= count else { throw .excess }
        return start.count == count ? bytes : nil
    }
}
