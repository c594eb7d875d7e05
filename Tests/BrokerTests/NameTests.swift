import Model
import Policy
import Ruleset
import Testing
import Wire

@testable import Broker

/// Names: who may ask for what, what becomes of the answers, and how long they count.
struct NameTests {
    private static let given = IPAddress.v4(0x5db8_d822)
    private static let other = IPAddress.v4(0x5db8_d823)

    private static func workload(
        _ names: [String],
        deny: [String] = [],
        ports: [String] = ["443"],
        addresses: [String] = [],
        application: ApplicationProtocol = .any,
        executable: String? = nil,
        unknown: UnknownMode = .deny,
    ) throws -> Workload {
        var workload = try Scenario.workload(allow: addresses, unknown: unknown)
        let ports = try ports.map { try PortSpec($0) }
        if !names.isEmpty {
            workload.allow.append(
                Rule(
                    name: "names",
                    targets: try targets(names),
                    ports: ports,
                    application: application,
                    executable: executable
                ),
            )
        }
        if !deny.isEmpty { workload.deny = [Rule(name: "no", targets: try targets(deny), ports: [.any])] }
        return workload
    }

    private static func targets(_ texts: [String]) throws -> [Target] {
        try texts.map { text in
            if let address = IPAddress(text) { return .prefix(AddressPrefix(address)) }
            return .name(try NamePattern(text))
        }
    }

    private static func question(_ name: String, _ type: DNSType = .a) throws -> DNSQuestion {
        DNSQuestion(name: DNSName(try DomainName(name)), type: type)
    }

    /// A scenario whose workload is known, and its identity.
    private static func start(_ workload: Workload) throws -> (Scenario, Identity) {
        var scenario = try Scenario([workload])
        _ = scenario.ask(try Scenario.destination("203.0.113.200", 9), from: Scenario.facts("/train"))
        let identity = try #require(scenario.broker.assignments["train"]).identity
        return (scenario, identity)
    }

    private static func release(
        _ scenario: inout Scenario,
        _ identity: Identity,
        _ name: String,
        _ addresses: [IPAddress],
        timeToLive: UInt32 = 60,
    ) throws -> (withheld: Set<IPAddress>, actions: [BrokerAction]) {
        scenario.broker.release(
            identity,
            try question(name),
            addresses,
            timeToLive: timeToLive,
            at: scenario.now,
        )
    }

    private static func destination(_ address: IPAddress, _ port: UInt16 = 443) -> Destination {
        Destination(address: address, port: port, transport: .tcp)
    }

    @Test func aNameThatNoRuleAllowsIsRefusedAndCounted() throws {
        var (scenario, identity) = try Self.start(try Self.workload(["packages.example.org"]))
        let evil = try Self.question("evil.example")
        let decision = scenario.broker.mayAsk(identity, evil, at: scenario.now)
        #expect((decision.verdict, decision.reason) == (.deny, .nameNotAllowed))
        let before = scenario.broker.isRefusedAgain(identity, evil)
        #expect(!before)
        let actions = scenario.broker.note(identity, evil, decision, local: Scenario.facts("/train"), at: scenario.now)
        let event = try #require(actions.events.first)
        #expect((event.name, event.destination, event.workload) == ("evil.example", nil, "train"))
        #expect(event.process?.executable == "/usr/bin/curl")
        let repeated = (0..<2).map { _ in scenario.broker.isRefusedAgain(identity, evil) }
        #expect(repeated == [true, true])
        let told = scenario.pass(.seconds(11)).events.filter { $0.name == "evil.example" }
        #expect(told.map(\.count) == [2])
        #expect(told.first?.process == nil && told.first?.application == "dns")
        #expect(told.first?.message == "repetitions within 10 s: their programs are not known")
        let request = try #require(scenario.broker.requestSummaries.first { $0.subject.name != nil })
        #expect(request.count == 3)
    }

    /// No denial is lost when the window of a name ends before its time.
    @Test(arguments: ["approval", "stop"])
    func whatARefusedNameWasCountedIsTold(_ end: String) throws {
        var (scenario, identity) = try Self.start(try Self.workload(["packages.example.org"]))
        let (evil, other) = (try Self.question("evil.example"), try Self.question("other.example"))
        for question in [evil, other] {
            let decision = scenario.broker.mayAsk(identity, question, at: scenario.now)
            _ = scenario.broker.note(identity, question, decision, local: nil, at: scenario.now)
            for _ in 0..<49 {
                let isCounted = scenario.broker.isRefusedAgain(identity, question)
                #expect(isCounted)
            }
        }
        let request = try #require(scenario.broker.requestSummaries.first { $0.subject.name?.text == "evil.example" })
        let actions =
            end == "stop" ? scenario.broker.closeWindows(at: scenario.now) : try scenario.approve(request.id).get().1
        let told = actions.events.filter { $0.verdict == .deny }
        let names = Set(told.map(\.name))
        #expect(names == (end == "stop" ? ["evil.example", "other.example"] : ["evil.example"]))
        #expect(told.allSatisfy { $0.count == 49 })
        #expect(scenario.broker.requestSummaries.first { $0.id == request.id }?.count == 50)
        #expect(scenario.broker.closeWindows(at: scenario.now).events.count == (end == "stop" ? 0 : 1))
    }

