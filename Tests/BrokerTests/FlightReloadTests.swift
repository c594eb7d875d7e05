import Model
import Policy
import Ruleset
import Testing
import Wire

@testable import Broker

/// Policies and approvals that change while first flights are awaited.
struct FlightReloadTests {
    private static let hello = FirstBytes.tls("packages.example.org")
    private static let all = ["web packages.example.org 443 tls"]

    /// A connection whose hello waits for its second half.
    private static func held(_ rules: [String] = all) throws -> (Scenario, Client) {
        var scenario = try Scenario.inspecting(rules)
        try scenario.pin("packages.example.org", FlightTests.address)
        let client = try Client(FlightTests.address)
        _ = try scenario.send(client.syn(), of: client)
        _ = try scenario.send(client.segment(hello[..<60]), of: client)
        return (scenario, client)
    }

    private static func finish(_ scenario: inout Scenario, _ client: Client) throws -> [BrokerAction] {
        try scenario.send(client.segment(hello[60...], at: 60), of: client)
    }

    private static func narrower() throws -> [(rules: [String], reason: Reason)] {
        [
            (["web other.example.org 443 tls"], .unknownDestination), ([], .unknownDestination),
            (["web packages.example.org 8443 tls"], .unknownDestination),
            (["web packages.example.org 443 http", "x packages.example.org 443 ssh"], .wrongProtocol),
        ]
    }

    @Test func aNarrowerPolicyDeniesWhatWaits() throws {
        for (rules, reason) in try Self.narrower() {
            var (scenario, client) = try Self.held()
            let reload = try scenario.load([try Scenario.inspected(rules)])
            #expect(reload.answers == [], "it is judged when it is whole")
            let actions = try Self.finish(&scenario, client)
            #expect(actions.events.map(\.reason) == [reason], "\(rules)")
            #expect(actions.stamps == [.denied])
            #expect(actions.answers == [.drop, .drop])
        }
    }

    @Test func aDenyBeatsWhatWaits() throws {
        var (scenario, client) = try Self.held()
        _ = try scenario.load([try Scenario.inspected(Self.all, deny: ["no 93.184.216.0/24 any"])])
        let actions = try Self.finish(&scenario, client)
        #expect(actions.events.map(\.reason) == [.deniedByRule])
        #expect(actions.events.map(\.rule) == ["no"])
    }

    @Test func aWiderPolicyAllowsWhatWaits() throws {
        for rules in [["plain packages.example.org 443"], ["tls 93.184.216.34 443 tls"], ["all any any"]] {
            var (scenario, client) = try Self.held(["web packages.example.org 80 tls", "ip 93.184.216.0/24 443 tls"])
            _ = try scenario.load([try Scenario.inspected(rules)])
            let actions = try Self.finish(&scenario, client)
            #expect(actions.stamps == [.allowed], "\(rules)")
            #expect(actions.answers == [.again, .again])
        }
    }

    @Test func theStampIsOfTheGenerationInForce() throws {
        var (scenario, client) = try Self.held()
        _ = try scenario.load([try Scenario.inspected(Self.all, deny: ["no 198.51.100.0/24 any"])])
        let assignment = try #require(scenario.broker.assignments["train"])
        #expect(assignment.generation == 2)
        let actions = try Self.finish(&scenario, client)
        #expect(actions.contains(.stamp(client.key, assignment.stamp(.allowed), 0)))
        #expect(actions.events.map(\.generation) == [2])
    }

    @Test func aModeThatWaitsForOperatorsDeniesWhatIsOpen() throws {
        var (scenario, client) = try Self.held()
        _ = try scenario.load([try Scenario.inspected([], unknown: .hold(.seconds(30)))])
        let actions = try Self.finish(&scenario, client)
        #expect(actions.events.map(\.verdict) == [.deny])
        #expect(actions.events.map(\.reason) == [.unknownDestination])
        #expect(actions.stamps == [.denied])
        #expect(scenario.broker.holds.isEmpty)
    }

