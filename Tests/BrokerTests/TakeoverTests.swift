import Model
import Policy
import Ruleset
import Testing

@testable import Broker

/// What a daemon makes of what it finds when it comes.
@Suite struct TakeoverTests {
    private static let hello = FirstBytes.tls("packages.example.org", padding: 300)

    private static func open(
        _ remote: Destination,
        _ holder: Facts = Scenario.facts("/train"),
        localPort: UInt16 = 40_000,
        isArrival: Bool = false,
    ) -> OpenConnection {
        let local: IPAddress = remote.address.isV4 ? .v4(0x0a00_0005) : .v6(0xfd00 << 112 | 5)
        return OpenConnection(
            holder: holder,
            local: Destination(address: local, port: localPort, transport: remote.transport),
            remote: remote,
            isArrival: isArrival,
        )
    }

    @Test(arguments: ["10.20.0.1", "fd00:20::1"], [Transport.tcp, .udp])
    func whatTheRulesAllowGoesOn(_ address: String, _ transport: Transport) throws {
        var scenario = try Scenario([
            Scenario.workload(
                allow: [
                    "four 10.20.0.0/16 443", "six fd00:20::/48 443", "four 10.20.0.0/16 443/udp",
                    "six fd00:20::/48 443/udp",
                ]
            )
        ])
        let connection = Self.open(try Scenario.destination(address, 443, transport))
        #expect(!scenario.broker.mustEnd(connection))
        #expect(scenario.broker.takeOver(connection, "before", at: scenario.now) == nil)
        let other = Self.open(try Scenario.destination(address, 444, transport))
        #expect(scenario.broker.mustEnd(other))
        let told = scenario.broker.takeOver(other, "before", at: scenario.now)
        let event = try #require(told)
        #expect((event.verdict, event.reason, event.workload) == (.deny, .unknownDestination, "train"))
        #expect(event.destination == other.remote && event.process?.pid == 7 && event.request == 1)
    }

    @Test func nobodyIsAskedAboutWhatIsOpen() throws {
        var scenario = try Scenario([Scenario.workload(unknown: .hold(.seconds(30)))])
        let connection = Self.open(try Scenario.destination("203.0.113.9", 22))
        #expect(scenario.broker.takeOver(connection, "before", at: scenario.now)?.verdict == .deny)
    }

    @Test func aRuleForOneProgramNeedsToKnowIt() throws {
        let rule = try Scenario.workload(allow: ["asked 10.20.0.1 443"], executable: "/usr/bin/curl")
        var scenario = try Scenario([rule])
        let destination = try Scenario.destination("10.20.0.1", 443)
        var unknown = Scenario.facts("/train")
        unknown.process = nil
        #expect(scenario.broker.mustEnd(Self.open(destination, unknown)))
        #expect(scenario.broker.takeOver(Self.open(destination), "before", at: scenario.now) == nil)
        let other = Self.open(destination, Scenario.facts("/train", command: ["nc"]))
        #expect(scenario.broker.takeOver(other, "before", at: scenario.now)?.reason == .wrongExecutable)
    }

