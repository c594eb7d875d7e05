import TestSupport
import Testing

@testable import Wire

/// Everything the fuzzers found worth keeping, and what once crashed a reader, is read again.
@Suite("Fuzzing corpus")
struct CorpusTests {
    @Test("is read without a trap and without a contradiction", arguments: ["packet", "queue", "log", "netlink"])
    func replays(_ corpus: String) {
        let files = Corpus.files(of: corpus)
        #expect(!files.isEmpty)
        for (name, bytes) in files {
            #expect(RobustnessTests.flaw(of: bytes) == nil, "\(corpus)/\(name)")
        }
    }

    @Test("DNS messages are read alike after they were written")
    func replaysDNS() {
        let files = Corpus.files(of: "dns")
        #expect(files.contains { (try? $0.bytes.dnsMessage()) != nil })
        for (name, bytes) in files {
            #expect(DNSRobustnessTests.flaw(of: bytes) == nil, "dns/\(name)")
        }
    }

    @Test("still reaches the whole message", arguments: ["queue", "log"])
    func holdsWholeMessages(_ corpus: String) {
        let whole = Corpus.files(of: corpus).filter { _, bytes in
            corpus == "queue" ? (try? bytes.queueMessage()) != nil : (try? bytes.logMessage()) != nil
        }
        #expect(!whole.isEmpty)
    }
}