    @Test(arguments: [
        (DNSType.txt, "packages.example.org"), (.any, "packages.example.org"), (.a, "x.packages.example.org"),
    ])
    func whatTheRuleDoesNotSayIsRefused(_ type: DNSType, _ name: String) throws {
        var (scenario, identity) = try Self.start(try Self.workload(["packages.example.org"]))
        let decision = scenario.broker.mayAsk(identity, try Self.question(name, type), at: scenario.now)
        #expect(decision.reason == .nameNotAllowed)
    }

    @Test func anAnswerIsPinnedBeforeItIsReleased() throws {
        var (scenario, identity) = try Self.start(try Self.workload(["packages.example.org"]))
        let destination = Self.destination(Self.given)
        #expect(scenario.ask(destination).events.map(\.verdict) == [.deny])
        let (withheld, actions) = try Self.release(&scenario, identity, "packages.example.org", [Self.given])
        #expect(withheld.isEmpty)
        #expect(actions.added("pins4").map(\.key) == [Elements.request(identity, destination).key])
        // At least an hour, whatever the TTL.
        #expect(actions.added("pins4").allSatisfy { $0.timeout >= 3_600_000 })
        let decision = scenario.broker.decide(identity, destination, nil)
        #expect((decision.verdict, decision.rule, decision.name?.text) == (.allow, "names", "packages.example.org"))
        #expect(scenario.broker.decide(identity, Self.destination(Self.given, 22), nil).verdict == .deny)
        #expect(scenario.broker.decide(identity, Self.destination(Self.other), nil).verdict == .deny)
        // The same again changes nothing.
        let again = try Self.release(&scenario, identity, "packages.example.org", [Self.given])
        #expect(again.actions.isEmpty)
    }

    @Test(arguments: [ApplicationProtocol.tls, .http, .ssh])
    func whatMustBeProvedIsPinnedButNotInTheKernel(_ application: ApplicationProtocol) throws {
        let workload = try Self.workload(["packages.example.org"], application: application)
        var (scenario, identity) = try Self.start(workload)
        let (withheld, actions) = try Self.release(&scenario, identity, "packages.example.org", [Self.given])
        #expect(withheld.isEmpty)
        #expect(actions.changes.isEmpty)
        #expect(scenario.broker.pinSummaries().map(\.address) == [Self.given])
        let decision = scenario.broker.decide(identity, Self.destination(Self.given), nil)
        #expect((decision.verdict, decision.protocols) == (.allow, [application]))
        // What is open was proved when it began.
        let open = scenario.broker.decide(identity, Self.destination(Self.given), nil, isOpen: true)
        #expect((open.isPlain, open.rule) == (true, "names"))
    }

    @Test(arguments: ["10.0.0.1", "127.0.0.1", "::1", "169.254.169.254", "64:ff9b::a9fe:a9fe"])
    func aSpecialAddressIsWithheld(_ text: String) throws {
        var (scenario, identity) = try Self.start(try Self.workload(["packages.example.org"]))
        let special = try #require(IPAddress(text))
        let (withheld, actions) = try Self.release(&scenario, identity, "packages.example.org", [special, Self.given])
        #expect(withheld == [special])
        #expect(actions.events.map(\.reason) == [.specialAddress])
        #expect(actions.events.map(\.name) == ["packages.example.org"])
        // Nobody asked for a port of it.
        #expect(actions.events.map(\.answer) == [special] && actions.events.first?.destination == nil)
        #expect(actions.events.first?.message?.contains("address (") == true)
        #expect(scenario.broker.pinSummaries().map(\.address) == [Self.given])
    }

    @Test func aSpecialAddressThatARuleAllowsIsGivenOut() throws {
        var (scenario, identity) = try Self.start(
            try Self.workload(["packages.example.org"], addresses: ["inside 10.0.0.0/8 443"]),
        )
        let inside = IPAddress.v4(0x0a00_0001)
        let withheld = try Self.release(&scenario, identity, "packages.example.org", [inside]).withheld
        #expect(withheld.isEmpty)
    }

