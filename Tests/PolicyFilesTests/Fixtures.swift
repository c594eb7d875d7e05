import Glibc
import PolicyFiles
import Testing

/// The files beside the tests, and scratch folders.
enum Fixtures {
    /// The folder of the package, without a slash at the end.
    static let package = up(#filePath, 3)
    /// The folder of the fixtures.
    static let folder = up(#filePath, 1) + "/Fixtures"

    /// The user database of the tests: only `root` and `trainer` exist.
    static func uid(_ name: String) -> UInt32? { ["root": 0, "trainer": 1001][name] }

    /// A loader that knows these users and no nameserver.
    static func loader() -> PolicyLoader {
        PolicyLoader(resolveUser: { uid($0) }, resolverFile: "/nonexistent")
    }

    /// The names in a folder, sorted, without those that begin with a dot.
    static func names(in folder: String) -> [String] {
        guard let stream = unsafe opendir(folder) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe UnsafeRawPointer(entry) + (MemoryLayout<dirent>.offset(of: \.d_name) ?? 0)
            let text = unsafe String(cString: name.assumingMemoryBound(to: CChar.self))
            if !text.hasPrefix(".") { names.append(text) }
        }
        return names.sorted()
    }

    /// The content of a file; nil when there is none.
    static func read(_ path: String) -> [UInt8]? {
        guard let file = unsafe fopen(path, "r") else { return nil }
        defer { unsafe fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4 << 20)
        let count = unsafe fread(&bytes, 1, bytes.count, file)
        return Array(bytes.prefix(count))
    }

    /// Writes a file in place.
    static func write(_ text: String, to path: String) {
        guard let file = unsafe fopen(path, "w") else { return }
        defer { unsafe fclose(file) }
        let bytes = Array(text.utf8)
        unsafe fwrite(bytes, 1, bytes.count, file)
    }

    /// Runs the body with a new empty folder, which is removed afterwards.
    static func withFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/egressd-policies-XXXXXX".utf8CString)
        guard let made = unsafe mkdtemp(&template) else { throw Missing() }
        let folder = unsafe String(cString: made)
        defer {
            for name in names(in: folder) + [".hidden.yaml"] {
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

    private static func up(_ path: String, _ levels: Int) -> String {
        path.split(separator: "/").dropLast(levels).reduce("") { $0 + "/" + $1 }
    }
}
