import Model
import Policy
import Ruleset
import Testing
import Wire

@testable import Broker

/// What open connections need of pins that have ended, under this daemon and the next.
@Suite struct PinTests {
    private static let given = IPAddress.v4(0x5db8_d822)

    /// The rows as the record keeps them.
    private struct Rows {
        private var rows: [PinKey: PinSummary] = [:]

        mutating func take(_ actions: [BrokerAction]) {
            for case .savePins(let saved, let dropped) in actions {
                for row in dropped { rows[Self.key(row)] = nil }
                for row in saved { rows[Self.key(row)] = row }
            }
        }

        private static func key(_ row: PinSummary) -> PinKey {
            PinKey(workload: row.workload, name: row.name, address: row.address)
        }

        /// The last to end first, and then those that have ended.
        var all: [PinSummary] {
            rows.values.sorted { left, right in
                if left.hasEnded != right.hasEnded { return right.hasEnded }
                if left.expiry != right.expiry { return left.expiry > right.expiry }
                return (left.name, left.address.description) < (right.name, right.address.description)
            }
        }
    }

    private static func workload(_ names: [String], application: ApplicationProtocol = .any) throws -> Workload {
        var workload = try Scenario.workload()
        workload.allow = [
            Rule(
                name: "names",
                targets: try names.map { .name(try NamePattern($0)) },
                ports: [try PortSpec("443")],
                application: application,
                executable: nil,
            )
        ]
        return workload
    }

