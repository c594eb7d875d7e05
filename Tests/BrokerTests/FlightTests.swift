import Model
import Policy
import Ruleset
import Testing

@testable import Broker

/// What a connection says first decides what becomes of it.
struct FlightTests {
    static let rules = [
        "web packages.example.org 443 tls", "plain packages.example.org 80 http", "git packages.example.org 22 ssh",
    ]
    static let address = "93.184.216.34"

    /// A workload with a pinned address, and a client that goes there.
    static func start(
        _ address: String = address,
        _ port: UInt16 = 443,
        settings: Broker.Settings = Broker.Settings(unidentified: .deny),
    ) throws -> (Scenario, Client) {
        var scenario = try Scenario.inspecting(rules, settings: settings)
        try scenario.pin("packages.example.org", address)
        return (scenario, try Client(address, port))
    }

    @Test(arguments: [address, "2606:2800::1"])
    func aConnectionMayBegin(_ address: String) throws {
        var (scenario, client) = try Self.start(address)
        let actions = try scenario.send(client.syn(), of: client)
        #expect(actions.answers == [.again])
        #expect(actions.events == [])
        let set = address == Self.address ? "answers4" : "answers6"
        let element = try #require(actions.added(set).first)
        #expect(element.state == .inspecting)
        // The next connection from this port is another.
        #expect(actions.changesAfter == [ElementChange(set: set, remove: [element])])
        #expect(try scenario.send(client.segment([]), of: client).answers == [.pass])
        let again = try scenario.send(client.syn(), of: client)
        #expect(again.added(set) == [element], "the SYN was sent again")
        #expect(again.changesAfter.flatMap(\.remove) == [element])
    }

    /// Who says it first does not lend its name to those who say it after.
    @Test func repetitionsAreCountedForEachProgram() throws {
        var (scenario, client) = try Self.start()
        let tunnel = ["ssh", "-N", "-R", "9000:localhost:22", "packages.example.org"]
        var told: [Event] = []
        for (number, command) in [["ssh", "git@host"], tunnel, tunnel, tunnel].enumerated() {
            client.port = 40_000 + UInt16(number)
            client.sender = Scenario.facts("/train", command: command)
            client.sender.process?.pid = 100 + Int32(number)
            told += try scenario.say(Array("SSH-2.0-x\r\n".utf8), of: client).events
        }
        #expect(told.map(\.process?.command.count) == [2, 5])
        #expect(told.map(\.finding) == [.sshOnWrongPort, .reverseSSHTunnel])
        let reports = scenario.pass(.seconds(10)).events
        let report = try #require(reports.first)
        #expect(reports.count == 1 && report.count == 2 && report.finding == .reverseSSHTunnel)
        // There were several processes with this command line.
        #expect(report.process == ProcessRecord(executable: "/usr/bin/ssh", command: tunnel))
        #expect(report.application == "ssh" && report.request == told.first?.request)
        #expect(report.message?.hasSuffix("repetitions within 10 s, of the same program") == true)
    }

    @Test(arguments: ["curl-tls", "git-tls", "go-tls", "node-tls"], [address, "2606:2800::1"])
    func theRightNamePasses(_ recorded: String, _ address: String) throws {
        var (scenario, client) = try Self.start(address)
        let actions = try scenario.say(FirstBytes.recorded(recorded), of: client)
        #expect(actions.stamps == [.allowed])
        #expect(actions.contains(.stamp(client.key, scenario.broker.assignment(.init(number: 16)).stamp(.allowed), 0)))
        #expect(actions.answers == [.again])
        #expect(actions.destroyed == [])
        let event = try #require(actions.events.first)
        #expect((event.verdict, event.reason, event.rule) == (.allow, .rule, "web"))
        #expect((event.name, event.application) == ("packages.example.org", "tls"))
        #expect(event.flight?.serverName == "packages.example.org")
        #expect(event.flight?.ja4?.hasPrefix("t1") == true)
        #expect(event.flight?.excerpt == nil)
        #expect((event.finding, event.message, event.request) == (nil, nil, nil))
        #expect(event.process?.executable == "/usr/bin/curl")
        #expect(scenario.broker.flows[client.key] == nil)
        // Whatever came meanwhile passes by the stamp.
        #expect(scenario.broker.flows.earliest == nil || scenario.pass(.seconds(11)).answers == [])
    }

    private static let wrongNames: [(String?, Bool, String)] = [
        ("other.example.org", false, "server name 'other.example.org'; 'packages.example.org' was expected"),
        (nil, false, "no server name; 'packages.example.org' was expected"),
        ("packages.example.org", true, "an encrypted server name (ECH); 'packages.example.org' was expected"),
        ("93.184.216.34", false, "an unreadable server name, '93.184.216.34'; 'packages.example.org' was expected"),
    ]

    @Test(arguments: wrongNames)
    func anotherNameDoesNot(_ name: String?, _ encrypted: Bool, _ message: String) throws {
        var (scenario, client) = try Self.start()
        let actions = try scenario.say(FirstBytes.tls(name, encrypted: encrypted), of: client)
        #expect(actions.stamps == [.denied])
        #expect(actions.answers == [.drop])
        #expect(actions.destroyed == [client.key])
        let event = try #require(actions.events.first)
        #expect((event.verdict, event.reason, event.rule) == (.deny, .wrongName, "web"))
        #expect((event.name, event.application, event.message) == ("packages.example.org", "tls", message))
        #expect(event.flight?.serverName == (encrypted ? nil : name))
        #expect(event.flight?.excerpt?.isEmpty == false)
        #expect(event.request == scenario.broker.requestSummaries.last?.id)
    }

