import Glibc
import Model
import TestSupport
import Testing

@testable import Record

@Suite struct DirectoryTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    @Test func keepsOthersOut() throws {
        let before = umask(0)
        defer { umask(before) }
        let store = try Store(directory: scratch.path)
        store.append(event(1))
        try store.flush()
        #expect(try scratch.mode() == 0o700)
        for name in try scratch.names(in: scratch.path) { #expect(try scratch.mode(of: name) == 0o600, "\(name)") }
        #expect(try scratch.names(in: scratch.path).contains("egressd.db-wal"))
    }

    @Test func refusesASecondDaemonByName() throws {
        let first = try Store(directory: scratch.path)
        let error = #expect(throws: StoreError.self) { try Store(directory: scratch.path) }
        #expect(error == .locked(directory: scratch.path, pid: getpid()))
        #expect(error?.description.hasPrefix("another egressd (pid \(getpid())) uses the state in ") == true)
        // Closing is not going: the lock stays until the store is released.
        first.close()
        #expect(throws: StoreError.self) { try Store(directory: scratch.path) }
        withExtendedLifetime(first) {}
    }

    @Test func letsTheNextDaemonIn() throws {
        for _ in 0..<3 { _ = try Store(directory: scratch.path) }
    }

    @Test func opensAndClosesWithoutLeakingDescriptors() throws {
        _ = try Store(directory: scratch.path)
        let before = try scratch.names(in: "/proc/self/fd").count
        for _ in 0..<5 {
            let store = try Store(directory: scratch.path)
            #expect(throws: StoreError.self) { try Store(directory: scratch.path) }
            store.append(event(1))
        }
        // Other tests open descriptors at the same time; five rounds of ours would leave at least twenty.
        #expect(try eventually { try scratch.names(in: "/proc/self/fd").count < before + 15 })
    }

    @Test(arguments: [0o755, 0o770, 0o701, 0o777] as [mode_t])
    func refusesADirectoryThatOthersMayUse(mode: mode_t) throws {
        unsafe mkdir(scratch.path, 0o700)
        unsafe chmod(scratch.path, mode)
        let error = #expect(throws: StoreError.self) { try Store(directory: scratch.path) }
        #expect(error?.description.contains("chmod 0750") == true)
    }

    @Test func takesADirectoryThatAGroupMayRead() throws {
        unsafe mkdir(scratch.path, 0o750)
        _ = try Store(directory: scratch.path)
    }

    @Test func needsTheParent() {
        let error = #expect(throws: StoreError.self) { try Store(directory: scratch.parent + "/a/b") }
        #expect(error == .system(call: "mkdir", path: scratch.parent + "/a/b", code: ENOENT))
        #expect(error?.description.hasSuffix("No such file or directory") == true)
    }

    @Test(arguments: ["lock", "egressd.db"])
    func followsNoLink(name: String) throws {
        unsafe mkdir(scratch.path, 0o700)
        unsafe symlink("/dev/null", "\(scratch.path)/\(name)")
        #expect(throws: StoreError.self) { try Store(directory: scratch.path) }
    }

    @Test func refusesANewerRecord() throws {
        let store = try Store(directory: scratch.path)
        try store.writer.perform { (database) throws(StoreError) in try database.execute("PRAGMA user_version=99") }
        #expect(throws: StoreError.newerSchema(found: 99, known: Schema.version)) {
            try Store.read(directory: scratch.path)
        }
    }

    @Test func readsOnlyWhatIsThere() throws {
        #expect(throws: StoreError.self) { try Store.read(directory: scratch.path) }
        unsafe mkdir(scratch.path, 0o700)
        #expect(throws: StoreError.self) { try Store.read(directory: scratch.path) }
        #expect(try scratch.names(in: scratch.path) == [])
    }
}
