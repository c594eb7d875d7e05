import Model
import Policy
import Ruleset
import TestSupport
import Testing

@testable import Broker

/// Other policies in force: the difference only.
struct ReloadTests {
    private static let web = "web 192.0.2.0/24 443"

    @Test func theSameAgainIsNothing() throws {
        let workloads = [try Scenario.workload(allow: [Self.web]), try Scenario.workload("other")]
        var scenario = try Scenario(workloads)
        _ = scenario.ask(try Scenario.destination("203.0.113.9", 22))
        #expect(try scenario.load(workloads) == [])
    }

    @Test func oneChangeLeavesTheOthersAlone() throws {
        let other = try Scenario.workload("other", allow: ["x 198.51.100.1 80"])
        var scenario = try Scenario([try Scenario.workload(allow: [Self.web]), other])
        _ = scenario.ask(try Scenario.destination("203.0.113.9", 22), from: Scenario.facts("/other"))
        let actions = try scenario.load([try Scenario.workload(allow: ["web 192.0.2.0/25 443"]), other])
        let identity = try #require(scenario.broker.assignments["train"]?.identity)
        #expect(actions.rechecked == [identity])
        #expect(actions.settled == [])
        #expect(scenario.broker.assignments["other"]?.generation == 1)
        for change in actions.changes where !change.set.hasPrefix("rules4") {
            #expect(["current", "stamps"].contains(change.set), "\(change.set) of another workload changed")
        }
        #expect(actions.added("rules4").count == 1)
        #expect(actions.removed("rules4").count == 1)
    }

    @Test func onlyNarrowerRaisesTheGeneration() throws {
        var scenario = try Scenario([try Scenario.workload(allow: [Self.web])])
        let wider = try scenario.load([try Scenario.workload(allow: [Self.web, "ssh 203.0.113.9 22"])])
        #expect(scenario.broker.assignments["train"]?.generation == 1)
        #expect(wider.rechecked == [])
        #expect(wider.added("hosts4").count == 1)
        #expect(wider.removed("") == [])
        let narrower = try scenario.load([try Scenario.workload(allow: ["ssh 203.0.113.9 22"])])
        #expect(scenario.broker.assignments["train"]?.generation == 2)
        #expect(narrower.rechecked.count == 1)
        #expect(narrower.added("stamps").count == 1)
        #expect(narrower.removed("stamps").count == 1)
        #expect(narrower.added("current").count == 3)
    }

    @Test(arguments: ["deny", "mode", "program", "protocol"])
    func whatOnlyTheBrokerKnowsRaisesItToo(_ kind: String) throws {
        var before = try Scenario.workload(
            allow: [Self.web],
            unknown: kind == "mode" ? .observe : .deny,
            executable: kind == "program" ? "/usr/bin/curl" : nil,
        )
        if kind == "protocol" { before.allow[0].application = .tls }
        var scenario = try Scenario([before])
        var after = before
        switch kind {
        case "deny": after = try Scenario.workload(allow: [Self.web], deny: ["no 203.0.113.0/24 any"])
        case "mode": after.unknown = .deny
        default: after.allow = []
        }
        #expect(try scenario.load([after]).rechecked.count == 1)
        #expect(scenario.broker.assignments["train"]?.generation == 2)
    }

    @Test func aPolicyThatGoesTakesEverythingAlong() throws {
        var scenario = try Scenario([
            try Scenario.workload(allow: [Self.web, "ssh 203.0.113.9 22"], listen: ["in 0.0.0.0/0 80"])
        ])
        let started = scenario.broker.elements()
        _ = scenario.ask(try Scenario.destination("198.51.100.7", 22))
        let actions = try scenario.load([])
        let mine: (ElementChange) -> Bool = { ["rules4", "hosts4", "listen4"].contains(where: $0.set.hasPrefix) }
        let had = Set(started.filter(mine).flatMap(\.add))
        #expect(had.count == 3)
        #expect(Set(actions.changes.filter(mine).flatMap(\.remove)) == had)
        #expect(actions.settled.count == 1)
        #expect(actions.contains(.saveAssignments([:], removed: ["train"])))
        #expect(actions.contains(.unstamp([10])))
        // Its cgroup is nobody's now.
        #expect(actions.added("strangers").count == 1)
        #expect(actions.added("workloads").count == 1)
    }

