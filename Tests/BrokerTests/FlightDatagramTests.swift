import Model
import Policy
import Ruleset
import Testing

@testable import Broker

/// First flights over UDP: held from the first datagram on.
struct FlightDatagramTests {
    private static func start(_ address: String = FlightTests.address) throws -> (Scenario, Client) {
        var scenario = try Scenario.inspecting(["web packages.example.org 443/udp quic"])
        try scenario.pin("packages.example.org", address)
        return (scenario, try Client(address, 443, .udp))
    }

    private static let right = FirstBytes.quic("packages.example.org")

    @Test(arguments: [FlightTests.address, "2606:2800::1"])
    func theRightNamePasses(_ address: String) throws {
        var (scenario, client) = try Self.start(address)
        let actions = try scenario.send(client.datagram(Self.right), of: client)
        let element = try #require(actions.added("answers").first)
        #expect(element.state == .allowed)
        #expect(actions.answers == [.again])
        #expect(actions.changesAfter.flatMap(\.remove) == [element])
        #expect((actions.stamps, actions.destroyed) == ([], []))
        let event = try #require(actions.events.first)
        #expect((event.verdict, event.rule, event.application) == (.allow, "web", "quic"))
        #expect(event.flight?.serverName == "packages.example.org")
        #expect(event.flight?.ja4?.hasPrefix("q") == true)
    }

    @Test(arguments: [("other.example.org", Reason.wrongName), (nil, .wrongName)] as [(String?, Reason)])
    func anotherNameDoesNot(_ name: String?, _ reason: Reason) throws {
        var (scenario, client) = try Self.start()
        let actions = try scenario.send(client.datagram(FirstBytes.quic(name)), of: client)
        #expect(actions.added("answers4").map(\.state) == [.denied])
        #expect(actions.answers == [.again], "it is refused by the rules, which tell its sender")
        #expect(actions.changesAfter == [], "what follows is refused without being asked about")
        #expect(actions.events.map(\.reason) == [reason])
    }

    @Test(arguments: [[UInt8](repeating: 0x40, count: 1200), [], [0xc0, 0, 0, 0, 9], Array("d1:ad2:id20:".utf8)])
    func whatIsNoQUICIsDenied(_ bytes: [UInt8]) throws {
        var (scenario, client) = try Self.start()
        let actions = try scenario.send(client.datagram(bytes), of: client)
        #expect(actions.added("answers4").map(\.state) == [.denied])
        #expect(actions.events.map(\.reason) == [.wrongProtocol])
    }

    @Test func severalDatagramsPassTogether() throws {
        var (scenario, client) = try Self.start()
        let hello = FirstBytes.hello("packages.example.org")
        let first = FirstBytes.quic(hello[50...], at: 50)
        #expect(try scenario.send(client.datagram(first), of: client).answers == [])
        let last = try scenario.send(client.datagram(FirstBytes.quic(hello[..<50], at: 0, number: 1)), of: client)
        #expect(last.answers == [.again, .again])
        #expect(last.added("answers4").map(\.state) == [.allowed])
        #expect(last.events.count == 1)
    }

    /// They were on their way to the broker when the flight was judged.
    @Test func whatWaitedBehindAnAllowedFlightBelongsToIt() throws {
        var (scenario, client) = try Self.start()
        let element = try scenario.send(client.datagram(Self.right), of: client).added("answers4")
        for _ in 0..<20 {
            let more = try scenario.send(client.datagram([0xd0, 0, 0, 0, 1, 8]), of: client)
            #expect(more.added("answers4") == element)
            #expect(more.changesAfter.flatMap(\.remove) == element)
            #expect(more.answers == [.again])
            #expect(more.events == [])
        }
        // Another socket's are not.
        let other = try scenario.send(client.from(41_000).datagram([0xd0, 0, 0, 0, 1, 8]), of: client.from(41_000))
        #expect(other.events.map(\.verdict) == [.deny])
        // Nor what comes when the flow was forgotten.
        _ = scenario.pass(.seconds(3))
        let late = try scenario.send(client.datagram([0xd0, 0, 0, 0, 1, 8]), of: client)
        #expect(late.added("answers4").map(\.state) == [.denied])
    }

    @Test func aReloadForgetsWhatPassed() throws {
        var (scenario, client) = try Self.start()
        _ = try scenario.send(client.datagram(Self.right), of: client)
        _ = try scenario.load([
            try Scenario.inspected(["web packages.example.org 443/udp quic", "x 192.0.2.1 443 tls"])
        ])
        let more = try scenario.send(client.datagram([0xd0, 0, 0, 0, 1, 8]), of: client)
        #expect(more.events.map(\.verdict) == [.deny])
    }

