import Model
import Policy
import Ruleset
import Testing

@testable import Broker

/// Who asks: workloads, the host's other processes, other users, the daemon; and what becomes of it in each mode.
struct IdentityTests {
    /// Who cannot be found is refused, but where only is observed: there the packet passes, and leaves no stamp.
    @Test(arguments: [true, false], [Layout.Question.outbound, .unmarked, .reply, .sender, .inbound])
    func whoCannotBeFound(_ observesOnly: Bool, _ kind: Layout.Question) throws {
        let settings = Broker.Settings(observesOnly: observesOnly, unidentified: .deny)
        var scenario = try Scenario([try Scenario.workload()], settings: settings)
        let destination = try Scenario.destination("203.0.113.9", 22)
        let first = scenario.ask(destination, kind, from: nil)
        #expect(first.answers == [observesOnly ? .pass : .drop])
        #expect(first.events.map(\.verdict) == [observesOnly ? .observe : .deny])
        #expect(first.events.map(\.reason) == [observesOnly ? .observeMode : .unidentified])
        #expect(scenario.ask(destination, kind, from: nil).answers == first.answers)
        let key = try #require(scenario.pass(.seconds(10)).settled.first)
        let report = try #require(scenario.broker.settled(key, packets: 0, at: scenario.now).events.first)
        #expect(report.verdict == first.events.first?.verdict && report.count == 1)
        let settled = observesOnly ? "let through" : "refused"
        #expect(report.message?.hasSuffix("repetitions within 10 s, \(settled): their programs are not known") == true)
    }

    @Test func whatIsObservedDoesNotFillTheMemory() throws {
        var scenario = try Scenario([], settings: Broker.Settings(observesOnly: true))
        for number in 0..<2000 as Range<UInt32> {
            let destination = Destination(address: .v4(0xcb00_0000 + number), port: 22, transport: .tcp)
            #expect(scenario.ask(destination, from: nil).events.count == 1)
        }
        #expect(scenario.broker.windows.count <= Broker.windowLimit)
    }

    private static func host(_ mode: Broker.Settings.Unidentified, observesOnly: Bool = false) throws -> Scenario {
        try Scenario(
            [try Scenario.workload(user: 1001)],
            settings: Broker.Settings(
                observesOnly: observesOnly,
                unidentified: mode,
                upstreams: [try Scenario.destination("192.0.2.53", 53, .udp)],
                daemonCgroup: "/egressd",
            ),
        )
    }

    @Test(
        arguments: [
            (Broker.Settings.Unidentified.deny, Verdict.deny, Reason.unidentified),
            (.observe, .observe, .unidentified), (.allow, .allow, .unidentified),
        ],
    )
    func unidentified(_ mode: Broker.Settings.Unidentified, _ verdict: Verdict, _ reason: Reason) throws {
        var scenario = try Self.host(mode)
        let destination = try Scenario.destination("203.0.113.9", 22)
        for (kind, sender) in [(Layout.Question.outbound, Scenario.facts("/host")), (.forward, nil)] {
            let event = try #require(scenario.ask(destination, kind, from: sender).events.first)
            #expect(event.verdict == verdict)
            #expect(event.reason == reason)
            #expect(event.workload == nil)
        }
        #expect(scenario.broker.elements().contains { $0.set == "open" && $0.add.count == 2 } == (mode == .allow))
    }

    @Test(arguments: [Broker.Settings.Unidentified.deny, .observe, .allow])
    func anotherUserInAWorkloadsCgroupIsDenied(_ mode: Broker.Settings.Unidentified) throws {
        var scenario = try Self.host(mode)
        let actions = scenario.ask(
            try Scenario.destination("203.0.113.9", 22),
            from: Scenario.facts("/train", uid: 0),
        )
        let event = try #require(actions.events.first)
        #expect((event.verdict, event.reason, event.workload) == (.deny, .unidentified, "train"))
        #expect(event.process?.uid == 0)
    }

    @Test func theDaemonReachesItsNameServersAlone() throws {
        var scenario = try Self.host(.allow)
        let itself = Scenario.facts("/egressd", uid: 0)
        let asks = scenario.ask(try Scenario.destination("192.0.2.53", 53, .udp), from: itself)
        #expect(asks.events.map(\.verdict) == [.allow])
        #expect(asks.events.map(\.workload) == ["egressd"])
        for destination in [("192.0.2.53", UInt16(22)), ("192.0.2.54", 53)] {
            let actions = scenario.ask(try Scenario.destination(destination.0, destination.1), from: itself)
            #expect(actions.events.map(\.verdict) == [.deny])
        }
    }