    @Test(arguments: [443, 22] as [UInt16])
    func sshAndItsPort(_ port: UInt16) throws {
        var (scenario, client) = try Self.start(Self.address, port)
        let actions = try scenario.say(FirstBytes.ssh, of: client)
        let event = try #require(actions.events.first)
        #expect(event.application == "ssh")
        #expect(actions.stamps == [port == 22 ? .allowed : .denied])
        #expect(event.reason == (port == 22 ? .rule : .wrongProtocol))
        #expect(event.finding == (port == 22 ? nil : .sshOnWrongPort))
        #expect(event.rule == (port == 22 ? "git" : "web"))
        #expect(actions.answers == [port == 22 ? .again : .drop])
    }

    @Test func sshIsToldFromItsFirstBytes() throws {
        var (scenario, client) = try Self.start()
        let actions = try scenario.say("SSH-2", of: client)
        #expect(actions.events.map(\.reason) == [.wrongProtocol])
        #expect(actions.events.map(\.application) == ["ssh"])
    }

    @Test func minersAreFound() throws {
        var (scenario, client) = try Self.start()
        let actions = try scenario.say(FirstBytes.stratum, of: client)
        let event = try #require(actions.events.first)
        #expect((event.verdict, event.reason) == (.deny, .wrongProtocol))
        #expect((event.application, event.finding) == ("stratum", .miningStratum))
        #expect(event.flight?.excerpt?.contains("mining.subscribe") == true)
        #expect(actions.destroyed == [client.key])
        #expect(scenario.broker.requestSummaries.last?.finding == .miningStratum)
    }

    @Test(arguments: [
        ("curl-http", Verdict.allow, "http"), ("python-requests", .allow, "http"), ("curl-http2", .allow, "http"),
        ("curl-proxy", .deny, "http-connect"), ("curl-tls", .deny, "tls"),
    ])
    func http(_ recorded: String, _ verdict: Verdict, _ application: String) throws {
        var (scenario, client) = try Self.start(Self.address, 80)
        let actions = try scenario.say(FirstBytes.recorded(recorded), of: client)
        #expect(actions.events.map(\.verdict) == [verdict])
        #expect(actions.events.map(\.application) == [application])
        #expect(actions.events.map(\.reason) == [verdict == .allow ? .rule : .wrongProtocol])
    }

    @Test func anAddressThatARuleNamesNeedsItsProtocolAlone() throws {
        var scenario = try Scenario.inspecting(["inside 10.0.0.0/8 443 tls"])
        for (port, name) in [(1, nil), (2, "whatever.example")] as [(UInt16, String?)] {
            let actions = try scenario.say(FirstBytes.tls(name), of: try Client("10.1.2.3", 443).from(port))
            #expect(actions.stamps == [.allowed])
            #expect(actions.events.map(\.name) == [nil])
        }
        let actions = try scenario.say(FirstBytes.http("x.example"), of: try Client("10.1.2.3", 443).from(3))
        #expect(actions.events.map(\.reason) == [.wrongProtocol])
    }

    @Test func aDeniedServerNameIsDeniedByItsRule() throws {
        var workload = try Scenario.inspected(["inside 10.0.0.0/8 443 tls"])
        workload.deny = [Rule(name: "no", targets: [try Target("evil.example")], ports: [.any])]
        var scenario = try Scenario([workload])
        let actions = try scenario.say(FirstBytes.tls("evil.example"), of: try Client("10.1.2.3"))
        #expect(actions.stamps == [.denied])
        #expect(actions.events.map(\.reason) == [.deniedByRule])
        #expect(actions.events.map(\.rule) == ["no"])
    }

    @Test func likeOnesAreToldOfTogether() throws {
        var (scenario, client) = try Self.start()
        var events: [Event] = []
        for port: UInt16 in 41_000..<41_005 {
            events += try scenario.say(FirstBytes.tls("packages.example.org"), of: client.from(port)).events
        }
        for port: UInt16 in 42_000..<42_003 {
            events += try scenario.say(FirstBytes.tls("other.example.org"), of: client.from(port)).events
        }
        #expect(events.map(\.verdict) == [.allow, .deny])
        #expect(scenario.pass(.milliseconds(9_999)).events == [])
        let told = scenario.pass(.milliseconds(1)).events.filter { $0.flight != nil }
        #expect(told.map(\.count).sorted() == [2, 4])
        #expect(told.allSatisfy { $0.latencyMicroseconds == nil })
        let request = try #require(scenario.broker.requestSummaries.first { $0.reason == .wrongName })
        #expect(request.count == 3)
        #expect(scenario.broker.flightWindows.isEmpty)
        // The next one is told of at once.
        #expect(try scenario.say(FirstBytes.tls("other.example.org"), of: client.from(43_000)).events.count == 1)
    }

    @Test func whatWasCountedIsToldOfByADaemonThatStops() throws {
        var (scenario, client) = try Self.start()
        for port: UInt16 in 41_000..<41_003 {
            _ = try scenario.say(FirstBytes.tls("packages.example.org"), of: client.from(port))
        }
        let told = scenario.broker.closeWindows(at: scenario.now).events
        #expect(told.map(\.count) == [2])
        #expect(scenario.broker.closeWindows(at: scenario.now).events == [])
    }
}

extension Client {
    /// The same of another port.
    func from(_ port: UInt16) -> Client {
        var client = self
        client.port = port
        return client
    }
}
