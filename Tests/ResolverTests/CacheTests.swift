import Model
import TestSupport
import Testing
import Wire

@testable import Resolver

/// What is kept, how long, and how much of it.
struct CacheTests {
    private let question = ask("www.example.org")

    @Test func anAnswerIsKeptForItsTimeAndCountedDown() throws {
        var play = Play()
        _ = try play.resolve(question, Reply(answers: [a("www.example.org", "192.0.2.1", ttl: 10)]))
        play.wait(3500)
        let found = play.cached(question)
        let answer = try #require(found)
        #expect(answer.isFromCache && answer.timeToLive == 7)
        #expect(answer.answers == [a("www.example.org", "192.0.2.1", ttl: 7)])
        play.wait(6499)
        let last = play.cached(question)
        #expect(last?.timeToLive == 1)
        play.wait(1)
        let kept1 = play.cached(question)
        #expect(kept1 == nil)
        #expect(play.resolver.cacheSize == (0, 0))
        #expect(play.resolver.counters.hits == 2)
    }

    @Test func theAbsenceOfANameIsKept() throws {
        var play = Play()
        let reply = Reply(code: .nameError, authorities: [soa("example.org", ttl: 30, minimum: 20)])
        _ = try play.resolve(question, reply)
        play.wait(5000)
        let answer = try play.resolve(question, reply)
        #expect(answer.isFromCache && answer.isNegative && answer.code == .nameError)
        #expect(answer.authorities.map(\.ttl) == [15])
        #expect(play.resolver.counters.datagrams == 1)
    }

    @Test func typesAreApart() throws {
        var play = Play()
        _ = try play.resolve(question, Reply(answers: [a("www.example.org", "192.0.2.1")]))
        let kept2 = play.cached(ask("www.example.org", .aaaa))
        #expect(kept2 == nil)
    }

    @Test func withoutTTLNothingIsKeptButOneExchangeServesAll() throws {
        var play = Play()
        let clients = (0..<20).map { play.ask(question, group: UInt16(16 + $0 % 3)) }
        #expect(play.sent.count == 1)
        try play.answer(play.take(), Reply(answers: [a("www.example.org", "192.0.2.1", ttl: 0)]))
        #expect(clients.allSatisfy { play.answers[$0]?.addresses.count == 1 })
        let kept3 = play.cached(question)
        #expect(kept3 == nil)
        #expect(play.isIdle)
    }

    @Test func aBigAnswerIsGivenAndNotKept() throws {
        var play = Play()
        let records = (0..<65).map { a("www.example.org", "192.0.2.\($0)") }
        let answer = try play.resolve(question, Reply(answers: records))
        #expect(answer.addresses.count == 65)
        let kept4 = play.cached(question)
        #expect(kept4 == nil)
        let text = DNSRecord(
            name: name("t.example.org"),
            type: .txt,
            ttl: 9,
            data: .opaque(Array(repeating: 0, count: 8200))
        )
        #expect(try play.resolve(ask("t.example.org", .txt), Reply(answers: [text])).answers.count == 1)
        #expect(play.resolver.cacheSize.answers == 0)
    }

    private func content(_ question: DNSQuestion) throws -> AnswerContent {
        try #require(
            AnswerContent(
                question,
                code: .noError,
                answers: [DNSRecord(name: question.name, type: .a, ttl: 100, data: .address(.v4(1)))],
                authorities: [],
                lifetime: 100,
                isNegative: false,
            )
        )
    }

    @Test func theNumberIsBoundedAndWhatIsUsedStays() throws {
        var cache = Cache(limit: 10, byteLimit: 1 << 20)
        let now = Instant(nanoseconds: 0)
        for index in 0..<1000 {
            let question = ask("n\(index).example.org")
            cache.insert(try content(question), for: question, at: now)
            #expect(cache.count == min(index + 1, 10))
            let first = cache.find(ask("n0.example.org"), at: now)
            #expect(first != nil)
        }
        // What nobody used goes in the order in which it came, roughly.
        let old = (0..<900).filter { $0 > 0 && cache.find(ask("n\($0).example.org"), at: now) != nil }
        #expect(old.isEmpty)
    }

    @Test func theBytesAreBounded() throws {
        let now = Instant(nanoseconds: 0)
        let cost = try content(ask("n100.example.org")).cost
        var cache = Cache(limit: 1000, byteLimit: 5 * cost)
        for index in 100..<200 {
            let question = ask("n\(index).example.org")
            cache.insert(try content(question), for: question, at: now)
            #expect(cache.bytes == cost * cache.count && cache.count <= 5)
        }
        var none = Cache(limit: 0, byteLimit: 1000)
        none.insert(try content(question), for: question, at: now)
        #expect(none.count == 0)
    }

    /// Against a dictionary, with few names so that everything happens often.
    @Test func itAgreesWithAModel() throws {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        var cache = Cache(limit: 20, byteLimit: 1 << 20)
        var known: [DNSQuestion: Instant] = [:]
        var now = Instant(nanoseconds: 0)
        for _ in 0..<5000 {
            let question = ask("n\(Int.random(in: 0..<40, using: &random)).example.org")
            now = now + .milliseconds(Int64.random(in: 0..<2000, using: &random))
            if random.chance(50) {
                cache.insert(try content(question), for: question, at: now)
                known[question] = now + .seconds(100)
                let found = cache.find(question, at: now)
                #expect(found != nil, "EGRESSD_SEED=\(seed)")
            } else if cache.find(question, at: now) != nil {
                #expect(known[question].map { now < $0 } == true, "EGRESSD_SEED=\(seed)")
            }
            #expect(cache.count <= 20)
        }
    }
}
