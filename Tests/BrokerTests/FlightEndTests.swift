import Model
import Policy
import Ruleset
import Testing
import Wire

@testable import Broker

/// First flights that do not come, come in part, or came to an earlier daemon.
struct FlightEndTests {
    private static let hello = FirstBytes.recorded("curl-tls")

    private static func begun() throws -> (Scenario, Client) {
        var (scenario, client) = try FlightTests.start()
        _ = try scenario.send(client.syn(), of: client)
        return (scenario, client)
    }

    @Test func whoSaysNothingIsClosed() throws {
        var (scenario, client) = try Self.begun()
        #expect(scenario.broker.nextDeadline.map { $0 >= scenario.now + .seconds(10) } == true)
        #expect(scenario.pass(.seconds(10)).expiring == [])
        let actions = scenario.pass(.seconds(1))
        #expect(actions.expiring == [client.key], "a second exact")
        #expect(scenario.pass(.seconds(1)).expiring == [], "it is asked for once")
        let closed = scenario.expire(actions, wasOpen: true)
        #expect(closed.stamps == [.denied])
        #expect(closed.destroyed == [client.key])
        let event = try #require(closed.events.first { $0.flight != nil })
        #expect((event.verdict, event.reason, event.rule) == (.deny, .wrongProtocol, "web"))
        #expect((event.message, event.application) == ("no first flight within 10 s", "unknown"))
        #expect(scenario.broker.expired(client.key, wasOpen: true, at: scenario.now) == [])
    }

    @Test func whoWasGoneIsNotDenied() throws {
        var (scenario, client) = try Self.begun()
        let actions = scenario.pass(.seconds(11))
        let gone = scenario.expire(actions, wasOpen: false)
        #expect(gone.stamps == [])
        #expect(gone.destroyed == [])
        let event = try #require(gone.events.last)
        #expect((event.verdict, event.rule, event.message) == (.allow, "web", "it ended before its first flight"))
        #expect(scenario.broker.flows[client.key] == nil)
    }

    @Test func aPartOfAFlightIsNone() throws {
        var (scenario, client) = try Self.begun()
        scenario.now = scenario.now + .seconds(5)
        _ = try scenario.send(client.segment(Self.hello[..<100]), of: client)
        // TCP sends nothing more while it waits, and is made to send it again.
        #expect(scenario.pass(.milliseconds(4)).answers == [])
        #expect(scenario.pass(.milliseconds(1)).answers == [.drop])
        #expect(scenario.pass(.seconds(4)).answers == [])
        let actions = scenario.pass(.seconds(2))
        #expect(actions.expiring == [])
        #expect(actions.answers == [])
        #expect(actions.stamps == [.denied])
        #expect(actions.destroyed == [client.key])
        let event = try #require(actions.events.first { $0.flight != nil })
        #expect((event.reason, event.application) == (.wrongProtocol, "tls"))
        #expect(event.message == "no whole first flight within 10 s")
        #expect(event.latencyMicroseconds == 6_005_000, "from the packet that was held, not from the SYN")
    }

    /// A flow is put back with every segment that tells nothing new, and is due once.
    @Test func whatIsSentAgainIsNotDueAgain() throws {
        var (scenario, client) = try FlightTests.start(FlightTests.address, 22)
        _ = try scenario.send(client.syn(), of: client)
        for _ in 0..<50 { _ = try scenario.send(client.greeting("SSH-2.0-x"), of: client) }
        #expect(scenario.pass(.seconds(11)).expiring == [client.key])
    }

    @Test func whatWasDroppedMeanwhileCounts() throws {
        var (scenario, client) = try Self.begun()
        _ = try scenario.send(client.segment(Self.hello[..<100]), of: client)
        _ = try scenario.send(client.segment(Self.hello[100..<200], at: 100), of: client)
        #expect(scenario.broker.promptDeadline == scenario.now + .milliseconds(5))
        #expect(scenario.pass(.milliseconds(5)).answers == [.drop, .drop])
        #expect(scenario.pass(.milliseconds(5)).answers == [])
        let actions = try scenario.send(client.segment(Self.hello[200...], at: 200), of: client)
        #expect(actions.stamps == [.allowed])
        #expect(actions.answers == [.again])
    }

