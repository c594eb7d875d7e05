package import Model

extension Store {
    /// The events that match; see `StoreReader.events(matching:)`.
    ///
    /// Damage that is met here has the record set aside.
    package func events(matching filter: EventFilter) throws(StoreError) -> [Event] {
        do throws(StoreError) {
            return try reader.events(matching: filter)
        } catch {
            if error.isDamage { writer.report(damage: error) }
            throw error
        }
    }

    /// All requests, by number; those of `upsertRequests` once they were written.
    package func requests() throws(StoreError) -> [RequestRow] { try reader.requests() }

    /// The number for the next request.
    ///
    /// For the start: it knows nothing of rows that are still queued.
    package func nextRequestNumber() throws(StoreError) -> Int64 { try reader.nextRequestNumber() }

    /// The same for the next grant.
    package func nextGrantNumber() throws(StoreError) -> Int64 { try reader.nextGrantNumber() }

    /// Queues rows to be written with the next events; does not wait.
    ///
    /// A later row with the same number replaces an earlier.
    ///
    /// The newest 10,000 by `last` are kept. `forgotten` are the numbers of rows that are deleted.
    package func upsertRequests(_ rows: [RequestRow], forgotten: Set<Int64> = []) {
        queue { $0.noteRequests(rows, forgotten: forgotten) }
    }

    /// The grants in this state, or all, by number.
    ///
    /// At the start, `GrantRow.remaining(at:)` says what is left of each.
    package func grants(state: GrantRow.State? = nil) throws(StoreError) -> [GrantRow] {
        try reader.grants(state: state)
    }

    /// Stores a grant, and answers with its number once it is on the disk: a new one when `id` is 0.
    ///
    /// Waits for the disk.
    package func insertGrant(_ row: GrantRow) throws(StoreError) -> Int64 {
        try writer.perform { (database) throws(StoreError) in
            try database.transaction(durable: true) { () throws(StoreError) in
                let id = try row.insert(into: database)
                try database.run(
                    "DELETE FROM grants WHERE state <> 'active' AND id <= ?",
                    [.integer(id - Self.maximumPastGrants)],
                )
                return id
            }
        }
    }

    /// Changes what became of grants, and returns once that is on the disk.
    ///
    /// Unknown numbers are left alone.
    package func setGrants(_ ids: [Int64], to state: GrantRow.State) throws(StoreError) {
        guard !ids.isEmpty else { return }
        try writer.perform { (database) throws(StoreError) in
            try database.transaction(durable: true) { () throws(StoreError) in
                for id in ids { try GrantRow.set(id, to: state, in: database) }
            }
        }
    }

    /// Queues what became of grants, for when `setGrants` failed; does not wait, and is tried until it succeeds.
    package func setGrantsLater(_ ids: [Int64], to state: GrantRow.State) {
        queue { changes in
            for id in ids { changes.states[id] = state }
        }
    }

    /// Queues what is left of all active grants at this moment; does not wait.
    ///
    /// It never grows.
    package func updateRemaining(_ remaining: [Int64: Instant.Span], at moment: Moment) {
        queue { ($0.remaining, $0.moment) = (remaining, moment) }
    }

    /// The moment of the last `updateRemaining`; nil when there was none.
    package func lastMoment() throws(StoreError) -> Moment? { try reader.meta(Moment.key).flatMap(Moment.init(text:)) }

    /// The number and generation of each workload that has one.
    package func workloadNumbers() throws(StoreError) -> [String: (number: UInt16, generation: UInt8)] {
        try reader.workloadNumbers()
    }

    /// Stores numbers and forgets those of the names to delete, all or nothing, and returns once that is on the disk.
    ///
    /// A number that another workload keeps is an error.
    package func saveWorkloadNumbers(
        _ numbers: [String: (number: UInt16, generation: UInt8)],
        deleting names: [String] = [],
    ) throws(StoreError) {
        try writer.perform { (database) throws(StoreError) in
            try database.transaction(durable: true) { () throws(StoreError) in
                // All old ones first, so that two workloads may swap their numbers.
                for name in names + numbers.keys {
                    try database.run("DELETE FROM workloads WHERE name = ?", [.text(name)])
                }
                for (name, row) in numbers {
                    try database.run(
                        "INSERT INTO workloads (name, number, generation) VALUES (?, ?, ?)",
                        [.text(name), .integer(Int64(row.number)), .integer(Int64(row.generation))],
                    )
                }
            }
        }
    }

    /// The value kept under this key; nil when there is none.
    package func meta(_ key: String) throws(StoreError) -> String? { try reader.meta(key) }

    /// Keeps a value under a key, or forgets the key for nil, and returns once that is on the disk.
    package func setMeta(_ key: String, _ value: String?) throws(StoreError) {
        try writer.perform { (database) throws(StoreError) in
            try database.transaction(durable: true) { () throws(StoreError) in
                guard let value else {
                    try database.run("DELETE FROM meta WHERE key = ?", [.text(key)])
                    return
                }
                try database.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", [.text(key), .text(value)])
            }
        }
    }

    /// How many revoked and expired grants are remembered, about.
    private static let maximumPastGrants: Int64 = 10_000

    /// Changes what waits to be written, and wakes the thread.
    func queue(_ change: (inout Changes) -> Void) {
        writer.gate.lock()
        defer { writer.gate.unlock() }
        change(&writer.shared.changes)
        guard writer.shared.isSleeping else { return }
        writer.shared.isSleeping = false
        writer.gate.signal(.work)
    }
}