    private static func start(_ workloads: Workload...) throws -> (Scenario, Identity) {
        let scenario = try Scenario(workloads)
        return (scenario, try #require(scenario.broker.assignments["train"]).identity)
    }

    private static func answer(
        _ scenario: inout Scenario,
        _ identity: Identity,
        _ name: String,
        _ addresses: [IPAddress],
    ) throws -> [BrokerAction] {
        let question = DNSQuestion(name: DNSName(try DomainName(name)), type: .a)
        return scenario.broker.release(identity, question, addresses, timeToLive: 60, at: scenario.now).actions
    }

    private static func open(_ address: IPAddress) -> OpenConnection {
        OpenConnection(
            holder: Scenario.facts("/train"),
            local: Destination(address: .v4(0x0a00_0005), port: 40_000, transport: .tcp),
            remote: destination(address),
            isArrival: false,
        )
    }

    private static func destination(_ address: IPAddress) -> Destination {
        Destination(address: address, port: 443, transport: .tcp)
    }

    @Test func whatIsOpenOutlivesItsPinAndTheDaemon() throws {
        let policy = try Self.workload(["*.hf.example"], application: .tls)
        var (scenario, identity) = try Self.start(policy)
        var rows = Rows()
        rows.take(try Self.answer(&scenario, identity, "cdn.hf.example", [Self.given]))
        rows.take(scenario.pass(.seconds(3602)))
        #expect(scenario.broker.pinSummaries().isEmpty)
        #expect(rows.all.map(\.hasEnded) == [true])
        var (next, again) = try Self.start(policy)
        // However late it is there.
        next.now = scenario.now + .seconds(86_400)
        let changes = next.broker.restore(rows.all, at: next.now)
        #expect(changes.isEmpty, "nothing of it is in the kernel")
        #expect(!next.broker.mustEnd(Self.open(Self.given)))
        #expect(next.broker.takeOver(Self.open(Self.given), "before", at: next.now) == nil)
        #expect(next.broker.decide(again, Self.destination(Self.given), nil).verdict == .deny, "to nobody new")
        rows.take(next.pass(.seconds(1)))
        #expect(rows.all.count == 1 && next.broker.storedPins(at: next.now).map(\.hasEnded) == [true])
        // Asked for again it is a pin as before.
        rows.take(try Self.answer(&next, again, "cdn.hf.example", [Self.given]))
        #expect(rows.all.map(\.hasEnded) == [false])
        #expect(next.broker.decide(again, Self.destination(Self.given), nil).verdict == .allow)
    }

    @Test func whatEndedWhileNoDaemonRanIsStoredAsEnded() throws {
        let policy = try Self.workload(["cdn.hf.example"])
        var (scenario, identity) = try Self.start(policy)
        var rows = Rows()
        rows.take(try Self.answer(&scenario, identity, "cdn.hf.example", [Self.given]))
        var (next, _) = try Self.start(policy)
        next.now = scenario.now + .seconds(4000)
        _ = next.broker.restore(rows.all, at: next.now)
        #expect(!next.broker.mustEnd(Self.open(Self.given)))
        #expect(next.broker.nextDeadline.map { $0 <= next.now } == true)
        rows.take(next.pass(.seconds(1)))
        #expect(rows.all.map(\.hasEnded) == [true])
        #expect(next.pass(.seconds(1)).isEmpty, "it is said once")
    }

    @Test func whatIsNoLongerAllowedIsForgotten() throws {
        let policy = try Self.workload(["cdn.hf.example"])
        var (scenario, identity) = try Self.start(policy)
        var rows = Rows()
        rows.take(try Self.answer(&scenario, identity, "cdn.hf.example", [Self.given]))
        rows.take(scenario.pass(.seconds(3602)))
        // While no daemon ran: the name, and the workload.
        for other in [try Self.workload(["files.example"]), try Scenario.workload("other")] {
            var next = try Scenario([other])
            var left = rows
            _ = next.broker.restore(rows.all, at: next.now)
            #expect(next.broker.mustEnd(Self.open(Self.given)))
            left.take(next.pass(.seconds(1)))
            #expect(left.all.isEmpty)
        }
        // And while one runs.
        var gone = scenario
        var left = rows
        left.take(try gone.load([]))
        #expect(left.all.isEmpty)
        left = rows
        left.take(try scenario.load([Self.workload(["files.example"])]))
        #expect(left.all.isEmpty && scenario.broker.mustEnd(Self.open(Self.given)))
    }

    @Test func whatMadeRoomIsStoredAsEnded() throws {
        let policy = try Self.workload(["cdn.hf.example"])
        var (scenario, identity) = try Self.start(policy)
        var rows = Rows()
        rows.take(try Self.answer(&scenario, identity, "cdn.hf.example", [Self.given]))
        scenario.now = scenario.now + .seconds(1)
        let others = (0..<UInt32(PinTable.addressLimit)).map { IPAddress.v4(0x5db8_e000 + $0) }
        rows.take(try Self.answer(&scenario, identity, "cdn.hf.example", others))
        #expect(rows.all.filter(\.hasEnded).map(\.address) == [Self.given])
        #expect(rows.all.count == PinTable.addressLimit + 1)
        var (next, again) = try Self.start(policy)
        _ = next.broker.restore(rows.all, at: next.now)
        #expect(!next.broker.mustEnd(Self.open(Self.given)))
        #expect(next.broker.decide(again, Self.destination(Self.given), nil).verdict == .deny)
    }

    @Test func whatHasEndedIsBounded() throws {
        var (scenario, identity) = try Self.start(try Self.workload(["*.hf.example"]))
        var rows = Rows()
        let addresses = (0...UInt32(PinTable.tieLimit)).map { IPAddress.v4(0x5db8_0000 + $0) }
        for (number, address) in addresses.enumerated() {
            rows.take(try Self.answer(&scenario, identity, "x\(number / 60).hf.example", [address]))
            if number == 0 { rows.take(scenario.pass(.seconds(2))) }
        }
        rows.take(scenario.pass(.seconds(3599)))
        #expect(rows.all.filter(\.hasEnded).map(\.address) == [addresses[0]])
        rows.take(scenario.pass(.seconds(10)))
        #expect(rows.all.count == PinTable.tieLimit && rows.all.allSatisfy { $0.hasEnded })
        #expect(!rows.all.map(\.address).contains(addresses[0]))
        #expect(scenario.broker.mustEnd(Self.open(addresses[0])))
        #expect(!scenario.broker.mustEnd(Self.open(addresses[1])))
    }

    @Test func namesHaveTheSameOrderAfterARestart() throws {
        let policy = try Self.workload(["*.hf.example"])
        var (scenario, identity) = try Self.start(policy)
        var rows = Rows()
        for number in 0..<PinTable.nameLimit {
            rows.take(try Self.answer(&scenario, identity, "x\(number).hf.example", [Self.given]))
            scenario.now = scenario.now + .seconds(2)
        }
        // The first is prolonged, and is not the oldest any more.
        scenario.now = scenario.now + .seconds(600)
        rows.take(try Self.answer(&scenario, identity, "x0.hf.example", [Self.given]))
        let before = try #require(scenario.broker.pins["train"]).names(of: Self.given)
        #expect(before.first?.text == "x0.hf.example" && before.last?.text == "x1.hf.example")
        var (next, again) = try Self.start(policy)
        next.now = scenario.now
        _ = next.broker.restore(rows.all, at: next.now)
        #expect(try #require(next.broker.pins["train"]).names(of: Self.given) == before)
        rows.take(try Self.answer(&next, again, "late.hf.example", [Self.given]))
        let after = try #require(next.broker.pins["train"]).names(of: Self.given)
        #expect(after == [try DomainName("late.hf.example")] + before.dropLast())
        #expect(rows.all.filter(\.hasEnded).map(\.name.text) == ["x1.hf.example"])
    }
}
