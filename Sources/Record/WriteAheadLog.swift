/// The header of SQLite's write-ahead log (https://sqlite.org/fileformat2.html, section 4.1).
///
/// ```
///  0 magic 0x377f0682 or …83   4 version 3007000   8 page size   12 checkpoint   16 salts   24 checksums of all before
/// ```
///
/// Big-endian; the magic's last bit says how the checksum reads its words.
enum WriteAheadLog {
    static let headerSize = 32

    /// Whether these 32 bytes are a header.
    ///
    /// Zeros are one too: SQLite syncs the header before anything is committed behind it, so a log that lost its header to a
    /// loss of power holds nothing.
    static func isHeader(_ bytes: [UInt8]) -> Bool {
        guard bytes.contains(where: { $0 != 0 }) else { return true }
        let magic = word(bytes, 0)
        guard magic & ~1 == 0x377f_0682, word(bytes, 4) == 3_007_000 else { return false }
        var (first, second): (UInt32, UInt32) = (0, 0)
        for at in stride(from: 0, to: 24, by: 8) {
            let (left, right) = (word(bytes, at), word(bytes, at + 4))
            first &+= (magic & 1 == 1 ? left : left.byteSwapped) &+ second
            second &+= (magic & 1 == 1 ? right : right.byteSwapped) &+ first
        }
        return first == word(bytes, 24) && second == word(bytes, 28)
    }

    private static func word(_ bytes: [UInt8], _ at: Int) -> UInt32 {
        bytes[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }
}