    @Test func aModeThatObservesLetsItPass() throws {
        var (scenario, client) = try Self.held()
        _ = try scenario.load([try Scenario.inspected([], unknown: .observe)])
        let actions = try Self.finish(&scenario, client)
        #expect(actions.events.map(\.verdict) == [.observe])
        #expect(actions.stamps == [.observed])
    }

    /// Its stamp is of the generation in force, so that nobody would look at it again.
    @Test func whatIsNotObservedAnyMoreIsDenied() throws {
        for isWhole in [true, false] {
            var scenario = try Scenario.inspecting([], unknown: .observe)
            let client = try Client(FlightTests.address)
            _ = try scenario.say(Array(Self.hello[..<60]), of: client)
            _ = try scenario.load([try Scenario.inspected([])])
            let actions = isWhole ? try Self.finish(&scenario, client) : scenario.pass(.seconds(11))
            #expect(actions.stamps == [.denied])
            #expect(actions.destroyed == [client.key])
            #expect(actions.events.map(\.verdict) == [.deny])
        }
    }

    @Test func whatIsAllowedByNowIsHeldToIt() throws {
        for (rules, state) in [(["ip 93.184.216.0/24 443 tls"], Stamp.State.allowed), (["ip any 443 ssh"], .denied)] {
            var scenario = try Scenario.inspecting([], unknown: .observe)
            let client = try Client(FlightTests.address)
            _ = try scenario.say(Array(Self.hello[..<60]), of: client)
            _ = try scenario.load([try Scenario.inspected(rules)])
            #expect(try Self.finish(&scenario, client).stamps == [state])
        }
    }

    @Test func aWorkloadThatGoesTakesItsFlightsAlong() throws {
        var (scenario, client) = try Self.held()
        let reload = try scenario.load([])
        #expect(reload.stamps == [.denied])
        #expect(reload.answers == [.drop])
        #expect(reload.destroyed == [client.key])
        let event = try #require(reload.events.first)
        #expect((event.verdict, event.reason, event.workload) == (.deny, .revoked, "train"))
        #expect(scenario.broker.flows[client.key] == nil)
        #expect(scenario.pass(.seconds(11)).expiring == [])
    }

    /// Else they would be judged as what was open before, which needs no proof.
    @Test func aCgroupThatMovesTakesItsFlightsAlong() throws {
        var (scenario, client) = try Self.held()
        var nested = try Scenario.inspected(Self.all, "nested")
        nested.cgroup = try CgroupGlob("train")
        var old = try Scenario.inspected(Self.all)
        old.cgroup = try CgroupGlob("elsewhere")
        let reload = try scenario.load([old, nested])
        #expect(reload.contains(.unstamp([10])))
        #expect(reload.destroyed == [client.key])
        #expect(reload.answers == [.drop])
        #expect(reload.events.map(\.workload) == ["train"])
        #expect(scenario.broker.flows[client.key] == nil)
    }

    @Test func anotherWorkloadsFlightsStay() throws {
        var (scenario, client) = try Self.held()
        _ = try scenario.load([try Scenario.inspected(Self.all), try Scenario.workload("other")])
        let reload = try scenario.load([try Scenario.inspected(Self.all)])
        #expect(reload.destroyed == [])
        #expect(try Self.finish(&scenario, client).stamps == [.allowed])
    }

    // MARK: Approvals by name

    /// A workload without rules, a name of which was approved for a protocol, or for what nobody said.
    private static func granted(
        _ application: ApplicationProtocol?,
        rules: [String] = [],
    ) throws -> (Scenario, Client, Grant) {
        var scenario = try Scenario.inspecting(rules)
        let name = try DomainName("mirror.example.org")
        _ = scenario.ask(try Scenario.destination("203.0.113.200", 9))
        let identity = try #require(scenario.broker.assignments["train"]).identity
        let question = DNSQuestion(name: DNSName(name), type: .a)
        let decision = scenario.broker.mayAsk(identity, question, at: scenario.now)
        _ = scenario.broker.note(identity, question, decision, local: Scenario.facts("/train"), at: scenario.now)
        let request = try #require(scenario.broker.requestSummaries.first { $0.subject.name != nil })
        let (grant, _) = try scenario.approve(request.id, application: application).get()
        try scenario.pin("mirror.example.org", FlightTests.address)
        return (scenario, try Client(FlightTests.address), grant)
    }

