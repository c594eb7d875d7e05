import Model
import Policy
import Ruleset
import Testing

@testable import Broker

/// Who may open connections to a workload, from outside and on the same host.
struct InboundTests {
    private static func scenario() throws -> Scenario {
        try Scenario([
            try Scenario.workload(allow: ["local 127.0.0.0/8 1-9000"], listen: ["web 192.0.2.0/24 8080"]),
            try Scenario.workload("other", allow: ["local 127.0.0.0/8 1-9000"], listen: ["near 127.0.0.1 7000"]),
        ])
    }

    @Test func whomListenNames() throws {
        var scenario = try Self.scenario()
        let actions = scenario.ask(
            try Scenario.destination("192.0.2.7", 8080),
            .inbound,
            from: nil,
            to: Scenario.facts("/train"),
        )
        let event = try #require(actions.events.first)
        #expect((event.kind, event.verdict, event.rule, event.workload) == (.inbound, .allow, "web", "train"))
        #expect(actions.added("arrivals4").map(\.state) == [.inbound])
        #expect(actions.answers == [.again])
    }

    @Test func aKnockIsToldOfAndCounted() throws {
        var scenario = try Self.scenario()
        let peer = try Scenario.destination("203.0.113.9", 8080)
        let first = scenario.ask(peer, .inbound, from: nil, to: Scenario.facts("/train"))
        let event = try #require(first.events.first)
        #expect((event.kind, event.verdict, event.reason) == (.inbound, .deny, .notListening))
        #expect(first.added("knocks4").count == 1)
        let key = try #require(scenario.pass(.seconds(10)).settled.first)
        #expect(scenario.broker.settled(key, packets: 9, at: scenario.now).events.map(\.count) == [8])
    }

    @Test func anAnswerToWhatWasLetIn() throws {
        var scenario = try Self.scenario()
        // What the workload sends back: the peer's port is the destination, its own the other one.
        let peer = try Scenario.destination("192.0.2.7", 51_000)
        let reply = scenario.ask(peer, .reply, port: 8080)
        #expect(reply.added("answers4").map(\.state) == [.inbound])
        #expect(reply.events == [])
        let other = scenario.ask(peer, .reply, port: 9090)
        #expect(other.events.map(\.reason) == [.unknownDestination])
        // Nobody's reply is nobody's business.
        #expect(scenario.ask(peer, .reply, port: 9090, from: Scenario.facts("/host")).answers == [.again])
    }

    @Test func anAnswerThatIsNotFoundEnds() throws {
        var scenario = try Self.scenario()
        let peer = try Scenario.destination("192.0.2.7", 51_000)
        let replies = (0..<40).flatMap { _ in scenario.ask(peer, .reply, port: 8080).answers }
        #expect(replies.last == .drop)
        let knocks = (0..<40).map { _ in
            scenario.ask(
                Destination(address: peer.address, port: 8080, transport: .tcp),
                .inbound,
                from: nil,
                to: Scenario.facts("/train"),
            )
        }
        #expect(knocks.flatMap(\.events).count == 1)
        #expect(knocks.last?.answers == [.drop])
    }

    /// The sender, the receiver, the port, and what becomes of it.
    @Test(
        arguments: [
            ("/train", "/train", UInt16(9500), Verdict.allow, Reason.rule),
            ("/train", "/other", 7000, .allow, .rule), ("/train", "/other", 7001, .deny, .notListening),
            ("/host", "/other", 7000, .allow, .rule), ("/host", "/other", 7001, .deny, .notListening),
            ("/host", "/host", 7001, .allow, .rule), ("/train", "/host", 7001, .allow, .rule),
            ("/train", "/host", 9500, .deny, .unknownDestination),
        ],
    )
    func loopback(_ from: String, _ to: String, _ port: UInt16, _ verdict: Verdict, _ reason: Reason) throws {
        var scenario = try Self.scenario()
        let destination = try Scenario.destination("127.0.0.1", port)
        let unknown = scenario.ask(destination, .loopback, from: Scenario.facts(from), to: Scenario.facts(to))
        var actions = unknown
        if unknown.events.isEmpty {
            // The receiver was made known; the packet asks again when that was not all.
            #expect(unknown.answers == [.again])
            actions = scenario.ask(destination, .loopback, from: Scenario.facts(from), to: Scenario.facts(to))
        }
        #expect(actions.events.map(\.verdict) == [verdict])
        #expect(actions.events.map(\.reason) == [reason])
    }

    @Test func aReceiverThatCannotBeToldIsNotReached() throws {
        var scenario = try Self.scenario()
        let actions = scenario.ask(try Scenario.destination("127.0.0.1", 7000), .loopback)
        #expect(actions.answers == [.drop])
        #expect(actions.events.map(\.reason) == [.unidentified])
    }

    @Test func usersThatNobodyNamesDoNotMeet() throws {
        var scenario = try Scenario([
            try Scenario.workload(user: 1001), try Scenario.workload("other", user: 1001),
        ])
        let destination = try Scenario.destination("127.0.0.1", 7000)
        let (from, to) = (Scenario.facts("/train", uid: 7), Scenario.facts("/other", uid: 7))
        _ = scenario.ask(destination, .loopback, from: from, to: to)
        let actions = scenario.ask(destination, .loopback, from: from, to: to)
        #expect(actions.events.map(\.reason) == [.notListening])
    }
}
