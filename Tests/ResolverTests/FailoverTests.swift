import Model
import Testing
import Wire

@testable import Resolver

/// Upstreams that are silent, refuse, come back or are changed.
struct FailoverTests {
    private let question = ask("packages.example.org")
    private let good = Reply(answers: [a("packages.example.org", "192.0.2.1")])
    private let both = [Play.first, Play.second]

    @Test func silenceLeadsToTheNextAndTheFirstMayStillAnswer() throws {
        var play = Play(both)
        let client = play.ask(question)
        let first = try play.take()
        play.wait(499)
        #expect(play.sent.isEmpty)
        play.wait(1)
        let second = try play.take()
        #expect(first.to == Play.first && second.to == Play.second)
        try play.answer(first, good)
        #expect(play.answers[client]?.addresses.count == 1)
        #expect(play.isIdle)
    }

    @Test(arguments: [DNSResponseCode.serverFailure, .refused, DNSResponseCode(rawValue: 9)])
    func aRefusalLeadsToTheNextAtOnce(_ code: DNSResponseCode) throws {
        var play = Play(both)
        let client = play.ask(question)
        try play.answer(play.take(), Reply(code: code))
        let second = try play.take()
        #expect(second.to == Play.second)
        try play.answer(second, good)
        #expect(play.answers[client]?.code == .noError)
        #expect(play.isIdle)
    }

    @Test func whenAllRefuseTheClientLearnsItAtOnceAndNothingIsKept() throws {
        var play = Play(both)
        let client = play.ask(question)
        try play.answer(play.take(), Reply(code: .serverFailure))
        try play.answer(play.take(), Reply(code: .refused))
        #expect(play.answers[client]?.code == .serverFailure)
        #expect(play.isIdle)
        play.ask(question)
        #expect(!play.sent.isEmpty)
    }

    @Test func aRefusalAndASilenceEndWithinASecond() throws {
        var play = Play(both)
        let client = play.ask(question)
        try play.answer(play.take(), Reply(code: .serverFailure))
        play.wait(1100)
        #expect(play.answers[client]?.code == .serverFailure)
        #expect(play.isIdle)
    }

    @Test(arguments: [0, 1])
    func allDeadIsAFailureInTime(_ kind: Int) throws {
        var play = Play(both)
        let client = play.ask(question)
        for _ in 0..<45 {
            if kind == 1 { while !play.sent.isEmpty { try play.fail(play.take().exchange) } }
            #expect(play.answers[client] == nil)
            play.wait(100)
            #expect(play.resolver.openExchanges <= 3)
        }
        #expect(play.answers[client]?.code == .serverFailure)
        #expect(play.isIdle)
        // Nobody is asked in a loop.
        #expect(play.opened.count <= 20)
    }

    @Test(arguments: 1...4, [false, true])
    func whatComesBackIsFoundWithinASecond(_ count: Int, _ refuses: Bool) throws {
        let upstreams = (1...count).map { Upstream(.v4(0x0a00_0000 + UInt32($0))) }
        for returning in upstreams {
            var play = Play(upstreams)
            // Known to be dead.
            for index in 0..<8 { play.ask(ask("n\(index).example.org")) }
            var client = play.ask(question)
            for step in 0..<100 {
                while !play.sent.isEmpty, refuses { try play.fail(play.take().exchange) }
                play.sent.removeAll()
                play.wait(31)
                if step == 40 { client = play.ask(question) }
            }
            #expect(play.answers[client] == nil)
            let start = play.now
            while play.answers[client] == nil, play.now - start < .seconds(2) {
                for sent in play.sent where sent.to == returning && !play.closed.contains(sent.exchange) {
                    if try sent.query.query().question == question { try play.answer(sent, good) }
                }
                play.sent.removeAll()
                play.wait(5)
            }
            #expect(play.answers[client]?.code == .noError)
            #expect(play.now - start < .seconds(1))
        }
    }

    @Test func theOneThatAnswersIsPreferredUntilTheOtherIsBack() throws {
        var play = Play(both)
        for index in 0..<3 {
            play.ask(ask("n\(index).example.org"))
            play.wait(500)
            while !play.sent.isEmpty {
                let sent = try play.take()
                if sent.to == Play.second { try play.answer(sent, Reply(code: .nameError)) }
            }
        }
        play.ask(question)
        let sent = try play.take()
        #expect(sent.to == Play.second)
        try play.answer(sent, good)
        // A copy of a question shows that it is there again.
        play.wait(1100)
        play.ask(ask("later.example.org"))
        let pair = [try play.take(), try play.take()]
        #expect(pair.map(\.to) == [Play.second, Play.first])
        try play.answer(pair[1], Reply(code: .nameError))
        play.ask(ask("latest.example.org"))
        #expect(try play.take().to == Play.first)
    }

    @Test func aDeadTCPPortIsNotTheEnd() throws {
        var play = Play(both)
        let client = play.ask(question)
        try play.answer(play.take(), Reply(isTruncated: true))
        play.fail(try #require(play.connects.first).exchange)
        let second = try play.take()
        #expect(second.to == Play.second)
        try play.answer(second, good)
        #expect(play.answers[client]?.code == .noError)
        #expect(play.isIdle)
    }

    @Test func aSilentConnectionIsGivenUp() throws {
        var play = Play(both)
        play.ask(question)
        try play.answer(play.take(), Reply(isTruncated: true))
        play.connect(try #require(play.connects.first).exchange)
        play.wait(1500)
        #expect(play.closed.contains(try #require(play.connects.first).exchange))
        #expect(try play.take().to == Play.second)
    }

    @Test func otherUpstreamsAreAskedAnew() throws {
        var play = Play([Play.first])
        let client = play.ask(question)
        let old = try play.take()
        play.perform(play.resolver.setUpstreams([Play.second], at: play.now))
        #expect(play.closed.contains(old.exchange))
        let new = try play.take()
        #expect(new.to == Play.second)
        try play.answer(old, Reply(answers: [a("packages.example.org", "6.6.6.6")]))
        #expect(play.answers[client] == nil)
        try play.answer(new, good)
        #expect(play.answers[client]?.addresses == [.v4(0xc000_0201)])
        // The cache stays.
        play.perform(play.resolver.setUpstreams([Play.first], at: play.now))
        let again = play.ask(question)
        #expect(play.answers[again]?.isFromCache == true)
    }

    @Test func withoutUpstreamsEveryQuestionFailsAtOnce() {
        var play = Play([Play.first]) { $0.groupLimit = 1 }
        let clients = [play.ask(question), play.ask(ask("b.example.org")), play.ask(ask("c.example.org"), group: 17)]
        play.perform(play.resolver.setUpstreams([], at: play.now))
        #expect(clients.allSatisfy { play.answers[$0]?.code == .serverFailure })
        #expect(play.isIdle)
        let late = play.ask(question)
        #expect(play.answers[late]?.code == .serverFailure)
    }
}
