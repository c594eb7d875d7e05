import Inspection
import Model
import TestSupport
import Testing
import Wire

/// However a first flight is cut, it says the same; a failure names its seed, which `EGRESSD_SEED` plays alone.
@Suite("First flights in pieces")
struct SplitTests {
    private static let rounds = 50

    @Test("there are flights of every protocol, and one larger than an MTU")
    func hasFlights() {
        for application: Application in [.tls, .http, .ssh, .httpConnect] {
            #expect(Recorded.streams.contains { FlightReader.flight(of: $0.bytes).application == application })
        }
        #expect(Recorded.streams.contains { $0.bytes.count > 1500 && $0.bytes.count < 2000 })
        #expect(Recorded.streams.count >= 18)
    }

    @Test("in any segments", arguments: Recorded.streams)
    func saysTheSame(_ recorded: Recorded.Stream) {
        let whole = FlightReader.flight(of: recorded.bytes)
        for seed in SplitMix.seeds(Self.rounds) {
            var random = SplitMix(state: seed)
            var held = Held(initial: UInt32.random(in: 0...UInt32.max, using: &random))
            // What a client sends behind its first flight makes no difference.
            let more = random.chance(20) ? [UInt8](repeating: 0, count: 300) : []
            let segments = Splitter(stream: recorded.bytes + more).segments(using: &random)
            let flight = held.play(segments)
            #expect(flight == whole, "EGRESSD_SEED=\(seed), \(segments.map { ($0.start, $0.bytes.count) })")
            let others = held.candidates.subtracting([.unknown, whole.application])
            #expect(others.isEmpty || (others == [.http] && whole.application == .httpConnect), "EGRESSD_SEED=\(seed)")
        }
    }

    @Test("in any records", arguments: Recorded.streams.filter { $0.bytes.first == 22 })
    func saysTheSameInOtherRecords(_ recorded: Recorded.Stream) throws {
        let whole = FlightReader.flight(of: recorded.bytes).withoutExcerpt
        let message = try #require(Hello.message(of: recorded.bytes))
        for seed in SplitMix.seeds(Self.rounds) {
            var random = SplitMix(state: seed)
            var held = Held(initial: UInt32.random(in: 0...UInt32.max, using: &random))
            let stream = Splitter.otherRecords(of: message, using: &random)
            let flight = held.play(Splitter(stream: stream).segments(using: &random))
            #expect(flight?.withoutExcerpt == whole, "EGRESSD_SEED=\(seed)")
        }
    }

    @Test("one other byte in what is known is a conflict", arguments: Recorded.streams)
    func tellsForgeries(_ recorded: Recorded.Stream) {
        for seed in SplitMix.seeds(Self.rounds) {
            var random = SplitMix(state: seed)
            var held = Held(initial: UInt32.random(in: 0...UInt32.max, using: &random))
            let splitter = Splitter(stream: recorded.bytes)
            let segments = splitter.segments(using: &random)
            let count = Int.random(in: 1...segments.count, using: &random)
            for segment in segments.prefix(count) {
                let outcome = held.take(segment)
                #expect(outcome == .new || outcome == .known, "EGRESSD_SEED=\(seed)")
            }
            guard let place = held.known.sorted().randomElement(using: &random) else { continue }
            let forged = splitter.forgery(at: place, using: &random)
            #expect(held.take(forged) == .conflict, "EGRESSD_SEED=\(seed)")
        }
    }

    @Test("what may be allowed says the same with changed bytes too", arguments: Recorded.streams)
    func saysTheSameWhenChanged(_ recorded: Recorded.Stream) {
        for seed in SplitMix.seeds(Self.rounds) {
            var random = SplitMix(state: seed)
            var bytes = recorded.bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            let whole = FlightReader.flight(of: bytes)
            var held = Held(initial: UInt32.random(in: 0...UInt32.max, using: &random))
            let played = held.play(Splitter(stream: bytes).segments(using: &random))
            let flight = played ?? held.giveUp()
            #expect(flight.isAcceptable == whole.isAcceptable, "EGRESSD_SEED=\(seed): \(flight), \(whole)")
            if whole.isAcceptable { #expect(flight == whole, "EGRESSD_SEED=\(seed)") }
        }
    }

    @Test("datagrams in any order", arguments: Recorded.datagrams)
    func saysTheSameInAnyOrder(_ recorded: Recorded.Datagrams) {
        func flight(_ datagrams: [[UInt8]]) -> Flight? {
            var reader = FlightReader.real
            for datagram in datagrams {
                if case .done(let flight) = reader.read(datagram: datagram.rawBytes) { return flight.withoutExcerpt }
            }
            return nil
        }
        let whole = flight(recorded.datagrams)
        #expect(whole?.isAcceptable == true)
        for seed in SplitMix.seeds(20) {
            var random = SplitMix(state: seed)
            let shuffled = recorded.datagrams.shuffled(using: &random)
            #expect(flight(shuffled) == whole, "EGRESSD_SEED=\(seed)")
        }
    }
}