    @Test func aProtocolIsApprovedForItsTransportAlone() throws {
        var (scenario, _, grant) = try Self.granted(nil)
        let id = try #require(grant.request)
        let both = [Transport.tcp, .udp].map { ServicePort(transport: $0, port: 8443) }
        for (ports, application, needed) in [
            (nil, .quic, "quic is not spoken over tcp: it needs --ports 443/udp"),
            (Set(both), .tls, "tls is not spoken over udp: it needs --ports 8443/tcp"),
        ] as [(Set<ServicePort>?, ApplicationProtocol, String)] {
            guard case .failure(let error) = scenario.approve(id, ports: ports, application: application) else {
                Issue.record("approved what nobody can speak")
                continue
            }
            #expect(error.description == needed)
        }
        #expect(try scenario.approve(id, ports: Set(both), application: .any).get().0.ports == Set(both))
    }

    @Test func anApprovedNameIsToBeProvedByTLS() throws {
        var (scenario, client, grant) = try Self.granted(nil)
        let actions = try scenario.say(FirstBytes.tls("mirror.example.org"), of: client)
        #expect(actions.stamps == [.allowed])
        let event = try #require(actions.events.first)
        #expect((event.reason, event.rule, event.name) == (.grant, "grant \(grant.id)", "mirror.example.org"))
        let wrong = try scenario.say(FirstBytes.tls("other.example.org"), of: client.from(41_000))
        #expect(wrong.events.map(\.reason) == [.wrongName])
        #expect(wrong.events.map(\.rule) == ["grant \(grant.id)"])
        let http = try scenario.say(FirstBytes.http("mirror.example.org"), of: client.from(42_000))
        #expect(http.events.map(\.reason) == [.wrongProtocol])
        #expect(http.stamps == [.denied])
    }

    @Test func anApprovedNameMayBeForAnythingOrForOneThing() throws {
        var (scenario, client, _) = try Self.granted(.any)
        let plain = try scenario.send(client.syn(), of: client)
        #expect(plain.added("answers4").map(\.state) == [.allowed])
        (scenario, client, _) = try Self.granted(.ssh)
        #expect(try scenario.say(FirstBytes.ssh, of: client).stamps == [.allowed])
        let wrong = try scenario.say(FirstBytes.tls("mirror.example.org"), of: client.from(41_000))
        #expect(wrong.events.map(\.reason) == [.wrongProtocol])
    }

    @Test func anApprovalStandsBesideTheRules() throws {
        var (scenario, client, grant) = try Self.granted(nil, rules: Self.all)
        try scenario.pin("packages.example.org", FlightTests.address)
        let byRule = try scenario.say(Self.hello, of: client)
        #expect(byRule.events.map(\.rule) == ["web"])
        let byGrant = try scenario.say(FirstBytes.tls("mirror.example.org"), of: client.from(41_000))
        #expect(byGrant.events.map(\.rule) == ["grant \(grant.id)"])
        #expect(byGrant.stamps == [.allowed])
        #expect(try scenario.say(FirstBytes.tls("x.example"), of: client.from(42_000)).stamps == [.denied])
    }

    @Test func anApprovalThatEndsMeanwhileIsNone() throws {
        var (scenario, client, grant) = try Self.granted(nil)
        let hello = FirstBytes.tls("mirror.example.org")
        _ = try scenario.say(Array(hello[..<60]), of: client)
        _ = try scenario.broker.revoke(grant: grant.id, reason: nil, actor: "root", at: scenario.now).get()
        let actions = try scenario.send(client.segment(hello[60...], at: 60), of: client)
        #expect(actions.stamps == [.denied])
        #expect(actions.events.map(\.verdict) == [.deny])
    }
}