    @Test func aHostThatObservesRefusesNothing() throws {
        var scenario = try Self.host(.deny, observesOnly: true)
        let destination = try Scenario.destination("203.0.113.9", 22)
        let senders = [("/train", UInt32(1001)), ("/train", 0), ("/host", 0), ("/egressd", 0)]
        for (path, uid) in senders {
            let actions = scenario.ask(destination, from: Scenario.facts(path, uid: uid))
            #expect(actions.events.map(\.verdict) == [.observe], "\(path) \(uid)")
            #expect(actions.added("answers4").map(\.state) == [.observed], "\(path) \(uid)")
        }
        let knock = scenario.ask(destination, .inbound, from: nil, to: Scenario.facts("/train"))
        #expect(knock.events.map(\.verdict) == [.observe])
        #expect(knock.answers == [.again])
    }

    @Test func aSenderIsMadeKnown() throws {
        var scenario = try Self.host(.deny)
        let destination = try Scenario.destination("203.0.113.9", 22)
        let actions = scenario.ask(destination, .sender)
        let identity = try #require(scenario.broker.assignments["train"])
        #expect(actions.added("workloads").map(\.data) == [.mark(identity.stamp(.new).mark)])
        #expect(actions.added("residents").count == 1)
        #expect(actions.answers == [.again])
        #expect(actions.events == [])
        #expect(scenario.ask(destination, .sender).changes == [])
        #expect(scenario.broker.cgroupsByWorkload == ["train": ["/train"]])
    }

    @Test func theSameQuestionForEverIsDropped() throws {
        var scenario = try Self.host(.deny)
        let destination = try Scenario.destination("203.0.113.9", 22)
        let actions = (0..<5000).flatMap { _ in scenario.ask(destination, .sender) }
        #expect(actions.answers.count == 5000)
        #expect(actions.answers.first == .again)
        #expect(actions.answers.last == .drop)

        // The first that is dropped is told of, the rest are counted.
        let event = try #require(actions.events.first)
        #expect(actions.events.count == 1)
        #expect((event.verdict, event.reason, event.workload) == (.deny, .unidentified, "train"))
        #expect(event.kind == .request && event.destination == destination)
        #expect(event.process?.cgroup == "/train" && event.process?.uid == 1001)
        let dropped = actions.answers.count { $0 == .drop }
        let key = try #require(scenario.pass(.seconds(10)).settled.first)
        let report = scenario.broker.settled(key, packets: 0, at: scenario.now).events
        #expect(report.map { Int($0.count) } == [dropped - 1])
        #expect(scenario.broker.windows.isEmpty && scenario.broker.openWindows.isEmpty)
    }

    @Test func theSameQuestionOfManyIsToldOfTogether() throws {
        var scenario = try Self.host(.deny)
        scenario.broker.refusalRate = RefusalRate(perSecond: 10, burst: 10)
        let receiver = Scenario.facts("/train")
        for _ in 0..<5000 {
            _ = scenario.ask(try Scenario.destination("203.0.113.9", 22), .receiver, from: nil, to: receiver)
        }
        _ = scenario.pass(.seconds(1))
        let actions = try (0..<1000).flatMap { number in
            let port = UInt16(1000 + number)
            return scenario.ask(try Scenario.destination("203.0.113.9", port), .receiver, from: nil, to: receiver)
        }
        #expect(actions.answers.allSatisfy { $0 == .drop } && actions.answers.count == 1000)
        #expect(actions.events.count == 11 && actions.changes.allSatisfy { $0.add.isEmpty })
        #expect(actions.events.allSatisfy { $0.kind == .inbound && $0.workload == "train" })
        #expect(actions.events.map(\.reason) == Array(repeating: .unidentified, count: 10) + [.limit])
        let settled = scenario.pass(.seconds(10)).settled
        let report = settled.flatMap { scenario.broker.settled($0, packets: 0, at: scenario.now).events }
        #expect(report.first { $0.reason == .limit }?.count == 989)
    }

    @Test func whatUsersShareACgroupWithoutOneIsNobodys() throws {
        var right = try Scenario.workload(user: 1002)
        right.name = "right"
        var scenario = try Scenario([try Scenario.workload(listen: ["in 0.0.0.0/0 80"], user: 1001), right])
        #expect(scenario.broker.identity(path: "/train", uid: nil).identity == .foreignUser)
        #expect(scenario.broker.identity(path: "/train", uid: 1002) == scenario.broker.assignments["right"])
        // The kernel knows such a socket by its cgroup alone, and the answer has to be found by it.
        let destination = try Scenario.destination("203.0.113.9", 80)
        let actions = scenario.ask(destination, .inbound, from: nil, to: Scenario.facts("/train", uid: 1001))
        #expect(actions.added("arrivals4").map { Array($0.key.prefix(4)) } == [[0, 0, 5, 0]])
        #expect(actions.events.map(\.workload) == ["train"])
        #expect(actions.added("residents") == [])
    }
}