    @Test func denyBeatsPins() throws {
        let names = ["packages.example.org"]
        var (scenario, identity) = try Self.start(try Self.workload(names, deny: ["93.184.216.34"]))
        let actions = try Self.release(&scenario, identity, "packages.example.org", [Self.given]).actions
        #expect(actions.added("pins4").isEmpty)
        #expect(scenario.broker.decide(identity, Self.destination(Self.given), nil).reason == .deniedByRule)
        // A reload takes what its new denies cover out of the kernel, and its connections are judged anew.
        (scenario, identity) = try Self.start(try Self.workload(names))
        _ = try Self.release(&scenario, identity, "packages.example.org", [Self.given])
        let reload = try scenario.load([try Self.workload(names, deny: ["93.184.216.34"])])
        #expect(reload.removed("pins4").count == 1)
        #expect(reload.rechecked == [identity])
    }

    @Test func aNameThatLeavesThePolicyTakesItsPinsAlong() throws {
        var (scenario, identity) = try Self.start(try Self.workload(["packages.example.org", "files.example.org"]))
        _ = try Self.release(&scenario, identity, "packages.example.org", [Self.given])
        _ = try Self.release(&scenario, identity, "files.example.org", [Self.given, Self.other])
        let reload = try scenario.load([try Self.workload(["packages.example.org"])])
        #expect(reload.removed("pins4").map(\.key) == [Elements.request(identity, Self.destination(Self.other)).key])
        #expect(reload.rechecked == [identity])
        #expect(scenario.broker.pinSummaries().map(\.name.text) == ["packages.example.org"])
    }

    @Test func aPinEndsAndWhatIsOpenStaysTied() throws {
        var (scenario, identity) = try Self.start(try Self.workload(["packages.example.org"]))
        _ = try Self.release(&scenario, identity, "packages.example.org", [Self.given])
        let destination = Self.destination(Self.given)
        let actions = scenario.pass(.seconds(3601))
        #expect(actions.removed("pins4").count == 1)
        #expect(scenario.broker.pinSummaries().isEmpty)
        #expect(scenario.broker.decide(identity, destination, nil).verdict == .deny)
        #expect(scenario.broker.mayGoOn(identity, to: destination) == true)
    }

    @Test func aPinIsProlongedByUse() throws {
        var (scenario, identity) = try Self.start(try Self.workload(["packages.example.org"]))
        _ = try Self.release(&scenario, identity, "packages.example.org", [Self.given])
        _ = scenario.pass(.seconds(3000))
        let packet = LoggedPacket(
            kind: .allowed,
            destination: Self.destination(Self.given),
            source: .v4(1),
            opensFlow: true,
            local: Scenario.facts("/train"),
        )
        let actions = scenario.broker.handle(packet, at: scenario.now)
        #expect(actions.events.map(\.name) == ["packages.example.org"])
        // A pin can end while no daemon runs: nothing that outlives it may let its connections through.
        #expect(actions.added("lately4").isEmpty)
        #expect(actions.added("seen4").count == 1)
        _ = scenario.pass(.seconds(3000))
        #expect(scenario.broker.decide(identity, Self.destination(Self.given), nil).verdict == .allow)
    }

    @Test func manyPortsAreForTheBrokerAlone() throws {
        var (scenario, identity) = try Self.start(try Self.workload(["packages.example.org"], ports: ["9000-9100"]))
        let actions = try Self.release(&scenario, identity, "packages.example.org", [Self.given]).actions
        #expect(actions.added("pins4").isEmpty)
        #expect(scenario.broker.decide(identity, Self.destination(Self.given, 9050), nil).verdict == .allow)
    }

    @Test func pinsAreBounded() throws {
        var (scenario, identity) = try Self.start(try Self.workload(["*.example.org"]))
        for number in 0..<200 {
            let address = IPAddress.v4(0x5db8_0000 + UInt32(number))
            scenario.now = scenario.now + .seconds(1)
            _ = try Self.release(&scenario, identity, "a.example.org", [address])
        }
        let pins = scenario.broker.pinSummaries()
        #expect(pins.count == PinTable.addressLimit)
        // The oldest went.
        #expect(!pins.contains { $0.address == .v4(0x5db8_0000) })
        #expect(pins.contains { $0.address == .v4(0x5db8_0000 + 199) })
    }

