/// Reads the records of inotify(7) one after the other.
///
/// ```
/// 0        4        8        12       16
/// | watch  | mask   | cookie | length | name, zeros up to length
/// ```
/// Numbers are in host byte order.
struct WatchEvents {
    struct Event {
        let watch: Int32
        let mask: UInt32
        /// What it happened to in the watched directory; nil when it happened to the watched thing itself.
        let name: String?

        /// It happened to a directory (IN_ISDIR).
        var isDirectory: Bool { mask & 0x4000_0000 != 0 }
        /// Something with a name came (IN_CREATE).
        var isCreation: Bool { mask & 0x100 != 0 }
        /// Something with a name was removed (IN_DELETE).
        var isRemoval: Bool { mask & 0x200 != 0 }
        /// Some events were lost (IN_Q_OVERFLOW).
        var isOverflow: Bool { mask & 0x4000 != 0 }
        /// The watch is gone (IN_IGNORED), which another event told before.
        var isIgnored: Bool { mask & 0x8000 != 0 }
    }

    private static let headerSize = 16
    private var offset = 0

    /// The next event; nil at the end, or when what is left is no whole record.
    mutating func next(in bytes: RawSpan) -> Event? {
        guard bytes.byteCount - offset >= Self.headerSize else { return nil }
        let watch = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: Int32.self)
        let mask = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
        let length = Int(unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
        let start = offset + Self.headerSize
        guard bytes.byteCount - start >= length else { return nil }
        offset = start + length
        return Event(watch: watch, mask: mask, name: length == 0 ? nil : Self.name(bytes, start..<offset))
    }

    private static func name(_ bytes: RawSpan, _ range: Range<Int>) -> String {
        var name: [UInt8] = []
        for index in range {
            let byte = unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            if byte == 0 { break }
            name.append(byte)
        }
        return String(decoding: name, as: UTF8.self)
    }
}
