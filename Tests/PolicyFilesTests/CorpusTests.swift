import Glibc
import Policy
import Testing

@testable import PolicyFiles

/// Everything the fuzzer found worth keeping, and what once crashed the reader, is read again.
@Suite("Fuzzing corpus of policy files")
struct CorpusTests {
    /// The files of the corpus, from the folder beside this one.
    private func files() -> [(name: String, bytes: [UInt8])] {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let folder = "/\(tests)/Fuzz/corpus/policy"
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
        return files
    }

    private func read(_ path: String) -> [UInt8]? {
        guard let file = unsafe fopen(path, "r") else { return nil }
        defer { unsafe fclose(file) }
        return unsafe [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
            unsafe count = fread(buffer.baseAddress, 1, buffer.count, file)
        }
    }

    /// The mistakes of a refused file; nil when it was read.
    private func mistakes(_ body: () throws(PolicyErrors) -> Void) -> [PolicyFileError]? {
        do throws(PolicyErrors) {
            try body()
            return nil
        } catch {
            return error.errors
        }
    }

    @Test("is read without a trap, and refused with a reason in one line")
    func replays() {
        var accepted = 0
        for (name, bytes) in files() {
            let refusals = [
                mistakes { () throws(PolicyErrors) in
                    let workload = try PolicyReader.read(bytes, file: name) { $0 == "trainer" ? 1001 : nil }
                    accepted += 1
                    _ = workload.check(workload.expect)
                },
                mistakes { () throws(PolicyErrors) in _ = try ConfigurationReader.read(bytes, file: name) },
            ]
            for errors in refusals.compactMap(\.self) {
                #expect(!errors.isEmpty, "\(name)")
                let hasControl = errors.contains { error in
                    error.description.unicodeScalars.contains { $0.properties.generalCategory == .control }
                }
                #expect(!hasControl, "\(name): \(errors.map(\.description).debugDescription)")
            }
        }
        #expect(accepted > 0, "the corpus has no file that is a policy")
    }
}
