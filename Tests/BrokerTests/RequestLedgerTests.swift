import Model
import Testing

@testable import Broker

/// The bounds of what `ctl requests` shows.
struct RequestLedgerTests {
    private static func event(_ number: Int, _ workload: String = "train", at seconds: Int64 = 1000) -> Event {
        var event = Event(time: WallTime(microseconds: seconds * 1_000_000), kind: .request)
        event.workload = workload
        event.verdict = .deny
        event.reason = .unknownDestination
        event.destination = Destination(address: .v4(UInt32(number)), port: 22, transport: .tcp)
        return event
    }

    private static func note(
        _ ledger: inout RequestLedger,
        _ number: Int,
        _ workload: String = "train",
        at seconds: Int64 = 1000,
        _ verdict: Verdict = .deny,
    ) -> Int64? {
        var event = event(number, workload, at: seconds)
        event.verdict = verdict
        ledger.note(&event)
        return event.request
    }

    private static func total(_ ledger: RequestLedger) -> UInt64 { ledger.all.reduce(0) { $0 + $1.count } }

    @Test func whatIsBeyondAWorkloadsBoundIsCountedInOneLine() {
        var ledger = RequestLedger()
        let ids = (0..<3000).map { Self.note(&ledger, $0) }
        #expect(ledger.count == RequestLedger.workloadLimit + 1)
        #expect(Set(ids[1000...]).count == 1)
        let line = ids.last.flatMap { $0 }.flatMap { ledger[$0] }
        #expect(line?.subject == .others && line?.count == 2000)
        // What has a line keeps it, and others have theirs.
        #expect(Self.note(&ledger, 7) == ids[7])
        #expect(Self.note(&ledger, 5000, "other").flatMap { ledger[$0] }?.subject != .others)
        #expect(Self.total(ledger) == 3002)
    }

    @Test func aLineThatNobodyAskedForGivesWayAndIsCounted() throws {
        var ledger = RequestLedger()
        let first = try #require(Self.note(&ledger, 0, at: 1000))
        for number in 1..<1000 { _ = Self.note(&ledger, number, at: 2000) }
        // Not yet an hour.
        #expect(Self.note(&ledger, 5000, at: 4600).flatMap { ledger[$0] }?.subject == .others)
        let next = try #require(Self.note(&ledger, 5001, at: 4601))
        #expect(ledger[next]?.subject != .others && ledger[first] == nil)
        let (changed, forgotten) = ledger.takeChanges(of: [next])
        #expect(forgotten == [first])
        #expect(Set(changed.map(\.subject)) == [.others, ledger[next]?.subject])
        #expect(Self.total(ledger) == 1002)

        // What was noted under the number that is no more is counted with the others.
        var event = Self.event(0)
        event.request = first
        event.count = 40
        ledger.countAgain(&event)
        #expect(event.request != first && Self.total(ledger) == 1042)
    }

    @Test func whatWaitsForAnOperatorStays() throws {
        var ledger = RequestLedger()
        let held = try #require(Self.note(&ledger, 0, at: 1000, .hold))
        for number in 1..<1000 { _ = Self.note(&ledger, number, at: 1001) }
        _ = Self.note(&ledger, 5000, at: 9000)
        #expect(ledger[held] != nil)
    }

    @Test func whoHasMostGivesWayWhenAllIsFull() {
        var ledger = RequestLedger()
        for workload in 0..<8 {
            for number in 0..<1000 { _ = Self.note(&ledger, number, "w\(workload)") }
        }
        #expect(Self.note(&ledger, 1, "late").flatMap { ledger[$0] }?.subject != .others)
        #expect(ledger.all.count { $0.subject != .others } == RequestLedger.limit)
        #expect(Self.total(ledger) == 8001)
    }

    @Test func anEarlierDaemonsLinesAreTakenUpWithinTheBounds() {
        var earlier = RequestLedger()
        for number in 0..<1500 { _ = Self.note(&earlier, number) }
        var ledger = RequestLedger()
        ledger.restore(earlier.all, next: 5)
        #expect(ledger.all == earlier.all)
        #expect(Self.note(&ledger, 1, "other") == 1002)

        // Of a version that had no bounds.
        let many = (0..<1200).map { number in
            var one = earlier.all[1]
            one = RequestSummary(
                id: Int64(number + 1),
                workload: "train",
                kind: .request,
                subject: .address(Destination(address: .v4(UInt32(number)), port: 22, transport: .tcp)),
                count: 3,
                first: one.first,
                last: WallTime(microseconds: Int64(number)),
                verdict: .deny,
                reason: .unknownDestination,
                process: nil,
                finding: nil,
            )
            return one
        }
        var bounded = RequestLedger()
        bounded.restore(many, next: 2000)
        #expect(bounded.count == 1001 && Self.total(bounded) == 3600)
        #expect(bounded.takeChanges(of: []).forgotten.count == 200)
    }
}
