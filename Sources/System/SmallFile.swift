import CLinux

/// Files of a few lines, read in one go.
enum SmallFile {
    /// The bytes of a file, at most `limit`.
    static func bytes(_ path: String, in directory: Int32? = nil, limit: Int) throws(Errno) -> [UInt8] {
        var result = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            result = unsafe clx_read_file(directory ?? AT_FDCWD, path, start, limit)
            count = Swift.max(0, result)
        }
        try Errno.check(result)
        return bytes
    }

    /// The text of a file, at most `limit` bytes of it; invalid UTF-8 is repaired.
    static func read(_ path: String, in directory: Int32? = nil, limit: Int) throws(Errno) -> String {
        String(decoding: try bytes(path, in: directory, limit: limit), as: UTF8.self)
    }
}
