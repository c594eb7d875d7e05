import Model
import TestSupport
import Testing
import Wire

@testable import Resolver

/// A resolver, its upstreams by hand, and what it asked to be done.
struct Play {
    struct Sent {
        let exchange: UInt64
        let to: Upstream
        let query: [UInt8]
    }

    static let first = Upstream(.v4(0x0a00_0002))
    static let second = Upstream(.v4(0x0a00_0003))

    var resolver: Resolver
    var now = Instant(nanoseconds: 1_000_000_000_000)
    /// Datagrams that were sent and not taken by the test.
    var sent: [Sent] = []
    var connects: [(exchange: UInt64, to: Upstream)] = []
    var writes: [(exchange: UInt64, bytes: [UInt8])] = []
    var closed: Set<UInt64> = []
    var opened: Set<UInt64> = []
    var answers: [Resolver.Client: Answer] = [:]
    var nextToken: UInt64 = 1

    init(_ upstreams: [Upstream] = [Play.first], _ change: (inout Resolver.Settings) -> Void = { _ in }) {
        var settings = Resolver.Settings()
        settings.cacheLimit = 100
        change(&settings)
        resolver = Resolver(settings: settings, upstreams: upstreams, random: SplitMix(state: 7))
    }

    mutating func perform(_ actions: [ResolverAction]) {
        for action in actions {
            switch action {
            case .send(let exchange, let to, let bytes):
                #expect(opened.insert(exchange).inserted)
                sent.append(Sent(exchange: exchange, to: to, query: bytes))
            case .connect(let exchange, let to):
                #expect(opened.insert(exchange).inserted)
                connects.append((exchange, to))
            case .write(let exchange, let bytes): writes.append((exchange, bytes))
            case .close(let exchange):
                #expect(opened.contains(exchange))
                #expect(closed.insert(exchange).inserted)
            case .answer(let client, _, let answer):
                #expect(answers[client] == nil)
                answers[client] = answer
            }
        }
    }

    /// Asks, and gives the client that waits for the answer.
    @discardableResult
    mutating func ask(_ question: DNSQuestion, group: UInt16 = 16) -> Resolver.Client {
        let client = Resolver.Client(group: group, token: nextToken)
        nextToken += 1
        perform(resolver.ask(question, for: client, at: now))
        return client
    }

    /// The datagram that was sent first and not taken yet.
    mutating func take() throws -> Sent {
        try #require(!sent.isEmpty)
        return sent.removeFirst()
    }

    mutating func answer(_ sent: Sent, _ reply: Reply, from: Upstream? = nil) throws {
        try receive(sent, reply.bytes(to: sent.query), from: from)
    }

    mutating func receive(_ sent: Sent, _ bytes: [UInt8], from: Upstream? = nil) {
        let from = from ?? sent.to
        let (address, port) = (from.address, from.port)
        perform(resolver.received(bytes.raw, exchange: sent.exchange, from: address, port: port, at: now))
    }

    mutating func stream(_ bytes: [UInt8], _ exchange: UInt64) {
        perform(resolver.receivedStream(bytes.raw, exchange: exchange, at: now))
    }

    mutating func connect(_ exchange: UInt64) { perform(resolver.connected(exchange: exchange, at: now)) }

    mutating func fail(_ exchange: UInt64) { perform(resolver.failed(exchange: exchange, at: now)) }

    /// Lets time pass, and does what is due on its way at its time.
    mutating func wait(_ milliseconds: Int64) {
        let end = now + .milliseconds(milliseconds)
        while let next = resolver.nextDeadline, next <= end {
            now = max(now, next)
            perform(resolver.tick(at: now))
        }
        now = end
    }

    /// Asks and answers at once.
    mutating func resolve(_ question: DNSQuestion, _ reply: Reply) throws -> Answer {
        let client = ask(question)
        if answers[client] == nil { try answer(take(), reply) }
        return try #require(answers[client])
    }

    mutating func cached(_ question: DNSQuestion) -> Answer? { resolver.cached(question, at: now) }

    var isIdle: Bool { opened == closed && resolver.lookups.isEmpty && resolver.groups.isEmpty }
}
