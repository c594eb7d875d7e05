import Model
import Policy
import Ruleset
import Testing

@testable import Broker

/// A request, its answer, and how repetitions are counted.
struct WindowTests {
    @Test func aDeniedRequestIsToldOfOnceAndThenCounted() throws {
        var scenario = try Scenario([try Scenario.workload()])
        let destination = try Scenario.destination("203.0.113.9", 22)
        let first = scenario.ask(destination)
        let event = try #require(first.events.first)
        #expect(first.events.count == 1)
        #expect(event.verdict == .deny)
        #expect(event.reason == .unknownDestination)
        #expect(event.workload == "train")
        #expect(event.destination == destination)
        #expect(event.request == 1)
        #expect(event.count == 1)
        #expect(event.process?.cgroup == "/train")
        #expect(first.answers == [.again])
        #expect(first.added("denied4").count == 1)

        // Another one waited already: it meets the element.
        let second = scenario.ask(destination, port: 40_001)
        #expect(second.events == [])
        #expect(second.answers == [.again])

        #expect(scenario.pass(.seconds(9)).settled == [])
        let key = try #require(scenario.pass(.seconds(1)).settled.first)
        #expect(key.element == first.added("denied4").first)
        let report = scenario.broker.settled(key, packets: 500, at: scenario.now)
        #expect(report.events.map(\.count) == [499])
        #expect(report.events.first?.latencyMicroseconds == nil)
        #expect(scenario.broker.requestSummaries.map(\.count) == [500])
        #expect(scenario.broker.settled(key, packets: 500, at: scenario.now) == [])
        #expect(scenario.broker.windows.isEmpty)
    }

    /// Who is the first within a window does not lend its name to those who come after.
    @Test(arguments: ["window", "stop"])
    func whoRepeatsARequestIsNotTheFirstProgram(_ end: String) throws {
        var scenario = try Scenario([try Scenario.workload()])
        let destination = try Scenario.destination("203.0.113.9", 22)
        var first = Scenario.facts("/train", command: ["ssh", "-N", "-R", "9000:localhost:22", "203.0.113.9"])
        first.process?.executable = "/usr/bin/ssh"
        first.context = ["RL_STEP": "7"]
        let told = try #require(scenario.ask(destination, from: first).events.first)
        #expect(told.finding == .reverseSSHTunnel && told.application == "ssh" && told.context == ["RL_STEP": "7"])

        let over = end == "stop" ? scenario.broker.closeWindows(at: scenario.now) : scenario.pass(.seconds(10))
        let key = try #require(over.settled.first)
        let ahead = try #require(scenario.broker.denials(of: key, packets: 5, at: scenario.now))
        let report = try #require(scenario.broker.settled(key, packets: 5, at: scenario.now).events.first)
        #expect(ahead == report)
        #expect(report.process == nil && report.context == [:] && report.finding == nil && report.application == nil)
        #expect(report.message == "repetitions within 10 s, refused by the kernel: their programs are not known")
        #expect(report.destination == destination && report.workload == "train" && report.request == told.request)
        #expect(report.verdict == .deny && report.reason == .unknownDestination && report.count == 4)
        // Whose request it is stays known where the first attempt counts.
        #expect(scenario.broker.requestSummaries.first?.process?.executable == "/usr/bin/ssh")
    }

    @Test func aWindowThatMetNothingMoreIsSilent() throws {
        var scenario = try Scenario([try Scenario.workload()])
        _ = scenario.ask(try Scenario.destination("203.0.113.9", 22))
        for key in scenario.pass(.seconds(10)).settled {
            #expect(scenario.broker.settled(key, packets: 1, at: scenario.now) == [])
        }
        #expect(scenario.broker.windows.isEmpty)
    }

    @Test func aWindowIsAskedForUntilTheKernelAnswers() throws {
        var scenario = try Scenario([try Scenario.workload()])
        _ = scenario.ask(try Scenario.destination("203.0.113.9", 22))
        #expect(scenario.pass(.seconds(10)).settled.count == 1)
        #expect(scenario.pass(.milliseconds(500)).settled == [])
        #expect(scenario.pass(.milliseconds(500)).settled.count == 1)
    }

