import Glibc
import Survey
import System
import Testing

/// A folder that stands for the root of a host; removed with the value.
final class Root {
    let path: String
    private var made: [String] = []

    init() throws {
        var template = Array("/tmp/egressd-survey-XXXXXX".utf8CString)
        path = try #require(unsafe mkdtemp(&template).map { unsafe String(cString: $0) })
        for kind in ["net", "user", "mnt"] { try file("/ns/\(kind)") }
        try namespaces("/proc/thread-self")
    }

    deinit {
        for name in made.reversed() where unsafe unlink(name) != 0 { unsafe rmdir(name) }
        unsafe rmdir(path)
    }

    var survey: HostSurvey { HostSurvey(HostFiles(root: path)) }

    func folder(_ name: String, mode: mode_t = 0o755) throws {
        var way = path
        for part in name.split(separator: "/") {
            way += "/" + part
            if unsafe mkdir(way, 0o755) == 0 { made.append(way) }
        }
        try #require(unsafe chmod(way, mode) == 0)
    }

    func file(_ name: String, _ text: String = "", mode: mode_t = 0o644) throws {
        let slash = try #require(name.lastIndex(of: "/"))
        if slash != name.startIndex, unsafe access(path + name[..<slash], F_OK) != 0 {
            try folder(String(name[..<slash]))
        }
        guard let file = unsafe fopen(path + name, "w") else { throw Errno.notFound }
        let bytes = Array(text.utf8)
        unsafe fwrite(bytes, 1, bytes.count, file)
        unsafe fclose(file)
        made.append(path + name)
        try #require(unsafe chmod(path + name, mode) == 0)
    }

    func link(_ name: String, to target: String) throws {
        try #require(unsafe symlink(target, path + name) == 0)
        made.append(path + name)
    }

    /// A process in the host's namespaces, but for those that are named.
    func process(
        _ pid: Int,
        _ name: String = "python3",
        cgroup: String,
        uid: Int = 1001,
        capabilities: String = "0000000000000000",
        parent: Int = 1,
        apart: [String] = [],
    ) throws {
        try file(
            "/proc/\(pid)/status",
            """
            Name:\t\(name)
            Umask:\t0022
            Pid:\t\(pid)
            PPid:\t\(parent)
            Uid:\t0\t\(uid)\t0\t0
            Gid:\t0\t\(uid)\t0\t0
            Groups:\t27 998\u{20}
            CapPrm:\t\(capabilities)
            CapEff:\t0000000000000000
            NoNewPrivs:\t1

            """,
        )
        try file("/proc/\(pid)/cgroup", "1:name=systemd:/elsewhere\n0::\(cgroup)\n")
        try namespaces("/proc/\(pid)", apart: apart)
    }

    private func namespaces(_ folder: String, apart: [String] = []) throws {
        try self.folder("\(folder)/ns")
        for kind in ["net", "user", "mnt"] {
            if apart.contains(kind) {
                try file("\(folder)/ns/\(kind)")
            } else {
                try link("\(folder)/ns/\(kind)", to: "\(path)/ns/\(kind)")
            }
        }
    }
}
