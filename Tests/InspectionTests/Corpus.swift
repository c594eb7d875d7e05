import Glibc

/// Files beside the tests: what the fuzzers found worth keeping, and what real clients sent.
enum Corpus {
    /// The files of a fuzzing corpus.
    static func files(of corpus: String) -> [(name: String, bytes: [UInt8])] { files(in: "Fuzz/corpus/\(corpus)") }

    /// The files in a folder below `Tests`, in the order of their names.
    static func files(in folder: String) -> [(name: String, bytes: [UInt8])] {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let folder = "/\(tests)/\(folder)"
        guard let directory = unsafe opendir(folder) else { return [] }
        defer { unsafe closedir(directory) }
        var files: [(name: String, bytes: [UInt8])] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { start in
                unsafe start.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            guard !name.hasPrefix("."), let bytes = read("\(folder)/\(name)") else { continue }
            files.append((name, bytes))
        }
        return files.sorted { $0.name < $1.name }
    }

    private static func read(_ path: String) -> [UInt8]? {
        guard let file = unsafe fopen(path, "r") else { return nil }
        defer { unsafe fclose(file) }
        return unsafe [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
            unsafe count = fread(buffer.baseAddress, 1, buffer.count, file)
        }
    }
}
