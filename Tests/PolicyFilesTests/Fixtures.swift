import Glibc
import PolicyFiles
import TestSupport
import Testing

/// The files beside the tests, and scratch folders.
enum Fixtures {
    /// The folder of the fixtures.
    static let folder = "\(Files.tests)/PolicyFilesTests/Fixtures"

    /// The user database of the tests: only `root` and `trainer` exist.
    static func uid(_ name: String) -> UInt32? { ["root": 0, "trainer": 1001][name] }

    /// A loader that knows these users and no nameserver.
    static func loader() -> PolicyLoader {
        PolicyLoader(resolveUser: { uid($0) }, resolverFile: "/nonexistent")
    }

    /// Runs the body with a new empty folder, which is removed afterwards.
    static func withFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/egressd-policies-XXXXXX".utf8CString)
        guard let made = unsafe mkdtemp(&template) else { throw Missing() }
        let folder = unsafe String(cString: made)
        defer {
            for name in Files.names(in: folder) + [".hidden.yaml"] {
                _ = unsafe unlink("\(folder)/\(name)")
                _ = unsafe rmdir("\(folder)/\(name)")
            }
            _ = unsafe rmdir(folder)
        }
        try body(folder)
    }

    /// Waits until the stamps of files written before are trusted.
    static func settle() { usleep(80_000) }

    private struct Missing: Error {}
}
