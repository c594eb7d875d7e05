import Model

/// Rows whose newest state is still to be written; only the last change of each is kept.
struct Changes {
    /// How many requests are kept, here and in the database.
    static let maximumRequests = 10_000

    /// What is left of a grant, and when that was so.
    struct Remaining {
        var span: Instant.Span
        var wall: WallTime
    }

    var requests: [Int64: RequestRow] = [:]
    var remaining: [Int64: Remaining] = [:]
    var pins = PinChanges()

    var isEmpty: Bool { requests.isEmpty && remaining.isEmpty && pins.isEmpty }

    /// Takes over newer changes.
    mutating func merge(_ newer: Changes) {
        requests.merge(newer.requests) { $1 }
        remaining.merge(newer.remaining) { $1 }
        pins.merge(newer.pins)
        bound()
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
        if !requests.isEmpty { try RequestRow.prune(database, keeping: Self.maximumRequests) }
        for (id, left) in remaining {
            // Never more than before: what is saved is what a restart gives back.
            try database.run(
                "UPDATE grants SET remaining = min(remaining, ?2), saved = ?3 WHERE id = ?1 AND state = 'active'",
                [.integer(id), .integer(left.span.nanoseconds), .integer(left.wall.microseconds)],
            )
        }
        try pins.write(to: database, atMost: &pinsAtMost)
    }
}
