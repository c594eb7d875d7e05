import Glibc

/// The files that the fuzzers keep, which the tests read again.
enum Corpus {
    private static let folder: String = {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        return "/\(tests)/Fuzz/corpus"
    }()

    /// The files of a corpus by their names.
    static func files(of corpus: String) -> [(name: String, bytes: [UInt8])] {
        guard let directory = unsafe opendir("\(folder)/\(corpus)") else { return [] }
        defer { unsafe closedir(directory) }
        var files: [(name: String, bytes: [UInt8])] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { start in
                unsafe start.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            guard !name.hasPrefix("."), let bytes = file(name, of: corpus) else { continue }
            files.append((name, bytes))
        }
        return files.sorted { $0.name < $1.name }
    }

    /// One file, at most 64 KiB of it; nil when there is none.
    static func file(_ name: String, of corpus: String) -> [UInt8]? {
        guard let file = unsafe fopen("\(folder)/\(corpus)/\(name)", "r") else { return nil }
        defer { unsafe fclose(file) }
        return unsafe [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
            unsafe count = fread(buffer.baseAddress, 1, buffer.count, file)
        }
    }
}
