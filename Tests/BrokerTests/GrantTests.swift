import Model
import Policy
import Ruleset
import Testing

@testable import Broker

/// Approvals, their end, and what beats them.
struct GrantTests {
    private static let deny = ["never 198.51.100.0/24 any"]

    private static func denied() throws -> (Scenario, Destination) {
        var scenario = try Scenario([try Scenario.workload(deny: deny)])
        let destination = try Scenario.destination("203.0.113.9", 22)
        _ = scenario.ask(destination)
        return (scenario, destination)
    }

    @Test func anApprovalComesIntoForceAndClosesTheWindow() throws {
        var (scenario, destination) = try Self.denied()
        let (grant, actions) = try scenario.approve(1).get()
        #expect(grant.actor == "root")
        #expect(grant.expiry == scenario.now + .seconds(60))
        #expect(actions.added("grants4").count == 1)
        #expect((actions.added("grants4").first?.timeout ?? 0) >= 60_000)
        #expect(actions.settled.map(\.destination) == [destination])
        let wall = scenario.broker.wall(scenario.now)
        let approval = try #require(actions.events.last?.approval)
        #expect(approval == ApprovalRecord(seconds: 60, expires: wall + .seconds(60)))
        let next = scenario.ask(destination, port: 40_009)
        #expect(next.events.map(\.reason) == [.grant])
        #expect(next.added("answers4").map(\.state) == [.allowed])
    }

