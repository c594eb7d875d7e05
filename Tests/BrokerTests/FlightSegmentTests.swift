import Model
import Policy
import Ruleset
import Testing
import Wire

@testable import Broker

/// First flights in pieces, and what bounds them.
struct FlightSegmentTests {
    private static let hello = FirstBytes.recorded("curl-tls")

    private static func begun() throws -> (Scenario, Client) {
        var (scenario, client) = try FlightTests.start()
        _ = try scenario.send(client.syn(), of: client)
        return (scenario, client)
    }

    @Test func piecesWaitAndPassInTheirOrder() throws {
        var (scenario, client) = try Self.begun()
        let first = scenario.packet + 1
        // The sequence numbers pass 2^32 within it.
        #expect(try scenario.send(client.segment(Self.hello[..<2]), of: client) == [])
        #expect(try scenario.send(client.segment(Self.hello[2..<90], at: 2), of: client) == [])
        #expect(try scenario.send(client.segment(Self.hello[300...], at: 300), of: client) == [])
        let last = try scenario.send(client.segment(Self.hello[90..<300], at: 90), of: client)
        #expect(last.stamps == [.allowed])
        #expect(last.references == [first, first + 1, first + 2, first + 3])
        #expect(last.answers == [.again, .again, .again, .again])
        #expect(last.events.map(\.verdict) == [.allow])
    }

    @Test func piecesThatAreDeniedAllStay() throws {
        var (scenario, client) = try Self.begun()
        let hello = FirstBytes.tls("other.example.org")
        #expect(try scenario.send(client.segment(hello[40...], at: 40), of: client) == [])
        let last = try scenario.send(client.segment(hello[..<40]), of: client)
        #expect(last.answers == [.drop, .drop])
        #expect(last.events.map(\.reason) == [.wrongName])
    }

    @Test func whatIsSentAgainIsNotHeldTwice() throws {
        var (scenario, client) = try Self.begun()
        #expect(try scenario.send(client.segment(Self.hello[..<100]), of: client) == [])
        #expect(try scenario.send(client.segment(Self.hello[..<100]), of: client).answers == [.drop])
        #expect(try scenario.send(client.segment(Self.hello[50..<80], at: 50), of: client).answers == [.drop])
        // With more than before it is held too.
        #expect(try scenario.send(client.segment(Self.hello[50..<150], at: 50), of: client) == [])
        let last = try scenario.send(client.segment(Self.hello[150...], at: 150), of: client)
        #expect(last.answers == [.again, .again, .again])
    }

    @Test func otherBytesForTheSamePlaceAreDenied() throws {
        var (scenario, client) = try Self.begun()
        _ = try scenario.send(client.segment(Self.hello[..<100]), of: client)
        var other = Self.hello
        other[60] ^= 1
        let actions = try scenario.send(client.segment(other[50...], at: 50), of: client)
        #expect(actions.stamps == [.denied])
        #expect(actions.answers == [.drop, .drop])
        #expect(actions.destroyed == [client.key])
        #expect(actions.events.map(\.reason) == [.wrongProtocol])
        #expect(actions.events.map(\.message) == ["a segment that was sent again with other bytes"])
        #expect(actions.events.map(\.application) == ["tls"])
    }

    @Test func thirtyTwoSegmentsAtMost() throws {
        var (scenario, client) = try Self.begun()
        for place in 0..<32 {
            #expect(try scenario.send(client.segment([Self.hello[place]], at: place), of: client) == [])
        }
        let actions = try scenario.send(client.segment([Self.hello[32]], at: 32), of: client)
        #expect(actions.answers == Array(repeating: .drop, count: 33))
        #expect(Set(actions.references).count == 33)
        #expect(actions.events.map(\.reason) == [.limit])
        #expect(actions.events.map(\.message) == ["the first flight has more than 32 segments"])
    }

