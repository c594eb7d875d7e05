import Model
import Policy
import Ruleset
import Testing

@testable import Broker

/// Servers that speak before their clients.
struct FlightGreetingTests {
    private static let banner = "SSH-2.0-OpenSSH_9.2p1\r\n"

    private static func begun(_ port: UInt16) throws -> (Scenario, Client) {
        var (scenario, client) = try FlightTests.start(FlightTests.address, port)
        _ = try scenario.send(client.syn(), of: client)
        return (scenario, client)
    }

    @Test func anSSHServerMayGreetWhereSSHIsAllowed() throws {
        var (scenario, client) = try Self.begun(22)
        #expect(try scenario.send(client.greeting("SSH-"), of: client).answers == [.pass])
        #expect(try scenario.send(client.greeting(Self.banner), of: client).answers == [.pass])
        #expect(try scenario.send(client.greeting(Self.banner), of: client).answers == [.pass], "sent again")
        // What the client says is judged all the same.
        let actions = try scenario.send(client.segment(FirstBytes.ssh), of: client)
        #expect(actions.stamps == [.allowed])
        #expect(actions.events.map(\.rule) == ["git"])
    }

    @Test func aGreetingProvesNothingOfTheClient() throws {
        var (scenario, client) = try Self.begun(22)
        _ = try scenario.send(client.greeting(Self.banner), of: client)
        let actions = try scenario.send(client.segment(FirstBytes.http("packages.example.org")), of: client)
        #expect(actions.stamps == [.denied])
        #expect(actions.events.map(\.application) == ["http"])
        (scenario, client) = try Self.begun(22)
        _ = try scenario.send(client.greeting(Self.banner), of: client)
        #expect(scenario.pass(.seconds(11)).expiring == [client.key])
    }

    @Test(arguments: [443, 80] as [UInt16])
    func elsewhereItIsDeniedAtOnce(_ port: UInt16) throws {
        var (scenario, client) = try Self.begun(port)
        let actions = try scenario.send(client.greeting(Self.banner), of: client)
        #expect(actions.stamps == [.denied])
        #expect(actions.answers == [.drop])
        #expect(actions.destroyed == [client.key])
        let event = try #require(actions.events.first)
        #expect((event.verdict, event.reason, event.application) == (.deny, .wrongProtocol, "ssh"))
        #expect((event.finding, event.message) == (.sshOnWrongPort, "the server spoke first"))
        #expect(try scenario.send(client.greeting(Self.banner), of: client).answers == [.drop])
    }

    @Test(arguments: ["220 mail.example ESMTP\r\n", "SS", "\u{4}\u{0}\u{0}\u{0}"])
    func whatIsNoSSHIsDenied(_ text: String) throws {
        for port: UInt16 in [443, 22] {
            var (scenario, client) = try Self.begun(port)
            let actions = try scenario.send(client.greeting(text), of: client)
            // A part may still become SSH's where that may be.
            let mayBecome = port == 22 && text.hasPrefix("SS") || port == 22 && text.hasPrefix("220")
            #expect(actions.stamps == (mayBecome ? [] : [.denied]), "\(port)")
            #expect(actions.answers == [mayBecome ? .pass : .drop], "\(port)")
        }
    }

    @Test func otherBytesForTheSamePlaceAreDenied() throws {
        var (scenario, client) = try Self.begun(22)
        #expect(try scenario.send(client.greeting("SSH-2.0"), of: client).answers == [.pass])
        let actions = try scenario.send(client.greeting("SSH-1.0-x\r\n"), of: client)
        #expect(actions.stamps == [.denied])
        #expect(actions.answers == [.drop])
        #expect(actions.events.map(\.message) == ["the server's first bytes cannot be told"])
    }

    @Test func whatTheClientSaidBeforeStays() throws {
        var (scenario, client) = try Self.begun(443)
        let hello = FirstBytes.tls("packages.example.org")
        #expect(try scenario.send(client.segment(hello[..<50]), of: client) == [])
        let actions = try scenario.send(client.greeting(Self.banner), of: client)
        #expect(actions.answers == [.drop, .drop])
    }

    @Test func aServerOfNobodyIsNotHeard() throws {
        var (scenario, client) = try FlightTests.start()
        #expect(try scenario.send(client.greeting(Self.banner), of: client).answers == [.drop])
        #expect(try scenario.send(client.greeting(""), of: client).answers == [.pass])
    }
}
