import TestSupport
import Testing

@testable import Wire

/// No datagrams make the reader trap, and however a ClientHello is cut up, it is the same.
@Suite("Readers of foreign bytes, QUIC")
struct QUICRobustnessTests {
    /// Reads the bytes as datagrams, each with its length before it; a sentence about what is wrong, or nil.
    ///
    /// Each is filled to the size of a datagram with an Initial, so that a few bytes are enough to reach the frames.
    static func flaw(of bytes: [UInt8]) -> String? {
        var flight = QUICFlight()
        var rest = bytes[...]
        var hello: [UInt8]?
        while let high = rest.popFirst(), let low = rest.popFirst() {
            let part = Array(rest.prefix(Int(high) << 8 | Int(low)))
            rest = rest.dropFirst(part.count)
            let datagram = QUICBytes.datagram(part)
            let mayBegin = flight.version != nil || QUICFlight.mayBegin(datagram)
            guard let progress = try? flight.take(datagram) else { return nil }
            guard mayBegin else { return "read, and no beginning" }
            guard case .hello(let message) = progress else {
                if hello != nil { return "it is incomplete again" }
                continue
            }
            if let hello, hello != message { return "it is another message" }
            hello = message
            guard message.count >= 4, message[0] == 1, message.count <= 16_384 else { return "no ClientHello" }
            guard message == QUICBytes.message(Array(message.dropFirst(4))) else { return "another length" }
        }
        return nil
    }

    /// The frames of a message: cut, some twice, some overlapping, in any order, with others between them.
    private func frames(of message: [UInt8], using random: inout SplitMix) -> [[UInt8]] {
        let largest = Int.random(in: 1...900, using: &random)
        var frames: [[UInt8]] = []
        var offset = 0
        while offset < message.count {
            let start = max(0, offset - (Bool.random(using: &random) ? 0 : Int.random(in: 0...40, using: &random)))
            let end = min(message.count, offset + Int.random(in: 1...largest, using: &random))
            frames.append(QUICBytes.crypto(UInt64(start), message[start..<end]))
            if Int.random(in: 0..<8, using: &random) == 0 { frames.append(frames[frames.count - 1]) }
            if Int.random(in: 0..<4, using: &random) == 0 { frames[frames.count - 1] += [0, 1, 0, 0, 0] }
            offset = end
        }
        if Bool.random(using: &random) { frames.shuffle(using: &random) }
        return frames
    }

    /// Datagrams of packets of frames.
    private func datagrams(of frames: [[UInt8]], using random: inout SplitMix) -> [[UInt8]] {
        var datagrams: [[UInt8]] = [[]]
        var number: UInt32 = 0
        var rest = frames[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...4, using: &random)
            let packet = QUICBytes.initial(rest.prefix(count).flatMap(\.self), number: number)
            rest = rest.dropFirst(count)
            number += UInt32.random(in: 1...3, using: &random)
            if Bool.random(using: &random), !datagrams[datagrams.count - 1].isEmpty { datagrams.append([]) }
            datagrams[datagrams.count - 1] += packet
        }
        // A server knows numbers only so far back.
        if number < 64, Bool.random(using: &random) { datagrams.shuffle(using: &random) }
        return datagrams.map { QUICBytes.datagram($0) }
    }

    @Test("a ClientHello cut up in any way is the same")
    func joinsPieces() throws {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        for round in 0..<1500 {
            let count = [0, 1, 60, 500, 1800, 6000].randomElement(using: &random) ?? 0
            let body = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let message = QUICBytes.message(body)
            let frames = frames(of: message, using: &random)
            var flight = QUICFlight()
            var progress = QUICFlight.Progress.incomplete
            for datagram in datagrams(of: frames, using: &random) {
                do {
                    progress = try flight.take(datagram)
                } catch {
                    // Bytes in the smallest pieces, shuffled, leave more gaps than are kept.
                    let isBound = error as? QUICError == .tooManyRanges && frames.count > 64
                    #expect(isBound, "EGRESSD_SEED=\(seed) round \(round): \(error)")
                    progress = .hello(message)
                    break
                }
            }
            #expect(progress == .hello(message), "EGRESSD_SEED=\(seed) round \(round)")
        }
    }

    @Test("nothing is said before every byte is there")
    func waitsForAll() throws {
        let message = QUICBytes.message([UInt8](repeating: 7, count: 60))
        for missing in message.indices {
            var flight = QUICFlight()
            let frames =
                QUICBytes.crypto(0, message[..<missing])
                + QUICBytes.crypto(UInt64(missing + 1), message[(missing + 1)...])
            #expect(try flight.take(QUICBytes.datagram(QUICBytes.initial(frames))) == .incomplete)
            let last = QUICBytes.initial(QUICBytes.crypto(UInt64(missing), [message[missing]]), number: 1)
            #expect(try flight.take(QUICBytes.datagram(last)) == .hello(message))
        }
    }

    @Test("changed bytes never trap")
    func survivesMutation() {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        let message = QUICBytes.message([UInt8](repeating: 7, count: 200))
        for round in 0..<10_000 {
            let frames = frames(of: message, using: &random)
            var bytes: [UInt8] = []
            for frame in frames {
                var packet = QUICBytes.initial(frame, number: UInt32(bytes.count))
                if Int.random(in: 0..<4, using: &random) == 0 { packet = packet.mutated(using: &random) }
                bytes += [UInt8(packet.count >> 8 & 255), UInt8(packet.count & 255)] + packet
            }
            guard let flaw = Self.flaw(of: bytes) else { continue }
            Issue.record("EGRESSD_SEED=\(seed) round \(round): \(flaw) of \(bytes)")
            return
        }
    }

    @Test("what the fuzzer kept is read without a trap and without a contradiction")
    func replaysCorpus() {
        let files = Corpus.files(of: "quic")
        #expect(!files.isEmpty)
        for (name, bytes) in files { #expect(Self.flaw(of: bytes) == nil, "quic/\(name)") }
    }
}
