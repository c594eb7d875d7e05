/// A line of /proc/PID/mountinfo.
package struct Mount: Hashable {
    /// The part of the file system that is mounted.
    package let root: String
    /// Where it is mounted.
    package let point: String

    /// The mounts of one file system type, in their order (proc_pid_mountinfo(5)).
    package static func all(in text: String, type: String) -> [Mount] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count, fields[dash + 1] == type, dash >= 6
            else { return nil }
            return Mount(root: unescaped(fields[3]), point: unescaped(fields[4]))
        }
    }

    /// The mount of cgroup v2 that shows most: the whole tree if there is one; nil when it is not mounted.
    package static func ofCgroups(in text: String) -> Mount? {
        let mounts = all(in: text, type: "cgroup2")
        return mounts.first { $0.root == "/" } ?? mounts.first
    }

    /// A blank, a tab, a line feed and a backslash are written as \NNN, in octal.
    private static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