    @Test func sixteenKilobytesAtMost() throws {
        var (scenario, client) = try Self.begun()
        let long = FirstBytes.tls("packages.example.org", padding: 16_000)
        for place in stride(from: 0, to: 14_000, by: 1400) {
            let piece = long[place..<place + 1400]
            #expect(try scenario.send(client.segment(piece, at: place), of: client) == [])
        }
        #expect(try scenario.send(client.segment(long[14_000...], at: 14_000), of: client).stamps == [.allowed])
        let endless = Array("GET /".utf8) + [UInt8](repeating: UInt8(ascii: "a"), count: 16_384)
        (scenario, client) = try FlightTests.start(FlightTests.address, 80)
        let actions = try scenario.say(endless, of: client)
        #expect(actions.events.map(\.verdict) == [.deny])
        #expect(actions.answers == [.drop])
    }

    @Test func whatNoPeerWouldReadSoIsDenied() throws {
        for flags: TCPFlags in [[.ack, .urg], [.ack, .rst], []] {
            var (scenario, client) = try Self.begun()
            let actions = try scenario.send(client.segment(Self.hello, at: 0, flags), of: client)
            #expect(actions.stamps == [.denied], "\(flags)")
            #expect(actions.events.map(\.reason) == [.wrongProtocol])
        }
        // The last data may come with the end of the stream.
        var (scenario, client) = try Self.begun()
        let last = try scenario.send(client.segment(Self.hello, at: 0, [.ack, .fin, .psh]), of: client)
        #expect(last.stamps == [.allowed])
    }

    @Test func soManyPacketsOfAWorkloadAreHeld() throws {
        var (scenario, client) = try FlightTests.start()
        var held = 0
        for port in 0..<FlowTable.heldLimit / 8 {
            let client = client.from(UInt16(20_000 + port))
            _ = try scenario.send(client.syn(), of: client)
            for place in 0..<8 {
                let actions = try scenario.send(client.segment([Self.hello[place]], at: place), of: client)
                held += actions == [] ? 1 : 0
            }
        }
        #expect(held == FlowTable.heldLimit)
        let more = try scenario.say([22], of: client)
        #expect(more.answers == [.drop])
        #expect(more.events.map(\.reason) == [.limit])
        #expect(more.events.map(\.message) == ["more packets wait than the workload may have"])
        // Those that wait can still come to their end, and make room.
        let first = client.from(20_000)
        let whole = try scenario.send(first.segment(Self.hello[8...], at: 8), of: first)
        #expect(whole.events.map(\.reason) == [.limit], "its last packet is one too many as well")
        #expect(whole.answers.count == 9)
        let next = try scenario.say([22], of: client)
        #expect(next == [])
    }

    @Test func fourThousandConnectionsOfAWorkloadWait() throws {
        var (scenario, client) = try FlightTests.start()
        for port in 0..<4096 {
            let client = client.from(UInt16(10_000 + port))
            #expect(try scenario.send(client.syn(), of: client).answers == [.again])
        }
        let beyond = try scenario.send(client.syn(), of: client)
        #expect(beyond.events.map(\.reason) == [.limit])
        #expect(beyond.added("answers4") == [])
        #expect(beyond.added("denied4").count == 1)
        // One that ends makes room.
        let first = client.from(10_000)
        _ = try scenario.say(Self.hello, of: first)
        for key in scenario.pass(.seconds(1)).settled { _ = scenario.broker.settled(key, packets: 1, at: scenario.now) }
        #expect(scenario.broker.flows.hasRoom(.init(number: 16)))
    }

    @Test func anotherConnectionTakesThePort() throws {
        var (scenario, client) = try Self.begun()
        let held = scenario.packet + 1
        _ = try scenario.send(client.segment(Self.hello[..<100]), of: client)
        var next = client
        next.initial = 5_000
        let actions = try scenario.send(next.syn(), of: next)
        #expect(actions.answers == [.drop, .again])
        #expect(actions.references.first == held)
        #expect(actions.added("answers4").map(\.state) == [.inspecting])
        // Nothing of the old one counts for the new one.
        #expect(try scenario.send(next.segment(Self.hello[100...], at: 100), of: next) == [])
        #expect(try scenario.send(next.segment(Self.hello[..<100]), of: next).stamps == [.allowed])
    }
}
