import Model
import Policy
import Ruleset
import Testing

@testable import Broker

/// Who is refused too often.
struct FloodTests {
    private static func stranger(_ number: Int, _ port: UInt16 = 22) -> Destination {
        Destination(address: .v4(0xcb00_0000 + UInt32(number)), port: port, transport: .tcp)
    }

    /// A scenario in which ten refusals at once are a flood.
    private static func scenario(_ workloads: [Workload]) throws -> Scenario {
        var scenario = try Scenario(workloads)
        scenario.broker.refusalRate = RefusalRate(perSecond: 10, burst: 10)
        return scenario
    }

    /// Refuses as many as are told of one by one, and the one that is too many.
    private static func flood(_ scenario: inout Scenario) -> [BrokerAction] {
        (0...10).flatMap { scenario.ask(stranger($0), port: UInt16(30_000 + $0)) }
    }

    @Test func whoIsRefusedTooOftenIsRefusedByTheKernelForAMoment() throws {
        var scenario = try Self.scenario([try Scenario.workload(), try Scenario.workload("other")])
        let actions = Self.flood(&scenario)
        #expect(actions.events.count == 11)
        #expect(actions.added("floods").map(\.key.count) == [4])

        // What waited in the queue meets the element, and is told of with it.
        let late = scenario.ask(Self.stranger(11), port: 30_011)
        #expect(late.answers == [.again] && late.events == [] && late.changes == [])
        // Nobody else is concerned.
        let other = scenario.ask(Self.stranger(11), from: Scenario.facts("/other"))
        #expect(other.events.map(\.workload) == ["other"])

        #expect(scenario.pass(.milliseconds(249)).settled == [])
        let key = try #require(scenario.pass(.milliseconds(1)).settled.first)
        #expect(key.set == "floods" && key.element == actions.added("floods").first)
        let report = scenario.broker.settled(key, packets: 1200, at: scenario.now).events
        #expect(report.map(\.count) == [1200])
        #expect(report.map(\.reason) == [.limit])
        #expect(report.map(\.verdict) == [.deny])
        #expect(report.map(\.workload) == ["train"])
        #expect(report.first?.destination == nil && report.first?.process == nil)
        let line = try #require(scenario.broker.requestSummaries.first { $0.id == report.first?.request })
        #expect(line.subject == .others && line.count == 1200)

        // A quarter of a second is enough for two more.
        let after = (12...15).flatMap { scenario.ask(Self.stranger($0), port: UInt16(30_000 + $0)) }
        #expect(after.events.count == 3 && after.added("floods").count == 1)
    }

    @Test func whatIsAllowedIsNotCountedAsAFlood() throws {
        var scenario = try Self.scenario([
            try Scenario.workload(allow: ["web 203.0.0.0/16 22"], executable: "/usr/bin/curl")
        ])
        let actions = (0..<100).flatMap { scenario.ask(Self.stranger($0), port: UInt16(30_000 + $0)) }
        #expect(actions.events.allSatisfy { $0.verdict == .allow } && actions.added("floods") == [])
    }

    @Test func aFloodFromOutsideDoesNotConcernWhatTheWorkloadSends() throws {
        var scenario = try Self.scenario([try Scenario.workload()])
        let facts = Scenario.facts("/train")
        let actions = (0...10).flatMap { scenario.ask(Self.stranger($0), .inbound, from: nil, to: facts) }
        #expect(actions.added("sieges").count == 1 && actions.added("floods") == [])
        #expect(scenario.ask(Self.stranger(50)).events.count == 1)
        let key = try #require(scenario.pass(.milliseconds(250)).settled.first)
        let report = scenario.broker.settled(key, packets: 3, at: scenario.now).events
        #expect(report.map(\.kind) == [.inbound] && report.map(\.count) == [3])
    }

    @Test func aScanThatFloodsIsOne() throws {
        var scenario = try Scenario([try Scenario.workload()])
        scenario.broker.refusalRate = RefusalRate(perSecond: 30, burst: 30)
        for number in 0...30 { _ = scenario.ask(Self.stranger(number), port: UInt16(30_000 + number)) }
        let key = try #require(scenario.pass(.milliseconds(250)).settled.first)
        let report = scenario.broker.settled(key, packets: 9, at: scenario.now).events
        #expect(report.map(\.finding) == [.internalScan])
    }

    @Test func aReloadEndsIt() throws {
        var scenario = try Self.scenario([try Scenario.workload()])
        _ = Self.flood(&scenario)
        let actions = try scenario.load([try Scenario.workload(allow: ["web 192.0.2.0/24 443"])])
        #expect(actions.settled.contains { $0.set == "floods" })
    }

    @Test func whatTheKernelCannotAnswerForIsCountedTogether() throws {
        var scenario = try Self.scenario([try Scenario.workload()])
        let events = (0..<40).flatMap { scenario.ask(Self.stranger($0), .unmarked).events }
        #expect(events.count == 11)
        #expect(events.last?.reason == .limit && events.last?.destination == nil)
        var closed: [Event] = []
        for key in scenario.pass(.seconds(10)).settled {
            closed += scenario.broker.settled(key, packets: 0, at: scenario.now).events
        }
        #expect(closed.map(\.count) == [29])
        #expect(scenario.broker.requestSummaries.reduce(0) { $0 + $1.count } == 40)
        #expect(scenario.broker.windows.isEmpty)
    }

    @Test func socketsThatCannotBeFoundAreCountedTogetherToo() throws {
        var scenario = try Self.scenario([try Scenario.workload()])
        let events = (0..<40).flatMap { scenario.ask(Self.stranger($0), from: nil).events }
        #expect(events.count == 11)
        #expect(scenario.broker.windows.count == 11)
    }

    @Test func aWorkloadThatFillsItsHoldsLeavesOthersTheirs() throws {
        let span = UnknownMode.hold(.seconds(30))
        var scenario = try Scenario([
            try Scenario.workload(unknown: span), try Scenario.workload("other", unknown: span),
        ])
        var limited = 0
        for number in 0..<200 {
            let actions = scenario.ask(Self.stranger(number), port: UInt16(30_000 + number))
            limited += actions.events.count { $0.reason == .limit }
        }
        #expect(limited == 200 - Broker.holdLimit)
        let other = scenario.ask(Self.stranger(1), from: Scenario.facts("/other"))
        #expect(other.events.map(\.verdict) == [.hold] && other.answers == [])
    }
}
