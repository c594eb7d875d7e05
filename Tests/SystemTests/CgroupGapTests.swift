import CTestCalls
import Glibc
import Model
import TestSupport
import Testing

@testable import System

/// What keeps the tree that is followed from being known: none of it is for ever, and none of it goes unsaid.
@Suite(.serialized) struct CgroupGapTests {
    private static let nobody: UInt32 = 65534

    // MARK: Descriptors

    @Test func aTreeThatCannotBeOpenedIsTriedAgain() throws {
        let cgroup = try TestCgroup("unopened", .index)
        defer { withExtendedLifetime(cgroup) {} }
        let id = try #require(cgroup.tree.id(of: cgroup.path))
        let path = cgroup.path
        let (blind, gap, found) = try onThread {
            try Errno.check(tst_own_descriptors())
            let tree = try CgroupTree(.index)
            let taken = Self.takeDescriptors()
            let blind = tree.path(of: id)
            let gap = tree.repair()
            Self.giveBack(taken)
            return (blind, gap, eventually { tree.path(of: id) == path })
        }
        #expect(blind == nil)
        #expect(gap == .unreadable(.tooManyOpenFiles))
        #expect(found)
    }

    @Test func aPartThatCannotBeOpenedIsTriedAgain() throws {
        let cgroup = try TestCgroup("part", .index)
        defer { withExtendedLifetime(cgroup) {} }
        let (path, folder) = (cgroup.path, cgroup.tree.mountPoint + cgroup.path)
        defer { for name in ["/a/b", "/a"] { #expect(removeFolder(folder + name)) } }
        let (blind, known, found, gap) = try onThread {
            try Errno.check(tst_own_descriptors())
            let tree = try CgroupTree(.index)
            let root = tree.path(of: 1)
            let taken = Self.takeDescriptors()
            _ = makeFolder(folder + "/a") && makeFolder(folder + "/a/b")
            let inner = tree.id(of: path + "/a/b") ?? 0
            let blind = tree.path(of: inner)
            // What was known stays so.
            let known = tree.path(of: 1) == root
            Self.giveBack(taken)
            let found = eventually { tree.path(of: inner) == path + "/a/b" }
            return (blind, known, found, tree.repair())
        }
        #expect(blind == nil)
        #expect(known)
        #expect(found)
        #expect(gap == nil)
    }

    /// Takes every descriptor that this thread may have.
    private static func takeDescriptors() -> [Int32] {
        var taken: [Int32] = []
        while true {
            let descriptor = dup(0)
            guard descriptor >= 0 else { return taken }
            taken.append(descriptor)
        }
    }

    private static func giveBack(_ taken: [Int32]) { for descriptor in taken { close(descriptor) } }

    // MARK: What others can do

    /// Follows one cgroup and what is below it: beside this test others make some of their own.
    private func withIndex(_ name: String, limit: Int = 100, _ body: (CgroupIndex, String) throws -> Void) throws {
        let cgroup = try TestCgroup(name, .index)
        defer { withExtendedLifetime(cgroup) {} }
        let folder = cgroup.tree.mountPoint + cgroup.path
        let directory = try FileDescriptor.open(folder, [.read, .directory])
        defer { _ = directory.rawValue }
        let index = try CgroupIndex(mountPoint: folder, directory: directory.rawValue, limit: limit)
        try body(index, folder)
    }

    private func id(of folder: String) throws -> UInt64 {
        let opened = try FileDescriptor.open(folder, [.read, .directory])
        return try inode(of: opened.rawValue)
    }

    private func isReadable(_ index: CgroupIndex) -> Bool {
        var waiting = pollfd(fd: index.descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&waiting, 1, 0) == 1
    }

    @Test func changesOfPermissionsAreNotToldOf() throws {
        try withIndex("permissions") { index, folder in
            #expect(index.path(of: try id(of: folder)) == "/")
            try #require(makeFolder(folder + "/next"))
            #expect(index.path(of: try id(of: folder + "/next")) == "/next")
            for name in ["", "/cgroup.procs", "/next", "/next/cgroup.procs"] {
                #expect(setMode(0o700, of: folder + name))
            }
            #expect(!isReadable(index))
            #expect(removeFolder(folder + "/next"))
            #expect(isReadable(index))
        }
    }

    @Test func onlySoMuchIsTakenInAtOnce() throws {
        try withIndex("much") { index, folder in
            #expect(index.path(of: try id(of: folder)) == "/")
            let name = "/" + String(repeating: "x", count: 200)
            for _ in 0..<2_500 { #expect(makeFolder(folder + name) && removeFolder(folder + name)) }
            index.catchUp()
            #expect(index.isBehind && isReadable(index))
            // Behind all that it is found all the same.
            try #require(makeFolder(folder + name))
            let id = try id(of: folder + name)
            #expect(eventually { index.path(of: id) == name })
            index.catchUp()
            #expect(!index.isBehind && !isReadable(index))
            #expect(index.gap == nil)
            #expect(removeFolder(folder + name))
        }
    }

    @Test func whatItsOwnerHidesIsFoundWhenItIsShownAgain() throws {
        let cgroup = try TestCgroup("hidden", .index)
        defer { withExtendedLifetime(cgroup) {} }
        let (path, folder) = (cgroup.path, cgroup.tree.mountPoint + cgroup.path)
        for name in ["/a", "/a/b", "/c", "/c/d"] { try #require(makeFolder(folder + name)) }
        defer { for name in ["/c/d/e", "/c/d", "/c", "/a/b/e", "/a/b", "/a"] { #expect(removeFolder(folder + name)) } }
        let inner = try ["/a/b", "/c/d"].map { try #require(cgroup.tree.id(of: path + $0)) }
        // Nobody may list the first, and everybody the second, but not go on from there.
        #expect(setMode(0o700, of: folder + "/a"))
        #expect(setMode(0o744, of: folder + "/c"))
        let (hidden, gap, shown, new) = try onThread {
            try Errno.check(tst_look_as(Self.nobody))
            let tree = try CgroupTree(.index)
            let hidden = inner.map { tree.path(of: $0) }
            let gap = tree.repair()
            try Errno.check(tst_look_as(0))
            _ = ["/a", "/c"].map { setMode(0o755, of: folder + $0) }
            try Errno.check(tst_look_as(Self.nobody))
            let shown = eventually { inner.map { tree.path(of: $0) } == [path + "/a/b", path + "/c/d"] }
            try Errno.check(tst_look_as(0))
            let new = ["/a/b/e", "/c/d/e"].map { name in
                _ = makeFolder(folder + name)
                return tree.path(of: tree.id(of: path + name) ?? 0)
            }
            return (hidden, gap, shown, new)
        }
        #expect(hidden == [nil, nil])
        #expect(gap == nil)
        #expect(shown)
        #expect(new == [path + "/a/b/e", path + "/c/d/e"])
    }

    @Test func noPathIsTooLongForTheRest() throws {
        let cgroup = try TestCgroup("deep", .index)
        defer { withExtendedLifetime(cgroup) {} }
        let name = String(repeating: "x", count: 255)
        var folders = [try FileDescriptor.open(cgroup.tree.mountPoint + cgroup.path, [.read, .directory]).release()]
        defer {
            for folder in folders.dropLast().reversed() { #expect(unsafe unlinkat(folder, name, AT_REMOVEDIR) == 0) }
            for folder in folders { close(folder) }
        }
        for _ in 0..<17 {
            let folder = folders[folders.count - 1]
            try #require(unsafe mkdirat(folder, name, 0o755) == 0)
            folders.append(try FileDescriptor.open(name, [.read, .directory], in: folder).release())
        }
        #expect(try cgroup.tree.path(of: inode(of: folders[10])) != nil)
        #expect(try cgroup.tree.path(of: inode(of: folders[17])) == nil)
        #expect(cgroup.tree.repair() == nil)
    }

    // MARK: Room

    @Test func whatIsBeyondTheRoomIsSaidAndNotWatched() throws {
        try withIndex("room", limit: 17) { index, folder in
            try withMany(folder, 20) { ids in
                // The top is one, too.
                #expect(ids.count { index.path(of: $0) != nil } == 16)
                #expect(index.count == 17)
                #expect(index.repair() == .room(17))
                let watched = try watches(index)
                #expect(watched == 17)
            }
            // With room again all is well again.
            try withMany(folder, 10) { ids in
                #expect(eventually { index.repair() == nil })
                #expect(ids.allSatisfy { index.path(of: $0) != nil })
            }
        }
    }

    private func withMany(_ folder: String, _ count: Int, _ body: ([UInt64]) throws -> Void) throws {
        let paths = (0..<count).map { "\(folder)/\($0)" }
        for path in paths { try #require(makeFolder(path)) }
        defer { for path in paths { #expect(removeFolder(path)) } }
        try body(paths.map(id))
    }

    private func watches(_ index: CgroupIndex) throws -> Int {
        let text = try #require(Files.text("/proc/self/fdinfo/\(index.descriptor)"))
        return text.split(separator: "\n").count { $0.hasPrefix("inotify wd:") }
    }
}

private func setMode(_ mode: UInt32, of path: String) -> Bool { unsafe chmod(path, mode) == 0 }
