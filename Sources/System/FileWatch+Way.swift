import CLinux

/// The way that the kernel takes from the root to a file, as far as it exists.
struct FileWay: Equatable {
    /// A directory without links in its path, and the name that is looked up there.
    struct Step: Hashable {
        let directory: String
        let name: String
    }

    private(set) var steps: [Step] = []
    /// Where the file lies, without links; nil when there is none.
    private(set) var file: String?

    /// As many as the kernel follows (path_resolution(7)).
    private static let linkLimit = 40

    /// Follows an absolute path.
    init(to path: String) {
        var rest = Array(path.split(separator: "/").map(String.init).reversed())
        var parents: [String] = []
        var links = 0
        while let name = rest.popLast() {
            if name == "." { continue }
            if name == ".." {
                _ = parents.popLast()
                continue
            }
            let place = Self.joined(parents + [name])
            steps.append(Step(directory: Self.joined(parents), name: name))
            if let target = Self.target(of: place) {
                links += 1
                guard links <= Self.linkLimit else { return }
                if target.utf8.first == UInt8(ascii: "/") { parents = [] }
                rest += target.split(separator: "/").map(String.init).reversed()
            } else {
                guard Self.exists(place) else { return }
                parents.append(name)
            }
        }
        file = Self.joined(parents)
    }

    private static func joined(_ names: [String]) -> String { "/" + names.joined(separator: "/") }

    /// What a link names; nil when it is no link.
    private static func target(of path: String) -> String? {
        let capacity = 4096
        return unsafe String(bytes: capacity) { unsafe clx_readlink(AT_FDCWD, path, $0, $1) }
    }

    private static func exists(_ path: String) -> Bool {
        var file = clx_file()
        return unsafe clx_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &file) >= 0
    }
}
