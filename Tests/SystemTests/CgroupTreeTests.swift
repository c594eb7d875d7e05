import Glibc
import System
import Testing

@Suite struct CgroupTreeTests {
    private static let ways = [CgroupTree.Way.handle, .index]

    @Test(arguments: ways) func anIdLeadsToItsPathUntilTheCgroupIsGone(way: CgroupTree.Way) throws {
        let cgroup = try TestCgroup("path", way)
        let id = try #require(cgroup.tree.id(of: cgroup.path))
        #expect(cgroup.tree.path(of: id) == cgroup.path)
        #expect(cgroup.tree.id(of: String(cgroup.path.dropFirst())) == id)
        #expect(!cgroup.tree.isGone(id, from: cgroup.path))
        #expect(cgroup.tree.isGone(id + 1, from: cgroup.path))
        cgroup.remove()
        #expect(cgroup.tree.path(of: id) == nil)
        #expect(cgroup.tree.id(of: cgroup.path) == nil)
        #expect(cgroup.tree.isGone(id, from: cgroup.path))
    }

    @Test(arguments: ways) func theRootIsASlash(way: CgroupTree.Way) throws {
        let tree = try CgroupTree(way)
        let id = try #require(tree.id(of: "/"))
        #expect(tree.path(of: id) == "/")
    }

    @Test(arguments: ways) func aNameThatLooksRemovedIsStillFound(way: CgroupTree.Way) throws {
        let cgroup = try TestCgroup("x (deleted)", way)
        let id = try #require(cgroup.tree.id(of: cgroup.path))
        #expect(cgroup.tree.path(of: id) == cgroup.path)
    }

    @Test(arguments: ways) func anUnknownIdIsNothing(way: CgroupTree.Way) throws {
        #expect(try CgroupTree(way).path(of: .max - 7) == nil)
    }

    @Test func processesAreThoseInside() throws {
        let cgroup = try TestCgroup("processes")
        let socket = try openSocket()
        #expect(cgroup.tree.processes(of: cgroup.path) == [])
        let child = try Child(["/bin/sleep", "100"], socket: socket.rawValue)
        try cgroup.move(child.pid)
        #expect(cgroup.tree.processes(of: cgroup.path) == [child.pid])
        #expect(cgroup.tree.path(ofProcess: child.pid) == cgroup.path)
        let second = try Child(["/bin/sleep", "100"], socket: socket.rawValue)
        try cgroup.move(second.pid)
        let (some, areAll) = cgroup.tree.processes(of: cgroup.path, limit: 1)
        #expect(some.count == 1)
        #expect(!areAll)
        child.end()
        second.end()
        #expect(eventually { cgroup.tree.processes(of: cgroup.path).isEmpty })
        #expect(cgroup.tree.path(ofProcess: child.pid) == nil)
    }

    @Test func aThreadedCgroupGivesItsThreads() throws {
        let cgroup = try TestCgroup("threaded")
        let socket = try openSocket()
        let child = try Child(["/bin/sleep", "100"], socket: socket.rawValue)
        try cgroup.move(child.pid)
        let inner = cgroup.tree.mountPoint + cgroup.path + "/inner"
        try #require(makeFolder(inner))
        defer {
            child.end()
            _ = eventually { removeFolder(inner) }
        }
        try put("threaded", into: inner + "/cgroup.type")
        try put("\(child.pid)", into: inner + "/cgroup.threads")
        #expect(cgroup.tree.processes(of: cgroup.path + "/inner") == [child.pid])
    }

    private func put(_ text: String, into path: String) throws {
        let file = try FileDescriptor.open(path, .readWrite)
        let bytes = Array(text.utf8)
        #expect(unsafe write(file.rawValue, bytes, bytes.count) == bytes.count)
    }

    @Test func aFolderThatIsNoCgroupIsRefused() {
        #expect(throws: Errno.invalidArgument) { try CgroupTree(mountPoint: "/proc") }
    }

    @Test func mountinfoIsReadWithItsOptionalFieldsAndEscapes() {
        let text = """
            22 1 0:20 / /proc rw,relatime - proc proc rw
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:7 master:2 - cgroup2 cgroup2 rw
            42 31 0:38 /a\\040b /mnt/with\\040blank rw - cgroup2 none rw
            43 31 0:39 / /cgroup2 rw - cgroup none rw
            broken - cgroup2
            """
        let mounts = Mount.all(in: text, type: "cgroup2")
        #expect(mounts.map(\.point) == ["/sys/fs/cgroup/unified", "/mnt/with blank"])
        #expect(mounts.map(\.root) == ["/", "/a b"])
    }

    @Test func aPathIsRelativeToWhatIsMounted() throws {
        let whole = try CgroupTree()
        #expect(whole.path(inProcFile: "9:name=systemd:/x\n0::/a/b:c\n") == "/a/b:c")
        #expect(whole.path(inProcFile: "9:name=systemd:/x\n") == nil)
        let part = try CgroupTree(mountPoint: whole.mountPoint, root: "/box")
        #expect(part.path(inProcFile: "0::/box\n") == "/")
        #expect(part.path(inProcFile: "0::/box/a\n") == "/a")
        #expect(part.path(inProcFile: "0::/boxer/a\n") == "/boxer/a")
    }
}
