import Glibc
import Model
import Testing

@testable import Record

/// Each call into SQLite is made to fail once, and then forever: nothing may trap, and nothing may be lost in silence.
@Suite struct FaultTests {
    private let faults = Faults()

    /// SQLITE_IOERR before the call and after it, SQLITE_FULL, SQLITE_READONLY.
    private static let kinds = [
        Faults.Fault(), Faults.Fault(completes: true), Faults.Fault(code: 13, times: 3),
        Faults.Fault(code: 8),
    ]

    @Test(arguments: 0..<4)
    func opensOrSaysWhyNot(kind: Int) throws {
        let trial = try Scratch()
        _ = try Store(directory: trial.path, options: .quick(), faults: faults)
        let calls = faults.calls
        #expect(calls > 8)
        for first in 1...calls {
            let scratch = try Scratch()
            faults.arm(first: first, Self.kinds[kind])
            if let store = try? Store(directory: scratch.path, options: .quick(), faults: faults) {
                #expect(store.append(event(1)))
                store.close()
            }
            faults.disarm()
            // Whatever it left, the next start works with it.
            let store = try Store(directory: scratch.path, options: .quick(), faults: faults)
            #expect(store.append(event(2)))
            try store.flush()
            #expect(try store.events(matching: EventFilter()).numbers.last == 2)
        }
    }

    @Test(arguments: 0..<4)
    func losesNoEvent(kind: Int) throws {
        var first = 0
        var failures = 0
        while true {
            first += 1
            let scratch = try Scratch()
            faults.disarm()
            let store = try Store(directory: scratch.path, options: .quick(batch: 7), faults: faults)
            faults.arm(first: first, Self.kinds[kind])
            for number in 0..<20 { #expect(store.append(event(number))) }
            store.updateRemaining(
                [1: .seconds(1)],
                at: Moment(wall: WallTime(microseconds: 0), steady: Instant(nanoseconds: 0))
            )
            var isFlushed = false
            for _ in 0..<10 where !isFlushed {
                let written = store.health.written
                do {
                    try store.flush()
                    isFlushed = true
                } catch {
                    failures += 1
                    // The error is told until writing goes on, which it may already do.
                    let health = store.health
                    #expect(health.lastError != nil || health.pending == 0 || health.written > written)
                }
            }
            try #require(isFlushed)
            let calls = faults.calls
            #expect(try store.events(matching: EventFilter()).numbers == Array(0..<20))
            #expect(store.lastSequence == 20)
            #expect(store.health == StoreHealth(pending: 0, written: 20, lost: 0, lastError: nil))
            if calls < first { break }
        }
        #expect(first > 20)
        #expect(failures > 0)
    }

    @Test(arguments: 0..<4)
    func grantsAreThereOrRefused(kind: Int) throws {
        let scratch = try Scratch()
        let store = try Store(directory: scratch.path, options: .quick(), faults: faults)
        let row = GrantRow(
            workload: "w",
            target: .address(.allV4, port: nil, .tcp),
            granted: WallTime(microseconds: 0),
            duration: .seconds(1),
            reason: "",
            actor: "root",
        )
        var refused = 0
        for first in 1... {
            faults.arm(first: first, Self.kinds[kind])
            let id = try? store.insertGrant(row)
            let calls = faults.calls
            faults.disarm()
            if let id {
                #expect(try store.grants().last?.id == id)
            } else {
                refused += 1
            }
            if calls < first { break }
        }
        #expect(refused > 2)
        // One that was stored though its commit reported failure is possible; one that was promised and is missing is not.
        let stored = try store.grants().count
        #expect(stored >= 1)
        if !Self.kinds[kind].completes { #expect(stored == 1) }
    }

    @Test func whatWaitsToBeChangedIsTold() throws {
        let scratch = try Scratch()
        let store = try Store(directory: scratch.path, options: .quick(), faults: faults)
        // The first call of the transaction, again and again.
        faults.arm(first: 1, Faults.Fault(times: .max))
        store.setGrantsLater([1], to: .revoked)
        #expect(store.health.hasPendingChanges)
        #expect(throws: StoreError.self) { try store.flush() }
        #expect(store.health.hasPendingChanges && store.health.pending == 0)
        faults.disarm()
        try store.flush()
        #expect(!store.health.hasPendingChanges)
    }

    @Test func keepsEventsWhileTheDiskIsFull() throws {
        let scratch = try Scratch()
        let store = try Store(directory: scratch.path, options: .quick(capacity: 3000, batch: 100))
        try store.writer.perform { (database) throws(StoreError) in
            let pages = try database.number("PRAGMA page_count") ?? 0
            try database.query("PRAGMA max_page_count=\(pages + 40)") { (_) throws(StoreError) in }
        }
        var number = 0
        while store.append(event(number)) { number += 1 }
        let error = #expect(throws: StoreError.self) { try store.flush() }
        #expect(error?.description.contains("full") == true)
        #expect(store.health.lastError == error)
        #expect(store.health.lost == 1)
        #expect(store.health.pending > 0)
        #expect(store.lastSequence < Int64(number))
        try store.writer.perform { (database) throws(StoreError) in
            try database.query("PRAGMA max_page_count=1000000") { (_) throws(StoreError) in }
        }
        // Without a call from outside: the thread tries again by itself.
        for _ in 0..<10_000 where store.health.pending > 0 { usleep(1000) }
        #expect(store.health.pending == 0)
        try store.flush()
        let events = try store.events(matching: EventFilter(limit: 100_000))
        #expect(events.numbers == Array(0..<number))
        #expect(events.last?.kind == .alarm)
        #expect(events.last?.count == 1)
        #expect(store.health.lastError == nil)
    }

    @Test func closingGivesUpAfterOneTryAndCounts() throws {
        let scratch = try Scratch()
        let store = try Store(directory: scratch.path, options: .quick(), faults: faults)
        faults.arm(first: 1, Faults.Fault(code: 10, times: .max))
        for number in 0..<10 { store.append(event(number)) }
        store.close()
        #expect(store.health.lost == 10)
        #expect(store.health.pending == 0)
        #expect(store.health.lastError != nil)
        #expect(try store.events(matching: EventFilter()) == [])
    }
}
