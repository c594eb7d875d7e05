import Model
import Testing
import Wire

@testable import Resolver

/// One question, one upstream: what is sent, and what is believed.
struct ExchangeTests {
    private let question = ask("packages.example.org")
    private let good = Reply(answers: [a("packages.example.org", "192.0.2.1")])

    @Test func aQueryIsPlain() throws {
        var play = Play()
        play.ask(question)
        let sent = try play.take()
        let query = try sent.query.query()
        #expect(query.question == question)
        #expect(query.header.recursionDesired)
        #expect(query.extension?.payloadSize == 1232)
        #expect(sent.to == Play.first)
    }

    @Test func idAndCaseAreDrawnForEveryExchange() throws {
        var play = Play { $0.cacheLimit = 0 }
        var ids: Set<UInt16> = []
        var spellings: Set<[UInt8]> = []
        for _ in 0..<50 {
            play.ask(question)
            let sent = try play.take()
            let query = try sent.query.query()
            ids.insert(query.header.id)
            spellings.insert(Array(sent.query[query.questionBytes]))
            try play.answer(sent, good)
        }
        #expect(ids.count > 45)
        #expect(spellings.count > 45)
        #expect(play.isIdle)
    }

    @Test func theRightAnswerIsGiven() throws {
        var play = Play()
        let answer = try play.resolve(question, good)
        #expect(answer.code == .noError)
        #expect(answer.addresses == [.v4(0xc000_0201)])
        #expect(answer.timeToLive == 300)
        #expect(!answer.isFromCache)
        #expect(play.isIdle)
    }

    /// Everything that differs in one point from what was asked is dropped, and the right answer still counts.
    @Test(arguments: 0..<9)
    func whatDoesNotFitIsDropped(_ fault: Int) throws {
        var play = Play()
        let client = play.ask(question)
        let sent = try play.take()
        var reply = good
        reply.answers = [a("packages.example.org", "6.6.6.6")]
        var bytes = try reply.bytes(to: sent.query)
        var from = sent.to
        switch fault {
        case 0: bytes[1] ^= 1
        case 1: from = Play.second
        case 2: from = Upstream(sent.to.address, port: 5353)
        case 3: bytes[2] &= 0x7f
        case 4: bytes[2] |= 0x08
        // QTYPE, QCLASS, QDCOUNT, another name of the same length.
        case 5: bytes[12 + 22 + 1] = 28
        case 6: bytes[12 + 22 + 3] = 3
        case 7: bytes[5] = 2
        default: bytes[13] = bytes[13] == UInt8(ascii: "q") ? UInt8(ascii: "r") : UInt8(ascii: "q")
        }
        play.receive(sent, bytes, from: from)
        #expect(play.answers[client] == nil)
        #expect(play.resolver.counters.mismatches == 1)
        #expect(play.closed.isEmpty)
        try play.answer(sent, good)
        #expect(play.answers[client]?.addresses == [.v4(0xc000_0201)])
        #expect(play.isIdle)
    }

    @Test func anAnswerOfAnEndedExchangeIsDropped() throws {
        var play = Play()
        play.ask(question)
        let sent = try play.take()
        try play.answer(sent, good)
        try play.answer(sent, good)
        #expect(play.resolver.counters.late == 1)
        #expect(play.isIdle)
    }

