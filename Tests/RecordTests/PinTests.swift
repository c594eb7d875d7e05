import Glibc
import Model
import Testing

@testable import Record

@Suite struct PinTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    /// Expiries of tests are small numbers of microseconds, so time stands still before them.
    private func open(now: Int64 = 0, faults: Faults? = nil) throws -> Store {
        let now = WallTime(microseconds: now)
        return try Store(directory: scratch.path, options: .quick(), faults: faults, now: now)
    }

    private func pin(
        _ number: Int,
        workload: String = "w",
        name: String = "packages.example",
        learned: Int64 = 1,
        expires: Int64 = 100,
    ) throws -> PinRow {
        PinRow(
            workload: workload,
            name: try DomainName(name),
            address: .v4(0xcb00_0000 + UInt32(number)),
            learned: WallTime(microseconds: learned),
            expires: WallTime(microseconds: expires),
        )
    }

    @Test func keepsPins() throws {
        var six = try pin(0, workload: "v", name: "xn--bcher-kva.example", expires: 99)
        six.address = .v6(0x2001_0db8 << 96 | 1)
        let old = try pin(1)
        let renewed = try pin(1, learned: 2, expires: 200)
        do {
            let store = try open()
            #expect(try store.pins() == [])
            store.upsertPins([old, six])
            try store.flush()
            #expect(try store.pins() == [old, six])
            store.upsertPins([renewed])
        }
        #expect(try open().pins() == [renewed, six])
        #expect(try Store.read(directory: scratch.path).pins() == [renewed, six])
    }

    @Test func oneRowIsOneWorkloadNameAndAddress() throws {
        let store = try open()
        let pins = [
            try pin(1), try pin(1, workload: "v"), try pin(2), try pin(1, name: "models.example"),
        ]
        store.upsertPins(pins)
        try store.flush()
        #expect(Set(try store.pins()) == Set(pins))
        store.deletePins([pins[0].key])
        try store.flush()
        #expect(Set(try store.pins()) == Set(pins.dropFirst()))
    }

    @Test(arguments: [false, true])
    func theLastChangeOfAKeyWins(isFlushedBetween: Bool) throws {
        let store = try open()
        let (one, two, three) = (try pin(1), try pin(2), try pin(3, workload: "v"))
        let steps: [() throws -> [PinRow]] = [
            {
                store.upsertPins([one, two, three]); return [one, two, three]
            },
            {
                store.deletePins([one.key, three.key]); return [two]
            },
            {
                store.upsertPins([three]); return [two, three]
            },
            {
                store.deletePins(ofWorkload: "w"); return [three]
            },
            {
                store.upsertPins([one]); return [one, three]
            },
            {
                store.deletePins(ofWorkload: "v"); return [one]
            },
            {
                store.deletePins([]); store.upsertPins([]); store.deletePins(ofWorkload: "nobody"); return [one]
            },
            {
                store.deletePins(ofWorkload: "w"); return []
            },
        ]
        for end in steps.indices {
            var expected: [PinRow] = []
            for step in steps[...end] {
                expected = try step()
                if isFlushedBetween { try store.flush() }
            }
            try store.flush()
            #expect(Set(try store.pins()) == Set(expected), "after \(end)")
        }
    }

    /// One start with the date ahead would else take every pin from the connections that are open by it.
    @Test func keepsTheExpiredWhenItOpens() throws {
        let pins = try [9, 10, 11].map { try pin($0, expires: Int64($0)) }
        do {
            let store = try open()
            store.upsertPins(pins)
            try store.flush()
            #expect(try store.pins() == pins.reversed())
        }
        #expect(try open(now: 10).pins() == pins.reversed())
        // The real clock is far later.
        let store = try Store(directory: scratch.path)
        #expect(try store.pins() == pins.reversed())
        try store.writer.perform { (database) throws(StoreError) in
            try PinRow.deleteExpired(at: WallTime(microseconds: 10), keeping: 1, from: database)
        }
        #expect(try store.pins() == [pins[2], pins[1]], "of the two that have expired the last")
    }

    @Test func whatHasEndedStaysSo() throws {
        var ended = try [50, 60].map { try pin($0, expires: Int64($0)) }
        for index in ended.indices { ended[index].hasEnded = true }
        let open = try pin(1, expires: 1)
        do {
            let store = try self.open()
            store.upsertPins(ended + [open])
            try store.flush()
        }
        // Whatever the date is: before it ended, too.
        let store = try self.open(now: 40)
        #expect(try store.pins() == [open, ended[1], ended[0]])
        var again = ended[0]
        (again.hasEnded, again.expires) = (false, WallTime(microseconds: 90))
        store.upsertPins([again])
        try store.flush()
        #expect(try store.pins() == [again, open, ended[1]])
    }

    @Test func whatHasEndedGoesFirst() throws {
        var changes = PinChanges()
        changes.upsert(
            try (0..<PinChanges.limit + 1).map { number in
                var row = try pin(number, expires: 1000 + Int64(number))
                row.hasEnded = number >= PinRow.maximum
                return row
            },
        )
        #expect(changes.rows.count == PinRow.maximum)
        #expect(changes.rows.values.allSatisfy { $0?.hasEnded == false })
    }

    @Test func opensWhenTheExpiredCannotBeDeleted() throws {
        let faults = Faults()
        do {
            let store = try open(faults: faults)
            store.upsertPins([try pin(1)])
        }
        faults.disarm()
        _ = try open(faults: faults)
        let calls = faults.calls
        var kept = 0
        for first in 1...calls {
            faults.arm(first: first, Faults.Fault(code: 13))
            let store = try? open(now: 1000, faults: faults)
            faults.disarm()
            guard let store else { continue }
            let left = try store.pins().count
            kept += left
            #expect(left <= 1)
            store.upsertPins([try pin(1)])
            try store.flush()
        }
        #expect(kept > 0)
    }

    @Test func keepsTheHundredThousandThatLastLongest() throws {
        let store = try open()
        let count = PinRow.maximum + 2 * PinRow.slack
        var added = 0
        while added < count {
            store.upsertPins(try (added..<added + 1000).map { try pin($0, expires: Int64($0) + 1) })
            added += 1000
            if added % 10_000 == 0 { try store.flush() }
        }
        try store.flush()
        let pins = try store.pins()
        #expect(pins.count == PinRow.maximum)
        #expect(pins.first?.expires == WallTime(microseconds: Int64(count)))
        #expect(pins.last?.expires == WallTime(microseconds: Int64(count - PinRow.maximum + 1)))
        let stored = try store.writer.perform { (database) throws(StoreError) in
            try database.number("SELECT count(*) FROM pins")
        }
        #expect(Int(stored ?? 0) <= PinRow.maximum + PinRow.slack)
    }

    /// Each call into SQLite fails once, before or after its work; flushed again, all is as it should be.
    @Test(arguments: [Faults.Fault(), Faults.Fault(completes: true), Faults.Fault(code: 13, times: 3)])
    func losesNoChange(fault: Faults.Fault) throws {
        let faults = Faults()
        var first = 0
        var failures = 0
        while true {
            first += 1
            let scratch = try Scratch()
            faults.disarm()
            let now = WallTime(microseconds: 0)
            let store = try Store(directory: scratch.path, options: .quick(), faults: faults, now: now)
            store.upsertPins([try pin(1), try pin(2), try pin(3, workload: "v")])
            try store.flush()
            faults.arm(first: first, fault)
            store.deletePins(ofWorkload: "w")
            store.upsertPins([try pin(2, learned: 7), try pin(4)])
            store.deletePins([try pin(4).key, try pin(3, workload: "v").key])
            var isFlushed = false
            for _ in 0..<10 where !isFlushed {
                isFlushed = (try? store.flush()) != nil
                if !isFlushed { failures += 1 }
            }
            try #require(isFlushed)
            #expect(try store.pins() == [try pin(2, learned: 7)])
            if faults.calls < first { break }
        }
        #expect(first > 5)
        #expect(failures > 0)
    }

    @Test func keepsTheNewestWhenTooMuchWaits() throws {
        var changes = PinChanges()
        let rows = try (0..<PinChanges.limit).map { try pin($0, expires: Int64($0)) }
        changes.forget(["v"])
        changes.upsert(Array(rows.dropLast()))
        #expect(!changes.forgetsAll)
        changes.upsert([rows[rows.count - 1]])
        #expect(changes.forgetsAll)
        #expect(changes.workloads == [])
        #expect(changes.rows.count == PinRow.maximum)
        #expect(Set(changes.rows.values) == Set(rows.suffix(PinRow.maximum)))

        // What waits before it is forgotten with the rest, what comes after is not.
        var older = PinChanges()
        older.upsert([try pin(1, workload: "older")])
        older.merge(changes)
        #expect(older.rows.count == PinRow.maximum)
        var newer = PinChanges()
        newer.delete([rows[rows.count - 1].key])
        newer.forget(["v"])
        older.merge(newer)
        #expect(older.forgetsAll)
        #expect(older.workloads == ["v"])
        #expect(older.rows[rows[rows.count - 1].key] == .some(nil))

        let store = try open()
        store.upsertPins([try pin(1, workload: "stored")])
        try store.flush()
        let merged = older
        store.queue { $0.pins.merge(merged) }
        try store.flush()
        #expect(Set(try store.pins()) == Set(rows.suffix(PinRow.maximum).dropLast()))
    }

    @Test(arguments: ["name = ''", "name = '10.0.0.1'", "address = 'x'"])
    func refusesAPinThatWasTamperedWith(change: String) throws {
        let store = try open()
        store.upsertPins([try pin(1)])
        try store.flush()
        try store.writer.perform { (database) throws(StoreError) in try database.run("UPDATE pins SET \(change)") }
        let error = #expect(throws: StoreError.self) { try store.pins() }
        #expect(error?.description.contains("a pin of w") == true)
    }
}