    @Test func aNameIsApprovedAndRevoked() throws {
        var (scenario, identity) = try Self.start(try Self.workload([]))
        let question = try Self.question("mirror.example.org")
        let decision = scenario.broker.mayAsk(identity, question, at: scenario.now)
        _ = scenario.broker.note(identity, question, decision, local: Scenario.facts("/train"), at: scenario.now)
        let request = try #require(scenario.broker.requestSummaries.first { $0.subject.name != nil })
        let (grant, _) = try scenario.approve(request.id, application: .any).get()
        #expect(grant.subject == .name(try DomainName("mirror.example.org")))
        let granted = scenario.broker.mayAsk(identity, question, at: scenario.now)
        #expect(granted.reason == .grant)
        let actions = try Self.release(&scenario, identity, "mirror.example.org", [Self.given]).actions
        #expect(actions.added("pins4").count == 1)
        let destination = Self.destination(Self.given)
        #expect(scenario.broker.decide(identity, destination, nil).reason == .grant)
        let revoked = try scenario.broker.revoke(grant: grant.id, reason: nil, actor: "root", at: scenario.now).get()
        #expect(revoked.removed("pins4").count == 1)
        #expect(revoked.cut == [destination])
        let after = scenario.broker.mayAsk(identity, question, at: scenario.now)
        #expect(after.verdict == .deny)
        #expect(scenario.broker.decide(identity, destination, nil).verdict == .deny)
    }

    @Test func exactNamesAreAskedForAheadAndWildcardsNot() throws {
        var (scenario, identity) = try Self.start(try Self.workload(["packages.example.org", "*.example.net"]))
        _ = try Self.release(&scenario, identity, "packages.example.org", [Self.given], timeToLive: 30)
        _ = try Self.release(&scenario, identity, "a.example.net", [Self.other], timeToLive: 30)
        let asked = scenario.pass(.seconds(32)).compactMap { action -> DNSQuestion? in
            if case .refresh(_, let question) = action { question } else { nil }
        }
        #expect(asked == [try Self.question("packages.example.org")])
    }

    @Test func manyDifferentNamesAreATunnel() throws {
        var (scenario, identity) = try Self.start(try Self.workload([]))
        var findings: [Finding] = []
        for number in 0..<40 {
            let question = try Self.question("x\(number).tunnel.example")
            let decision = scenario.broker.mayAsk(identity, question, at: scenario.now)
            let actions = scenario.broker.note(identity, question, decision, local: nil, at: scenario.now)
            findings += actions.events.compactMap(\.finding)
        }
        #expect(findings == [.dnsTunnel])
    }

    @Test func namesBelowWildcardsAreBudgeted() throws {
        var (scenario, identity) = try Self.start(try Self.workload(["index.example.net", "*.example.net"]))
        scenario.broker.settings.nameBudget = 3
        func verdict(_ name: String, _ type: DNSType = .a) throws -> Decision {
            scenario.broker.mayAsk(identity, try Self.question(name, type), at: scenario.now)
        }
        for number in 0..<3 { #expect(try verdict("a\(number).example.net").verdict == .allow) }
        let beyond = try verdict("a3.example.net")
        #expect((beyond.verdict, beyond.reason) == (.deny, .limit))
        // What was asked for already, of any type, and what a rule gives without a wildcard.
        for (name, type) in [("a0.example.net", DNSType.a), ("a1.example.net", .aaaa), ("index.example.net", .a)] {
            #expect(try verdict(name, type).verdict == .allow)
        }
        let question = try Self.question("a3.example.net")
        let event = scenario.broker.note(identity, question, beyond, local: nil, at: scenario.now).events.first
        #expect((event?.finding, event?.reason, event?.rule) == (.dnsTunnel, .limit, "names"))
        scenario.now = scenario.now + NameBudget.span
        #expect(try verdict("a3.example.net").verdict == .allow)
    }

    @Test func whatAPinnedAddressIsCalledMayBeAsked() throws {
        var (scenario, identity) = try Self.start(try Self.workload(["packages.example.org"]))
        let question = try Self.question("34.216.184.93.in-addr.arpa", .ptr)
        let before = scenario.broker.mayAsk(identity, question, at: scenario.now)
        #expect(before.verdict == .deny)
        _ = try Self.release(&scenario, identity, "packages.example.org", [Self.given])
        let after = scenario.broker.mayAsk(identity, question, at: scenario.now)
        #expect(after.verdict == .allow)
    }

    @Test func pinsOutliveTheDaemon() throws {
        var (scenario, identity) = try Self.start(try Self.workload(["packages.example.org"]))
        _ = try Self.release(&scenario, identity, "packages.example.org", [Self.given])
        let stored = scenario.broker.pinSummaries()
        var (next, again) = try Self.start(try Self.workload(["packages.example.org"]))
        let changes = next.broker.restore(stored, at: next.now)
        #expect(changes.flatMap(\.add).count == 1)
        #expect(next.broker.decide(again, Self.destination(Self.given), nil).verdict == .allow)
        var (narrower, _) = try Self.start(try Self.workload(["files.example.org"]))
        let none = narrower.broker.restore(stored, at: narrower.now)
        #expect(none.isEmpty)
    }
}
