import Control
import Model
import System
import Testing

/// Answers that come in parts.
@Suite struct PartsTests {
    /// Makes parts with the numbers from 0 on, each with some text; what was made is told.
    private final class Source {
        private(set) var made: Int64 = 0
        private let count: Int64
        private let text: String

        init(_ count: Int64, length: Int = 0) {
            self.count = count
            text = String(repeating: "x", count: length)
        }

        func next() -> JSON? {
            guard made < count else { return nil }
            defer { made += 1 }
            return ["n": .integer(made), "text": .string(text)]
        }
    }

    private func numbers(_ replies: [JSON?]) -> [Int64] { replies.compactMap { $0?["parameters"]?["n"]?.integer } }

    @Test(arguments: [1, 2, 7])
    func allPartsComeAndTheLastIsTheEnd(count: Int64) throws {
        let bench = try Bench("parts-\(count)") { call in
            let source = Source(count)
            call.reply(inParts: source.next)
        }
        let client = try RawClient(bench)
        for _ in 0..<2 {
            try client.send(#"{"method":"io.egressd.Names","more":true}"#)
            try bench.turn()
            let replies = try client.receive()
            #expect(numbers(replies) == Array(0..<count))
            let continues = replies.map { $0?["continues"]?.bool ?? false }
            #expect(continues == Array(repeating: true, count: Int(count) - 1) + [false])
        }
        #expect(bench.calls.count == 2)
        #expect(bench.calls.allSatisfy { !$0.isOpen })
    }

    @Test func oneRoundSendsOnePart() throws {
        let source = Source(100)
        let bench = try Bench("parts-round") { $0.reply(inParts: source.next) }
        let client = try RawClient(bench)
        try client.send(#"{"method":"io.egressd.Names","more":true}"#)
        try bench.turn(4)
        #expect((2...6).contains(source.made))
        var seen = numbers(try client.receive())
        for _ in 0..<100 {
            try bench.turn(1)
            seen += numbers(try client.receive())
        }
        #expect(seen == Array(0..<100))
        // The socket can be written to all the time, which nobody must be woken for by now.
        let began = Clock.now()
        bench.loop.schedule(after: .milliseconds(50)) {}
        var rounds = 0
        while Clock.now() - began < .milliseconds(50) {
            try bench.loop.runOnce()
            rounds += 1
        }
        #expect(rounds < 5)
    }

    @Test func moreThanMayWaitComesWholeToWhoReads() throws {
        let source = Source(200, length: 1 << 16)
        let bench = try Bench("parts-long") { $0.reply(inParts: source.next) }
        let client = try RawClient(bench)
        try client.send(#"{"method":"io.egressd.Names","more":true}"#)
        try bench.turn(100)
        // Nobody reads: a part or two wait, and no more are made than the socket holds.
        #expect(source.made < 50)
        #expect(bench.calls[0].pendingBytes < 1 << 18)
        var seen: [Int64] = []
        for _ in 0..<2000 where seen.count < 200 {
            seen += numbers(try client.receive())
            try bench.turn(1)
        }
        #expect(seen == Array(0..<200))
        #expect(bench.server?.clientCount == 1)
    }

    @Test func aClientThatGoesEndsTheParts() throws {
        let source = Source(1000, length: 1 << 16)
        let bench = try Bench("parts-gone") { $0.reply(inParts: source.next) }
        let client = try RawClient(bench)
        try client.send(#"{"method":"io.egressd.Names","more":true}"#)
        try bench.turn()
        client.close()
        try bench.turn()
        let made = source.made
        try bench.turn()
        #expect(source.made == made)
        #expect(bench.server?.clientCount == 0)
    }

    @Test func whoTakesOneReplyGetsTheFirstPart() throws {
        let bench = try Bench("parts-one") { $0.reply(inParts: Source(3).next) }
        let client = try RawClient(bench)
        try client.send(#"{"method":"io.egressd.Names"}"#)
        try client.send(#"{"method":"io.egressd.Names","more":true,"oneway":true}"#)
        try client.send(#"{"method":"io.egressd.Names"}"#)
        try bench.turn()
        #expect(numbers(try client.receive()) == [0, 0])
        #expect(bench.calls.count == 3)
    }

    @Test func noPartIsAnEmptyReply() throws {
        let bench = try Bench("parts-none") { $0.reply(inParts: { nil }) }
        let client = try RawClient(bench)
        try client.send(#"{"method":"io.egressd.Names","more":true}"#)
        try bench.turn()
        #expect(try client.receive() == [["parameters": .object([])]])
    }
}