    @Test func aNumberThatWasGivenUpIsNotGivenAwayAtOnce() throws {
        var scenario = try Scenario([try Scenario.workload()])
        let old = try #require(scenario.broker.assignments["train"]?.identity)
        var renamed = try Scenario.workload()
        renamed.name = "renamed"
        _ = try scenario.load([renamed])
        #expect(scenario.broker.assignments["renamed"]?.identity != old)
        // Nor by a daemon that starts anew.
        let next = Broker(
            settings: Broker.Settings(),
            policies: try PolicySet([renamed]),
            assignments: ["train": Assignment(identity: old, generation: 3)],
            cryptography: PlainCryptography(),
        )
        #expect(next.assignments["renamed"]?.identity != old)
        // Who gets it later has other stamps.
        scenario.broker = next
        _ = try scenario.load([renamed, try Scenario.workload("other")])
        #expect(scenario.broker.assignments["other"] == Assignment(identity: old, generation: 4))
    }

    @Test func whoGetsANumberAgainGetsAnotherGeneration() throws {
        var scenario = try Scenario([try Scenario.workload()])
        _ = try scenario.load([])
        _ = try scenario.load([try Scenario.workload()])
        #expect(scenario.broker.assignments["train"]?.identity.number == Identity.firstWorkload)
        #expect(scenario.broker.assignments["train"]?.generation == 2)
    }

    @Test func aRuleForAProgramNarrowsWhatIsObserved() throws {
        var scenario = try Scenario([try Scenario.workload(unknown: .observe)])
        var after = try Scenario.workload(allow: [Self.web], executable: "/usr/bin/curl")
        after.unknown = .observe
        #expect(try scenario.load([after]).rechecked.count == 1)
    }

    @Test func assignmentsGoOnOverARestart() throws {
        let known = Assignment(identity: Identity(number: 77), generation: 9)
        let policies = try PolicySet([try Scenario.workload(), try Scenario.workload("other")])
        let broker = Broker(
            settings: Broker.Settings(),
            policies: policies,
            assignments: ["train": known],
            cryptography: PlainCryptography(),
        )
        #expect(broker.assignments["train"] == known)
        #expect(broker.assignments["other"]?.identity.number == Identity.firstWorkload)
    }

    @Test func theEndOfObservationConcernsEveryWorkload() throws {
        let workloads = [try Scenario.workload(), try Scenario.workload("other")]
        var scenario = try Scenario(workloads, settings: Broker.Settings(observesOnly: true))
        let actions = scenario.ask(try Scenario.destination("203.0.113.9", 22))
        #expect(actions.events.map(\.verdict) == [.observe])
        let reload = try scenario.load(workloads, settings: Broker.Settings(observesOnly: false))
        for name in ["train", "other", "*unidentified", "*egressd", "*foreign-user", "*forwarded"] {
            #expect(scenario.broker.assignments[name]?.generation == 2, "\(name)")
        }
        #expect(reload.rechecked.count == 6)
    }

    @Test func aCgroupThatGoesIsForgottenWhole() throws {
        var scenario = try Scenario([try Scenario.workload()])
        let learned = scenario.ask(
            try Scenario.destination("203.0.113.9", 22),
            .sender,
            from: Scenario.facts("/train", uid: 1001),
        )
        let more = scenario.ask(
            try Scenario.destination("203.0.113.9", 22),
            .sender,
            from: Scenario.facts("/train", uid: 1002),
        )
        #expect(learned.answers == [.again])
        let added = Set((learned.changes + more.changes).flatMap(\.add))
        #expect(added.count == 6)
        let forgotten = scenario.broker.forget(cgroup: 10)
        #expect(Set(forgotten.changes.flatMap(\.remove)) == added)
        #expect(scenario.broker.forget(cgroup: 10) == [])
        #expect(scenario.broker.knownCgroups == [])
    }
}