    @Test(arguments: [Broker.Settings.Unidentified.allow, .observe, .deny])
    func theRestOfTheHostIsAsConfigured(_ mode: Broker.Settings.Unidentified) throws {
        let settings = Broker.Settings(unidentified: mode, daemonCgroup: "/egressd")
        var scenario = try Scenario([Scenario.workload()], settings: settings)
        let destination = try Scenario.destination("203.0.113.9", 443)
        let event = scenario.broker.takeOver(
            Self.open(destination, Scenario.facts("/host")),
            "before",
            at: scenario.now
        )
        #expect(event?.reason == (mode == .deny ? .unidentified : nil))
        let arrived = Self.open(destination, Scenario.facts("/host"), localPort: 22, isArrival: true)
        #expect(
            scenario.broker.takeOver(arrived, "before", at: scenario.now) == nil,
            "nobody's policy says who may come"
        )
        #expect(
            scenario.broker.takeOver(Self.open(destination, Scenario.facts("/egressd")), "before", at: scenario.now)
                == nil
        )
    }

    @Test func whatOthersOpenedIsForTheListenRules() throws {
        var scenario = try Scenario([Scenario.workload(listen: ["peers 10.30.0.0/16 9000"])])
        let peer = try Scenario.destination("10.30.0.1", 50_000)
        let welcome = Self.open(peer, localPort: 9000, isArrival: true)
        #expect(scenario.broker.takeOver(welcome, "before", at: scenario.now) == nil)
        let told = scenario.broker.takeOver(
            Self.open(peer, localPort: 9001, isArrival: true),
            "before",
            at: scenario.now
        )
        let event = try #require(told)
        #expect((event.kind, event.verdict, event.reason) == (.inbound, .deny, .notListening))
        #expect(event.destination == (try Scenario.destination("10.30.0.1", 9001)))
    }

    // MARK: First flights

    @Test func aFirstFlightIsAwaitedFurther() throws {
        let (before, client) = try FlightTests.start()
        var earlier = before
        _ = try earlier.send(client.syn(), of: client)
        #expect(earlier.broker.awaitsFlights)
        _ = try earlier.send(client.segment(Self.hello[..<100]), of: client)
        // The next daemon knows the number of the SYN, and gets the segments again.
        var (scenario, _) = try FlightTests.start()
        let actions = scenario.broker.resume(client.key, initial: client.initial, of: client.sender, at: scenario.now)
        #expect(actions.events == [] && actions.destroyed == [])
        #expect(try scenario.send(client.segment(Self.hello[..<100]), of: client).answers == [])
        let done = try scenario.send(client.segment(Self.hello[100...], at: 100), of: client)
        #expect(done.stamps == [.allowed])
    }

    /// What comes first to the next daemon need not be the first of the connection.
    @Test func theFirstBytesAreThoseAfterTheSYN() throws {
        var (scenario, client) = try FlightTests.start()
        _ = scenario.broker.resume(client.key, initial: client.initial, of: client.sender, at: scenario.now)
        let actions = try scenario.send(client.segment(Self.hello, at: 100), of: client)
        #expect(actions.stamps == [] && actions.answers == [], "100 bytes are missing before it")
        let rest = try scenario.send(client.segment(Array(repeating: 0x41, count: 100)), of: client)
        #expect(rest.stamps == [.denied])
    }

    @Test func whatIsNoLongerAllowedIsNotAwaited() throws {
        var scenario = try Scenario([Scenario.workload()])
        let client = try Client(FlightTests.address)
        let actions = scenario.broker.resume(client.key, initial: client.initial, of: client.sender, at: scenario.now)
        #expect(actions.stamps == [.denied] && actions.destroyed == [client.key])
        #expect(!scenario.broker.awaitsFlights)
    }

    @Test func onlyASYNBegins() throws {
        var (scenario, client) = try FlightTests.start()
        func question(_ transport: Transport, opens: Bool) -> PacketQuestion {
            var destination = client.destination
            destination.transport = transport
            return PacketQuestion(
                kind: .outbound,
                reference: PacketReference(queue: 0, packet: 0),
                destination: destination,
                otherPort: client.port,
                source: client.local,
                opensFlow: opens,
                arrived: scenario.now,
            )
        }
        #expect(scenario.broker.beginning(question(.tcp, opens: true)) == nil)
        _ = try scenario.send(client.syn(), of: client)
        #expect(scenario.broker.beginning(question(.tcp, opens: true)) == client.initial)
        #expect(scenario.broker.awaitedFlights.map(\.initial) == [client.initial])
        #expect(scenario.broker.beginning(question(.tcp, opens: false)) == nil)
        #expect(scenario.broker.beginning(question(.udp, opens: true)) == nil)
    }

    // MARK: Requests

    @Test func aRequestThatWasNotStoredIsThereAgain() throws {
        var scenario = try Scenario([Scenario.workload()])
        let (first, second) = (
            try Scenario.destination("203.0.113.9", 22), try Scenario.destination("203.0.113.9", 23)
        )
        let events = [first, second].flatMap { scenario.ask($0).events }
        #expect(events.map(\.request) == [1, 2])
        var next = try Scenario([Scenario.workload()])
        // The second was in the record already.
        #expect(next.broker.recall(events[1], isStored: true).request == 2)
        #expect(next.broker.recall(events[0], isStored: false).request == 1)
        #expect(next.ask(try Scenario.destination("203.0.113.9", 24)).events.map(\.request) == [3])
        // What the kernel has counted of one belongs to it.
        var counted = Event(time: events[0].time, kind: .request)
        (counted.verdict, counted.reason, counted.workload) = (.deny, .unknownDestination, "train")
        (counted.destination, counted.count) = (first, 5)
        next.broker.noteEarlier(&counted)
        #expect(counted.request == 1)
        #expect(next.broker.requestSummaries.filter { $0.id == 1 }.map(\.count) == [6])
        #expect(next.broker.recall(events[0], isStored: true) == events[0])
        #expect(next.broker.requestSummaries.filter { $0.id == 1 }.map(\.count) == [6], "it is counted")
        // The record had this event, and not yet the line that counts it.
        var later = events[0]
        later.time = WallTime(microseconds: later.time.microseconds + 1)
        #expect(next.broker.recall(later, isStored: true) == later)
        #expect(next.broker.requestSummaries.filter { $0.id == 1 }.map(\.count) == [7])
        // The end of an approval is no request.
        var end = later
        (end.kind, end.request) = (.grant, 9)
        #expect(next.broker.recall(end, isStored: false) == end)
        #expect(next.broker.requestSummaries.allSatisfy { $0.id != 9 })
    }
}