    @Test func denyBeatsApproval() throws {
        var (scenario, _) = try Self.denied()
        let destination = try Scenario.destination("198.51.100.1", 22)
        _ = scenario.ask(destination)
        guard case .failure(let error) = scenario.approve(2) else {
            Issue.record("what a rule denies was approved")
            return
        }
        #expect(
            error.description == "198.51.100.1:22/tcp: denied-by-rule 'never' beats every approval; change the policy"
        )
    }

    @Test func metadataIsNotApproved() throws {
        var (scenario, _) = try Self.denied()
        _ = scenario.ask(try Scenario.destination("169.254.169.254", 80))
        guard case .failure(.denied(_, let decision)) = scenario.approve(2) else {
            Issue.record("a metadata address was approved")
            return
        }
        #expect(decision.reason == .specialAddress)
    }

    @Test func whatCannotBeApproved() throws {
        var scenario = try Scenario([try Scenario.workload()])
        let allowed = try Scenario.destination("203.0.113.1", 22)
        _ = scenario.ask(allowed)
        _ = scenario.ask(try Scenario.destination("203.0.113.1", 0, Transport(number: 1)))
        _ = scenario.ask(try Scenario.destination("203.0.113.1", 22), from: Scenario.facts("/host"))
        let inbound = try Scenario.destination("203.0.113.1", 8080)
        _ = scenario.ask(inbound, .inbound, from: nil, to: Scenario.facts("/train"))
        _ = try scenario.load([try Scenario.workload(allow: ["ssh 203.0.113.1 22"])])
        func error(_ request: Int64) -> GrantError? {
            if case .failure(let error) = scenario.approve(request) { error } else { nil }
        }
        #expect(error(99) == .noRequest(99))
        #expect(error(1) == .allowed(.address(allowed)))
        #expect(error(2) == .withoutPorts(try Scenario.destination("203.0.113.1", 0, Transport(number: 1))))
        #expect(error(3) == .notAWorkload)
        #expect(error(4) == .inbound)
    }

    @Test func anAddressIsApprovedForThePortThatWasAskedForAlone() throws {
        var (scenario, destination) = try Self.denied()
        let own = ServicePort(transport: .tcp, port: 22)
        let others: [(Set<ServicePort>?, ApplicationProtocol?)] = [
            ([ServicePort(transport: .tcp, port: 2222)], nil), ([ServicePort(transport: .udp, port: 22)], nil),
            ([own, ServicePort(transport: .tcp, port: 2222)], nil), (nil, .ssh), ([own], .tls), (nil, .quic),
        ]
        for (ports, application) in others {
            guard case .failure(let error) = scenario.approve(1, ports: ports, application: application) else {
                Issue.record("approved for something else")
                continue
            }
            #expect(error == .forNames(1, destination))
            #expect(error.description.hasPrefix("request 1 is for 203.0.113.9:22/tcp; --ports"))
        }
        #expect(scenario.broker.grants.isEmpty)
        let (grant, _) = try scenario.approve(1, ports: [own], application: .any).get()
        #expect(grant.ports.isEmpty && grant.application == nil)
    }

    @Test func revocationCuts() throws {
        var (scenario, destination) = try Self.denied()
        let (grant, approved) = try scenario.approve(1).get()
        let actions = try scenario.broker.revoke(grant: grant.id, reason: "enough", actor: "eve", at: scenario.now)
            .get()
        #expect(actions.removed("grants4").map(\.key) == approved.added("grants4").map(\.key))
        #expect(actions.cut == [destination])
        #expect(actions.contains(.clear(["answers4", "answers6", "arrivals4", "arrivals6"])))
        let event = try #require(actions.events.first)
        #expect((event.kind, event.reason, event.actor, event.message) == (.grant, .revoked, "eve", "enough"))
        #expect(scenario.broker.grants.isEmpty)
        guard
            case .failure(.noGrant(grant.id)) = scenario.broker.revoke(
                grant: grant.id,
                reason: nil,
                actor: "eve",
                at: scenario.now,
            )
        else {
            Issue.record("a grant was revoked twice")
            return
        }
    }

    @Test func expiryTakesTheElementAwayAndCuts() throws {
        var (scenario, destination) = try Self.denied()
        _ = try scenario.approve(1).get()
        #expect(scenario.pass(.milliseconds(59_999)).cut == [])
        let actions = scenario.pass(.milliseconds(1))
        #expect(actions.removed("grants4").count == 1)
        #expect(actions.cut == [destination])
        #expect(actions.events.map(\.message) == ["expired"])
        #expect(scenario.broker.grants.isEmpty)
    }

    @Test func aLateDaemonLeavesTheElementToTheKernel() throws {
        var (scenario, destination) = try Self.denied()
        _ = try scenario.approve(1).get()
        let actions = scenario.pass(.seconds(100))
        #expect(actions.removed("grants4") == [])
        #expect(actions.cut == [destination])
    }

    @Test func aSecondApprovalTakesThePlaceOfTheFirst() throws {
        var (scenario, _) = try Self.denied()
        _ = try scenario.approve(1).get()
        let (second, actions) = try scenario.approve(1, seconds: 3600).get()
        #expect(actions.removed("grants4").map(\.key) == actions.added("grants4").map(\.key))
        #expect(scenario.broker.grants.keys.sorted() == [second.id])
        // Whoever reads the record finds where the first one ended.
        let (ended, made) = (try #require(actions.events.first), try #require(actions.events.last))
        #expect(actions.events.count == 2 && made.grant == second.id && made.verdict == .allow)
        #expect((ended.kind, ended.grant, ended.verdict, ended.reason) == (.grant, 1, nil, .revoked))
        #expect((ended.message, ended.approval?.replacedBy, ended.actor) == ("replaced by grant 2", 2, "root"))
        #expect(made.approval?.replacedBy == nil)
        _ = try scenario.broker.revoke(grant: second.id, reason: nil, actor: "root", at: scenario.now).get()
        // The first one does not come back with a reload.
        let narrower = try scenario.load([try Scenario.workload(deny: ["all 0.0.0.0/0 any"])])
        #expect(narrower.changes.filter { $0.set == "grants4" }.allSatisfy { $0.remove.isEmpty && $0.add.isEmpty })
        let wider = try scenario.load([try Scenario.workload()])
        #expect(wider.added("grants4") == [])
    }

    @Test func anApprovalThatCannotBeStoredChangesNothing() throws {
        var (scenario, _) = try Self.denied()
        let (first, _) = try scenario.approve(1).get()
        let before = scenario.broker
        let (second, _) = try scenario.approve(1, seconds: 3600).get()
        scenario.broker = before
        scenario.broker.skipGrant(second.id)
        #expect(scenario.broker.grants == [first.id: first])
        // Whether the disk has the second one is not known: its number means nothing else.
        let (third, actions) = try scenario.approve(1, seconds: 3600).get()
        #expect(third.id == second.id + 1)
        var ended = first
        ended.state = .revoked
        #expect(actions.contains(.endGrant(ended)))
    }

    @Test func aReloadTakesAwayWhatADenyCoversByNow() throws {
        var (scenario, destination) = try Self.denied()
        _ = try scenario.approve(1).get()
        let narrower = try scenario.load([try Scenario.workload(deny: ["ssh 203.0.113.0/24 22"])])
        #expect(narrower.removed("grants4").count == 1)
        for key in narrower.settled { _ = scenario.broker.settled(key, packets: 1, at: scenario.now) }
        #expect(scenario.ask(destination, port: 9).events.map(\.reason) == [.deniedByRule])
        let wider = try scenario.load([try Scenario.workload()])
        #expect(wider.added("grants4").count == 1)
    }

    @Test func aNewDaemonRestoresGrantsAndRequests() throws {
        var (scenario, destination) = try Self.denied()
        let (grant, _) = try scenario.approve(1).get()
        var next = try Scenario([try Scenario.workload()])
        next.broker.restore(scenario.broker.requestSummaries, nextRequest: 1)
        let changes = next.broker.restore([grant], nextGrant: 2, at: next.now)
        #expect(changes.flatMap(\.add).count == 1)
        #expect(next.ask(destination).events.map(\.reason) == [.grant])
        #expect(next.ask(try Scenario.destination("203.0.113.77", 1)).events.first?.request == 2)
        #expect(next.broker.requestSummaries.map(\.id) == [1, 2])
        // What is denied by now is not put in force.
        var narrower = try Scenario([try Scenario.workload(deny: ["ssh 203.0.113.0/24 22"])])
        #expect(narrower.broker.restore([grant], nextGrant: 2, at: narrower.now) == [])
    }
}
