/// The names in a folder, in the order in which the system gave them.
struct Listing {
    /// Each name with a NUL after it.
    private(set) var bytes: [UInt8] = []
    /// Where the names begin that end in `.yaml`.
    private(set) var policies: [Int] = []
    /// Which inode each of these is a name of; 0 for what is not a regular file: a symbolic link, say.
    private(set) var inodes: [UInt64] = []

    /// Adds a name.
    mutating func append(_ name: UnsafeRawBufferPointer, inode: UInt64) {
        let start = bytes.count
        unsafe bytes.append(contentsOf: name)
        if bytes[start...].count > 5, bytes[(bytes.count - 5)...].elementsEqual(".yaml".utf8) {
            policies.append(start)
            inodes.append(inode)
        }
        bytes.append(0)
    }

    /// Whether the other has the same names in the same order, of whatever files.
    func hasNames(of other: Listing) -> Bool { bytes == other.bytes }

    /// All names.
    var names: [FileName] {
        bytes.split(separator: 0).map { FileName(String(decoding: $0, as: UTF8.self)) }
    }

    /// The name of the policy at this place among the policies.
    func policy(_ index: Int) -> FileName {
        FileName(String(decoding: bytes[policies[index]...].prefix { $0 != 0 }, as: UTF8.self))
    }
}
