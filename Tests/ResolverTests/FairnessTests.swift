import Model
import Testing
import Wire

@testable import Resolver

/// Bounds for each group and for all, and whose turn it is.
struct FairnessTests {
    private func numbered(_ index: Int) -> DNSQuestion { ask("n\(index).example.org") }
    private let none = Reply(code: .nameError)

    @Test func aThousandQuestionsOfOneDoNotDelayAnother() throws {
        var play = Play()
        for index in 0..<1000 { play.ask(numbered(index), group: 16) }
        #expect(play.sent.count == 64)
        let other = play.ask(ask("other.example.org"), group: 17)
        let last = try #require(play.sent.last)
        #expect(try last.query.query().question == ask("other.example.org"))
        try play.answer(last, none)
        #expect(play.answers[other]?.code == .nameError)
        // The rest goes on as answers come.
        play.sent.removeLast()
        while !play.sent.isEmpty { try play.answer(play.take(), none) }
        #expect(play.answers.count == 1001)
        #expect(play.isIdle)
    }

    @Test func theQueueIsBounded() {
        var play = Play {
            $0.groupLimit = 4
            $0.groupQueueLimit = 10
        }
        let clients = (0..<20).map { play.ask(numbered($0)) }
        #expect(clients.filter { play.answers[$0]?.code == .serverFailure }.count == 6)
        #expect(play.resolver.counters.overloads == 6)
        #expect(play.resolver.pendingClients == 14)
        play.wait(4500)
        #expect(play.answers.count == 20)
        #expect(play.isIdle)
    }

    @Test func groupsTakeTurnsWhenThereIsNoRoom() throws {
        var play = Play {
            $0.globalLimit = 4
            $0.groupLimit = 3
        }
        for group in 16..<20 { for index in 0..<10 { play.ask(numbered(group * 100 + index), group: UInt16(group)) } }
        #expect(play.sent.count == 4)
        var order: [Int] = []
        while !play.sent.isEmpty {
            let sent = try play.take()
            let label = try sent.query.query().question.name.text
            order.append((Int(label.dropFirst().prefix(4)) ?? 0) / 100)
            try play.answer(sent, none)
            #expect(play.resolver.openExchanges <= 4)
        }
        #expect(order.count == 40)
        // Behind those that found room at once each of the others has its turn within four.
        for start in 6..<20 { #expect(Set(order[start..<(start + 4)]).count >= 3) }
        #expect(play.isIdle)
    }

    @Test func whoeverWaitsForTheSameQuestionDoesNotWaitForATurn() throws {
        var play = Play { $0.groupLimit = 1 }
        play.ask(numbered(0), group: 16)
        let queued = play.ask(numbered(1), group: 16)
        let other = play.ask(numbered(1), group: 17)
        #expect(play.sent.count == 2)
        try play.answer(play.sent[1], none)
        #expect(play.answers[other]?.code == .nameError)
        #expect(play.answers[queued] == nil)
        try play.answer(play.sent[0], Reply(code: .nameError, authorities: [soa("example.org")]))
        // The answer to the other was not kept, so it is asked for again.
        #expect(play.sent.count == 3)
        try play.answer(play.sent[2], none)
        #expect(play.answers[queued]?.code == .nameError)
        #expect(play.isIdle)
    }

    @Test func whatWaitedIsAnsweredFromTheCache() throws {
        var play = Play { $0.groupLimit = 1 }
        play.ask(numbered(0), group: 16)
        let queued = play.ask(numbered(1), group: 16)
        play.ask(numbered(1), group: 17)
        let kept = Reply(code: .nameError, authorities: [soa("example.org")])
        try play.answer(play.sent[1], kept)
        try play.answer(play.sent[0], kept)
        #expect(play.answers[queued]?.isFromCache == true)
        #expect(play.sent.count == 2 && play.isIdle)
    }

    @Test func aGroupThatIsGoneGetsNothingAndOthersDo() throws {
        var play = Play { $0.groupLimit = 2 }
        let mine = (0..<5).map { play.ask(numbered($0), group: 16) }
        let other = play.ask(numbered(0), group: 17)
        play.perform(play.resolver.forget(group: 16, at: play.now))
        #expect(play.resolver.openExchanges == 1)
        #expect(play.resolver.pendingClients == 1)
        try play.answer(play.sent[0], none)
        #expect(play.answers[other] != nil && mine.allSatisfy { play.answers[$0] == nil })
        #expect(play.isIdle)
    }

    @Test func roomIsKeptForEveryLookup() {
        var play = Play { $0.globalLimit = 8 }
        for index in 0..<8 { play.ask(numbered(index), group: UInt16(16 + index)) }
        for sent in play.sent { play.fail(sent.exchange) }
        #expect(play.resolver.openExchanges == 0)
        // The room of those that wait for their next attempt is theirs.
        let late = play.ask(numbered(99), group: 99)
        #expect(play.resolver.openExchanges == 0)
        for _ in 0..<50 {
            play.wait(100)
            #expect(play.resolver.openExchanges <= 8)
        }
        #expect(play.answers[late]?.code == .serverFailure)
        #expect(play.answers.count == 9 && play.isIdle)
    }
}