    @Test func anotherCaseLeadsToTCP() throws {
        var play = Play()
        let client = play.ask(question)
        let sent = try play.take()
        var spoof = Reply(answers: [a("packages.example.org", "6.6.6.6")])
        spoof.echo = { bytes in bytes.map { (0x61...0x7a).contains($0 | 0x20) ? $0 ^ 0x20 : $0 } }
        try play.answer(sent, spoof)
        #expect(play.answers[client] == nil)
        #expect(play.resolver.counters.wrongCase == 1)
        let stream = try #require(play.connects.first)
        #expect(stream.to == Play.first)
        play.connect(stream.exchange)
        let write = try #require(play.writes.first)
        var lower = good
        lower.echo = { bytes in bytes.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 } }
        let response = try lower.bytes(to: Array(write.bytes[2...]))
        play.stream([UInt8(response.count >> 8), UInt8(response.count & 255)] + response, stream.exchange)
        #expect(play.answers[client]?.addresses == [.v4(0xc000_0201)])
        #expect(play.isIdle)
    }

    @Test func aTypeIsNoLetterOfTheName() throws {
        var play = Play()
        let client = play.ask(DNSQuestion(name: name("a"), type: DNSType(rawValue: 0x4161)))
        let sent = try play.take()
        var bytes = try good.bytes(to: sent.query)
        bytes[12 + 3] ^= 0x20
        play.receive(sent, bytes)
        #expect(play.answers[client] == nil)
        #expect(play.resolver.counters.mismatches == 1)
        #expect(play.resolver.counters.wrongCase == 0)
    }

    @Test(arguments: [DNSResponseCode.formatError, .notImplemented])
    func withoutEDNSWhereItIsNotKnown(_ code: DNSResponseCode) throws {
        var play = Play()
        let client = play.ask(question)
        let sent = try play.take()
        try play.answer(sent, Reply(code: code, hasExtension: false))
        let again = try play.take()
        #expect(try again.query.query().extension == nil)
        try play.answer(again, good)
        #expect(play.answers[client]?.addresses.count == 1)
        // Known from now on.
        play.ask(ask("other.example.org"))
        #expect(try play.take().query.query().extension == nil)
        #expect(play.resolver.counters.refusals == 0)
    }

    @Test func aBareErrorMeansNoEDNSAndNothingElse() throws {
        var play = Play()
        play.ask(question)
        let sent = try play.take()
        let bare = Array(sent.query[..<2]) + [0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]
        play.receive(sent, bare)
        let again = try play.take()
        #expect(try again.query.query().extension == nil)
        // A second one is no answer to a query without EDNS.
        play.receive(again, Array(again.query[..<2]) + bare[2...])
        #expect(play.resolver.counters.mismatches == 1)
        #expect(!play.closed.contains(again.exchange))
    }

    @Test func truncationLeadsToTCPInPieces() throws {
        var play = Play()
        let client = play.ask(question)
        let sent = try play.take()
        try play.answer(sent, Reply(isTruncated: true))
        #expect(play.closed.contains(sent.exchange))
        let stream = try #require(play.connects.first)
        play.connect(stream.exchange)
        let query = try #require(play.writes.first).bytes
        #expect(Int(query[0]) << 8 | Int(query[1]) == query.count - 2)
        let records = (1...60).map { a("packages.example.org", "192.0.2.\($0)") }
        let response = try Reply(answers: records).bytes(to: Array(query[2...]))
        for byte in [UInt8(response.count >> 8), UInt8(response.count & 255)] + response {
            #expect(play.answers[client] == nil)
            play.stream([byte], stream.exchange)
        }
        #expect(play.answers[client]?.addresses.count == 60)
        #expect(play.isIdle)
    }

    @Test func aLongMessageIsNotRead() throws {
        var play = Play()
        let client = play.ask(question)
        try play.answer(play.take(), Reply(isTruncated: true))
        let stream = try #require(play.connects.first)
        play.connect(stream.exchange)
        play.stream([0xff, 0xff, 0, 0], stream.exchange)
        #expect(play.answers[client]?.code == .serverFailure)
        #expect(play.isIdle)
    }

    @Test func whatCannotBeReadIsARefusal() throws {
        var play = Play()
        let client = play.ask(question)
        let sent = try play.take()
        var bytes = try good.bytes(to: sent.query)
        bytes.removeLast()
        play.receive(sent, bytes)
        #expect(play.answers[client]?.code == .serverFailure)
        #expect(play.resolver.counters.refusals == 1)
    }

    @Test func anotherClassFailsAtOnce() {
        var play = Play()
        let client = play.ask(DNSQuestion(name: name("version.bind"), type: .txt, class: 3))
        #expect(play.answers[client]?.code == .serverFailure)
        #expect(play.sent.isEmpty)
    }
}