    /// They had met the rules before the verdict.
    @Test func whatComesLateIsOfTheFlightThatWasSettled() throws {
        for (bytes, answer) in [(Self.hello, BrokerAction.Answer.again), (FirstBytes.ssh, .drop)] {
            var (scenario, client) = try Self.begun()
            _ = try scenario.send(client.segment(bytes), of: client)
            for place in [bytes.count, 0] {
                let late = try scenario.send(client.segment([1, 2, 3], at: place), of: client)
                #expect(late == [.answer(.init(queue: 8115, packet: scenario.packet), answer)])
            }
            #expect(try scenario.send(client.greeting("x"), of: client).answers == [answer])
            // The next connection of this port is another.
            var next = client
            next.initial = 9_000
            _ = try scenario.send(next.syn(), of: next)
            #expect(try scenario.send(next.segment(FirstBytes.ssh), of: next).answers == [.drop])
            #expect(try scenario.send(next.segment([1]), of: next).answers == [.drop])
        }
    }

    @Test(arguments: [[TCPFlags.fin, .ack], [.rst], [.rst, .ack]] as [TCPFlags])
    func theEndBeforeAnyData(_ flags: TCPFlags) throws {
        var (scenario, client) = try Self.begun()
        let actions = try scenario.send(client.segment([], at: 0, flags), of: client)
        #expect(actions.answers == [.pass])
        #expect(actions.stamps == [])
        #expect(actions.events.map(\.message) == ["it ended before its first flight"])
        #expect(scenario.broker.flows[client.key] == nil)
        #expect(scenario.pass(.seconds(11)).expiring == [])
        // The retransmission of a FIN passes, data behind it is another first flight and is judged.
        #expect(try scenario.send(client.segment([], at: 0, flags), of: client).answers == [.pass])
        #expect(try scenario.send(client.segment(FirstBytes.ssh), of: client).stamps == [.denied])
    }

    @Test(arguments: [[TCPFlags.fin, .ack], [.rst]] as [TCPFlags])
    func theEndAfterAPart(_ flags: TCPFlags) throws {
        var (scenario, client) = try Self.begun()
        _ = try scenario.send(client.segment(Self.hello[..<100]), of: client)
        let actions = try scenario.send(client.segment([], at: 100, flags), of: client)
        #expect(actions.answers == [.drop, .drop])
        #expect(actions.stamps == [.denied])
        #expect(actions.events.map(\.reason) == [.wrongProtocol])
        #expect(actions.events.map(\.message) == ["the first flight is not whole"])
    }

    @Test func whatAnEarlierDaemonLetBeginIsEnded() throws {
        var (scenario, client) = try FlightTests.start()
        // What came of it before is not known: this may be its second segment.
        let actions = try scenario.send(client.segment(Self.hello), of: client)
        #expect(actions.answers == [.drop])
        #expect(actions.stamps == [.denied])
        #expect(actions.destroyed == [client.key])
        let event = try #require(actions.events.first)
        #expect((event.verdict, event.reason, event.workload) == (.deny, .revoked, "train"))
        #expect(event.message == "its first flight was awaited when the daemon ended")
    }

    @Test func whoSaidNothingToAnEarlierDaemonIsEnded() throws {
        var (scenario, client) = try FlightTests.start()
        let actions = scenario.broker.endUnawaited(client.key, of: client.sender, at: scenario.now)
        #expect(actions.destroyed == [client.key])
        #expect(actions.stamps == [.denied])
        #expect(actions.events.map(\.reason) == [.revoked])
        // Nor is it an event twice.
        #expect(try scenario.send(client.segment(Self.hello), of: client).answers == [.drop])
        scenario.broker.settings.observesOnly = true
        let watched = client.from(41_000)
        #expect(scenario.broker.endUnawaited(watched.key, of: client.sender, at: scenario.now).stamps == [.observed])
    }

    @Test func aPeerThatHasNotAnsweredIsWaitedFor() throws {
        var (scenario, client) = try Self.begun()
        #expect(scenario.pass(.seconds(11)).expiring == [client.key])
        #expect(scenario.broker.postpone(client.key, at: scenario.now).isEmpty)
        #expect(scenario.pass(.seconds(9)).expiring == [])
        #expect(scenario.pass(.seconds(2)).expiring == [client.key])
    }
}