    @Test func packetsThatNeverMeetTheElementEndAndAreCounted() throws {
        var scenario = try Scenario([try Scenario.workload()])
        let destination = try Scenario.destination("203.0.113.9", 22)
        _ = scenario.ask(destination)
        // Two that take turns do not keep each other going.
        var dropped: [UInt16: Int] = [:]
        for _ in 0..<100 {
            for port: UInt16 in [40_001, 40_002] where dropped[port] == nil {
                if scenario.ask(destination, port: port).answers == [.drop] { dropped[port] = 1 }
            }
        }
        #expect(dropped.count == 2)
        let key = try #require(scenario.pass(.seconds(10)).settled.first)
        #expect(scenario.broker.settled(key, packets: 1, at: scenario.now).events.map(\.count) == [2])
    }

    @Test func whatTheRulesAllowIsAnsweredForOneAttempt() throws {
        var scenario = try Scenario([
            try Scenario.workload(allow: ["web 192.0.2.0/24 443"], executable: "/usr/bin/curl")
        ])
        let actions = scenario.ask(try Scenario.destination("192.0.2.7", 443), port: 41_000)
        #expect(actions.events.map(\.verdict) == [.allow])
        #expect(actions.events.first?.rule == "web")
        let element = try #require(actions.added("answers4").first)
        let stamp = try #require(scenario.broker.assignments["train"]).stamp(.allowed)
        #expect(element.data == .mark(stamp.mark))
        #expect(element.timeout == 2000)
        #expect(element.key.suffix(4) == [0xa0, 0x28, 0, 0])
        let other = scenario.ask(
            try Scenario.destination("192.0.2.7", 443),
            port: 41_001,
            from: Scenario.facts("/train", command: ["nc"]),
        )
        #expect(other.events.map(\.reason) == [.wrongExecutable])
        // Another of this program may have been let through the moment before.
        #expect(other.answers == [.again])
    }

    @Test func anUncertainProgramIsNone() throws {
        var scenario = try Scenario([
            try Scenario.workload(allow: ["web 192.0.2.0/24 443"], executable: "/usr/bin/curl")
        ])
        let actions = scenario.ask(
            try Scenario.destination("192.0.2.7", 443),
            from: Scenario.facts("/train", isCertain: false),
        )
        #expect(actions.events.map(\.reason) == [.wrongExecutable])
    }

    @Test func otherTransportsAreDenied() throws {
        var scenario = try Scenario([try Scenario.workload(allow: ["all 0.0.0.0/0 any"])])
        let actions = scenario.ask(try Scenario.destination("192.0.2.7", 0, Transport(number: 1)))
        #expect(actions.events.map(\.reason) == [.wrongProtocol])
        #expect(actions.added("others4").map(\.state) == [.denied])
        let key = try #require(scenario.pass(.seconds(10)).settled.first)
        #expect(key.set == "others4")
        #expect(key.element.key == actions.added("others4").first?.key)
    }

    @Test func anObservedTransportWithoutPortsIsLetThroughForAWhile() throws {
        var scenario = try Scenario([], settings: Broker.Settings(unidentified: .observe))
        let actions = scenario.ask(
            try Scenario.destination("192.0.2.7", 0, Transport(number: 1)),
            from: Scenario.facts("/host"),
        )
        #expect(actions.events.map(\.verdict) == [.observe])
        #expect(actions.added("others4").map(\.state) == [.observed])
        let key = try #require(scenario.pass(.seconds(10)).settled.first)
        let report = scenario.broker.settled(key, packets: 4, at: scenario.now)
        #expect(report.events.map(\.count) == [3])
        #expect(report.events.map(\.verdict) == [.observe])
        // When the host is to refuse, nothing that was let through stays.
        _ = scenario.ask(try Scenario.destination("192.0.2.8", 0, Transport(number: 1)), from: Scenario.facts("/host"))
        let reload = try scenario.load([], settings: Broker.Settings(unidentified: .deny))
        #expect(reload.settled.map(\.set) == ["others4"])
    }

    @Test func manyDestinationsAreEachToldOf() throws {
        var scenario = try Scenario([try Scenario.workload()])
        var events = 0
        for number in 0..<1100 {
            let destination = Destination(address: .v4(0x0a00_0000 + UInt32(number)), port: 22, transport: .tcp)
            scenario.now = scenario.now + .milliseconds(2)
            let actions = scenario.ask(destination, port: UInt16(20_000 + number))
            events += actions.events.count
            #expect(actions.answers == [.again])
        }
        #expect(events == 1100)
        #expect(scenario.broker.windows.count == Broker.windowLimit)
    }

    @Test func aSocketThatCannotBeFoundGoesNowhere() throws {
        var scenario = try Scenario([try Scenario.workload()])
        let destination = try Scenario.destination("203.0.113.9", 22)
        #expect(scenario.ask(destination, from: nil).answers == [.drop])
        #expect(scenario.broker.orphans == 1)
    }
}
