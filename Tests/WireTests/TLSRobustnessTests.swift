import Model
import TestSupport
import Testing

@testable import Wire

/// No bytes make the readers of TLS trap, and where the records end changes nothing.
@Suite("Readers of foreign bytes, TLS")
struct TLSRobustnessTests {
    /// Reads the stream in every way there is; a sentence about what is wrong, or nil.
    static func flaw(of stream: [UInt8]) -> String? {
        if let flaw = flaw(ofMessage: stream) { return flaw }
        guard let message = try? stream.tlsMessage() else { return nil }
        guard stream.mayBeginTLS else { return "it may not begin so" }
        guard message.count <= TLSRecords.limit else { return "\(message.count) bytes" }
        return flaw(ofMessage: message)
    }

    /// Reads the bytes as a handshake message; a sentence about what is wrong, or nil.
    private static func flaw(ofMessage bytes: [UInt8]) -> String? {
        guard let hello = try? bytes.clientHello() else { return nil }
        guard 0x0301...0x0304 ~= hello.version else { return "version \(hello.version)" }
        guard bytes.types(hello.extensions).count == hello.extensionCount else { return "extensions" }
        guard bytes.numbers(hello.cipherSuites).count == hello.cipherSuites.count else { return "suites" }
        guard !bytes.texts(hello.protocols).contains("") else { return "protocols" }
        return flaw(ofNameIn: hello, bytes)
    }

    /// A name is what the bytes hold behind the length that says so.
    private static func flaw(ofNameIn hello: TLSClientHello, _ bytes: [UInt8]) -> String? {
        switch hello.serverName(in: bytes.raw) {
        case .absent: return hello.serverNames == nil ? nil : "a name is missing"
        case .unreadable(let place): return hello.serverNames?.clamped(to: place) == place ? nil : "place \(place)"
        case .name(let name):
            guard let place = hello.hostName else { return "\(name) is nowhere" }
            let entry = bytes[(place.lowerBound - 3)..<place.upperBound].map(\.lowered)
            return entry == [0] + TLSBytes.vector16(Array(name.text.utf8)) ? nil : "\(name) instead of \(entry)"
        }
    }

    /// What real clients send, and what is written by hand.
    private static let streams =
        TLSCorpusTests.captures.compactMap { Corpus.file($0.file, of: "tls") }
        + TLSBytes.all.map { TLSBytes.records($0, [60]) }

    @Test("every start of a good stream is not whole, every start of a message is refused")
    func survivesTruncation() throws {
        for stream in Self.streams {
            guard let message = try? stream.tlsMessage(), (try? message.clientHello()) != nil else { continue }
            var whole = 0
            for count in 0...stream.count {
                let start = Array(stream.prefix(count))
                #expect(start.mayBeginTLS)
                if try start.tlsMessage() != nil { whole += 1 }
            }
            #expect(whole == 1)
            for count in 0..<message.count { #expect((try? Array(message.prefix(count)).clientHello()) == nil) }
        }
    }

    @Test("one changed byte anywhere never traps, and makes no name that is not there")
    func survivesSingleChanges() {
        for stream in Self.streams where stream.count < 700 {
            for offset in stream.indices {
                for change in [stream[offset] ^ 1, stream[offset] ^ 0x20, stream[offset] &- 1] {
                    let flaw = Self.flaw(of: stream.with([change], at: offset))
                    #expect(flaw == nil, "\(offset): \(change)")
                }
            }
        }
    }

    @Test("changed bytes never trap")
    func survivesMutation() {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        let samples = Self.streams + TLSBytes.all
        for round in 0..<20_000 {
            var bytes = samples[round % samples.count]
            for _ in 0...Int.random(in: 0..<3, using: &random) { bytes = bytes.mutated(using: &random) }
            guard let flaw = Self.flaw(of: bytes) else { continue }
            Issue.record("EGRESSD_SEED=\(seed) round \(round): \(flaw) of \(bytes)")
            return
        }
    }

    @Test("a fingerprint has 36 characters, whatever was changed")
    func fingerprintsMutation() {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        for round in 0..<400 {
            let bytes = TLSBytes.modern.mutated(using: &random)
            guard let text = try? bytes.ja4() else { continue }
            #expect(text.utf8.count == 36 && text.utf8.allSatisfy { 0x21...0x7e ~= $0 }, "\(seed) \(round)")
        }
    }

    @Test("what comes byte by byte is refused for the same reason")
    func survivesGrowing() {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        for _ in 0..<500 {
            // Six bytes: the header of a record and the first of the message, where most is refused.
            let start = TLSBytes.records(TLSBytes.modern).with(
                [.random(in: 0...255, using: &random)],
                at: .random(in: 0..<6, using: &random)
            )
            var records = TLSRecords()
            var reasons: Set<TLSError> = []
            for count in 0...12 {
                if let reason = start.prefix(count).map(\.self).refusal(&records) { reasons.insert(reason) }
            }
            #expect(reasons.count <= 1, "EGRESSD_SEED=\(seed): \(start)")
        }
    }

    @Test("a message in any records that comes in any parts is the same message")
    func survivesSplitting() throws {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        for stream in Self.streams {
            guard let message = try? stream.tlsMessage() else { continue }
            for round in 0..<40 {
                let most = [2, 20, 600].randomElement(using: &random) ?? 1
                let sizes = (0..<message.count).map { _ in Int.random(in: 1...most, using: &random) }
                let split = TLSBytes.records(message, sizes)
                var records = TLSRecords()
                var count = 0
                while count < split.count {
                    #expect(!records.isWhole)
                    count = min(split.count, count + Int.random(in: 1...most, using: &random))
                    _ = try Array(split.prefix(count)).read(&records)
                }
                #expect(split.message(of: records) == message, "EGRESSD_SEED=\(seed) round \(round)")
            }
        }
    }
}
