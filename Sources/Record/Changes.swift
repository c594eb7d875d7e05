import Model

/// Rows whose newest state is still to be written; only the last change of each is kept.
struct Changes {
    /// How many requests are kept, here and in the database.
    static let maximumRequests = 10_000

    var requests: [Int64: RequestRow] = [:]
    /// The numbers of requests that are no more.
    var forgottenRequests: Set<Int64> = []
    /// What is left of grants.
    var remaining: [Int64: Instant.Span] = [:]
    /// When the last of them was told.
    var moment: Moment?
    /// What became of grants.
    var states: [Int64: GrantRow.State] = [:]
    var pins = PinChanges()

    var isEmpty: Bool {
        requests.isEmpty && forgottenRequests.isEmpty && moment == nil && states.isEmpty && pins.isEmpty
    }

    /// Notes rows of requests, and which are no more; a number is never given twice.
    mutating func noteRequests(_ rows: [RequestRow], forgotten: Set<Int64>) {
        for row in rows { requests[row.id] = row }
        forgottenRequests.formUnion(forgotten)
        for id in forgotten { requests[id] = nil }
        bound()
    }

    /// Takes over newer changes.
    mutating func merge(_ newer: Changes) {
        noteRequests(Array(newer.requests.values), forgotten: newer.forgottenRequests)
        // All at once, so that one moment goes for all: a later call tells of every grant that is left.
        if let moment = newer.moment { (self.moment, remaining) = (moment, newer.remaining) }
        states.merge(newer.states) { $1 }
        pins.merge(newer.pins)
    }

    /// Drops the oldest requests above the maximum, which the database would not keep either.
    mutating func bound() {
        guard requests.count > Self.maximumRequests else { return }
        let newest = requests.values.sorted { ($0.last, $0.id) > ($1.last, $1.id) }.prefix(Self.maximumRequests)
        requests = Dictionary(uniqueKeysWithValues: newest.map { ($0.id, $0) })
    }

    /// Writes the changes inside a transaction; `pinsAtMost` is for `PinChanges.write`.
    func write(to database: Database, pinsAtMost: inout Int?) throws(StoreError) {
        for row in requests.values { try row.write(to: database) }
        for id in forgottenRequests { try database.run("DELETE FROM requests WHERE id = ?", [.integer(id)]) }
        if !requests.isEmpty { try RequestRow.prune(database, keeping: Self.maximumRequests) }
        if let moment {
            try database.run("INSERT OR REPLACE INTO meta VALUES (?, ?)", [.text(Moment.key), .text(moment.text)])
        }
        for (id, left) in remaining {
            // Never more than before: what is saved is what a restart gives back.
            try database.run(
                "UPDATE grants SET remaining = min(remaining, ?2), saved = ?3 WHERE id = ?1 AND state = 'active'",
                [.integer(id), .integer(left.nanoseconds), Value(moment?.wall.microseconds)],
            )
        }
        for (id, state) in states { try GrantRow.set(id, to: state, in: database) }
        try pins.write(to: database, atMost: &pinsAtMost)
    }
}
