import CLinux

/// The files of a host, seen through a folder that stands for its root.
package struct HostFiles: Sendable {
    /// Owner, group, mode and inode of a file.
    package struct Status: Hashable, Sendable {
        package let owner: UInt32
        package let group: UInt32
        package let mode: UInt32
        package let inode: UInt64
    }

    /// What stands before every path; empty for the host itself.
    package let root: String

    package init(root: String = "") { self.root = root }

    /// The text of a file, at most `limit` bytes of it; invalid UTF-8 is repaired.
    package func text(_ path: String, limit: Int = 65_536) throws(Errno) -> String {
        try SmallFile.read(root + path, limit: limit)
    }

    /// The names in a folder but `.` and `..`, sorted.
    package func names(in path: String) throws(Errno) -> [String] {
        let capacity = 1 << 20
        var result = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            result = unsafe start.withMemoryRebound(to: CChar.self, capacity: capacity) {
                unsafe clx_directory_names(root + path, $0, capacity)
            }
            count = Swift.max(0, result)
        }
        try Errno.check(result)
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }.sorted()
    }

    /// Who may do what with a file; links are followed.
    package func status(of path: String) throws(Errno) -> Status {
        var found = clx_permissions()
        try Errno.check(unsafe clx_permissions(root + path, &found))
        return Status(owner: found.owner, group: found.group, mode: found.mode, inode: found.inode)
    }

    /// The numbered entries of a folder, such as the processes in /proc.
    package func numbers(in path: String) -> [Int32] {
        ProcessInspector.numbers(in: root + path, limit: 1 << 22).numbers
    }
}
