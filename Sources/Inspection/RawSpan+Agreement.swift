import Wire

extension RawSpan {
    /// Whether `count` bytes from `offset` are those of the other span from its own offset; false when they are not all there.
    func agrees(at offset: Int, with other: RawSpan, at otherOffset: Int, _ count: Int) -> Bool {
        guard holds(count, at: offset), other.holds(count, at: otherOffset) else { return false }
        var place = 0
        while place + 8 <= count {
            guard network64(at: offset + place) == other.network64(at: otherOffset + place) else { return false }
            place += 8
        }
        while place < count {
            guard byte(at: offset + place) == other.byte(at: otherOffset + place) else { return false }
            place += 1
        }
        return true
    }
}
