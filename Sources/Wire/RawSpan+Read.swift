// Every read of foreign bytes goes through here: bounds are checked first and a read past the end is nil, because a trap in a
// reader is a way to stop the daemon. These are the only `unsafe` expressions of the target.
extension RawSpan {
    /// Whether `count` bytes from `offset` lie in the span; false for negative numbers.
    @inline(__always)
    package func holds(_ count: Int, at offset: Int) -> Bool {
        offset >= 0 && count >= 0 && offset <= byteCount && count <= byteCount - offset
    }

    /// The byte at `offset`; nil outside.
    @inline(__always)
    package func byte(at offset: Int) -> UInt8? {
        guard holds(1, at: offset) else { return nil }
        return unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// The 16 bits at `offset` in network byte order; nil when one is outside.
    @inline(__always)
    package func network16(at offset: Int) -> UInt16? { host16(at: offset).map(UInt16.init(bigEndian:)) }

    /// The 32 bits at `offset` in network byte order; nil when one is outside.
    @inline(__always)
    package func network32(at offset: Int) -> UInt32? { host32(at: offset).map(UInt32.init(bigEndian:)) }

    /// The 64 bits at `offset` in network byte order; nil when one is outside.
    @inline(__always)
    package func network64(at offset: Int) -> UInt64? { load(UInt64.self, at: offset).map(UInt64.init(bigEndian:)) }

    /// The 128 bits at `offset` in network byte order; nil when one is outside.
    @inline(__always)
    package func network128(at offset: Int) -> UInt128? { load(UInt128.self, at: offset).map(UInt128.init(bigEndian:)) }

    /// The 16 bits at `offset` in the byte order of this machine, as netlink headers have them; nil when one is outside.
    @inline(__always)
    package func host16(at offset: Int) -> UInt16? { load(UInt16.self, at: offset) }

    /// The 32 bits at `offset` in the byte order of this machine, as netlink headers have them; nil when one is outside.
    @inline(__always)
    package func host32(at offset: Int) -> UInt32? { load(UInt32.self, at: offset) }

    @inline(__always)
    private func load<Value: FixedWidthInteger & BitwiseCopyable>(_: Value.Type, at offset: Int) -> Value? {
        guard holds(MemoryLayout<Value>.size, at: offset) else { return nil }
        return unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: Value.self)
    }

    /// Appends the bytes in a range to an array, all at once; false, and nothing appended, when they are not all there.
    package func append(_ range: Range<Int>, to array: inout [UInt8]) -> Bool {
        guard holds(range.count, at: range.lowerBound) else { return false }
        unsafe extracting(range).withUnsafeBytes { unsafe array.append(contentsOf: $0) }
        return true
    }
}
