import Glibc
import Model
import System
import Testing

/// The tree that is followed instead of asked: as exact as the kernel while cgroups come and go.
@Suite(.serialized) struct CgroupFollowingTests {
    private func make(_ cgroup: TestCgroup, _ name: String) throws -> UInt64 {
        try #require(makeFolder(cgroup.tree.mountPoint + cgroup.path + "/" + name))
        return try #require(cgroup.tree.id(of: cgroup.path + "/" + name))
    }

    private func drop(_ cgroup: TestCgroup, _ name: String) {
        #expect(removeFolder(cgroup.tree.mountPoint + cgroup.path + "/" + name))
    }

    @Test func aCgroupIsFoundAtOnceAndGoneAtOnce() throws {
        let cgroup = try TestCgroup("once", .index)
        #expect(cgroup.tree.way == .index)
        var gone: [UInt64] = []
        for number in 0..<500 {
            let id = try make(cgroup, "job")
            #expect(cgroup.tree.path(of: id) == cgroup.path + "/job")
            // The same name is another cgroup the next time.
            drop(cgroup, "job")
            #expect(cgroup.tree.path(of: id) == nil)
            if number % 50 == 0 { gone.append(id) }
        }
        for id in gone { #expect(cgroup.tree.path(of: id) == nil) }
    }

    @Test func whatWasMadeAmongManyOthersIsFound() throws {
        let cgroup = try TestCgroup("many", .index)
        #expect(cgroup.tree.path(of: 1) == "/")
        var ids: [String: UInt64] = [:]
        for number in 0..<300 {
            let name = "unit\(number)"
            ids[name] = try make(cgroup, name)
            // Whole branches at a time, nobody asking in between.
            ids[name + "/inner"] = try make(cgroup, name + "/inner")
            ids[name + "/inner/most"] = try make(cgroup, name + "/inner/most")
        }
        for (name, id) in ids { #expect(cgroup.tree.path(of: id) == cgroup.path + "/" + name) }
        for number in 0..<300 {
            drop(cgroup, "unit\(number)/inner/most")
            if number % 2 == 0 { drop(cgroup, "unit\(number)/inner") }
        }
        for number in 0..<300 {
            let name = "unit\(number)/inner"
            let id = try #require(ids[name])
            #expect(cgroup.tree.path(of: id) == (number % 2 == 0 ? nil : cgroup.path + "/" + name))
            let innermost = try #require(ids[name + "/most"])
            #expect(cgroup.tree.path(of: innermost) == nil)
        }
        for number in 0..<300 {
            if number % 2 != 0 { drop(cgroup, "unit\(number)/inner") }
            drop(cgroup, "unit\(number)")
        }
    }

    @Test func lostEventsAreMadeUpFor() throws {
        let cgroup = try TestCgroup("lost", .index)
        #expect(cgroup.tree.path(of: 1) == "/")
        let limit = try #require(Int(text(of: "/proc/sys/fs/inotify/max_queued_events")))
        // Two events each, that nobody reads.
        for _ in 0..<limit / 2 + 100 {
            _ = makeFolder(cgroup.tree.mountPoint + cgroup.path + "/x")
            _ = removeFolder(cgroup.tree.mountPoint + cgroup.path + "/x")
        }
        let late = try make(cgroup, "late")
        #expect(cgroup.tree.path(of: late) == cgroup.path + "/late")
        // And is followed again from then on.
        let next = try make(cgroup, "next")
        #expect(cgroup.tree.path(of: next) == cgroup.path + "/next")
        drop(cgroup, "late")
        drop(cgroup, "next")
    }

    private func text(of path: String) throws -> String {
        let file = try FileDescriptor.open(path, .read)
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = unsafe read(file.rawValue, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)).filter { $0 != 10 }, as: UTF8.self)
    }
}
