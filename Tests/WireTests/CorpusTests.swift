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

    @Test("what nf_tables once said is read, with what its rules do")
    func replaysRulesets() {
        var effects: RuleEffects = []
        for (_, bytes) in Corpus.files(of: "ruleset") {
            for message in RobustnessTests.messages(in: bytes) {
                let payload = Array(bytes[message.payload])
                guard let read = try? payload.rulesetMessage(message.type) else { continue }
                effects.formUnion(read.effects)
            }
        }
        #expect(effects == [.setsConnectionMark, .untracks, .translates, .diverts])
    }

    @Test("still reaches the whole message", arguments: ["queue", "log"])
    func holdsWholeMessages(_ corpus: String) {
        let whole = Corpus.files(of: corpus).filter { _, bytes in
            corpus == "queue" ? (try? bytes.queueMessage()) != nil : (try? bytes.logMessage()) != nil
        }
        #expect(!whole.isEmpty)
    }
}
