import Model
import Policy
import Ruleset
import Testing

@testable import Broker

/// Requests that wait for an operator.
struct HoldTests {
    private static func scenario() throws -> Scenario {
        try Scenario([try Scenario.workload(deny: ["never 198.51.100.0/24 any"], unknown: .hold(.seconds(30)))])
    }

    @Test func anApprovedRequestGoesOn() throws {
        var scenario = try Self.scenario()
        let destination = try Scenario.destination("203.0.113.9", 22)
        let first = scenario.ask(destination)
        #expect(first.events.map(\.verdict) == [.hold])
        #expect(first.answers == [])
        // Another attempt waits too, and what is sent again is not missed.
        #expect(scenario.ask(destination, port: 40_001).answers == [])
        #expect(scenario.ask(destination, port: 40_001).answers == [.drop])

        let (grant, actions) = try scenario.approve(1).get()
        #expect(grant.subject == .address(destination))
        #expect(actions.answers == [.again, .again])
        #expect(actions.added("grants4").count == 1)
        #expect(actions.events.map(\.verdict) == [.allow, .allow])
        #expect(actions.events.map(\.kind) == [.grant, .request])
        #expect(actions.events.allSatisfy { $0.grant == grant.id })
        // The kernel does not tell of them again, and counts what comes after them.
        #expect(actions.added("seen4").count == 1)
        let seen = try #require(scenario.pass(.seconds(10)).settled.first)
        #expect(scenario.broker.settled(seen, packets: 3, at: scenario.now).events.map(\.count) == [1])
        #expect(scenario.broker.holds.isEmpty)
        #expect(scenario.broker.heldFlows.isEmpty)
    }

    @Test func nobodyApproves() throws {
        var scenario = try Self.scenario()
        let destination = try Scenario.destination("203.0.113.9", 22)
        _ = scenario.ask(destination)
        _ = scenario.ask(destination, port: 40_001)
        #expect(scenario.broker.nextDeadline == scenario.now + .seconds(30))
        #expect(scenario.pass(.milliseconds(29_999)).answers == [])
        let actions = scenario.pass(.milliseconds(1))
        #expect(actions.answers == [.again, .again])
        #expect(actions.events.map(\.reason) == [.holdExpired])
        #expect(actions.added("denied4").count == 1)
        // Both meet the element; one was told of.
        let key = try #require(scenario.pass(.seconds(10)).settled.first)
        #expect(scenario.broker.settled(key, packets: 2, at: scenario.now).events.map(\.count) == [1])
    }

    @Test func whatIsDeniedDoesNotWait() throws {
        var scenario = try Self.scenario()
        let actions = scenario.ask(try Scenario.destination("198.51.100.1", 22))
        #expect(actions.events.map(\.reason) == [.deniedByRule])
        #expect(actions.answers == [.again])
    }

    @Test func sixtyFourFlowsWaitAtMost() throws {
        var scenario = try Self.scenario()
        let destination = try Scenario.destination("203.0.113.9", 22)
        for port in 0..<64 { #expect(scenario.ask(destination, port: UInt16(port)).answers == []) }
        let beyond = scenario.ask(destination, port: 64)
        #expect(beyond.events.map(\.reason) == [.limit])
        #expect(beyond.answers == [.again])
        // It alone is refused: what waits is sent again meanwhile, and must not meet that.
        #expect(beyond.added("denied4") == [])
        #expect(beyond.added("answers4").map(\.state) == [.denied])
        #expect(scenario.ask(destination, port: 0).answers == [.drop])
        // The limit is the workload's: another destination is refused too.
        let elsewhere = scenario.ask(try Scenario.destination("203.0.113.10", 22))
        #expect(elsewhere.events.map(\.reason) == [.limit])
        // All 65 are told of once: one event of the limit, one of the end, 63 in the window.
        let end = scenario.pass(.seconds(30))
        #expect(end.answers.count == 64)
        #expect(end.events.map(\.count) == [1])
        let keys = end.settled + scenario.pass(.seconds(10)).settled
        let key = try #require(keys.first { $0.destination == destination })
        #expect(scenario.broker.settled(key, packets: 64, at: scenario.now).events.map(\.count) == [63])
        for key in keys { _ = scenario.broker.settled(key, packets: 1, at: scenario.now) }
        #expect(scenario.broker.windows.isEmpty)
        #expect(scenario.broker.openWindows.isEmpty)
        #expect(scenario.broker.heldFlows.isEmpty)
    }

    @Test func aReloadJudgesWhatWaitsAnew() throws {
        var scenario = try Self.scenario()
        let destination = try Scenario.destination("203.0.113.9", 22)
        _ = scenario.ask(destination)
        let actions = try scenario.load([try Scenario.workload(allow: ["ssh 203.0.113.9 22"])])
        #expect(actions.answers == [.again])
        #expect(actions.added("hosts4").count == 1)
        #expect(scenario.broker.holds.isEmpty)
    }

    @Test func whatWaitsOfACgroupThatMovedIsDropped() throws {
        var scenario = try Self.scenario()
        _ = scenario.ask(try Scenario.destination("203.0.113.9", 22))
        let taker = try Scenario.workload("train", unknown: .hold(.seconds(30)))
        var renamed = taker
        renamed.name = "renamed"
        let actions = try scenario.load([renamed])
        #expect(actions.answers == [.drop])
        #expect(actions.contains(.unstamp([10])))
        // What was stamped before and comes after is not judged by either.
        #expect(scenario.ask(try Scenario.destination("203.0.113.9", 22)).answers == [.drop])
        _ = scenario.pass(.seconds(1))
        #expect(scenario.ask(try Scenario.destination("203.0.113.9", 22)).events.map(\.verdict) == [.hold])
    }

    @Test func whatWaitsInAnothersNameIsDroppedWhenACgroupMoves() throws {
        let train = try Scenario.workload(unknown: .hold(.seconds(30)))
        var scenario = try Scenario([train])
        let destination = try Scenario.destination("203.0.113.9", 22)
        // The host's socket is known; one of them is taken for the workload's, and waits with the host's stamp.
        _ = scenario.ask(destination, port: 40_001, from: Scenario.facts("/host"))
        #expect(scenario.ask(destination).events.map(\.verdict) == [.hold])
        let host = try Scenario.workload("host")
        #expect(try scenario.load([train, host]).answers == [.drop])
        #expect(scenario.broker.heldFlows.isEmpty)
        // The request waits on for what is sent again, and is told of once.
        _ = scenario.pass(.seconds(1))
        let again = scenario.ask(destination)
        #expect(again.answers == [] && again.events == [])
        let end = scenario.pass(.seconds(29))
        #expect(end.answers == [.again])
        #expect(end.events.map(\.reason) == [.holdExpired])
        #expect(scenario.broker.heldFlows.isEmpty)
    }
}
