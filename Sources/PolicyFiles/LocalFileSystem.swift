/// Tells file systems whose every change this kernel makes from those that others change as well.
enum LocalFileSystem {
    /// By the names that the kernel registers them under: `proc_pid_mountinfo(5)`, the first field after the `-`.
    ///
    /// On a network, FUSE or 9p file system what another host or the host of the machine writes raises no event.
    private static let names: [String] = [
        "ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "overlay", "f2fs", "zfs",
    ]

    /// Whether the open file is on one of these; false when that cannot be learnt.
    static func holds(_ descriptor: Int32) -> Bool {
        guard let mount = mount(of: descriptor),
            let table = try? SmallFile.read("/proc/self/mountinfo", limit: 1 << 20)
        else { return false }
        for line in table.bytes.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "))
            guard let first = fields.first, first.elementsEqual(mount),
                let dash = fields.firstIndex(where: { $0.elementsEqual("-".utf8) }), dash + 1 < fields.count
            else { continue }
            return names.contains { fields[dash + 1].elementsEqual($0.utf8) }
        }
        return false
    }

    /// The number of the mount that the file was opened through: `mnt_id` of `proc_pid_fdinfo(5)`, in decimal.
    private static func mount(of descriptor: Int32) -> ArraySlice<UInt8>? {
        guard let content = try? SmallFile.read("/proc/self/fdinfo/\(descriptor)", limit: 4096) else { return nil }
        for line in content.bytes.split(separator: UInt8(ascii: "\n")) {
            let words = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            if words.count == 2, words[0].elementsEqual("mnt_id:".utf8) { return words[1] }
        }
        return nil
    }
}
