import Model
import Policy
import Ruleset
import Testing
import Wire

@testable import Broker

/// Connections that are looked at and always pass.
struct FlightObserveTests {
    /// A host that observes, a workload that observes, and nobody's process that is observed.
    enum Case: CaseIterable {
        case host, workload, nobody
    }

    private static func start(_ what: Case, _ port: UInt16 = 443) throws -> (Scenario, Client) {
        let settings = Broker.Settings(observesOnly: what == .host, unidentified: .observe)
        let rules = what == .host ? FlightTests.rules : []
        var scenario = try Scenario.inspecting(rules, unknown: what == .workload ? .observe : .deny, settings: settings)
        try scenario.pin("packages.example.org", FlightTests.address)
        var client = try Client(FlightTests.address, port)
        if what == .nobody { client.sender = Scenario.facts("/host") }
        return (scenario, client)
    }

    @Test(arguments: Case.allCases, [443, 9999] as [UInt16])
    func whatItIsIsTold(_ what: Case, _ port: UInt16) throws {
        for (bytes, application) in [
            (FirstBytes.stratum, "stratum"), (FirstBytes.ssh, "ssh"), (FirstBytes.tls("other.example.org"), "tls"),
            (FirstBytes.tls(nil), "tls"), ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "unknown"),
        ] {
            var (scenario, client) = try Self.start(what, port)
            let begun = try scenario.send(client.syn(), of: client)
            #expect(begun.added("answers4").map(\.state) == [.inspecting])
            #expect(begun.events == [])
            let actions = try scenario.send(client.segment(bytes), of: client)
            #expect(actions.stamps == [.observed])
            #expect(actions.answers == [.again])
            #expect(actions.destroyed == [])
            let event = try #require(actions.events.first)
            #expect((event.verdict, event.reason) == (.observe, .observeMode) || what == .nobody)
            #expect((event.verdict, event.application) == (.observe, application))
            let findings: [String: Finding] = ["stratum": .miningStratum, "ssh": .sshOnWrongPort]
            #expect(event.finding == findings[application])
        }
    }

    @Test(arguments: Case.allCases)
    func nothingIsRefusedForItsManners(_ what: Case) throws {
        // Other bytes for the same place.
        var (scenario, client) = try Self.start(what)
        let hello = FirstBytes.recorded("curl-tls")
        _ = try scenario.send(client.syn(), of: client)
        _ = try scenario.send(client.segment(hello[..<100]), of: client)
        let conflict = try scenario.send(client.segment([0, 0, 0]), of: client)
        #expect(conflict.stamps == [.observed])
        #expect(conflict.answers == [.again, .again])
        // A part, and no more.
        (scenario, client) = try Self.start(what)
        _ = try scenario.say(Array(hello[..<100]), of: client)
        let late = scenario.pass(.milliseconds(5))
        #expect(late.stamps == [.observed])
        #expect(late.answers == [.again], "TCP would send no more of it")
        #expect(late.events.filter { $0.flight != nil }.map(\.verdict) == [.observe])
        // A server that speaks first.
        (scenario, client) = try Self.start(what)
        _ = try scenario.send(client.syn(), of: client)
        let greeting = try scenario.send(client.greeting("220 mail.example ESMTP\r\n"), of: client)
        #expect(greeting.destroyed == [])
        // Where nothing is expected of it, more lines may come before it says what it is.
        #expect(greeting.answers == [what == .host ? .again : .pass])
        #expect(greeting.stamps == (what == .host ? [.observed] : []))
    }

    @Test(arguments: [Case.workload, .nobody])
    func whoSaysNothingStays(_ what: Case) throws {
        var (scenario, client) = try Self.start(what)
        _ = try scenario.send(client.syn(), of: client)
        let actions = scenario.pass(.seconds(11))
        #expect(actions.expiring == [])
        #expect(actions.stamps == [.observed])
        #expect(actions.destroyed == [])
        #expect(actions.events.filter { $0.flight != nil }.map(\.message) == ["no whole first flight within 10 s"])
    }

    @Test func whoSaysNothingStaysOnAHostThatObserves() throws {
        var (scenario, client) = try Self.start(.host)
        _ = try scenario.send(client.syn(), of: client)
        let actions = scenario.pass(.seconds(11))
        #expect(actions.expiring == [], "it would be closed")
        #expect(actions.stamps == [.observed])
        #expect(actions.destroyed == [])
    }

    @Test(arguments: Case.allCases)
    func theEndOfTheClientLeavesTheServer(_ what: Case) throws {
        var (scenario, client) = try Self.start(what)
        _ = try scenario.send(client.syn(), of: client)
        let actions = try scenario.send(client.segment([], at: 0, [.fin, .ack]), of: client)
        #expect(actions.answers == [.pass])
        #expect(actions.stamps == [.observed])
        #expect(actions.events.count == 1)
    }

    @Test(arguments: Case.allCases)
    func theLimitRefusesNothing(_ what: Case) throws {
        var (scenario, client) = try Self.start(what)
        for port in 0..<4096 {
            let client = client.from(UInt16(10_000 + port))
            _ = try scenario.send(client.syn(), of: client)
        }
        let beyond = try scenario.send(client.syn(), of: client)
        #expect(beyond.added("answers4").map(\.state) == [.observed])
        #expect(beyond.added("denied4") == [])
        #expect(beyond.events.map(\.verdict) == [.observe])
    }

    @Test func whatIsAllowedIsAllowed() throws {
        var (scenario, client) = try Self.start(.host)
        let actions = try scenario.say(FirstBytes.tls("packages.example.org"), of: client)
        #expect(actions.stamps == [.allowed])
        #expect(actions.events.map(\.verdict) == [.allow])
    }

    /// What cannot be waited for is refused elsewhere.
    @Test func anAnswerToSomebodyElsePassesToo() throws {
        var (scenario, client) = try Self.start(.host)
        let reply = scenario.ask(client.destination, .reply, opens: false)
        #expect(reply.events.map(\.verdict).allSatisfy { $0 == .observe })
        #expect(reply.added("denied4") == [])
        (scenario, client) = try FlightTests.start()
        let refused = scenario.ask(client.destination, .reply, opens: true)
        #expect(refused.events.map(\.reason) == [.wrongProtocol])
        #expect(refused.added("denied4").count == 1)
    }

    @Test func aPacketThatCannotBeReadIsNotWaitedFor() throws {
        var (scenario, client) = try Self.start(.host)
        #expect(scenario.ask(client.destination).events.map(\.verdict) == [.observe])
        (scenario, client) = try FlightTests.start()
        #expect(scenario.ask(client.destination).events.map(\.reason) == [.wrongProtocol])
    }

    /// Of a flow of datagrams only what it was allowed for goes on when nothing is observed any longer.
    @Test(arguments: [("packages.example.org", Verdict.allow), ("other.example.org", .observe)])
    func whatWasObservedIsNotProved(_ name: String, _ verdict: Verdict) throws {
        let settings = Broker.Settings(observesOnly: true, unidentified: .deny)
        let rules = ["web packages.example.org 443/udp quic"]
        var scenario = try Scenario.inspecting(rules, settings: settings)
        try scenario.pin("packages.example.org", FlightTests.address)
        let client = try Client(FlightTests.address, 443, .udp)
        let first = try scenario.send(client.datagram(FirstBytes.quic(name)), of: client)
        #expect(first.events.map(\.verdict) == [verdict])
        _ = scenario.pass(.seconds(3))
        _ = try scenario.load([try Scenario.inspected(rules)], settings: Broker.Settings(unidentified: .deny))
        // The short header of an open connection.
        let next = try scenario.send(client.datagram([0x42, 1, 2, 3]), of: client)
        #expect(next.added("answers4").map(\.state) == [verdict == .allow ? .allowed : .denied])
        #expect(next.events.map(\.reason) == (verdict == .allow ? [] : [.wrongProtocol]))
    }
}
