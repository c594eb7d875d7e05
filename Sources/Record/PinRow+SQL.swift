import Model

extension PinRow {
    /// How many rows the table may hold above the maximum, so that not every write has to count them.
    static let slack = maximum / 10

    static let columns = "workload, name, address, learned, expires"

    /// What lies between the time of an ended row and what is stored: 285 years, so that it is before 1970, and before every
    /// row that has not ended.
    private static let past: Int64 = 1 << 53

    /// When it expires as it is stored: rows that have ended come before all others, in the order in which they ended.
    var storedExpiry: Int64 {
        guard hasEnded else { return expires.microseconds }
        return min(max(expires.microseconds, 0), Self.past - 1) - Self.past
    }

    /// Inserts the row, or puts it in the place of the one with its key.
    func write(to database: Database) throws(StoreError) {
        try database.run(
            """
            INSERT INTO pins (\(Self.columns)) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET learned = excluded.learned, expires = excluded.expires
            """,
            [
                .text(workload), .text(name.text), .text(address.description), .integer(learned.microseconds),
                .integer(storedExpiry),
            ],
        )
    }

    init(_ row: Row) throws(StoreError) {
        let workload = try row.required(0, of: "a pin") { $0 }
        let this = "a pin of \(workload)"
        let stored: Int64 = try row.required(4, of: this)
        let hasEnded = stored < 0
        self.init(
            workload: workload,
            name: try row.required(1, of: this) { try? DomainName($0) },
            address: try row.required(2, of: this) { IPAddress($0) },
            learned: WallTime(microseconds: try row.required(3, of: this)),
            expires: WallTime(microseconds: hasEnded ? stored &+ Self.past : stored),
            hasEnded: hasEnded,
        )
    }

    static func delete(_ key: Key, from database: Database) throws(StoreError) {
        try database.run(
            "DELETE FROM pins WHERE workload = ? AND name = ? AND address = ?",
            [.text(key.workload), .text(key.name.text), .text(key.address.description)],
        )
    }

    /// Deletes the rows above the maximum; how many are left.
    static func prune(_ database: Database) throws(StoreError) -> Int {
        let count = Int(try database.number("SELECT count(*) FROM pins") ?? 0)
        guard count > maximum else { return count }
        // A table without row numbers takes no LIMIT in a DELETE, so its whole key is named.
        try database.run(
            """
            DELETE FROM pins WHERE (workload, name, address) IN
            (SELECT workload, name, address FROM pins ORDER BY expires, workload, name, address LIMIT ?)
            """,
            [.integer(Int64(count - maximum))],
        )
        return maximum
    }

    /// Deletes what has expired by this time of the wall clock, but for as many rows as connections may be open by.
    ///
    /// The date may be wrong by years: only the number bounds what is kept.
    static func deleteExpired(
        at wall: WallTime,
        keeping count: Int = endedMaximum,
        from database: Database,
    ) throws(StoreError) {
        try database.transaction(durable: false) { () throws(StoreError) in
            try database.run(
                """
                DELETE FROM pins WHERE (workload, name, address) IN
                (SELECT workload, name, address FROM pins WHERE expires <= ?
                ORDER BY expires DESC, workload, name, address LIMIT -1 OFFSET ?)
                """,
                [.integer(wall.microseconds), .integer(Int64(count))],
            )
        }
    }
}
