import Glibc

/// Whole files, for tests.
package enum Files {
    /// The folder of the package, without a slash at the end.
    package static let package = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
    /// The folder of all tests, the same way.
    package static let tests = package + "/Tests"

    /// The names in a folder, sorted, without those that begin with a dot; none when there is no folder.
    package static func names(in folder: String) -> [String] {
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
    package static func read(_ path: String) -> [UInt8]? {
        guard let file = unsafe fopen(path, "r") else { return nil }
        defer { unsafe fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe fread(&chunk, 1, chunk.count, file)
            guard count > 0 else { return bytes }
            bytes += chunk.prefix(count)
        }
    }

    /// The content of a file as text; nil when there is none.
    package static func text(_ path: String) -> String? { read(path).map { String(decoding: $0, as: UTF8.self) } }

    /// Writes a file in place.
    package static func write(_ text: String, to path: String) {
        guard let file = unsafe fopen(path, "w") else { return }
        defer { unsafe fclose(file) }
        let bytes = Array(text.utf8)
        unsafe fwrite(bytes, 1, bytes.count, file)
    }
}