    /// The kernel would not take another answer for the same attempt.
    @Test func whatFollowsARefusedDatagramIsRefused() throws {
        var (scenario, client) = try Self.start()
        let denied = try scenario.send(client.datagram(FirstBytes.quic("other.example.org")), of: client)
        let next = try scenario.send(client.datagram(Self.right), of: client)
        #expect(next.added("answers4") == denied.added("answers4"))
        #expect(next.answers == [.again])
        #expect(next.events == [])
        _ = scenario.pass(.seconds(3))
        #expect(try scenario.send(client.datagram(Self.right), of: client).events.map(\.verdict) == [.allow])
    }

    @Test func anotherAnswerWaitsForTheEndOfTheFirst() throws {
        var scenario = try Scenario.inspecting([], unknown: .observe)
        let client = try Client(FlightTests.address, 443, .udp)
        _ = try scenario.send(client.datagram(Self.right), of: client)
        // An approval puts what was observed under a rule without taking answers back.
        var workload = try Scenario.inspected(["web packages.example.org 443/udp quic"], unknown: .observe)
        workload.description = "x"
        let request = try #require(scenario.broker.requestSummaries.first { $0.subject.name == nil })
        #expect(request.verdict == .observe)
        scenario.broker.policies = try PolicySet([workload])
        try scenario.pin("packages.example.org", FlightTests.address)
        let actions = try scenario.send(client.datagram(Self.right), of: client)
        #expect(actions.added("answers4") == [])
        #expect(actions.answers == [.drop])
        _ = scenario.pass(.seconds(3))
        let later = try scenario.send(client.datagram(Self.right), of: client)
        #expect(later.added("answers4").map(\.state) == [.allowed])
    }

    /// It would be judged in the place of one that arrives.
    @Test(arguments: [FlightTests.address, "2606:2800::1"])
    func whatEndsOnTheWayProvesNothing(_ address: String) throws {
        var (scenario, client) = try Self.start(address)
        var packet = client.datagram(Self.right)
        packet.hopLimit = 63
        let actions = try scenario.send(packet, of: client)
        #expect(actions.added("answers").map(\.state) == [.denied])
        #expect(actions.events.map(\.message) == ["a hop limit of 63, below 64"])
    }

    @Test func aPartIsNoFlight() throws {
        var (scenario, client) = try Self.start()
        let hello = FirstBytes.hello("packages.example.org")
        #expect(try scenario.send(client.datagram(FirstBytes.quic(hello[50...], at: 50)), of: client).answers == [])
        let actions = scenario.pass(.seconds(11))
        #expect(actions.expiring == [])
        #expect(actions.answers == [.again])
        #expect(actions.added("answers4").map(\.state) == [.denied])
        #expect(actions.events.filter { $0.flight != nil }.map(\.message) == ["no whole first flight within 10 s"])
        #expect(scenario.broker.flows[client.key] == nil)
    }

    @Test func thirtyTwoDatagramsAtMost() throws {
        var (scenario, client) = try Self.start()
        let hello = FirstBytes.hello("packages.example.org")
        var last: [BrokerAction] = []
        for number in 0..<32 {
            let piece = FirstBytes.quic(hello[(10 + number)...(10 + number)], at: 10 + number, number: UInt8(number))
            last = try scenario.send(client.datagram(piece), of: client)
        }
        #expect(last.answers == Array(repeating: .again, count: 32))
        #expect(last.added("answers4").map(\.state) == [.denied])
        #expect(last.events.map(\.message) == ["a first flight of more than 32 datagrams"])
    }

    @Test func deniedDatagramsSayWhatTheyAre() throws {
        var scenario = try Scenario.inspecting([])
        let client = try Client("192.0.2.1", 443, .udp)
        let actions = try scenario.send(client.datagram(FirstBytes.quic("x.example")), of: client)
        let event = try #require(actions.events.first)
        #expect((event.verdict, event.reason, event.application) == (.deny, .unknownDestination, "quic"))
        #expect(event.flight?.serverName == "x.example")
        #expect(actions.added("denied4").count == 1)
    }

    @Test func observedDatagramsPassAtOnce() throws {
        var scenario = try Scenario.inspecting([], unknown: .observe)
        let client = try Client("192.0.2.1", 443, .udp)
        let actions = try scenario.send(client.datagram(FirstBytes.quic("x.example")), of: client)
        #expect(actions.added("answers4").map(\.state) == [.observed])
        #expect(actions.events.map(\.application) == ["quic"])
    }
}
