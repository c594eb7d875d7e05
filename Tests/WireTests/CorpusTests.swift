import Glibc
import Testing

@testable import Wire

/// Everything the fuzzers found worth keeping, and what once crashed a reader, is read again.
@Suite("Fuzzing corpus")
struct CorpusTests {
    /// The files of a corpus, from the folder beside this one.
    private func files(of corpus: String) -> [(name: String, bytes: [UInt8])] {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let folder = "/\(tests)/Fuzz/corpus/\(corpus)"
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

    @Test("is read without a trap and without a contradiction", arguments: ["packet", "queue", "log", "netlink"])
    func replays(_ corpus: String) {
        let files = files(of: corpus)
        #expect(!files.isEmpty)
        for (name, bytes) in files {
            #expect(RobustnessTests.flaw(of: bytes) == nil, "\(corpus)/\(name)")
        }
    }

    @Test("DNS messages are read alike after they were written")
    func replaysDNS() {
        let files = files(of: "dns")
        #expect(files.contains { (try? $0.bytes.dnsMessage()) != nil })
        for (name, bytes) in files {
            #expect(DNSRobustnessTests.flaw(of: bytes) == nil, "dns/\(name)")
        }
    }

    @Test("still reaches the whole message", arguments: ["queue", "log"])
    func holdsWholeMessages(_ corpus: String) {
        let whole = files(of: corpus).filter { _, bytes in
            corpus == "queue" ? (try? bytes.queueMessage()) != nil : (try? bytes.logMessage()) != nil
        }
        #expect(!whole.isEmpty)
    }
}
